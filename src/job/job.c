/* Invariants
 * 1. done is called exactly once, by finish(), and never while job_start is on the stack.
 * 2. Every handle that was opened is closed by finish(); the job is freed in the last close
 * callback.
 * 3. After finish() no handler is called.
 * 4. Nobody waits for a process that was killed and does not end, because a disk or a server does
 * not answer it: its job is finished after a while all the same, and the process reaped when it
 * ends.
 */
#include "job/job.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "job/wire.h"

#define BODY_HIGH_WATER (256u << 10)
#define BODY_LOW_WATER (64u << 10)
#define READ_CHUNK (64u << 10)
#define KILLED_PATIENCE_MS 3000 /* of one that was killed and does not end */
#define END_PATIENCE_MS 1000    /* for all of them, when the daemon ends */
#define END_STEP_US 5000

struct job_pool {
	uv_loop_t *loop;
	char *worker_path;
	struct list jobs;
};

struct job {
	struct list node;
	struct job_pool *pool;
	char *name;
	struct job_handlers handlers;
	void *owner;

	uv_process_t process;
	uv_pipe_t rpc, body, output;
	uv_timer_t patience; /* since it was cancelled */
	bool has_body, has_output, has_patience;
	unsigned handles; /* open or closing; 0 frees the job */

	struct buf line; /* what came on rpc after the last newline */
	json_t *result;
	struct err error;
	bool failed; /* error holds why */
	bool cancelled, finished;
	bool exited, rpc_ended, output_ended, body_broken;
	int64_t exit_status;
	int term_signal;

	void (*drained)(void *owner);
	void *drained_owner;
	char *chunk; /* what libuv reads into: reads of one loop turn never overlap */
};

struct write_request {
	uv_write_t req;
	char *data;
};

struct job_pool *job_pool_new(uv_loop_t *l, const char *worker_path)
{
	struct job_pool *p = xnew(struct job_pool);
	p->loop = l;
	p->worker_path = xstrdup(worker_path);
	list_init(&p->jobs);
	return p;
}

const char *job_worker_path(const struct job_pool *p)
{
	return p->worker_path;
}

static void on_closed(uv_handle_t *handle)
{
	struct job *j = handle->data;
	if (--j->handles > 0) {
		return;
	}
	free(j->name);
	free(j->chunk);
	buf_deinit(&j->line);
	json_decref(j->result);
	free(j);
}

/* Closes what was opened; the job lives until the callbacks have run. A process that goes on is
 * left to on_process_exit. */
static void close_handles(struct job *j)
{
	if (j->exited) {
		uv_close((uv_handle_t *)&j->process, on_closed);
	} else {
		uv_unref((uv_handle_t *)&j->process);
	}
	if (j->has_patience) {
		uv_close((uv_handle_t *)&j->patience, on_closed);
	}
	uv_close((uv_handle_t *)&j->rpc, on_closed);
	if (j->has_body) {
		uv_close((uv_handle_t *)&j->body, on_closed);
	}
	if (j->has_output) {
		uv_close((uv_handle_t *)&j->output, on_closed);
	}
}

/* The reason why there is no result, when the worker did not say one. */
static void explain_exit(struct job *j, struct err *e)
{
	if (j->cancelled) {
		(void)err_set(e, ERR_BUSY, "canceled");
	} else if (j->failed) {
		*e = j->error;
	} else if (j->term_signal) {
		(void)err_set(e, ERR_SYSTEM, "the %s worker was killed by signal %d", j->name,
			j->term_signal);
	} else {
		(void)err_set(e, ERR_SYSTEM, "the %s worker ended with status %lld and no result",
			j->name, (long long)j->exit_status);
	}
}

