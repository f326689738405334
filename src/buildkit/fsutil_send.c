/* Three threads: the caller's receives what is asked for, one walks and tells, one sends contents.
 *
 * Invariants
 * 1. names, wanted and over are touched under lock only; the stream's send under send_lock only.
 * 2. Whoever fails first says why (first_error); the others end because the stream does, or see
 * over.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "buildkit/fsutil.h"
#include "buildkit/fsutil_names.h"
#include "buildkit/fsutil_walk.h"

struct sender {
	const struct fsutil_stream *s;
	const struct fsutil_send_options *o;
	int root_fd;
	pthread_mutex_t lock, send_lock;
	pthread_cond_t more;
	struct fsutil_names names;
	uint32_t *wanted; /* ids as they were asked for; from wanted_at to wanted_n */
	size_t wanted_at, wanted_n, wanted_room;
	bool over;
	bool failed;
	struct err first_error;
	int64_t bytes;
	struct buf walked_path; /* the walker's */
};

static void fail(struct sender *x, const struct err *e)
{
	pthread_mutex_lock(&x->lock);
	if (!x->failed && !x->over) {
		x->failed = true;
		x->first_error = *e;
	}
	x->over = true;
	pthread_cond_broadcast(&x->more);
	pthread_mutex_unlock(&x->lock);
}

static bool is_over(struct sender *x)
{
	pthread_mutex_lock(&x->lock);
	bool over = x->over;
	pthread_mutex_unlock(&x->lock);
	return over;
}

static int send_one(struct sender *x, const struct fsutil_packet *p, bool more, struct buf *scratch,
	struct err *e)
{
	fsutil_packet_write(p, scratch);
	pthread_mutex_lock(&x->send_lock);
	int r = x->s->send(x->s->owner, scratch->data, scratch->len, more, e);
	x->bytes += (int64_t)scratch->len;
	if (r == 0 && x->o->progress) {
		x->o->progress(x->o->owner, x->bytes, false);
	}
	pthread_mutex_unlock(&x->send_lock);
	return r;
}

static int send_packet(
	struct sender *x, const struct fsutil_packet *p, struct buf *scratch, struct err *e)
{
	return send_one(x, p, false, scratch, e);
}

static void send_error(struct sender *x, const struct err *why)
{
	struct err ignored;
	scoped(buf) struct buf scratch = BUF_INIT;
	const struct fsutil_packet p = {
		.type = FSUTIL_ERR, .data = why->msg, .n = strlen(why->msg)};
	(void)send_packet(x, &p, &scratch, &ignored);
}

/* --- the walk --- */

struct telling {
	struct sender *x;
	struct buf scratch;
};

static int tell(void *owner, uint32_t parent, const char *name, const struct fsutil_stat *st,
	bool has_content, uint32_t *ret_id, struct err *e)
{
	struct telling *t = owner;
	struct sender *x = t->x;
	pthread_mutex_lock(&x->lock);
	bool over = x->over;
	*ret_id = fsutil_names_add(&x->names, parent, name, has_content);
	bool full = x->names.n > FSUTIL_ENTRIES_MAX;
	pthread_mutex_unlock(&x->lock);
	if (over || full) {
		return err_set(e, ERR_INVALID, "more than %d files to send", FSUTIL_ENTRIES_MAX);
	}
	const struct fsutil_packet p = {.type = FSUTIL_STAT, .has_stat = true, .stat = *st};
	return send_one(x, &p, true, &t->scratch, e); /* at least the list's end follows */
}

static const char *told_path(void *owner, uint32_t id)
{
	struct telling *t = owner;
	pthread_mutex_lock(&t->x->lock);
	fsutil_names_path(&t->x->names, id, &t->x->walked_path);
	pthread_mutex_unlock(&t->x->lock);
	return buf_str(&t->x->walked_path);
}

static void *walk_thread(void *arg)
{
	struct sender *x = arg;
	struct err e = {0};
	struct telling t = {.x = x};
	const struct fsutil_walk w = {x->o, tell, told_path, &t};
	const struct fsutil_packet end = {.type = FSUTIL_STAT};
	if (fsutil_walk(&w, x->root_fd, &e) < 0 || send_packet(x, &end, &t.scratch, &e) < 0) {
		bool told = is_over(x);
		fail(x, &e);
		if (!told) {
			send_error(x, &e);
		}
	}
	buf_deinit(&t.scratch);
	return NULL;
}

/* --- contents --- */

/* The path of the next file that is wanted; false when it is all over. */
static bool next_wanted(struct sender *x, uint32_t *ret_id)
{
	pthread_mutex_lock(&x->lock);
	while (!x->over && x->wanted_at == x->wanted_n) {
		pthread_cond_wait(&x->more, &x->lock);
	}
	bool is = !x->over;
	if (is) {
		*ret_id = x->wanted[x->wanted_at++];
	}
	pthread_mutex_unlock(&x->lock);
	return is;
}

static bool more_wanted(struct sender *x)
{
	pthread_mutex_lock(&x->lock);
	bool more = x->wanted_at < x->wanted_n;
	pthread_mutex_unlock(&x->lock);
	return more;
}

static int send_pieces(struct sender *x, uint32_t id, int fd, const char *path, char *chunk,
	struct buf *scratch, struct err *e)
{
	for (;;) {
		ssize_t n = read(fd, chunk, FSUTIL_CHUNK);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			(void)err_sys(e, errno, "cannot read %.200s", path);
			send_error(x, e);
			return -1;
		}
		const struct fsutil_packet p = {
			.type = FSUTIL_DATA, .id = id, .data = chunk, .n = (size_t)n};
		if (send_one(x, &p, n > 0 || more_wanted(x), scratch, e) < 0) {
			return -1;
		}
		if (n == 0) {
			return 0; /* and that was the end */
		}
	}
}

