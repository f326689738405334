/* Reading the json-file log back: rotated files first, then the live one; following it by inotify,
 * never by polling.
 *
 * {"log":"text\n","stream":"stdout","time":"2026-11-24T16:20:01.123456789Z"}   one line each, moby
 * jsonfilelog
 *
 * Invariants
 * 1. Callbacks come from pump() only, which runs from the loop.
 * 2. A reader that a callback frees lives until pump() comes back.
 * 3. A held reader (line returned false) does nothing until log_reader_resume.
 */
#include "container/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uv.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "container/internal.h"

#define SLICE_BYTES (64u << 10)
#define LINE_MAX_BYTES (1u << 20)
#define FILES_MAX 1000

struct log_reader {
	struct list node; /* in set->readers */
	struct container_set *set;
	char container_id[ID_LEN + 1];
	char *path; /* of the live file */
	struct log_query q;
	const struct log_handlers *h;
	void *owner;
	int older;     /* number of the rotated file that is read, 0: the live one */
	int fd;        /* -1: not open yet */
	struct buf in; /* bytes not yet made into lines */
	int64_t skip;  /* lines to leave out: the tail */
	bool held, ended, container_ended;
	bool pumping, freed; /* freed by a callback: pump() lets go of the memory */
	struct delay *pump;
	uv_fs_event_t *watch;
};

char *container_log_path(const struct container *c)
{
	return xasprintf("%s/%s-json.log", c->dir, c->id);
}

static char *file_name(const struct log_reader *r, int older)
{
	return older == 0 ? xstrdup(r->path) : xasprintf("%s.%d", r->path, older);
}

static void pump(void *owner);

static void pump_soon(struct log_reader *r)
{
	if (!r->pump && !r->held && !r->ended) {
		r->pump = delay_start(r->set->d.loop, 0, pump, r);
	}
}

/* --- one line --- */

static bool in_time(const struct log_query *q, int64_t at_ns, bool *ret_past_end)
{
	*ret_past_end = q->until_ns && at_ns > q->until_ns;
	return !*ret_past_end && at_ns >= q->since_ns;
}

/* Returns false when the reader must be held. */
static bool deliver(struct log_reader *r, const char *text, size_t n)
{
	struct err ignored;
	scoped(json) json_t *o = json_parse(text, n, "a log line", &ignored);
	const char *stream = json_str(o, "stream");
	const char *line = json_str(o, "log");
	int number = strcmp(stream, "stderr") == 0 ? 2 : 1;
	int64_t at_ns = 0;
	bool past_end;
	if (!o || clock_parse(json_str(o, "time"), &at_ns) < 0) {
		return true; /* torn by a power cut */
	}
	if (!in_time(&r->q, at_ns, &past_end)) {
		r->ended = r->ended || past_end;
		return true;
	}
	if (!(number == 1 ? r->q.out : r->q.err)) {
		return true;
	}
	size_t len = json_string_length(json_object_get(o, "log"));
	if (!r->q.timestamps) {
		return r->h->line(r->owner, number, line, len);
	}
	char stamp[CLOCK_TEXT_MAX];
	scoped(buf) struct buf out = BUF_INIT;
	buf_printf(&out, "%s ", clock_format_ns(at_ns, stamp));
	buf_append(&out, line, len);
	return r->h->line(r->owner, number, out.data, out.len);
}

/* Lines that are complete in r->in. */
static void deliver_lines(struct log_reader *r)
{
	size_t used = 0;
	while (!r->held && !r->ended && !r->freed && r->in.len > used) {
		const char *begin = r->in.data + used;
		const char *end = memchr(begin, '\n', r->in.len - used);
		if (!end) {
			break;
		}
		size_t n = (size_t)(end - begin);
		used += n + 1;
		if (r->skip > 0) {
			r->skip--;
		} else if (n > 0 && !deliver(r, begin, n)) {
			r->held = true;
		}
	}
	if (!r->freed) {
		buf_consume(&r->in, used);
		if (r->in.len > LINE_MAX_BYTES) { /* not one of our shim's lines */
			buf_clear(&r->in);
		}
	}
}

/* --- files --- */

static int oldest_file(const struct log_reader *r)
{
	int n = 0;
	while (n < FILES_MAX) {
		scoped(free) char *name = file_name(r, n + 1);
		if (access(name, F_OK) < 0) {
			break;
		}
		n++;
	}
	return n;
}

/* Where the file that we have open is now, for rotation renames it under us, perhaps more than once
 * between two slices; -1 when it is gone. */
static int place_now(const struct log_reader *r)
{
	struct stat ours;
	if (fstat(r->fd, &ours) < 0) {
		return -1;
	}
	for (int i = 0; i <= FILES_MAX; i++) {
		scoped(free) char *name = file_name(r, i);
		struct stat st;
		bool there = stat(name, &st) == 0;
		if (there && st.st_ino == ours.st_ino && st.st_dev == ours.st_dev) {
			return i;
		}
		if (!there && i > 0) {
			break;
		}
	}
	return -1;
}

/* False when what is open is the live file: more may come. */
static bool open_next(struct log_reader *r)
{
	if (r->fd >= 0) {
		int place = place_now(r);
		if (place == 0) {
			return false;
		}
		close(r->fd);
		r->fd = -1;
		r->older = place > 0 ? place - 1 : oldest_file(r);
	}
	for (; r->fd < 0; r->older--) {
		scoped(free) char *name = file_name(r, r->older);
		r->fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (r->older == 0 || r->fd >= 0) {
			break;
		}
	}
	return r->fd >= 0;
}

