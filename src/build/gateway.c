/* Invariants
 * 1. While a job runs, the listening socket is its to accept from, and poll is stopped.
 * 2. A build belongs to the job that asked for it; when that ends, it is cancelled, and what it
 * says afterwards is dropped (job is NULL or another's: number tells).
 */
#include "build/gateway.h"
#include "build/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "build/builder.h"
#include "build/session.h"
#include "job/job.h"
#include "job/wire.h"

#define BACKLOG 64
#define IDLE_MS 10000 /* a build's client makes several connections, one after another */
#define EARLY_MAX (64u << 10)
#define SESSIONS_MAX 64 /* whose keys are remembered */

struct gateway {
	struct gateway_deps d;
	char *path;
	int listen_fd;
	uv_poll_t *poll; /* own memory: closed after us */
	struct job *job; /* NULL: none runs */
	unsigned number; /* of jobs so far */
	bool ready;      /* it accepts */
	struct list builds;
	struct map *keys; /* session id -> shared key, of the newest */
};

struct gateway_build {
	struct list node;
	struct gateway *gateway;
	struct build_session *session;
	unsigned number; /* of the job that asked */
	json_int_t id;   /* by which it knows the build */
};

/* --- builds --- */

static void tell(struct gateway_build *b, const char *key, json_t *take_value)
{
	struct gateway *g = b->gateway;
	scoped(json) json_t *value = take_value;
	if (g->job && g->number == b->number) {
		job_send(g->job, json_pack("{sI sO}", "id", b->id, key, value));
	}
}

static void build_progress(void *owner, json_t *msg)
{
	tell(owner, "msg", json_incref(msg));
}

static void build_accepted(void *owner)
{
}

static void build_done(void *owner, const json_t *result, int code, const struct err *e)
{
	struct gateway_build *b = owner;
	if (e) {
		json_t *error = job_err_to_json(e);
		json_put(error, "code", json_integer(code));
		tell(b, "error", error);
	} else {
		tell(b, "done", json_incref((json_t *)result));
	}
	list_remove(&b->node);
	free(b);
}

/* By its shared key a client says which contexts are the same one, a build later. */
static void remember_key(struct gateway *g, const json_t *head)
{
	size_t pos = 0;
	const char *oldest;
	const char *id = json_str(head, "id");
	if (!*id) {
		return;
	}
	free(map_put(g->keys, id, xstrdup(json_str(head, "shared_key"))));
	while (map_count(g->keys) > SESSIONS_MAX && map_next(g->keys, &pos, &oldest)) {
		scoped(free) char *name = xstrdup(oldest);
		free(map_remove(g->keys, name));
		pos = 0;
	}
}

void gateway_put_key(const struct gateway *g, json_t *options)
{
	const char *key = map_get(g->keys, json_str(options, "session"));
	if (key && *key) {
		json_put_str(options, "shared_key", key);
	}
}

static void on_solve(struct gateway *g, json_int_t id, const json_t *msg)
{
	static const struct build_handlers handlers = {build_progress, build_done, build_accepted};
	struct err e;
	json_t *options = json_incref(json_object_get(msg, "options"));
	struct gateway_build *b = xnew(struct gateway_build);
	b->gateway = g;
	b->number = g->number;
	b->id = id;
	list_append(&g->builds, &b->node);
	gateway_put_key(g, options);
	b->session = build_start(g->d.builder, options, &handlers, b, &e);
	if (b->session) {
		build_feed_end(b->session); /* the context comes by the client's session */
	} else {
		build_done(b, NULL, 1, &e);
	}
}

static void on_cancel(struct gateway *g, json_int_t id)
{
	list_each_safe (pos, &g->builds) {
		struct gateway_build *b = container_of(pos, struct gateway_build, node);
		if (b->id == id && b->number == g->number) {
			build_cancel(b->session); /* build_done follows */
			return;
		}
	}
}

