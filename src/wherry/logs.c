#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "wherry/demux.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/times.h"

#define READ_BYTES (64u << 10)

struct logs {
	bool follow, timestamps, details;
	const char *since, *until, *tail;
};

/* Lines of one stream that came together leave together. */
struct output {
	int type;
	struct buf text;
};

static int flush(struct output *o, struct err *e)
{
	int r = path_write_all(
		o->type == 2 ? STDERR_FILENO : STDOUT_FILENO, buf_str(&o->text), o->text.len);
	buf_clear(&o->text);
	return r < 0 ? err_sys(e, -r, "cannot write the output") : 0;
}

static int write_out(void *owner, int type, const char *data, size_t n, struct err *e)
{
	struct output *o = owner;
	if (type == 3) {
		return err_set(e, ERR_SYSTEM, "error from daemon in stream: %.*s",
			(int)(n < 400 ? n : 400), data);
	}
	if (type != o->type && flush(o, e) < 0) {
		return -1;
	}
	o->type = type;
	buf_append(&o->text, data, n);
	return 0;
}

static int copy(struct http_client *http, bool tty, struct err *e)
{
	struct demux d = {0};
	static char data[READ_BYTES];
	struct output o = {.type = 1};
	long n;
	int r = 0;
	while (r == 0 && (n = http_client_read(http, data, sizeof(data), e)) > 0) {
		r = tty ? write_out(&o, 1, data, (size_t)n, e)
			: demux_feed(&d, data, (size_t)n, write_out, &o, e);
		r = r < 0 ? r : flush(&o, e);
	}
	buf_deinit(&o.text);
	return r < 0 || n < 0 ? -1 : 0;
}

/* Whether the log is multiplexed: the answer's Content-Type says it only since API 1.42, the
 * container always. */
static int show(struct cli *cli, const struct logs *o, const char *name, struct err *e)
{
	scoped(json) json_t *container = NULL;
	scoped(buf) struct buf path = BUF_INIT;
	char since[TIMES_TEXT_MAX];
	char until[TIMES_TEXT_MAX];
	if (times_parse("since", o->since, since, e) < 0 ||
		times_parse("until", o->until, until, e) < 0 ||
		engine_on(cli, "GET", "/containers/", name, "/json", &container, e) < 0) {
		return -1;
	}
	path_add(&path, "/containers/", json_str(container, "Id"), "/logs?stdout=1&stderr=1");
	path_query(&path, "follow", o->follow ? "1" : NULL);
	path_query(&path, "timestamps", o->timestamps ? "1" : NULL);
	path_query(&path, "details", o->details ? "1" : NULL);
	path_query(&path, "since", *since ? since : NULL);
	path_query(&path, "until", *until ? until : NULL);
	path_query(&path, "tail", o->tail);
	const struct http_call call = {.method = "GET", .path = buf_str(&path)};
	if (engine_send(cli->http, &call, NULL, e) < 0) {
		return -1;
	}
	return copy(cli->http, json_bool(json_object_get(container, "Config"), "Tty"), e);
}

int command_logs(struct cli *cli, int argc, char **argv)
{
	struct logs o = {.tail = "all"};
	const struct flag flags[] = {
		{"details", 0, FLAG_BOOL, &o.details, NULL, "Show extra details provided to logs"},
		{"follow", 'f', FLAG_BOOL, &o.follow, NULL, "Follow log output"},
		{"since", 0, FLAG_STRING, &o.since, NULL,
			"Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)"},
		{"tail", 'n', FLAG_STRING, &o.tail, NULL,
			"Number of lines to show from the end of the logs (default \"all\")"},
		{"timestamps", 't', FLAG_BOOL, &o.timestamps, NULL, "Show timestamps"},
		{"until", 0, FLAG_STRING, &o.until, NULL,
			"Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)"},
		{0},
	};
	const struct syntax s = {
		"logs", "[OPTIONS] CONTAINER", "Fetch the logs of a container", 1, 1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	return show(cli, &o, argv[1], &e) < 0 ? cli_fail(&e) : 0;
}
