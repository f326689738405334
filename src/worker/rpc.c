#include "worker/rpc.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "job/wire.h"

#define LINE_MAX_BYTES (16u << 20) /* the daemon is trusted, but a bug must not eat the machine */

/* A thread that has asked. */
struct waiter {
	struct waiter *next;
	json_int_t number;
	json_t *msg; /* what came for it */
	bool done;
};

struct rpc {
	int fd;
	struct buf in; /* of who reads */
	pthread_mutex_t write_lock;
	pthread_mutex_t ask_lock; /* one question at a time; or of all that follows */
	pthread_cond_t arrived;
	bool many;
	bool reading; /* one of the waiting threads reads for all */
	json_int_t last_number;
	struct waiter *waiters;
};

struct rpc *rpc_new(int take_fd)
{
	struct rpc *r = xnew(struct rpc);
	r->fd = take_fd;
	pthread_mutex_init(&r->write_lock, NULL);
	pthread_mutex_init(&r->ask_lock, NULL);
	pthread_cond_init(&r->arrived, NULL);
	return r;
}

void rpc_free(struct rpc *r)
{
	if (!r) {
		return;
	}
	close(r->fd);
	buf_deinit(&r->in);
	pthread_mutex_destroy(&r->write_lock);
	pthread_mutex_destroy(&r->ask_lock);
	pthread_cond_destroy(&r->arrived);
	free(r);
}

/* The next line without its newline, in *ret; it stays the caller's. */
static void read_line(struct rpc *r, struct buf *ret)
{
	size_t searched = 0;
	for (;;) {
		char *newline = r->in.len > searched
					? memchr(r->in.data + searched, '\n', r->in.len - searched)
					: NULL;
		if (newline) {
			size_t n = (size_t)(newline - r->in.data);
			buf_append(ret, r->in.data, n);
			buf_consume(&r->in, n + 1);
			return;
		}
		searched = r->in.len;
		char chunk[16384];
		ssize_t n = read(r->fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0 || buf_append_limited(&r->in, chunk, (size_t)n, LINE_MAX_BYTES) < 0) {
			_exit(1);
		}
	}
}

static json_t *read_message(struct rpc *r, struct err *e)
{
	scoped(buf) struct buf line = BUF_INIT;
	read_line(r, &line);
	json_t *msg = json_parse(buf_str(&line), line.len, "the daemon's message", e);
	if (msg && !json_is_object(msg)) {
		json_decref(msg);
		(void)err_set(e, ERR_SYSTEM, "the daemon's message is not an object");
		return NULL;
	}
	return msg;
}

json_t *rpc_request(struct rpc *r, struct err *e)
{
	return read_message(r, e);
}

json_t *rpc_next(struct rpc *r, struct err *e)
{
	return read_message(r, e);
}

static void write_line(struct rpc *r, const struct buf *line)
{
	const char *p = line->data;
	size_t left = line->len;
	while (left > 0) {
		ssize_t n = send(r->fd, p, left, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			_exit(1);
		}
		p += n;
		left -= (size_t)n;
	}
}

void rpc_send(struct rpc *r, json_t *take_msg)
{
	scoped(json) json_t *msg = take_msg;
	scoped(buf) struct buf line = BUF_INIT;
	scoped(free) char *text = json_text(msg);
	buf_puts(&line, text);
	buf_putc(&line, '\n');
	pthread_mutex_lock(&r->write_lock);
	write_line(r, &line);
	pthread_mutex_unlock(&r->write_lock);
}

/* --- questions --- */

void rpc_ask_many(struct rpc *r)
{
	r->many = true;
}

/* Gives a message to who waits for it. Locked. */
static void hand_over(struct rpc *r, json_t *take_msg)
{
	json_int_t number = json_integer_value(json_object_get(take_msg, "n"));
	for (struct waiter *w = r->waiters; w; w = w->next) {
		if (w->number == number && !w->done) {
			w->msg = take_msg;
			w->done = true;
			return;
		}
	}
	json_decref(take_msg);
}

/* Locked; unlocked while it reads. */
static void read_for_all(struct rpc *r)
{
	struct err e;
	r->reading = true;
	pthread_mutex_unlock(&r->ask_lock);
	json_t *msg = read_message(r, &e);
	pthread_mutex_lock(&r->ask_lock);
	r->reading = false;
	if (!msg) {
		_exit(1); /* whose answer it was nobody can say */
	}
	hand_over(r, msg);
	pthread_cond_broadcast(&r->arrived);
}

static void forget_waiter(struct rpc *r, const struct waiter *gone)
{
	struct waiter **at = &r->waiters;
	while (*at != gone) {
		at = &(*at)->next;
	}
	*at = gone->next;
}

static json_t *ask_beside_others(struct rpc *r, json_t *take_msg)
{
	pthread_mutex_lock(&r->ask_lock);
	struct waiter w = {.next = r->waiters, .number = ++r->last_number};
	r->waiters = &w;
	json_put(take_msg, "n", json_integer(w.number));
	rpc_send(r, take_msg);
	while (!w.done) {
		if (r->reading) {
			pthread_cond_wait(&r->arrived, &r->ask_lock);
		} else {
			read_for_all(r);
		}
	}
	forget_waiter(r, &w);
	pthread_mutex_unlock(&r->ask_lock);
	return w.msg;
}

static json_t *ask_alone(struct rpc *r, json_t *take_msg, struct err *e)
{
	pthread_mutex_lock(&r->ask_lock);
	rpc_send(r, take_msg);
	json_t *msg = read_message(r, e);
	pthread_mutex_unlock(&r->ask_lock);
	return msg;
}

json_t *rpc_ask(struct rpc *r, json_t *take_msg, struct err *e)
{
	scoped(json) json_t *msg =
		r->many ? ask_beside_others(r, take_msg) : ask_alone(r, take_msg, e);
	if (!msg) {
		return NULL;
	}
	json_t *error = json_object_get(msg, "error");
	if (error) {
		job_err_from_json(error, e);
		return NULL;
	}
	json_t *answer = json_object_get(msg, "answer");
	if (!answer) {
		(void)err_set(e, ERR_SYSTEM, "the daemon answered without an answer");
		return NULL;
	}
	return json_incref(answer);
}

void rpc_result(struct rpc *r, json_t *take_result)
{
	json_t *msg = json_object();
	json_put(msg, "result", take_result);
	rpc_send(r, msg);
}

void rpc_error(struct rpc *r, const struct err *e)
{
	json_t *msg = json_object();
	json_put(msg, "error", job_err_to_json(e));
	rpc_send(r, msg);
}
