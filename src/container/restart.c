#include "container/restart.h"

#include <string.h>

#define WAIT_FIRST_MS 100
#define WAIT_MAX_MS 60000
#define RUN_RESETS_MS 10000
#define WAITING_MAX_MS                                                             \
	5000 /* a look at a path costs little, and somebody has just plugged it in \
	      */
#define UNHEALTHY_FIRST_MS 10000
#define UNHEALTHY_MAX_MS (10 * 60 * 1000)
#define UNHEALTHY_RESETS_MS (30 * 60 * 1000)

int restart_policy_parse(
	const char *name, int64_t max_retries, struct restart_policy *ret, struct err *e)
{
	static const char *const names[] = {
		[RESTART_NO] = "no",
		[RESTART_ALWAYS] = "always",
		[RESTART_UNLESS_STOPPED] = "unless-stopped",
		[RESTART_ON_FAILURE] = "on-failure",
	};
	if (max_retries < 0 || max_retries > INT32_MAX) {
		return err_set(e, ERR_INVALID,
			"invalid restart policy: maximum retry count cannot be negative");
	}
	if (!*name) {
		*ret = (struct restart_policy){RESTART_NO, 0};
		return 0;
	}
	for (int i = 0; i < 4; i++) {
		if (strcmp(names[i], name) != 0) {
			continue;
		}
		if (max_retries > 0 && i != RESTART_ON_FAILURE) {
			return err_set(e, ERR_INVALID,
				"invalid restart policy: maximum retry count can only be used with 'on-failure'");
		}
		*ret = (struct restart_policy){(enum restart_kind)i, (int)max_retries};
		return 0;
	}
	return err_set(e, ERR_INVALID,
		"invalid restart policy: unknown policy '%.32s'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
		name);
}

static int64_t next_wait(const struct restart_facts *f)
{
	if (f->last_wait_ms == 0 || f->ran_ms >= RUN_RESETS_MS) {
		return WAIT_FIRST_MS;
	}
	int64_t wait = f->last_wait_ms * 2;
	int64_t max = f->waiting ? WAITING_MAX_MS : WAIT_MAX_MS;
	return wait > max ? max : wait;
}

bool restart_decide(
	const struct restart_policy *p, const struct restart_facts *f, int64_t *ret_wait_ms)
{
	if (f->stopped_by_user || p->kind == RESTART_NO) {
		return false;
	}
	if (p->kind == RESTART_ON_FAILURE &&
		(f->exit_code == 0 || (p->max_retries > 0 && f->count >= p->max_retries))) {
		return false;
	}
	*ret_wait_ms = next_wait(f);
	return true;
}

bool restart_at_boot(
	const struct restart_policy *p, int exit_code, bool was_running, bool stopped_by_user)
{
	switch (p->kind) {
	case RESTART_ALWAYS:
		return true;
	case RESTART_UNLESS_STOPPED:
		return !stopped_by_user;
	case RESTART_ON_FAILURE:
		return was_running && exit_code != 0 && !stopped_by_user;
	default:
		return false;
	}
}

bool unhealthy_action_parse(
	const char *word, enum unhealthy_action dflt, enum unhealthy_action *ret)
{
	*ret = strcmp(word, "restart") == 0  ? UNHEALTHY_RESTART
	       : strcmp(word, "ignore") == 0 ? UNHEALTHY_IGNORE
					     : dflt;
	return !*word || strcmp(word, "restart") == 0 || strcmp(word, "ignore") == 0;
}

static bool starts_over(const struct unhealthy_history *h, int64_t now_ms)
{
	return h->count == 0 || now_ms - h->last_ms >= UNHEALTHY_RESETS_MS;
}

int64_t unhealthy_wait_ms(const struct unhealthy_history *h, int64_t now_ms)
{
	if (starts_over(h, now_ms)) {
		return 0;
	}
	int64_t pause = UNHEALTHY_FIRST_MS;
	for (int i = 1; i < h->count && pause < UNHEALTHY_MAX_MS; i++) {
		pause *= 2;
	}
	pause = pause > UNHEALTHY_MAX_MS ? UNHEALTHY_MAX_MS : pause;
	int64_t due = h->last_ms + pause;
	return due > now_ms ? due - now_ms : 0;
}

struct unhealthy_history unhealthy_after(struct unhealthy_history h, int64_t now_ms)
{
	return (struct unhealthy_history){starts_over(&h, now_ms) ? 1 : h.count + 1, now_ms};
}
