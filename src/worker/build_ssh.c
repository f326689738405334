#include "worker/build_ssh.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "session.pb-c.h"
#include "worker/session.h"

#define CHECK_AGENT "/moby.sshforward.v1.SSH/CheckAgent"
#define FORWARD_AGENT "/moby.sshforward.v1.SSH/ForwardAgent"
#define ID_METADATA "buildkit.ssh.id"
#define CHUNK 16384
#define STACK_BYTES (256u << 10)

struct connection {
	struct ssh_relay *relay;
	struct grpc_call *call;
	int fd; /* -1: this place is free */
	pthread_t thread;
	bool over; /* the thread is about to return */
};

struct ssh_relay {
	const struct build *b;
	char *id;
	int listen_fd, wake_fd;
	pthread_t thread;
	pthread_mutex_t lock; /* of over, and of call and fd for ssh_relay_stop */
	struct connection v[SSH_CONNECTIONS_MAX];
};

/* --- one connection --- */

static void pack_bytes(const void *data, size_t n, struct buf *ret)
{
	Buildkit__BytesMessage m = BUILDKIT__BYTES_MESSAGE__INIT;
	m.data.data = (uint8_t *)data;
	m.data.len = n;
	size_t size = buildkit__bytes_message__get_packed_size(&m);
	uint8_t *bytes = xcalloc(1, size + 1);
	buildkit__bytes_message__pack(&m, bytes);
	buf_append(ret, bytes, size);
	free(bytes);
}

/* From the step to the client. */
static void *send_all(void *arg)
{
	struct connection *c = arg;
	struct err ignored;
	char chunk[CHUNK];
	ssize_t n;
	while ((n = read(c->fd, chunk, sizeof(chunk))) > 0 || (n < 0 && errno == EINTR)) {
		scoped(buf) struct buf message = BUF_INIT;
		if (n > 0) {
			pack_bytes(chunk, (size_t)n, &message);
			if (grpc_send(c->call, message.data, message.len, &ignored) < 0) {
				return NULL;
			}
		}
	}
	grpc_send_end(c->call, &ignored);
	return NULL;
}

static int write_answer(struct connection *c, const struct buf *message)
{
	Buildkit__BytesMessage *m =
		buildkit__bytes_message__unpack(NULL, message->len, (const uint8_t *)message->data);
	int r = m ? path_write_all(c->fd, m->data.data, m->data.len) : -EPROTO;
	if (m) {
		buildkit__bytes_message__free_unpacked(m, NULL);
	}
	return r;
}

/* From the client to the step. */
static void receive_all(struct connection *c)
{
	scoped(buf) struct buf message = BUF_INIT;
	struct err ignored;
	while (grpc_recv(c->call, &message, &ignored) > 0 && write_answer(c, &message) == 0) {
	}
}

static bool start_thread(pthread_t *ret, void *(*run)(void *arg), void *arg)
{
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	int failed = pthread_create(ret, &attributes, run, arg);
	pthread_attr_destroy(&attributes);
	return failed == 0;
}

static void *run_connection(void *arg)
{
	struct connection *c = arg;
	struct ssh_relay *s = c->relay;
	pthread_t sender;
	if (start_thread(&sender, send_all, c)) {
		receive_all(c);
		shutdown(c->fd, SHUT_RDWR); /* wakes the sender */
		grpc_cancel(c->call);
		pthread_join(sender, NULL);
	}
	pthread_mutex_lock(&s->lock);
	c->over = true;
	pthread_mutex_unlock(&s->lock);
	eventfd_write(s->wake_fd, 1);
	return NULL;
}

/* --- all of them --- */

static bool is_over(struct ssh_relay *s, const struct connection *c)
{
	pthread_mutex_lock(&s->lock);
	bool over = c->over;
	pthread_mutex_unlock(&s->lock);
	return over;
}

static void end_connection(struct connection *c)
{
	pthread_join(c->thread, NULL);
	grpc_call_free(c->call);
	close(c->fd);
	*c = (struct connection){.fd = -1};
}

/* A free place, with those that are over cleared away; NULL when all are in use. */
static struct connection *find_place(struct ssh_relay *s)
{
	struct connection *found = NULL;
	for (size_t k = 0; k < SSH_CONNECTIONS_MAX; k++) {
		struct connection *c = &s->v[k];
		if (c->fd >= 0 && is_over(s, c)) {
			end_connection(c);
		}
		found = c->fd < 0 ? c : found;
	}
	return found;
}

