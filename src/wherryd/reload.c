/* SIGHUP: the configuration is read again; what can change without a restart changes, as in
 * dockerd. */
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "wherryd/config_check.h"
#include "wherryd/reload.h"

/* The value as dockerd writes it into the event: text as it is, everything else as JSON. */
static char *shown(const json_t *v)
{
	if (json_is_string(v)) {
		return xstrdup(json_string_value(v));
	}
	char *text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	return text ? text : xstrdup("");
}

static bool same(const json_t *a, const json_t *b)
{
	return (!a && !b) || (a && b && json_equal(a, b));
}

/* Takes one setting over, or says that it needs a restart. Returns whether it changed. */
static bool take_over(json_t *merged, const char *key, json_t *v)
{
	scoped(free) char *before = shown(json_object_get(merged, key));
	scoped(free) char *after = shown(v);
	if (same(json_object_get(merged, key), v)) {
		return false;
	}
	if (!config_reloads(key)) {
		log_warning("daemon", "setting_needs_a_restart", "setting", key, NULL);
		return false;
	}
	if (v) {
		json_object_set(merged, key, v);
	} else {
		json_object_del(merged, key);
	}
	log_info("daemon", "setting_changed", "setting", key, "from", before, "to", after, NULL);
	return true;
}

static void take_over_all(struct config *c, const struct config *fresh)
{
	const char *key;
	json_t *v;
	void *next;
	json_object_foreach (fresh->merged, key, v) {
		take_over(c->merged, key, v);
	}
	json_object_foreach_safe(c->merged, next, key, v)
	{
		if (!json_object_get(fresh->merged, key)) {
			take_over(c->merged, key, NULL);
		}
	}
	c->debug = fresh->debug;
	free(c->log_level);
	c->log_level = xstrdup(fresh->log_level);
	json_object_update(c->registry, fresh->registry); /* the images' own, too */
}

json_t *config_reload_attributes(const struct config *c)
{
	static const struct {
		const char *key, *dflt;
	} told[] = {{"debug", "false"}, {"default-runtime", "crun"}, {"features", "{}"},
		{"insecure-registries", "[]"}, {"labels", "[]"}, {"live-restore", "true"},
		{"max-concurrent-downloads", "3"}, {"max-concurrent-uploads", "3"},
		{"max-download-attempts", "5"}, {"registry-mirrors", "[]"},
		{"shutdown-timeout", "15"}};
	json_t *attributes = json_object();
	for (size_t i = 0; i < sizeof(told) / sizeof(*told); i++) {
		const json_t *v = json_object_get(c->merged, told[i].key);
		scoped(free) char *text = v ? shown(v) : xstrdup(told[i].dflt);
		json_put_str(attributes, told[i].key, text);
	}
	return attributes;
}

int config_reload(struct config *c, int argc, char **argv, struct err *e)
{
	struct config fresh;
	int r = config_read(&fresh, argc, argv, e);
	if (r == 0) {
		take_over_all(c, &fresh);
	}
	config_deinit(&fresh);
	return r;
}
