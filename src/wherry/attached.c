#include "wherry/attached.h"

#include <string.h>

#include "base/json.h"
#include "wherry/engine.h"

struct http_client *wait_begin(
	struct cli *cli, const char *id, const char *condition, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	path_add(&path, "/containers/", id, "/wait");
	path_query(&path, "condition", condition);
	struct http_client *http = engine_connect(cli, e);
	const struct http_call call = {.method = "POST", .path = buf_str(&path)};
	if (http && engine_send(http, &call, NULL, e) < 0) {
		http_client_free(TAKE(http));
	}
	return http;
}

static int keep(void *owner, const json_t *doc, struct err *e)
{
	json_t **ret = owner;
	json_decref(*ret);
	*ret = json_incref((json_t *)doc);
	return 0;
}

int wait_end(struct http_client *http, int *ret_code, struct err *e)
{
	scoped(json) json_t *answer = NULL;
	if (engine_documents(http, keep, &answer, e) < 0) {
		return -1;
	}
	const char *message = json_str(json_object_get(answer, "Error"), "Message");
	if (*message) {
		return err_set(e, ERR_SYSTEM, "Error waiting for container: %s", message);
	}
	if (!answer) {
		return err_set(e, ERR_SYSTEM,
			"Error waiting for container: the engine closed the connection");
	}
	*ret_code = (int)json_i64(answer, "StatusCode", STATUS_ENGINE);
	return 0;
}

/* docker/cli cli/command/container/run.go toStatusError reads the same words. */
int start_status(const struct err *e)
{
	static const struct {
		const char *words;
		int status;
	} known[] = {
		{"executable file not found", STATUS_NOT_FOUND},
		{"no such file or directory", STATUS_NOT_FOUND},
		{"No such file or directory", STATUS_NOT_FOUND},
		{"permission denied", STATUS_NOT_RUNNABLE},
		{"Permission denied", STATUS_NOT_RUNNABLE},
		{"is a directory", STATUS_NOT_RUNNABLE},
		{"Is a directory", STATUS_NOT_RUNNABLE},
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (strstr(e->msg, known[i].words)) {
			return known[i].status;
		}
	}
	return STATUS_ENGINE;
}

int attach_open(struct stream *s, struct cli *cli, const struct stream_options *o, bool out,
	bool err, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	path_add(&path, "/containers/", o->id, "/attach?stream=1");
	path_query(&path, "stdin", o->with_stdin ? "1" : NULL);
	path_query(&path, "stdout", out ? "1" : NULL);
	path_query(&path, "stderr", err ? "1" : NULL);
	path_query(&path, "detachKeys", o->detach_keys && *o->detach_keys ? o->detach_keys : NULL);
	return stream_open(s, cli, o, buf_str(&path), NULL, e);
}
