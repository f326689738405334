/* Reading a log back: rotated files first, then the live one; following it by inotify, never by
 * polling. What is compressed is unpacked by a worker, and journald's journal is read by one.
 *
 * Invariants
 * 1. Callbacks come from pump() only, which runs from the loop, for at most about TURN_NS.
 * 2. A reader that a callback frees lives until pump() comes back.
 * 3. A held reader (line or pause returned false) does nothing until log_reader_resume.
 * 4. A reader that has nothing to do has no buffer.
 * 5. The next file is opened before the one that was read to its end is let go, and that one is
 * read once more after it is known not to be the live one: nothing is written to it any more then.
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
#include "base/log.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "codec/log_record.h"
#include "container/internal.h"
#include "container/log_files.h"
#include "job/job.h"

#define SLICE_BYTES (64u << 10)
#define LINE_MAX_BYTES (1u << 20)
#define QUEUE_HIGH (256u << 10) /* of what a worker says */
#define TURN_NS 500000
#define ROTATING_MS 10     /* then the shim must have finished */
#define ROTATING_TRIES 100 /* or it was killed in the middle */

enum step { STEP_MORE, STEP_NOTHING };

struct log_job;

struct log_reader {
	struct list node; /* in set->readers */
	struct container_set *set;
	char container_id[ID_LEN + 1];
	char *path; /* of the live file */
	bool local; /* the format of the lines */
	struct log_query q;
	const struct log_handlers *h;
	void *owner;
	struct log_decoder decoder;

	struct log_file file; /* fd -1: none yet */
	struct log_file next; /* fd -1: not known (invariant 5) */
	struct log_file last; /* without follow: the live file when we began; fd is not used */
	int64_t limit;        /* and how much of it there was */
	bool source_ended;    /* the worker has said all of this file */
	bool rotating;        /* the shim is between two names */
	int rotating_tries;
	struct buf in; /* bytes not yet made into lines */

	bool placing;      /* looking for where the tail begins, backwards */
	int64_t wanted;    /* lines of the tail that are still to be found */
	int64_t place_end; /* in file: from here on they are counted; -1: not begun */
	int64_t placed;    /* lines counted in file */
	int64_t skip;      /* lines to leave out */

	struct log_job *job; /* gives what comes into in: unpacking, the journal */
	bool journal;

	int hold_fd; /* -1: the shim does not know that we read */
	bool held, ended, runs, container_ended;
	bool pumping, freed; /* freed by a callback: pump() lets go of the memory */
	struct delay *pump;
	uv_fs_event_t *watch;
};

char *container_log_path(const struct container *c)
{
	const char *driver = json_str(json_object_get(c->host_config, "LogConfig"), "Type");
	if (strcmp(driver, "none") == 0 || strcmp(driver, "journald") == 0) {
		return NULL;
	}
	return strcmp(driver, "local") == 0 ? xasprintf("%s/container.log", c->dir)
					    : xasprintf("%s/%s-json.log", c->dir, c->id);
}

static void pump(void *owner);

static void pump_later(struct log_reader *r, int64_t ms)
{
	if (!r->pump && !r->held && !r->ended && !r->freed) {
		r->pump = delay_start(r->set->d.loop, ms, pump, r);
	}
}

static void pump_soon(struct log_reader *r)
{
	pump_later(r, 0);
}

/* --- one line --- */

