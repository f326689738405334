/* Secrets and the ssh agent of a build's session: only those that were named. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/mem.h"
#include "base/path.h"
#include "buildkit/session.pb-c.h"
#include "wherry/build_session.h"

#define SECRET_MAX (500u << 10)
#define AGENT_PIECE (32u << 10)

/* --- secrets --- */

static int load_secret(
	const struct build_request *r, const char *id, struct buf *ret, struct err *e)
{
	for (size_t i = 0; i < r->n_secrets; i++) {
		const struct build_secret *s = &r->secrets[i];
		if (strcmp(s->id, id) != 0) {
			continue;
		}
		const char *value = s->env ? getenv(s->env) : s->text;
		buf_puts(ret, value ? value : "");
		int got = s->path ? path_read(AT_FDCWD, s->path, SECRET_MAX, ret) : 0;
		return got < 0 ? err_sys(e, -got, "cannot read the secret %s from %s", id, s->path)
			       : 0;
	}
	return err_set(e, ERR_NOT_FOUND, "secret %s: not found", id);
}

void build_serve_secret(struct grpc_call *c, void *owner)
{
	const struct build_session *s = owner;
	scoped(buf) struct buf bytes = BUF_INIT;
	scoped(buf) struct buf value = BUF_INIT;
	struct err e;
	if (!build_serve_request(c, &bytes)) {
		return;
	}
	Buildkit__GetSecretRequest *q = buildkit__get_secret_request__unpack(
		NULL, bytes.len, (const uint8_t *)buf_str(&bytes));
	int r = q ? load_secret(s->request, q->id, &value, &e)
		  : err_set(&e, ERR_INVALID, "the request is malformed");
	if (q) {
		buildkit__get_secret_request__free_unpacked(q, NULL);
	}
	if (r < 0) {
		grpc_finish_err(c, &e);
		return;
	}
	Buildkit__GetSecretResponse answer = BUILDKIT__GET_SECRET_RESPONSE__INIT;
	answer.data.data = (uint8_t *)value.data;
	answer.data.len = value.len;
	buf_clear(&bytes);
	size_t n = buildkit__get_secret_response__get_packed_size(&answer);
	buildkit__get_secret_response__pack(&answer, (uint8_t *)buf_room(&bytes, n + 1));
	buf_added(&bytes, n);
	if (grpc_send(c, bytes.data, bytes.len, &e) == 0) {
		grpc_finish(c, GRPC_OK, "");
	}
}

/* --- ssh --- */

static const struct build_agent *find_agent(const struct build_request *r, const char *id)
{
	const char *wanted = id && *id ? id : "default";
	for (size_t i = 0; i < r->n_agents; i++) {
		if (strcmp(r->agents[i].id, wanted) == 0) {
			return &r->agents[i];
		}
	}
	return NULL;
}

static void finish_unset(struct grpc_call *c, const char *id)
{
	scoped(free) char *text = xasprintf("unset ssh forward key %s", id && *id ? id : "default");
	grpc_finish(c, GRPC_UNKNOWN, text);
}

void build_serve_agent_check(struct grpc_call *c, void *owner)
{
	const struct build_session *s = owner;
	scoped(buf) struct buf bytes = BUF_INIT;
	struct err e;
	if (!build_serve_request(c, &bytes)) {
		return;
	}
	Buildkit__CheckAgentRequest *q = buildkit__check_agent_request__unpack(
		NULL, bytes.len, (const uint8_t *)buf_str(&bytes));
	if (!q || !find_agent(s->request, q->id)) {
		finish_unset(c, q ? q->id : NULL);
	} else if (grpc_send(c, "", 0, &e) == 0) {
		grpc_finish(c, GRPC_OK, "");
	}
	if (q) {
		buildkit__check_agent_request__free_unpacked(q, NULL);
	}
}

static int connect_agent(const struct build_agent *a, struct err *e)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	if (strlen(a->socket) >= sizeof(name.sun_path)) {
		return err_set(e, ERR_INVALID, "the path of the agent's socket is too long");
	}
	memcpy(name.sun_path, a->socket, strlen(a->socket) + 1);
	scoped(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0) {
		return err_sys(e, errno, "failed to connect to the ssh agent at %s", a->socket);
	}
	return TAKE_FD(fd);
}

struct forward {
	struct grpc_call *call;
	int fd;
};

/* From the build to the agent, in a thread of its own. */
static void *to_agent(void *arg)
{
	struct forward *f = arg;
	scoped(buf) struct buf bytes = BUF_INIT;
	struct err e;
	while (grpc_recv(f->call, &bytes, &e) > 0) {
		Buildkit__BytesMessage *m = buildkit__bytes_message__unpack(
			NULL, bytes.len, (const uint8_t *)buf_str(&bytes));
		int r = m ? path_write_all(f->fd, m->data.data, m->data.len) : -EBADMSG;
		if (m) {
			buildkit__bytes_message__free_unpacked(m, NULL);
		}
		if (r < 0) {
			break;
		}
	}
	shutdown(f->fd, SHUT_WR);
	return NULL;
}

int build_send_bytes(struct grpc_call *c, const void *data, size_t n, struct err *e)
{
	scoped(buf) struct buf bytes = BUF_INIT;
	Buildkit__BytesMessage m = BUILDKIT__BYTES_MESSAGE__INIT;
	m.data.data = (uint8_t *)(uintptr_t)data;
	m.data.len = n;
	size_t size = buildkit__bytes_message__get_packed_size(&m);
	buildkit__bytes_message__pack(&m, (uint8_t *)buf_room(&bytes, size + 1));
	buf_added(&bytes, size);
	return grpc_send(c, buf_str(&bytes), bytes.len, e);
}

void build_serve_agent(struct grpc_call *c, void *owner)
{
	const struct build_session *s = owner;
	const char *id = grpc_metadata(c, "buildkit.ssh.id", 0);
	const struct build_agent *a = find_agent(s->request, id);
	struct err e;
	if (!a) {
		finish_unset(c, id);
		return;
	}
	scoped(close) int fd = connect_agent(a, &e);
	struct forward f = {c, fd};
	pthread_t thread;
	if (fd < 0) {
		grpc_finish_err(c, &e);
		return;
	}
	if (pthread_create(&thread, NULL, to_agent, &f) != 0) {
		grpc_finish(c, GRPC_INTERNAL, "cannot start a thread");
		return;
	}
	char data[AGENT_PIECE];
	ssize_t n;
	while ((n = read(fd, data, sizeof(data))) > 0 || (n < 0 && errno == EINTR)) {
		if (n > 0 && build_send_bytes(c, data, (size_t)n, &e) < 0) {
			break;
		}
	}
	grpc_finish(c, GRPC_OK, "");
	grpc_cancel(c); /* wakes the other direction */
	pthread_join(thread, NULL);
}