/* A question about the cache: answered when a worker has measured, perhaps to nobody any more. */
struct cache_question {
	struct gateway *gateway;
	json_int_t id;
	unsigned number; /* of the process that asked */
};

static void cache_answer(void *owner, const json_t *records, const struct err *e)
{
	scoped(free) struct cache_question *q = owner;
	struct gateway *g = q->gateway;
	if (!g->job || g->number != q->number) {
		return;
	}
	if (records) {
		job_send(g->job, json_pack("{sI s{sO}}", "id", q->id, "done", "records", records));
	} else {
		job_send(g->job, json_pack("{sI so}", "id", q->id, "error", job_err_to_json(e)));
	}
}

/* {"filter": [texts]}, and of a prune "all", "keep_duration" (ns), "keep_bytes", "max_used",
 * "min_free" -> {"records"} (build/usage.h) */
static void on_cache(struct gateway *g, json_int_t id, const json_t *msg, bool prune)
{
	struct err e;
	struct cache_question *q = xnew(struct cache_question);
	*q = (struct cache_question){g, id, g->number};
	scoped(json) json_t *filter = build_usage_filter(json_object_get(msg, "filter"), &e);
	if (!filter) {
		cache_answer(q, NULL, &e);
	} else if (prune) {
		int64_t keep = json_i64(msg, "keep_duration", 0);
		const struct build_prune_query how = {.filter = filter,
			.all = json_bool(msg, "all"),
			.before_ns = keep > 0 ? clock_real_ns() - keep : INT64_MAX,
			.reserved = json_i64(msg, "keep_bytes", 0),
			.max_used = json_i64(msg, "max_used", 0),
			.min_free = json_i64(msg, "min_free", 0)};
		build_prune(g->d.builder, &how, cache_answer, q);
	} else {
		build_usage(g->d.builder, filter, cache_answer, q);
	}
}

static void on_message(void *owner, struct job *j, json_t *msg)
{
	struct gateway *g = owner;
	const char *ask = json_str(msg, "ask");
	json_int_t id = json_i64(msg, "id", 0);
	if (strcmp(ask, "solve") == 0) {
		on_solve(g, id, msg);
	} else if (strcmp(ask, "prune") == 0) {
		on_cache(g, id, msg, true);
	} else if (strcmp(ask, "disk-usage") == 0) {
		on_cache(g, id, msg, false);
	} else if (json_bool(msg, "ready")) {
		g->ready = true;
	} else if (json_object_get(msg, "cancel")) {
		on_cancel(g, json_i64(msg, "cancel", 0));
	}
}

/* --- the process --- */

static void watch(struct gateway *g);

/* Nobody will take them: their clients must not wait. */
static void drop_waiting(const struct gateway *g)
{
	int fd;
	while ((fd = accept4(g->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		close(fd);
	}
}

static void on_done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct gateway *g = owner;
	g->job = NULL;
	if (e) {
		log_warning("build", "buildkit-ended", "error", e->msg, NULL);
	}
	list_each_safe (pos, &g->builds) {
		struct gateway_build *b = container_of(pos, struct gateway_build, node);
		if (b->number == g->number) {
			build_cancel(b->session);
		}
	}
	if (!g->ready) {
		drop_waiting(g); /* or it would be started again and again */
	}
	watch(g);
}

static int start(struct gateway *g, struct err *e)
{
	static const struct job_handlers handlers = {.message = on_message, .done = on_done};
	int fd = fcntl(g->listen_fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0) {
		return err_sys(e, errno, "cannot share %s", g->path);
	}
	g->number++;
	g->ready = false;
	g->job = job_start_with(g->d.jobs, "buildkit", json_pack("{si}", "idle_ms", IDLE_MS), -1,
		fd, false, &handlers, g, e);
	return g->job ? 0 : -1;
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
	struct gateway *g = poll->data;
	struct err e;
	uv_poll_stop(poll);
	if (status < 0 || start(g, &e) < 0) {
		log_warning("build", "no-buildkit", "error",
			status < 0 ? uv_strerror(status) : e.msg, NULL);
		drop_waiting(g);
		watch(g);
	}
}

static void watch(struct gateway *g)
{
	uv_poll_start(g->poll, UV_READABLE, on_connection);
}

/* --- connections --- */

/* sun_path is short: go through the directory's descriptor. */
static int address_of(
	const struct gateway *g, struct sockaddr_un *ret, int *ret_dirfd, struct err *e)
{
	*ret_dirfd = open(g->d.exec_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/" GATEWAY_SOCKET,
		*ret_dirfd);
	return *ret_dirfd < 0 ? err_sys(e, errno, "cannot open %s", g->d.exec_root) : 0;
}

static int send_all(int fd, const struct buf *line, int client, struct err *e)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec part = {line->data, line->len};
	struct msghdr m = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &client, sizeof(int));
	ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);
	return n == (ssize_t)line->len
		       ? 0
		       : err_sys(e, n < 0 ? errno : EMSGSIZE, "cannot hand the connection over");
}

