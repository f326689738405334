#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/format.h"
#include "wherry/table.h"
#include "wherry/times.h"

struct events {
	const char *format, *since, *until;
	struct strv filters;
};

/* RFC 3339 with nine digits in the local zone. */
static void print_time(int64_t ns)
{
	char day[32];
	char zone[16];
	time_t t = (time_t)(ns / NS_PER_SEC);
	struct tm tm;
	localtime_r(&t, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	printf("%s.%09lld", day, (long long)(ns % NS_PER_SEC));
	if (strcmp(zone, "+0000") == 0) {
		printf("Z");
	} else {
		printf("%.3s:%s", zone, zone + 3);
	}
}

static int by_key(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void print_attributes(json_t *attributes)
{
	scoped(free) const char **keys = xnew_array(const char *, json_object_size(attributes) + 1);
	size_t n = 0;
	const char *key;
	json_t *v;
	json_object_foreach (attributes, key, v) {
		keys[n++] = key;
	}
	qsort(keys, n, sizeof(*keys), by_key);
	for (size_t i = 0; i < n; i++) {
		printf("%s%s=%s", i ? ", " : " (", keys[i], json_str(attributes, keys[i]));
	}
	printf("%s", n ? ")" : "");
}

/* "2024-01-02T15:04:05.000000000Z container start ID (image=x, name=y)" */
static void print_plain(const json_t *event)
{
	const json_t *actor = json_object_get(event, "Actor");
	int64_t ns = json_i64(event, "timeNano", 0);
	print_time(ns ? ns : json_i64(event, "time", 0) * NS_PER_SEC);
	printf(" %s %s %s", json_str(event, "Type"), json_str(event, "Action"),
		json_str(actor, "ID"));
	print_attributes(json_object_get(actor, "Attributes"));
	printf("\n");
}

static int print_event(void *owner, const json_t *event, struct err *e)
{
	const struct format *f = owner;
	int r = 0;
	if (f) {
		r = format_put_line(f, event, "*events.Message", e);
	} else {
		print_plain(event);
	}
	fflush(stdout);
	return r;
}

/* A template that the events cannot be put through is refused before any comes. */
static int probe(const struct format *f, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	const struct format_style style = {.type = "*events.Message"};
	scoped(json) json_t *empty = json_pack("{ss ss ss ss ss s{ss s{}} ss si si}", "status", "",
		"id", "", "from", "", "Type", "", "Action", "", "Actor", "ID", "", "Attributes",
		"scope", "", "time", 0, "timeNano", 0);
	return f ? format_run(f, empty, &style, &text, e) : 0;
}

static int listen_to(struct cli *cli, struct events *o, const struct format *f, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	char since[TIMES_TEXT_MAX];
	char until[TIMES_TEXT_MAX];
	if (times_parse("", o->since, since, e) < 0 || times_parse("", o->until, until, e) < 0) {
		return -1;
	}
	buf_puts(&path, "/events");
	path_query(&path, "since", *since ? since : NULL);
	path_query(&path, "until", *until ? until : NULL);
	if (path_filters(&path, &o->filters, e) < 0) {
		return -1;
	}
	const struct http_call call = {.method = "GET", .path = buf_str(&path)};
	return engine_send(cli->http, &call, NULL, e) < 0
		       ? -1
		       : engine_documents(cli->http, print_event, (void *)f, e);
}

static int events_with(struct cli *cli, struct events *o)
{
	struct err e;
	const char *template = !o->format || !*o->format        ? NULL
			       : strcmp(o->format, "json") == 0 ? "{{json .}}"
								: o->format;
	scoped(format) struct format *f = template ? format_new("", template, &e) : NULL;
	if (template && (!f || probe(f, &e) < 0)) {
		err_wrap(&e, "Error parsing format");
		cli_fail(&e);
		return STATUS_BAD_FORMAT;
	}
	return listen_to(cli, o, f, &e) < 0 ? cli_fail(&e) : 0;
}

int command_events(struct cli *cli, int argc, char **argv)
{
	struct events o = {0};
	const struct flag flags[] = {
		{"filter", 'f', FLAG_FILTER, &o.filters, NULL,
			"Filter output based on conditions provided"},
		{"format", 0, FLAG_STRING, &o.format, NULL, INSPECT_FORMAT_HELP},
		{"since", 0, FLAG_STRING, &o.since, NULL,
			"Show all events created since timestamp"},
		{"until", 0, FLAG_STRING, &o.until, NULL, "Stream events until this timestamp"},
		{0},
	};
	const struct syntax s = {
		"events", "[OPTIONS]", "Get real time events from the server", 0, 0, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status < 0) {
		status = events_with(cli, &o);
	}
	strv_deinit(&o.filters);
	return status;
}
