/* compose events: what happens to the containers of a project, without docker compose's own labels.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wherry/build_screen.h"
#include "wherry/compose.h"
#include "wherry/engine.h"
#include "wherry/times.h"

struct listening {
	const struct strv *services; /* empty: all */
	bool json;
};

/* Go's "2006-01-02T15:04:05.999999999Z07:00": without trailing zeros. */
static void put_time_json(int64_t ns, json_t *o)
{
	char day[32];
	char zone[16];
	char fraction[16];
	time_t t = (time_t)(ns / NS_PER_SEC);
	struct tm tm;
	localtime_r(&t, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	snprintf(fraction, sizeof(fraction), ".%09d", (int)(ns % NS_PER_SEC));
	size_t n = strlen(fraction);
	while (n > 0 && (fraction[n - 1] == '0' || fraction[n - 1] == '.')) {
		fraction[--n] = '\0';
	}
	bool utc = strcmp(zone, "+0000") == 0;
	scoped(free) char *text = utc ? xasprintf("%s%sZ", day, fraction)
				      : xasprintf("%s%s%.3s:%s", day, fraction, zone, zone + 3);
	json_put_str(o, "time", text);
}

static json_t *own_attributes(const json_t *attributes)
{
	json_t *own = json_object();
	const char *key;
	json_t *value;
	json_object_foreach ((json_t *)attributes, key, value) {
		if (!text_starts(key, LABEL)) {
			json_object_set(own, key, value);
		}
	}
	return own;
}

static void print_json(
	const json_t *event, const char *service, int64_t ns, const json_t *attributes)
{
	scoped(json) json_t *o = json_object();
	json_put_str(o, "action", json_str(event, "Action"));
	json_put(o, "attributes", json_deep_copy(attributes));
	json_put_str(o, "id", json_str(json_object_get(event, "Actor"), "ID"));
	json_put_str(o, "service", service);
	put_time_json(ns, o);
	json_put_str(o, "type", "container");
	char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	printf("%s\n", text ? text : "{}");
	free(text);
}

/* A blank line behind each, as docker compose has it. */
static void print_plain(const json_t *event, int64_t ns, json_t *attributes)
{
	char day[32];
	time_t t = (time_t)(ns / NS_PER_SEC);
	struct tm tm;
	scoped(buf) struct buf list = BUF_INIT;
	const char *key;
	json_t *value;
	localtime_r(&t, &tm);
	strftime(day, sizeof(day), "%Y-%m-%d %H:%M:%S", &tm);
	json_object_foreach (attributes, key, value) {
		buf_printf(&list, "%s%s=%s", list.len ? ", " : "", key, json_str(attributes, key));
	}
	scoped(buf) struct buf shown = BUF_INIT;
	screen_clip(buf_str(&list), SIZE_MAX, &shown); /* labels are an image's words */
	printf("%s.%06d container %s %s (%s)\n\n", day, (int)(ns % NS_PER_SEC / 1000),
		json_str(event, "Action"), json_str(json_object_get(event, "Actor"), "ID"),
		buf_str(&shown));
}

static int print_event(void *owner, const json_t *event, struct err *e)
{
	const struct listening *l = owner;
	const json_t *all = json_object_get(json_object_get(event, "Actor"), "Attributes");
	const char *service = json_str(all, LABEL "service");
	if (strcmp(json_str(event, "Type"), "container") != 0 ||
		strcmp(json_str(all, LABEL "oneoff"), "True") == 0 ||
		(l->services->n > 0 && !strv_has(l->services, service))) {
		return 0;
	}
	scoped(json) json_t *attributes = own_attributes(all);
	int64_t ns = json_i64(event, "timeNano", 0);
	ns = ns ? ns : json_i64(event, "time", 0) * NS_PER_SEC;
	if (l->json) {
		print_json(event, service, ns, attributes);
	} else {
		print_plain(event, ns, attributes);
	}
	fflush(stdout);
	return 0;
}

static int listen_to(struct compose *c, struct listening *l, const char *project,
	const char *since_text, const char *until_text, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	scoped(strv) struct strv filters = STRV_INIT;
	char since[TIMES_TEXT_MAX];
	char until[TIMES_TEXT_MAX];
	if (times_parse("", since_text, since, e) < 0 ||
		times_parse("", until_text, until, e) < 0) {
		return -1;
	}
	strv_addf(&filters, "label=" LABEL "project=%s", project);
	buf_puts(&path, "/events");
	path_query(&path, "since", *since ? since : NULL);
	path_query(&path, "until", *until ? until : NULL);
	if (path_filters(&path, &filters, e) < 0) {
		return -1;
	}
	const struct http_call call = {.method = "GET", .path = buf_str(&path)};
	return engine_send(c->cli->http, &call, NULL, e) < 0
		       ? -1
		       : engine_documents(c->cli->http, print_event, l, e);
}

int compose_events(struct compose *c, int argc, char **argv)
{
	scoped(strv) struct strv services = STRV_INIT;
	struct listening l = {.services = &services};
	const char *since = NULL;
	const char *until = NULL;
	const struct flag flags[] = {
		{"json", 0, FLAG_BOOL, &l.json, NULL, "Output events as a stream of json objects"},
		{"since", 0, FLAG_STRING, &since, NULL, "Show all events created since timestamp"},
		{"until", 0, FLAG_STRING, &until, NULL, "Stream events until this timestamp"},
		{0},
	};
	const struct syntax s = {"compose events", "[OPTIONS] [SERVICE...]",
		"Receive real time events from containers", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	const char *project;
	for (int i = 1; i < argc; i++) {
		strv_add(&services, argv[i]);
	}
	bool failed = compose_load_or_name(c, NULL, 0, &project, &e) < 0 ||
		      listen_to(c, &l, project, since, until, &e) < 0;
	return failed ? cli_fail(&e) : 0;
}
