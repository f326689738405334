#include "worker/session.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "worker/build.h"

bool session_is_there(const struct build *b)
{
	return *json_str(b->options, "session") != '\0';
}

static int dial(const char *path, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(a.sun_path)) {
		return err_set(e, ERR_SYSTEM, "the path %.200s is too long for a socket", path);
	}
	memcpy(a.sun_path, path, strlen(path) + 1);
	scoped(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		return err_sys(e, errno, "cannot reach the client's session");
	}
	return TAKE_FD(fd);
}

/* {"name": [values in their order]} */
static json_t *metadata_json(const struct strv *m)
{
	json_t *doc = json_object();
	for (size_t i = 0; m && i + 1 < m->n; i += 2) {
		json_t *values = json_object_get(doc, m->v[i]);
		if (!values) {
			values = json_array();
			json_put(doc, m->v[i], values);
		}
		json_array_append_new(values, json_string(m->v[i + 1]));
	}
	return doc;
}

struct grpc_call *session_call_on(const struct build *b, const char *session, const char *method,
	const struct strv *metadata, struct err *e)
{
	const char *own = json_str(b->options, "session");
	if (!*own) {
		(void)err_set(e, ERR_INVALID,
			"the client of this build offers no session: only clients of BuildKit do");
		return NULL;
	}
	scoped(json) json_t *head = json_pack("{ss ss ss so}", "session", *session ? session : own,
		"else", *session ? own : "", "method", method, "metadata", metadata_json(metadata));
	if (!head) {
		(void)err_set(e, ERR_INVALID, "the metadata of %s is not text", method);
		return NULL;
	}
	scoped(free) char *text = json_text(head);
	scoped(free) char *line = xasprintf("%s\n", text);
	scoped(close) int fd = dial(json_str(b->request, "session_socket"), e);
	if (fd < 0) {
		return NULL;
	}
	int r = path_write_all(fd, line, strlen(line));
	if (r < 0) {
		(void)err_sys(e, -r, "cannot reach the client's session");
		return NULL;
	}
	return grpc_call_over(TAKE_FD(fd));
}

struct grpc_call *session_call(
	const struct build *b, const char *method, const struct strv *metadata, struct err *e)
{
	return session_call_on(b, "", method, metadata, e);
}

struct grpc_call *session_question(const struct build *b, const char *method, struct err *e)
{
	struct grpc_call *c = session_call(b, method, NULL, e);
	if (c) {
		grpc_call_over_wait(c, SESSION_ANSWER_S);
	}
	return c;
}

int session_unary(const struct build *b, const char *method, const struct buf *request,
	struct buf *ret, struct err *e)
{
	scoped(grpc_call_free) struct grpc_call *c = session_question(b, method, e);
	return c ? grpc_exchange(c, request, ret, e) : -1;
}