static void connect_one(struct ssh_relay *s, struct connection *c)
{
	struct err ignored;
	scoped(close) int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0) {
		return;
	}
	scoped(strv) struct strv metadata = STRV_INIT;
	strv_add(&metadata, ID_METADATA);
	strv_add(&metadata, s->id);
	struct grpc_call *call = session_call(s->b, FORWARD_AGENT, &metadata, &ignored);
	if (!call) {
		return; /* the step sees the end of the connection */
	}
	*c = (struct connection){.relay = s, .call = call, .fd = fd};
	if (!start_thread(&c->thread, run_connection, c)) {
		grpc_call_free(call);
		*c = (struct connection){.fd = -1};
		return;
	}
	TAKE_FD(fd);
}

static void *accept_all(void *arg)
{
	struct ssh_relay *s = arg;
	for (;;) {
		struct connection *place = find_place(s);
		struct pollfd wanted[] = {
			{s->wake_fd, POLLIN, 0}, {place ? s->listen_fd : -1, POLLIN, 0}};
		if (poll(wanted, 2, -1) < 0) {
			continue; /* EINTR */
		}
		eventfd_t wakes = 0;
		if (wanted[0].revents & POLLIN) {
			eventfd_read(s->wake_fd, &wakes);
		}
		if (wakes >= SSH_CONNECTIONS_MAX + 1) { /* ssh_relay_stop */
			return NULL;
		}
		if (place && wanted[1].revents) {
			connect_one(s, place);
		}
	}
}

void ssh_relay_stop(struct ssh_relay *s)
{
	if (!s) {
		return;
	}
	eventfd_write(s->wake_fd, SSH_CONNECTIONS_MAX + 1);
	pthread_join(s->thread, NULL);
	for (size_t k = 0; k < SSH_CONNECTIONS_MAX; k++) {
		struct connection *c = &s->v[k];
		if (c->fd >= 0) {
			grpc_cancel(c->call);
			shutdown(c->fd, SHUT_RDWR);
			end_connection(c);
		}
	}
	close(s->listen_fd);
	close(s->wake_fd);
	pthread_mutex_destroy(&s->lock);
	free(s->id);
	free(s);
}

/* --- the start --- */

/* 1: the client has that agent; 0: it has not; -1 with *e. */
static int check_agent(const struct build *b, const char *id, struct err *e)
{
	Buildkit__CheckAgentRequest m = BUILDKIT__CHECK_AGENT_REQUEST__INIT;
	m.id = (char *)id;
	size_t n = buildkit__check_agent_request__get_packed_size(&m);
	scoped(free) uint8_t *bytes = xcalloc(1, n + 1);
	buildkit__check_agent_request__pack(&m, bytes);
	scoped(buf) struct buf request = BUF_INIT;
	scoped(buf) struct buf answer = BUF_INIT;
	buf_append(&request, bytes, n);
	scoped(grpc_call_free) struct grpc_call *call = session_question(b, CHECK_AGENT, e);
	if (!call) {
		return -1;
	}
	if (grpc_exchange(call, &request, &answer, e) == 0) {
		return 1;
	}
	const char *message;
	enum grpc_code code = grpc_status(call, &message, NULL);
	/* buildx says UNKNOWN "unset ssh forward key x" for an id that it was not given */
	bool none = code == GRPC_UNIMPLEMENTED || code == GRPC_NOT_FOUND || code == GRPC_UNKNOWN;
	return none ? 0 : -1;
}

int ssh_relay_start(
	const struct build *b, const char *id, int take_fd, struct ssh_relay **ret, struct err *e)
{
	scoped(close) int listen_fd = take_fd;
	int there = check_agent(b, id, e);
	*ret = NULL;
	if (there <= 0) {
		return there;
	}
	struct ssh_relay *s = xnew(struct ssh_relay);
	s->b = b;
	s->id = xstrdup(id);
	s->wake_fd = eventfd(0, EFD_CLOEXEC);
	s->listen_fd = listen_fd;
	pthread_mutex_init(&s->lock, NULL);
	for (size_t k = 0; k < SSH_CONNECTIONS_MAX; k++) {
		s->v[k].fd = -1;
	}
	if (s->wake_fd < 0 || !start_thread(&s->thread, accept_all, s)) {
		(void)err_sys(e, errno, "cannot relay the ssh agent");
		scoped_close(&s->wake_fd);
		pthread_mutex_destroy(&s->lock);
		free(s->id);
		free(s);
		return -1;
	}
	TAKE_FD(listen_fd);
	*ret = s;
	return 0;
}
