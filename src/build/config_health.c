/* HEALTHCHECK. */
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/scoped.h"
#include "build/config_parts.h"

#define MIN_HEALTH_NS NS_PER_MS

static int put_health_duration(
	struct config_change *ch, json_t *health, const char *flag, const char *member)
{
	const char *text = df_flag(ch->i, flag);
	if (!text) {
		return 0;
	}
	int64_t ns;
	if (parse_duration(text, &ns) < 0 || ns < 0 || (ns > 0 && ns < MIN_HEALTH_NS)) {
		scoped(free) char *why =
			xasprintf("--%s=%.60s is not a duration of at least 1ms, like 30s or 1m30s",
				flag, text);
		return config_fail(ch, why);
	}
	if (ns > 0) {
		json_put(health, member, json_integer(ns));
	}
	return 0;
}

static int put_health_options(struct config_change *ch, json_t *health)
{
	static const char *const flags[] = {
		"interval", "timeout", "start-period", "start-interval", "retries", NULL};
	if (df_check_flags(ch->d, ch->i, flags, ch->e) < 0 ||
		put_health_duration(ch, health, "interval", "Interval") < 0 ||
		put_health_duration(ch, health, "timeout", "Timeout") < 0 ||
		put_health_duration(ch, health, "start-period", "StartPeriod") < 0 ||
		put_health_duration(ch, health, "start-interval", "StartInterval") < 0) {
		return -1;
	}
	const char *text = df_flag(ch->i, "retries");
	int retries = 0;
	if (text && parse_int(text, 0, 1000000, &retries) < 0) {
		return config_fail(ch, "--retries must be a number of at least 0");
	}
	if (retries) {
		json_put(health, "Retries", json_integer(retries));
	}
	return 0;
}

/* The command behind CMD, in either form. */
static int put_health_test(struct config_change *ch, json_t *health, const char *command)
{
	if (!*command || (ch->i->json && ch->i->words.n == 0)) {
		return config_fail(ch, "missing command after HEALTHCHECK CMD");
	}
	json_t *test = ch->i->json ? json_strv(&ch->i->words) : json_pack("[s]", command);
	json_array_insert_new(test, 0, json_string(ch->i->json ? "CMD" : "CMD-SHELL"));
	json_put(health, "Test", test);
	return 0;
}

int config_apply_healthcheck(struct config_change *ch)
{
	size_t n = strcspn(ch->i->args, " \t");
	const char *rest = ch->i->args + n + strspn(ch->i->args + n, " \t");
	scoped(json) json_t *health = json_object();
	if (n == 4 && strncasecmp(ch->i->args, "NONE", 4) == 0) {
		if (*rest || ch->i->flags.n) {
			return config_fail(ch, "HEALTHCHECK NONE takes no arguments");
		}
		json_put(health, "Test", json_pack("[s]", "NONE"));
	} else if (n == 3 && strncasecmp(ch->i->args, "CMD", 3) == 0) {
		if (put_health_options(ch, health) < 0 || put_health_test(ch, health, rest) < 0) {
			return -1;
		}
	} else {
		scoped(free) char *why = xasprintf("unknown type \"%.*s\" (try CMD or NONE)",
			n > 40 ? 40 : (int)n, ch->i->args);
		return config_fail(ch, why);
	}
	if (ch->a->history) {
		config_say(ch, "HEALTHCHECK ");
		history_health(&ch->a->history->text, health);
	}
	json_put(ch->config, "Healthcheck", TAKE(health));
	return 0;
}