/* A file that has gone since it was told is empty, as anything that it may have become. */
static int send_file(struct sender *x, uint32_t id, const char *path, char *chunk,
	struct buf *scratch, struct err *e)
{
	scoped(close) int fd = path_open_plain(x->root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		return send_pieces(x, id, fd, path, chunk, scratch, e);
	}
	if (fd == -EACCES || fd == -EPERM || fd == -EMFILE || fd == -ENFILE || fd == -EIO) {
		(void)err_sys(e, -fd, "cannot read %.200s", path);
		send_error(x, e);
		return -1;
	}
	const struct fsutil_packet end = {.type = FSUTIL_DATA, .id = id};
	return send_one(x, &end, more_wanted(x), scratch, e);
}

static void *content_thread(void *arg)
{
	struct sender *x = arg;
	struct err e = {0};
	uint32_t id;
	scoped(buf) struct buf scratch = BUF_INIT;
	scoped(buf) struct buf path = BUF_INIT;
	scoped(free) char *chunk = xnew_array(char, FSUTIL_CHUNK);
	while (next_wanted(x, &id)) {
		pthread_mutex_lock(&x->lock);
		int r = fsutil_names_take(&x->names, id, &path);
		pthread_mutex_unlock(&x->lock);
		if (r < 0) {
			(void)err_set(&e, ERR_INVALID,
				"the receiver asks for file %u, which it cannot", (unsigned)id);
			send_error(x, &e);
		}
		if (r < 0 || send_file(x, id, buf_str(&path), chunk, &scratch, &e) < 0) {
			fail(x, &e);
			break;
		}
	}
	return NULL;
}

/* --- what the receiver says --- */

static int queue_wanted(struct sender *x, uint32_t id, struct err *e)
{
	pthread_mutex_lock(&x->lock);
	bool full = x->wanted_n >= FSUTIL_ENTRIES_MAX;
	if (!full) {
		if (x->wanted_n == x->wanted_room) {
			x->wanted_room = x->wanted_room ? x->wanted_room * 2 : 256;
			x->wanted = xrealloc(x->wanted, x->wanted_room, sizeof(*x->wanted));
		}
		x->wanted[x->wanted_n++] = id;
		pthread_cond_signal(&x->more);
	}
	pthread_mutex_unlock(&x->lock);
	return full ? err_set(e, ERR_INVALID, "the receiver asks for too many files") : 0;
}

/* 1: it has all; 0: go on; -1 */
static int take_message(struct sender *x, const struct buf *message, struct err *e)
{
	scoped(fsutil_packet) struct fsutil_packet p = {0};
	if (fsutil_packet_read(message->data, message->len, &p, e) < 0) {
		return -1;
	}
	switch (p.type) {
	case FSUTIL_REQ:
		return queue_wanted(x, p.id, e);
	case FSUTIL_FIN:
		return 1;
	case FSUTIL_ERR:
		return err_set(e, ERR_SYSTEM, "the receiver of files: %.*s",
			(int)(p.n > 400 ? 400 : p.n), p.n ? (const char *)p.data : "");
	default:
		return err_set(e, ERR_INVALID, "the receiver of files sends what a sender would");
	}
}

static int receive(struct sender *x, struct err *e)
{
	scoped(buf) struct buf message = BUF_INIT;
	for (;;) {
		int r = x->s->recv(x->s->owner, &message, e);
		if (r < 0) {
			return -1;
		}
		if (r == 0) {
			return err_set(e, ERR_SYSTEM, "the receiver of files ended early");
		}
		r = take_message(x, &message, e);
		if (r != 0) {
			return r < 0 ? -1 : 0;
		}
	}
}

static int run(struct sender *x, struct err *e)
{
	pthread_t walker, contents;
	if (pthread_create(&walker, NULL, walk_thread, x) != 0) {
		return err_set(e, ERR_SYSTEM, "cannot start a thread");
	}
	if (pthread_create(&contents, NULL, content_thread, x) != 0) {
		(void)err_set(e, ERR_SYSTEM, "cannot start a thread");
		fail(x, e);
		pthread_join(walker, NULL);
		return -1;
	}
	int r = receive(x, e);
	if (r < 0) {
		fail(x, e);
	}
	pthread_mutex_lock(&x->lock);
	x->over = true;
	pthread_cond_broadcast(&x->more);
	pthread_mutex_unlock(&x->lock);
	pthread_join(walker, NULL);
	pthread_join(contents, NULL);
	if (x->failed) {
		*e = x->first_error;
		return -1;
	}
	return r;
}

int fsutil_send(const struct fsutil_stream *s, int root_fd, const struct fsutil_send_options *o,
	struct err *e)
{
	struct sender x = {.s = s, .o = o, .root_fd = root_fd};
	scoped(buf) struct buf scratch = BUF_INIT;
	pthread_mutex_init(&x.lock, NULL);
	pthread_mutex_init(&x.send_lock, NULL);
	pthread_cond_init(&x.more, NULL);
	int r = run(&x, e);
	if (r == 0) {
		const struct fsutil_packet fin = {.type = FSUTIL_FIN};
		r = send_packet(&x, &fin, &scratch, e);
		if (o->progress) {
			o->progress(o->owner, x.bytes, true);
		}
	}
	pthread_cond_destroy(&x.more);
	pthread_mutex_destroy(&x.lock);
	pthread_mutex_destroy(&x.send_lock);
	fsutil_names_deinit(&x.names);
	free(x.wanted);
	buf_deinit(&x.walked_path);
	return r;
}
