/* Calls of build workers on the sessions of clients: relayed, as many messages at once as there
 * are. */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "worker/gateway.h"

#define AT_ONCE (64u << 10) /* bytes */

/* As BuildKit waits: buildx 0.30 names a session that its targets share and does not open it; then
 * the directory is on the build's own. */
#define SHARED_WAIT_MS 5000
#define MISSED_MAX 64

struct relay {
	struct gateway *gateway;
	struct grpc_call *worker; /* the worker's end */
	struct grpc_call *client; /* our call of the client */
	int fd;                   /* worker's, borrowed */
};

/* With the lock. The newest of that name: a client that comes again takes its sessions over. */
static struct gateway_conn *find_session(struct gateway *g, const char *id)
{
	struct gateway_conn *found = NULL;
	list_each (pos, &g->conns) {
		struct gateway_conn *c = container_of(pos, struct gateway_conn, node);
		if (c->session && !c->closed && strcmp(c->session, id) == 0) {
			found = c;
		}
	}
	return found;
}

/* A client opens its session beside its build, and may be slower than we. */
static struct gateway_conn *wait_session(struct gateway *g, const char *id, int64_t wait_ms)
{
	int64_t until = clock_mono_ms() + wait_ms;
	struct gateway_conn *c;
	pthread_mutex_lock(&g->lock);
	while (!(c = find_session(g, id)) && gateway_wait(g, until)) {
	}
	if (c) {
		c->users++;
	}
	pthread_mutex_unlock(&g->lock);
	return c;
}

/* A session of several builds (compose): one that did not come is not waited for again at each
 * file. */
static struct gateway_conn *wait_shared(struct gateway *g, const char *id)
{
	pthread_mutex_lock(&g->lock);
	bool missed = strv_has(&g->missed, id);
	pthread_mutex_unlock(&g->lock);
	struct gateway_conn *c = wait_session(g, id, missed ? 0 : SHARED_WAIT_MS);
	pthread_mutex_lock(&g->lock);
	if (!c && !missed) {
		if (g->missed.n >= MISSED_MAX) {
			strv_clear(&g->missed);
		}
		strv_add(&g->missed, id);
	}
	pthread_mutex_unlock(&g->lock);
	return c;
}

static void leave_session(struct gateway_conn *c)
{
	struct gateway *g = c->gateway;
	pthread_mutex_lock(&g->lock);
	c->users--;
	gateway_changed(g);
	pthread_mutex_unlock(&g->lock);
}

static void read_metadata(const json_t *head, struct strv *ret)
{
	const char *name;
	json_t *values, *value;
	size_t i;
	json_object_foreach (json_object_get(head, "metadata"), name, values) {
		json_array_foreach (values, i, value) {
			if (json_is_string(value)) {
				strv_add(ret, name);
				strv_add(ret, json_string_value(value));
			}
		}
	}
}

/* A worker that has said all may still listen; one that has closed its end does not. */
static void await_hangup(const struct relay *r)
{
	struct pollfd p = {.fd = r->fd, .events = 0};
	while (poll(&p, 1, -1) <= 0 || !(p.revents & (POLLHUP | POLLERR))) {
	}
}

static void *worker_to_client(void *arg)
{
	struct relay *r = arg;
	struct err e;
	scoped(buf) struct buf m = BUF_INIT;
	int got;
	while ((got = grpc_recv_frames(r->worker, AT_ONCE, &m, &e)) > 0) {
		if (grpc_send_frames(r->client, &m, &e) < 0) {
			got = -1;
			break;
		}
	}
	if (got == 0) {
		grpc_send_end(r->client, &e);
		await_hangup(r);
	}
	grpc_cancel(r->client); /* nothing when it has ended */
	return NULL;
}

static void client_to_worker(struct relay *r)
{
	struct err e;
	const char *message;
	scoped(buf) struct buf m = BUF_INIT;
	while (grpc_recv_frames(r->client, AT_ONCE, &m, &e) > 0) {
		if (grpc_send_frames(r->worker, &m, &e) < 0) {
			grpc_cancel(r->client);
		}
	}
	enum grpc_code code = grpc_status(r->client, &message, NULL);
	grpc_finish(r->worker, code, message);
	grpc_cancel(r->worker); /* wakes worker_to_client; what was sent can still be read */
}

static void relay(struct relay *r)
{
	pthread_t other;
	if (pthread_create(&other, NULL, worker_to_client, r) != 0) {
		grpc_finish(r->worker, GRPC_RESOURCE_EXHAUSTED, "no thread for the call");
		return;
	}
	client_to_worker(r);
	pthread_join(other, NULL);
}

void gateway_relay(struct gateway *g, int take_fd, const json_t *head, const struct buf *early)
{
	struct err e;
	scoped(strv) struct strv metadata = STRV_INIT;
	const char *id = json_str(head, "session");
	const char *other = json_str(head, "else");
	struct relay r = {.gateway = g,
		.worker = grpc_call_over_peer(take_fd, early->data, early->len),
		.fd = take_fd};
	struct gateway_conn *c = *other ? wait_shared(g, id) : wait_session(g, id, GATEWAY_WAIT_MS);
	c = c || !*other ? c : wait_session(g, other, GATEWAY_WAIT_MS);
	if (!c) {
		scoped(free) char *message = xasprintf("no active session for %.100s", id);
		grpc_finish(r.worker, GRPC_UNAVAILABLE, message);
		grpc_call_free(r.worker);
		return;
	}
	read_metadata(head, &metadata);
	r.client = grpc_call_new(c->h2, json_str(head, "method"), &metadata, &e);
	if (r.client) {
		relay(&r);
	} else {
		grpc_finish_err(r.worker, &e);
	}
	grpc_call_free(r.client);
	grpc_call_free(r.worker);
	leave_session(c);
}