static bool in_time(const struct log_query *q, int64_t at_ns, bool *ret_past_end)
{
	*ret_past_end = q->until_ns && at_ns > q->until_ns;
	return !*ret_past_end && at_ns >= q->since_ns;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "a=b,c=d " as moby attrsByteSlice: sorted, encoded as in a query. */
static void put_details(struct buf *out, const struct log_record *record)
{
	struct err ignored;
	const char *key;
	json_t *v;
	scoped(json) json_t *attrs =
		record->attrs ? json_parse(record->attrs, record->attrs_n, "", &ignored) : NULL;
	scoped(strv) struct strv keys = STRV_INIT;
	json_object_foreach (attrs, key, v) {
		strv_add(&keys, key);
	}
	if (keys.n > 0) {
		qsort(keys.v, keys.n, sizeof(*keys.v), by_key);
	}
	for (size_t i = 0; i < keys.n; i++) {
		buf_puts(out, i ? "," : "");
		percent_encode(keys.v[i], out);
		buf_putc(out, '=');
		percent_encode(json_str(attrs, keys.v[i]), out);
	}
	buf_putc(out, ' ');
}

/* Returns false when the reader must be held. text is room for the line. */
static bool deliver(struct log_reader *r, const char *line, size_t n, struct buf *text)
{
	struct log_record record;
	bool past_end;
	buf_clear(text);
	if ((r->local ? log_record_parse_local(line, n, &record, text)
		      : log_record_parse_json(&r->decoder, line, n, &record, text)) < 0) {
		return true; /* torn by a power cut */
	}
	if (!in_time(&r->q, record.at_ns, &past_end)) {
		r->ended = r->ended || past_end;
		return true;
	}
	if (!(record.stream == 1 ? r->q.out : r->q.err)) {
		return true;
	}
	if (!r->q.timestamps && !r->q.details) {
		return r->h->line(r->owner, record.stream, buf_str(text), text->len);
	}
	scoped(buf) struct buf whole = BUF_INIT;
	if (r->q.timestamps) {
		char stamp[CLOCK_TEXT_MAX];
		buf_printf(&whole, "%s ", clock_format_ns(record.at_ns, stamp));
	}
	if (r->q.details) {
		put_details(&whole, &record);
	}
	buf_append(&whole, buf_str(text), text->len);
	return r->h->line(r->owner, record.stream, whole.data, whole.len);
}

/* Lines that are complete in r->in, a slice of them. */
static enum step deliver_lines(struct log_reader *r)
{
	size_t used = 0;
	scoped(buf) struct buf text = BUF_INIT;
	while (!r->held && !r->ended && !r->freed && used < r->in.len && used < SLICE_BYTES) {
		const char *begin = r->in.data + used;
		const char *end = memchr(begin, '\n', r->in.len - used);
		if (!end) {
			break;
		}
		size_t n = (size_t)(end - begin);
		used += n + 1;
		if (r->skip > 0) {
			r->skip--;
		} else if (n > 0 && !deliver(r, begin, n, &text)) {
			r->held = true;
		}
	}
	if (!r->freed) {
		buf_consume(&r->in, used);
		if (used == 0 && r->in.len > LINE_MAX_BYTES) { /* not one of our shim's lines */
			buf_clear(&r->in);
		}
	}
	return used > 0 ? STEP_MORE : STEP_NOTHING;
}

/* --- workers: unpacking, counting, the journal --- */

/* A job may end after its reader. */
struct log_job {
	struct log_reader *reader; /* NULL: nobody waits for it any more */
	struct job *job;
	bool paused, counting;
};

static void job_said(void *owner, struct job *j, const char *data, size_t n)
{
	struct log_job *w = owner;
	if (!w->reader) {
		return;
	}
	buf_append(&w->reader->in, data, n);
	if (w->reader->in.len > QUEUE_HIGH && !w->paused) {
		w->paused = true;
		job_output_pause(j, true);
	}
	pump_soon(w->reader);
}

/* How many lines a compressed file has: the tail begins in it, or before. */
static void counted(struct log_reader *r, int64_t lines)
{
	r->placing = lines < r->wanted;
	r->skip = r->placing ? 0 : lines - r->wanted;
	r->wanted -= r->placing ? lines : 0;
}

static void job_ended(void *owner, struct job *j, json_t *result, const struct err *e)
{
	scoped(free) struct log_job *w = owner;
	struct log_reader *r = w->reader;
	if (!r) {
		return;
	}
	r->job = NULL;
	if (!result) {
		log_warning(
			"container", "log_not_read", "id", r->container_id, "reason", e->msg, NULL);
	}
	if (w->counting) {
		counted(r, json_i64(result, "lines", 0));
	} else {
		r->source_ended = true;
	}
	pump_soon(r);
}

static int start_job(
	struct log_reader *r, const char *name, json_t *request, int body_fd, bool counting)
{
	static const struct job_handlers reading = {NULL, job_said, job_ended};
	static const struct job_handlers plain = {NULL, NULL, job_ended};
	struct err e;
	struct log_job *w = xnew(struct log_job);
	w->reader = r;
	w->counting = counting;
	w->job = job_start(r->set->d.jobs, name, request, body_fd, !counting,
		counting ? &plain : &reading, w, &e);
	if (!w->job) {
		log_warning(
			"container", "log_not_read", "id", r->container_id, "reason", e.msg, NULL);
		free(w);
		return -1;
	}
	r->job = w;
	return 0;
}

static void unpack(struct log_reader *r, bool counting)
{
	int fd = fcntl(r->file.fd, F_DUPFD_CLOEXEC, 0);
	json_t *request = json_object();
	lseek(fd, 0, SEEK_SET); /* a worker that counted left it at the end: the offset is shared */
	json_put(request, "count", json_boolean(counting));
	if (start_job(r, "unpack-log", request, fd, counting) < 0) {
		r->source_ended = true;
		r->placing = false;
	}
}

static void release_job(struct log_reader *r)
{
	if (r->job) {
		r->job->reader = NULL;
		job_cancel(r->job->job);
		r->job = NULL;
	}
}

/* --- the tail: where it begins, searched backwards --- */

static int64_t readable_bytes(const struct log_reader *r)
{
	struct stat st;
	if (r->last.ino && !r->q.follow && r->file.ino == r->last.ino) {
		return r->limit;
	}
	return fstat(r->file.fd, &st) < 0 ? 0 : st.st_size;
}

static void begin_at(struct log_reader *r, int64_t offset)
{
	lseek(r->file.fd, offset, SEEK_SET);
	r->placing = false;
}

static void set_file(struct log_reader *r, struct log_file file)
{
	scoped_close(&r->file.fd);
	r->file = file;
	r->source_ended = false;
	r->place_end = -1;
}

/* The one before; where there is none, or it cannot be found, the tail begins here. */
static void place_in_older(struct log_reader *r)
{
	struct log_file older = {.fd = -1};
	int place = log_file_place(r->path, &r->file);
	if (place < 0 || log_file_open(r->path, place + 1, &older) < 0) {
		if (!r->file.gz) {
			begin_at(r, 0);
		}
		r->placing = false;
		return;
	}
	set_file(r, older);
	if (older.gz) {
		unpack(r, true);
	}
}

/* One block of the file, from its end towards its beginning. */
static enum step place_step(struct log_reader *r)
{
	scoped(free) char *block = xnew_array(char, SLICE_BYTES);
	if (r->file.gz) { /* counted: it goes on in the one before */
		place_in_older(r);
		return STEP_MORE;
	}
	if (r->place_end < 0) {
		r->place_end = readable_bytes(r);
		r->placed = 0;
	}
	int64_t from = r->place_end > SLICE_BYTES ? r->place_end - SLICE_BYTES : 0;
	ssize_t n = pread(r->file.fd, block, (size_t)(r->place_end - from), from);
	if (r->wanted == 0 || n < 0) {
		begin_at(r, r->place_end);
		return STEP_MORE;
	}
	const char *p;
	for (size_t left = (size_t)n; (p = memrchr(block, '\n', left));
		left = (size_t)(p - block)) {
		if (r->placed++ == r->wanted) {
			begin_at(r, from + (p - block) + 1);
			return STEP_MORE;
		}
	}
	r->place_end = from;
	if (from == 0) {
		r->wanted -= r->placed;
		if (r->wanted > 0) {
			place_in_older(r);
		} else {
			begin_at(r, 0);
		}
	}
	return STEP_MORE;
}

/* --- from file to file --- */

static bool is_last(const struct log_reader *r)
{
	return !r->q.follow && r->last.ino && r->file.content_ino == r->last.ino &&
	       r->file.dev == r->last.dev;
}

/* The oldest there is. It may be moved up before we have it open: then there is one more. */
static bool find_oldest(const struct log_reader *r, struct log_file *ret)
{
	struct log_file file = {.fd = -1};
	for (int number = log_file_oldest(r->path); number >= 0; number--) {
		if (log_file_open(r->path, number, &file) == 0) {
			int place = log_file_place(r->path, &file);
			struct log_file older = {.fd = -1};
			if (place >= 0 && log_file_open(r->path, place + 1, &older) == 0) {
				scoped_close(&file.fd);
				file = older;
			}
			*ret = file;
			return true;
		}
	}
	return false;
}

static bool open_oldest(struct log_reader *r)
{
	struct log_file file = {.fd = -1};
	if (!find_oldest(r, &file)) {
		return false;
	}
	set_file(r, file);
	return true;
}

/* A tail begins with the newest: the live file, or, between two renames, the one before. */
static bool open_first(struct log_reader *r)
{
	struct log_file newest = {.fd = -1};
	for (int i = 0; r->placing && i <= 2; i++) {
		if (log_file_open(r->path, i, &newest) == 0) {
			set_file(r, newest);
			return true;
		}
	}
	r->placing = false;
	return open_oldest(r);
}

/* What is open was read to its end. Invariant 5: sealed means that it was read once more since it
 * is known that another came after it. */
static enum step go_on(struct log_reader *r)
{
	if (is_last(r)) {
		r->source_ended = true;
		return STEP_NOTHING;
	}
	if (r->next.fd >= 0) {
		set_file(r, r->next);
		r->next.fd = -1;
		return STEP_MORE;
	}
	int result = log_file_next(r->path, &r->file, &r->next);
	if (result == -EBUSY) {
		r->rotating =
			r->runs && !r->container_ended && r->rotating_tries++ < ROTATING_TRIES;
		return STEP_NOTHING;
	}
	r->rotating_tries = 0;
	if (result == 0 || (result == -ENOENT && find_oldest(r, &r->next))) {
		return STEP_MORE;
	}
	r->next.fd = -1;
	return STEP_NOTHING;
}

/* With a single file (max-file=1) the shim empties it instead of renaming it, when nobody read at
 * that time: we begin at its start again. */
static bool was_emptied(struct log_reader *r)
{
	struct stat st;
	off_t at = lseek(r->file.fd, 0, SEEK_CUR);
	if (at < 0 || fstat(r->file.fd, &st) < 0 || st.st_size >= at) {
		return false;
	}
	buf_clear(&r->in);
	return lseek(r->file.fd, 0, SEEK_SET) == 0;
}

static size_t bytes_left(struct log_reader *r)
{
	off_t at = lseek(r->file.fd, 0, SEEK_CUR);
	int64_t left = is_last(r) && at >= 0 ? r->limit - at : SLICE_BYTES;
	return left < 0 ? 0 : left < SLICE_BYTES ? (size_t)left : SLICE_BYTES;
}

static enum step read_plain(struct log_reader *r)
{
	size_t want = bytes_left(r);
	char *room = buf_room(&r->in, want);
	ssize_t n = want ? read(r->file.fd, room, want) : 0;
	if (n > 0) {
		buf_added(&r->in, (size_t)n);
		return STEP_MORE;
	}
	return was_emptied(r) ? STEP_MORE : go_on(r);
}

static enum step read_more(struct log_reader *r)
{
	if (r->job) {
		if (r->job->paused) {
			r->job->paused = false;
			job_output_pause(r->job->job, false);
		}
		return STEP_NOTHING;
	}
	if (r->journal) {
		return STEP_NOTHING;
	}
	if (r->file.fd < 0) {
		return open_first(r) ? STEP_MORE : STEP_NOTHING;
	}
	if (r->placing) {
		return place_step(r);
	}
	if (!r->file.gz) {
		return read_plain(r);
	}
	if (r->source_ended) {
		return go_on(r);
	}
	unpack(r, false);
	return STEP_NOTHING;
}

/* --- the loop --- */

static void finish(struct log_reader *r)
{
	r->ended = true;
	list_remove(&r->node);
	r->h->ended(r->owner);
}

/* Nothing comes any more: not from a file, nor from a worker, nor from a container that runs. */
static bool is_over(const struct log_reader *r)
{
	return r->ended ||
	       (!r->job && !r->rotating && (r->journal || !r->q.follow || r->container_ended));
}

static enum step pump_steps(struct log_reader *r)
{
	uint64_t begin = uv_hrtime();
	enum step step = STEP_MORE;
	r->rotating = false;
	while (step == STEP_MORE && !r->ended && !r->held && !r->freed &&
		uv_hrtime() - begin < TURN_NS) {
		step = deliver_lines(r);
		if (step == STEP_NOTHING && !r->ended && !r->held && !r->freed) {
			step = read_more(r);
		}
	}
	return step;
}

static void pump_once(struct log_reader *r)
{
	enum step step = pump_steps(r);
	if (!r->freed && r->h->pause && !r->h->pause(r->owner)) {
		r->held = true;
	}
	if (r->freed || (r->held && !r->ended)) {
		return;
	}
	if (step == STEP_MORE && !r->ended) {
		pump_soon(r);
		return;
	}
	if (is_over(r)) {
		finish(r);
	} else if (r->rotating) {
		pump_later(r, ROTATING_MS);
	}
	if (!r->freed && r->in.len == 0) { /* invariant 4 */
		buf_deinit(&r->in);
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

/* --- beginning --- */

static int begin_journal(struct log_reader *r, bool follow)
{
	json_t *request = json_object();
	json_put_str(request, "id", r->container_id);
	json_put(request, "follow", json_boolean(follow));
	json_put(request, "details", json_boolean(r->q.details));
	json_put(request, "tail", json_integer(r->q.tail));
	json_put(request, "since_us", json_integer(r->q.since_ns / 1000));
	r->journal = true;
	r->local = !r->q.details;
	return start_job(r, "read-journal", request, -1, false);
}

static void begin_files(struct log_reader *r, bool follow)
{
	struct stat st;
	r->hold_fd = log_files_hold(r->path);
	r->placing = r->q.tail >= 0;
	r->wanted = r->q.tail;
	if (follow) {
		start_watch(r);
	} else if (stat(r->path, &st) == 0) {
		r->last = (struct log_file){.fd = -1, .dev = st.st_dev, .ino = st.st_ino};
		r->limit = st.st_size;
	}
}

struct log_reader *log_reader_new(struct container *c, const struct log_query *q,
	const struct log_handlers *h, void *owner, struct err *e)
{
	const json_t *config = json_object_get(c->host_config, "LogConfig");
	const char *driver = json_str(config, "Type");
	if (strcmp(driver, "none") == 0) {
		(void)err_set(e, ERR_NOT_IMPLEMENTED,
			"configured logging driver does not support reading");
		return NULL;
	}
	if (c->state == CONTAINER_DEAD || c->state == CONTAINER_REMOVING) {
		(void)err_set(e, ERR_CONFLICT,
			"can not get logs from container which is dead or marked for removal");
		return NULL;
	}
	bool runs = container_is_running(c) || c->state == CONTAINER_STARTING;
	struct log_reader *r = xnew(struct log_reader);
	r->set = c->set;
	memcpy(r->container_id, c->id, sizeof(r->container_id));
	r->path = container_log_path(c);
	r->local = strcmp(driver, "local") == 0;
	r->q = *q;
	r->runs = runs;
	r->q.follow = q->follow && runs;
	r->h = h;
	r->owner = owner;
	r->file.fd = -1;
	r->next.fd = -1;
	r->hold_fd = -1;
	list_init(&r->node);
	if (strcmp(driver, "journald") != 0) {
		begin_files(r, r->q.follow);
	} else if (begin_journal(r, r->q.follow) < 0) {
		(void)err_set(
			e, ERR_SYSTEM, "the journal cannot be read: no worker could be started");
		log_reader_free(r);
		return NULL;
	}
	if (r->q.follow) {
		list_append(&c->set->readers, &r->node);
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
	release_job(r);
	if (r->watch) {
		r->watch->data = NULL;
		uv_close((uv_handle_t *)r->watch, watch_closed);
	}
	scoped_close(&r->file.fd);
	scoped_close(&r->next.fd);
	scoped_close(&r->hold_fd);
	free(r->path);
	if (!r->pumping) {
		reader_release(r);
	}
}

void log_readers_poke(struct container_set *s, const struct container *c)
{
	list_each_safe (pos, &s->readers) {
		struct log_reader *r = container_of(pos, struct log_reader, node);
		if (strcmp(r->container_id, c->id) != 0) {
			continue;
		}
		r->container_ended = true;
		if (r->journal && r->job) {
			job_send(r->job->job, json_object()); /* whatever is said means the end */
		}
		pump_soon(r);
	}
}