static void finish(struct job *j)
{
	if (j->finished) {
		return;
	}
	j->finished = true;
	list_remove(&j->node);
	struct err e = {0};
	bool ok = j->result && !j->failed && !j->cancelled;
	if (!ok) {
		explain_exit(j, &e);
	}
	log_debug("job", "done", "name", j->name, "error", ok ? NULL : e.msg, NULL);
	if (j->handlers.done) {
		j->handlers.done(j->owner, j, ok ? j->result : NULL, ok ? NULL : &e);
	}
	close_handles(j);
}

/* All that the worker said has been read, or nobody wants to hear it any more. */
static void finish_if_over(struct job *j)
{
	bool read_all = j->rpc_ended && (!j->has_output || j->output_ended);
	if (j->exited && (read_all || j->cancelled || j->failed)) {
		finish(j);
	}
}

static void on_process_exit(uv_process_t *process, int64_t exit_status, int term_signal)
{
	struct job *j = process->data;
	j->exited = true;
	j->exit_status = exit_status;
	j->term_signal = term_signal;
	if (j->finished) { /* invariant 4 */
		uv_close((uv_handle_t *)&j->process, on_closed);
		return;
	}
	finish_if_over(j);
}

/* The worker broke the protocol: nothing it says later counts. */
static void protocol_error(struct job *j, const char *what)
{
	if (!j->failed) {
		(void)err_set(&j->error, ERR_SYSTEM, "the %s worker sent %s", j->name, what);
		j->failed = true;
	}
	uv_process_kill(&j->process, SIGKILL);
	finish_if_over(j);
}

static void take_line(struct job *j, const char *text, size_t n)
{
	struct err e = {0};
	scoped(json) json_t *msg = json_parse(text, n, "a message", &e);
	if (!msg) {
		protocol_error(j, "a line that is not JSON");
		return;
	}
	json_t *result = json_object_get(msg, "result");
	json_t *error = json_object_get(msg, "error");
	if (result && !j->result) {
		j->result = json_incref(result);
	} else if (error) {
		job_err_from_json(error, &j->error);
		j->failed = true;
	} else if (j->handlers.message) {
		j->handlers.message(j->owner, j, msg);
	}
}

static void take_lines(struct job *j)
{
	size_t begin = 0;
	char *newline;
	while (!j->cancelled && !j->failed && begin < j->line.len &&
		(newline = memchr(j->line.data + begin, '\n', j->line.len - begin))) {
		size_t end = (size_t)(newline - j->line.data);
		take_line(j, j->line.data + begin, end - begin);
		begin = end + 1;
	}
	buf_consume(&j->line, begin);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	struct job *j = handle->data;
	if (!j->chunk) {
		j->chunk = xnew_array(char, READ_CHUNK);
	}
	*ret = uv_buf_init(j->chunk, READ_CHUNK);
}

static void on_rpc(uv_stream_t *stream, ssize_t n, const uv_buf_t *chunk)
{
	struct job *j = stream->data;
	if (n < 0) {
		uv_read_stop(stream);
		j->rpc_ended = true;
		finish_if_over(j);
		return;
	}
	if (j->cancelled || j->failed || j->finished) {
		return;
	}
	if (buf_append_limited(&j->line, chunk->base, (size_t)n, JOB_LINE_MAX) < 0) {
		protocol_error(j, "a line that is too long");
		return;
	}
	if (memchr(chunk->base, '\n', (size_t)n)) {
		take_lines(j);
	}
}

static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *chunk)
{
	struct job *j = stream->data;
	if (n < 0) {
		uv_read_stop(stream);
		j->output_ended = true;
		finish_if_over(j);
	} else if (n > 0 && !j->cancelled && j->handlers.output) {
		j->handlers.output(j->owner, j, chunk->base, (size_t)n);
	}
}

static void open_pipe(struct job *j, uv_pipe_t *pipe)
{
	uv_pipe_init(j->pool->loop, pipe, 0);
	pipe->data = j;
	j->handles++;
}