/* With a single file (max-file=1) the shim empties it instead of renaming it: we begin at its start
 * again. */
static bool was_emptied(struct log_reader *r)
{
	struct stat st;
	off_t at = lseek(r->fd, 0, SEEK_CUR);
	if (at < 0 || fstat(r->fd, &st) < 0 || st.st_size >= at) {
		return false;
	}
	buf_clear(&r->in);
	return lseek(r->fd, 0, SEEK_SET) == 0;
}

static void finish(struct log_reader *r)
{
	r->ended = true;
	list_remove(&r->node);
	r->h->ended(r->owner);
}

/* Reads one slice. Returns its size, 0 when there is nothing more now. */
static size_t read_slice(struct log_reader *r)
{
	scoped(free) char *chunk = xnew_array(char, SLICE_BYTES);
	while (r->fd >= 0 || open_next(r)) {
		ssize_t n = read(r->fd, chunk, SLICE_BYTES);
		if (n > 0) {
			buf_append(&r->in, chunk, (size_t)n);
			return (size_t)n;
		}
		if (!was_emptied(r) && !open_next(r)) {
			break;
		}
	}
	return 0;
}

static void pump_once(struct log_reader *r)
{
	deliver_lines(r);
	if (r->freed || r->held) {
		return;
	}
	size_t n = r->ended ? 0 : read_slice(r);
	if (n > 0) {
		deliver_lines(r);
	}
	if (r->freed || r->held) {
		return;
	}
	if (n > 0 && !r->ended) {
		pump_soon(r);
	} else if (r->ended || !r->q.follow || r->container_ended) {
		finish(r);
	}
}

static void reader_release(struct log_reader *r)
{
	buf_deinit(&r->in);
	free(r);
}

static void pump(void *owner)
{
	struct log_reader *r = owner;
	r->pump = NULL;
	r->pumping = true;
	pump_once(r);
	r->pumping = false;
	if (r->freed) {
		reader_release(r);
	}
}

/* --- tail --- */

static int64_t count_lines(const char *name)
{
	scoped(close) int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	scoped(free) char *chunk = xnew_array(char, SLICE_BYTES);
	int64_t lines = 0;
	ssize_t n;
	while (fd >= 0 && (n = read(fd, chunk, SLICE_BYTES)) > 0) {
		for (const char *p = chunk; (p = memchr(p, '\n', (size_t)(chunk + n - p))); p++) {
			lines++;
		}
	}
	return lines;
}

/* Goes back file by file until there are enough lines. */
static void place_tail(struct log_reader *r, int oldest)
{
	int64_t have = 0;
	r->older = oldest;
	if (r->q.tail < 0) {
		return;
	}
	for (int i = 0; i <= oldest; i++) {
		scoped(free) char *name = file_name(r, i);
		have += count_lines(name);
		if (have >= r->q.tail) {
			r->older = i;
			break;
		}
	}
	r->skip = have > r->q.tail ? have - r->q.tail : 0;
}

/* --- following --- */

static void watch_closed(uv_handle_t *h)
{
	free(h);
}

static void changed(uv_fs_event_t *w, const char *name, int events, int status)
{
	if (w->data) {
		pump_soon(w->data);
	}
}

static void start_watch(struct log_reader *r)
{
	scoped(free) char *dir = xstrdup(r->path);
	*strrchr(dir, '/') = '\0';
	r->watch = xnew(uv_fs_event_t);
	uv_fs_event_init(r->set->d.loop, r->watch);
	r->watch->data = r;
	uv_fs_event_start(r->watch, changed, dir, 0);
	uv_unref((uv_handle_t *)r->watch);
}

struct log_reader *log_reader_new(struct container *c, const struct log_query *q,
	const struct log_handlers *h, void *owner, struct err *e)
{
	if (strcmp(json_str(json_object_get(c->host_config, "LogConfig"), "Type"), "none") == 0) {
		(void)err_set(e, ERR_INVALID, "configured logging driver does not support reading");
		return NULL;
	}
	struct log_reader *r = xnew(struct log_reader);
	r->set = c->set;
	memcpy(r->container_id, c->id, sizeof(r->container_id));
	r->path = container_log_path(c);
	r->q = *q;
	r->h = h;
	r->owner = owner;
	r->fd = -1;
	list_init(&r->node);
	place_tail(r, oldest_file(r));
	bool runs = container_is_running(c) || c->state == CONTAINER_STARTING;
	r->container_ended = !runs;
	if (q->follow && runs) {
		list_append(&c->set->readers, &r->node);
		start_watch(r);
	}
	pump_soon(r);
	return r;
}

void log_reader_resume(struct log_reader *r)
{
	r->held = false;
	pump_soon(r);
}

void log_reader_free(struct log_reader *r)
{
	if (!r || r->freed) {
		return;
	}
	r->freed = true;
	list_remove(&r->node);
	delay_cancel(r->pump);
	if (r->watch) {
		r->watch->data = NULL;
		uv_close((uv_handle_t *)r->watch, watch_closed);
	}
	scoped_close(&r->fd);
	free(r->path);
	if (!r->pumping) {
		reader_release(r);
	}
}

void log_readers_poke(struct container_set *s, const struct container *c)
{
	list_each_safe (pos, &s->readers) {
		struct log_reader *r = container_of(pos, struct log_reader, node);
		if (strcmp(r->container_id, c->id) == 0) {
			r->container_ended = true;
			pump_soon(r);
		}
	}
}