int gateway_give(
	struct gateway *g, int take_fd, json_t *take_head, const struct buf *early, struct err *e)
{
	struct sockaddr_un a;
	scoped(close) int client = take_fd;
	scoped(close) int dirfd = -1;
	scoped(json) json_t *head = take_head;
	scoped(buf) struct buf line = BUF_INIT;
	if (early->len > EARLY_MAX) {
		return err_set(e, ERR_INVALID, "%zu bytes came before the connection was upgraded",
			early->len);
	}
	remember_key(g, head);
	json_put(head, "early", json_integer((json_int_t)early->len));
	scoped(free) char *text = json_text(head);
	buf_printf(&line, "%s\n", text);
	buf_append(&line, buf_str(early), early->len);
	if (address_of(g, &a, &dirfd, e) < 0) {
		return -1;
	}
	scoped(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		return errno == EAGAIN ? err_set(e, ERR_BUSY,
						 "too many connections are waiting for a build")
				       : err_sys(e, errno, "cannot connect to %s", g->path);
	}
	return send_all(fd, &line, client, e);
}

/* --- life --- */

static int listen_here(struct gateway *g, struct err *e)
{
	struct sockaddr_un a;
	scoped(close) int dirfd = -1;
	if (address_of(g, &a, &dirfd, e) < 0) {
		return -1;
	}
	unlink(g->path); /* of a daemon before us */
	g->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (g->listen_fd < 0 || bind(g->listen_fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		chmod(g->path, 0600) < 0 || listen(g->listen_fd, BACKLOG) < 0) {
		return err_sys(e, errno, "cannot listen on %s", g->path);
	}
	return 0;
}

struct gateway *gateway_new(const struct gateway_deps *d, struct err *e)
{
	struct gateway *g = xnew(struct gateway);
	g->d = *d;
	g->listen_fd = -1;
	g->path = xasprintf("%s/" GATEWAY_SOCKET, d->exec_root);
	list_init(&g->builds);
	g->keys = map_new();
	if (listen_here(g, e) < 0) {
		gateway_free(g);
		return NULL;
	}
	g->poll = xnew(uv_poll_t);
	uv_poll_init(d->loop, g->poll, g->listen_fd);
	g->poll->data = g;
	watch(g);
	return g;
}

static void free_poll(uv_handle_t *h)
{
	free(h);
}

void gateway_free(struct gateway *g)
{
	if (!g) {
		return;
	}
	if (g->poll) {
		uv_close((uv_handle_t *)g->poll, free_poll);
	}
	list_each_safe (pos, &g->builds) {
		free(container_of(pos, struct gateway_build, node));
	}
	map_each (g->keys, char, key) {
		free(key);
	}
	map_free(g->keys);
	scoped_close(&g->listen_fd);
	unlink(g->path);
	free(g->path);
	free(g);
}