static int spawn(struct job *j, int body_fd, int extra_fd, struct err *e)
{
	char *args[] = {(char *)"wherry-worker", j->name, NULL};
	uv_stdio_container_t stdio[5] = {
		{.flags = UV_IGNORE},
		{.flags = UV_IGNORE},
		{.flags = UV_INHERIT_FD, .data.fd = 2},
		{.flags = UV_CREATE_PIPE | UV_READABLE_PIPE | UV_WRITABLE_PIPE,
			.data.stream = (uv_stream_t *)&j->rpc},
		{.flags = UV_INHERIT_FD, .data.fd = extra_fd},
	};
	if (j->has_body) {
		stdio[0].flags = UV_CREATE_PIPE | UV_READABLE_PIPE;
		stdio[0].data.stream = (uv_stream_t *)&j->body;
	} else if (body_fd >= 0) {
		stdio[0].flags = UV_INHERIT_FD;
		stdio[0].data.fd = body_fd;
	}
	if (j->has_output) {
		stdio[1].flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
		stdio[1].data.stream = (uv_stream_t *)&j->output;
	}
	uv_process_options_t options = {
		.file = j->pool->worker_path,
		.args = args,
		.exit_cb = on_process_exit,
		.stdio = stdio,
		.stdio_count = extra_fd >= 0 ? 5 : 4,
	};
	j->process.data = j;
	j->handles++; /* uv_spawn makes a handle even when it fails */
	int r = uv_spawn(j->pool->loop, &j->process, &options);
	if (r < 0) {
		return err_sys(e, -r, "cannot start %s", j->pool->worker_path);
	}
	return 0;
}

struct job *job_start_with(struct job_pool *p, const char *name, json_t *take_request,
	int take_body_fd, int take_extra_fd, bool want_output, const struct job_handlers *h,
	void *owner, struct err *e)
{
	scoped(json) json_t *request = take_request;
	scoped(close) int body_fd = take_body_fd;
	scoped(close) int extra_fd = take_extra_fd;
	if (!p->worker_path) {
		(void)err_set(e, ERR_NOT_IMPLEMENTED, "there is no worker for %s", name);
		return NULL;
	}
	struct job *j = xnew(struct job);
	j->pool = p;
	j->name = xstrdup(name);
	j->handlers = *h;
	j->owner = owner;
	j->has_body = take_body_fd == JOB_BODY_PIPE;
	j->has_output = want_output;
	open_pipe(j, &j->rpc);
	if (j->has_body) {
		open_pipe(j, &j->body);
	}
	if (j->has_output) {
		open_pipe(j, &j->output);
	}
	if (spawn(j, body_fd, extra_fd, e) < 0) {
		j->finished = true;
		j->exited = true;
		close_handles(j);
		return NULL;
	}
	list_append(&p->jobs, &j->node);
	uv_read_start((uv_stream_t *)&j->rpc, on_alloc, on_rpc);
	if (j->has_output) {
		uv_read_start((uv_stream_t *)&j->output, on_alloc, on_output);
	}
	job_send(j, TAKE(request));
	return j;
}

struct job *job_start(struct job_pool *p, const char *name, json_t *take_request, int take_body_fd,
	bool want_output, const struct job_handlers *h, void *owner, struct err *e)
{
	return job_start_with(p, name, take_request, take_body_fd, -1, want_output, h, owner, e);
}

static void on_written(uv_write_t *req, int status)
{
	struct write_request *w = container_of(req, struct write_request, req);
	free(w->data);
	free(w);
}

static void write_bytes(uv_pipe_t *pipe, char *take_data, size_t n, uv_write_cb done)
{
	struct write_request *w = xnew(struct write_request);
	w->data = take_data;
	uv_buf_t chunk = uv_buf_init(take_data, (unsigned)n);
	if (uv_write(&w->req, (uv_stream_t *)pipe, &chunk, 1, done) < 0) {
		free(w->data);
		free(w);
	}
}

void job_send(struct job *j, json_t *take_msg)
{
	scoped(json) json_t *msg = take_msg;
	if (j->finished || j->rpc_ended) {
		return;
	}
	struct buf line = BUF_INIT;
	scoped(free) char *text = json_text(msg);
	buf_puts(&line, text);
	buf_putc(&line, '\n');
	size_t n = line.len;
	write_bytes(&j->rpc, buf_take_str(&line), n, on_written);
}

static size_t body_queued(const struct job *j)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&j->body);
}

static void on_body_written(uv_write_t *req, int status)
{
	struct job *j = req->handle->data;
	on_written(req, status);
	if (status < 0) {
		j->body_broken = true; /* the worker has read enough; its reason comes with done */
	}
	if (j->drained && !j->finished && (j->body_broken || body_queued(j) <= BODY_LOW_WATER)) {
		void (*drained)(void *) = j->drained;
		j->drained = NULL;
		drained(j->drained_owner);
	}
}

static bool body_open(const struct job *j)
{
	return j->has_body && !j->body_broken && !j->finished;
}

bool job_body_write(
	struct job *j, const char *data, size_t n, void (*drained)(void *owner), void *owner)
{
	if (!body_open(j) || n == 0) {
		return true;
	}
	char *copy = xnew_array(char, n);
	memcpy(copy, data, n);
	write_bytes(&j->body, copy, n, on_body_written);
	if (body_queued(j) <= BODY_HIGH_WATER) {
		return true;
	}
	j->drained = drained;
	j->drained_owner = owner;
	return false;
}

static void on_body_shut(uv_shutdown_t *req, int status)
{
	free(req);
}

void job_body_end(struct job *j)
{
	if (!body_open(j)) {
		return;
	}
	uv_shutdown_t *req =
		xnew(uv_shutdown_t); /* after all queued writes; libuv closes the direction */
	if (uv_shutdown(req, (uv_stream_t *)&j->body, on_body_shut) < 0) {
		free(req);
	}
}

void job_output_pause(struct job *j, bool pause)
{
	if (!j->has_output || j->output_ended || j->finished) {
		return;
	}
	if (pause) {
		uv_read_stop((uv_stream_t *)&j->output);
	} else {
		uv_read_start((uv_stream_t *)&j->output, on_alloc, on_output);
	}
}

static void on_patience(uv_timer_t *timer)
{
	struct job *j = timer->data;
	log_warning("job", "does_not_end", "name", j->name, "pid", LOG_N(j->process.pid), NULL);
	finish(j);
}

void job_cancel(struct job *j)
{
	if (j->finished || j->cancelled) {
		return;
	}
	j->cancelled = true;
	uv_process_kill(&j->process, SIGKILL);
	uv_timer_init(j->pool->loop, &j->patience);
	j->patience.data = j;
	j->has_patience = true;
	j->handles++;
	uv_timer_start(&j->patience, on_patience, KILLED_PATIENCE_MS, 0);
	if (j->has_output && !j->output_ended) {
		/* paused, it would never show its end */
		uv_read_start((uv_stream_t *)&j->output, on_alloc, on_output);
	}
}

int job_pid(const struct job *j)
{
	return j->process.pid;
}

void job_pool_free(struct job_pool *p)
{
	int patience_ms = END_PATIENCE_MS;
	if (!p) {
		return;
	}
	while (!list_empty(&p->jobs)) {
		struct job *j = container_of(p->jobs.next, struct job, node);
		int pid = j->process.pid;
		bool running = !j->exited;
		j->cancelled = true;
		if (running) {
			uv_process_kill(&j->process, SIGKILL);
		}
		j->exited = true;
		finish(j);
		/* killed: it ends at once, but for invariant 4; nobody else will reap it now */
		while (running && waitpid(pid, NULL, WNOHANG) == 0 && patience_ms > 0) {
			usleep(END_STEP_US);
			patience_ms -= END_STEP_US / 1000;
		}
	}
	free(p->worker_path);
	free(p);
}
