#include "container/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "codec/shim_frame.h"

struct shim {
	uv_pipe_t pipe;
	uv_process_t *process; /* own memory: it outlives us until the child is reaped; NULL after a
				  reconnect */
	const struct shim_handlers *h;
	void *owner;
	struct buf in;
	pid_t pid;
	bool freed;
	bool ended; /* failed or exited was told: the end of the connection is no news */
	char read_space[4096];
};

/* sun_path is short: go through the directory's descriptor. */
static int socket_address(const char *dir, struct sockaddr_un *ret, int *ret_dirfd)
{
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/shim.sock", fd);
	*ret_dirfd = fd;
	return 0;
}

int shim_connect(const char *dir)
{
	struct sockaddr_un a;
	scoped(close) int dirfd = -1;
	int r = socket_address(dir, &a, &dirfd);
	if (r < 0) {
		return r;
	}
	scoped(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		return -errno;
	}
	return TAKE_FD(fd);
}

static int listen_in(const char *dir, struct err *e)
{
	struct sockaddr_un a;
	scoped(close) int dirfd = -1;
	int r = socket_address(dir, &a, &dirfd);
	if (r < 0) {
		return err_sys(e, -r, "cannot open %s", dir);
	}
	unlinkat(dirfd, "shim.sock", 0);
	scoped(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 64) < 0) {
		return err_sys(e, errno, "cannot make %s/shim.sock", dir);
	}
	return TAKE_FD(fd);
}

/* --- hearing --- */

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t get64(const uint8_t *p)
{
	return (uint64_t)get32(p) << 32 | get32(p + 4);
}

static void handle(struct shim *s, uint8_t type, const uint8_t *p, size_t n)
{
	switch (type) {
	case SHIM_READY:
		s->h->ready(s->owner);
		break;
	case SHIM_STARTED:
		if (n == 12) {
			s->h->started(s->owner, (pid_t)get32(p), (int64_t)get64(p + 4));
		}
		break;
	case SHIM_FAILED: {
		scoped(free) char *text = xstrndup((const char *)p, n);
		s->ended = true;
		s->h->failed(s->owner, text);
		break;
	}
	case SHIM_EXITED:
		if (n == 13) {
			s->ended = true;
			s->h->exited(s->owner, (int)get32(p), (int64_t)get64(p + 4), p[12] != 0);
		}
		break;
	default:
		break;
	}
}

static void pipe_closed(uv_handle_t *h)
{
	struct shim *s = h->data;
	buf_deinit(&s->in);
	free(s);
}

static void allocate(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
	struct shim *s = h->data;
	*b = uv_buf_init(s->read_space, sizeof(s->read_space));
}

static void connection_ended(struct shim *s)
{
	uv_read_stop((uv_stream_t *)&s->pipe);
	if (!s->ended && !s->freed) {
		s->ended = true;
		s->h->lost(s->owner);
	}
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
	struct shim *s = stream->data;
	if (n < 0) {
		connection_ended(s);
		return;
	}
	buf_append(&s->in, b->base, (size_t)n);
	while (!s->freed && s->in.len >= SHIM_FRAME_HEAD) {
		uint8_t type;
		uint32_t len;
		const uint8_t *p = (const uint8_t *)s->in.data;
		if (shim_frame_parse(p, &type, &len) < 0) {
			connection_ended(s);
			return;
		}
		if (s->in.len < SHIM_FRAME_HEAD + len) {
			return;
		}
		/* the handler may free us: the payload must not depend on in, and the memory lasts
		 * until pipe_closed */
		scoped(free) uint8_t *payload = xnew_array(uint8_t, len + 1);
		memcpy(payload, p + SHIM_FRAME_HEAD, len);
		buf_consume(&s->in, SHIM_FRAME_HEAD + len);
		handle(s, type, payload, len);
	}
}

/* --- speaking --- */

struct out {
	uv_write_t req;
	char data[SHIM_FRAME_HEAD + 8];
};

static void written(uv_write_t *req, int status)
{
	free(req);
}

static void send_frame(struct shim *s, uint8_t type, const void *payload, size_t n)
{
	struct out *o = xnew(struct out);
	shim_frame_head(type, (uint32_t)n, (uint8_t *)o->data);
	if (n > 0) {
		memcpy(o->data + SHIM_FRAME_HEAD, payload, n);
	}
	uv_buf_t b = uv_buf_init(o->data, (unsigned)(SHIM_FRAME_HEAD + n));
	if (uv_write(&o->req, (uv_stream_t *)&s->pipe, &b, 1, written) < 0) {
		free(o); /* the end of the connection is noticed by reading */
	}
}

void shim_go(struct shim *s)
{
	send_frame(s, SHIM_GO, NULL, 0);
}

void shim_resize(struct shim *s, unsigned rows, unsigned columns)
{
	const uint8_t payload[4] = {
		(uint8_t)(rows >> 8), (uint8_t)rows, (uint8_t)(columns >> 8), (uint8_t)columns};
	send_frame(s, SHIM_RESIZE, payload, sizeof(payload));
}

pid_t shim_pid(const struct shim *s)
{
	return s->pid;
}

void shim_kill(struct shim *s)
{
	if (s->pid > 0) {
		kill(-s->pid, SIGKILL); /* it leads a session: crun, when that is at work */
		kill(s->pid, SIGKILL);
	}
}

/* --- life --- */

struct shim *shim_reconnect(
	uv_loop_t *l, const char *dir, const struct shim_handlers *h, void *owner)
{
	int fd = shim_connect(dir);
	if (fd < 0) {
		return NULL;
	}
	struct shim *s = xnew(struct shim);
	s->h = h;
	s->owner = owner;
	uv_pipe_init(l, &s->pipe, 0);
	s->pipe.data = s;
	uv_pipe_open(&s->pipe, fd);
	uv_read_start((uv_stream_t *)&s->pipe, allocate, on_read);
	send_frame(s, SHIM_CONTROL, NULL, 0);
	return s;
}

static void process_closed(uv_handle_t *h)
{
	free(h);
}

static void process_exited(uv_process_t *p, int64_t status, int signal)
{
	uv_close((uv_handle_t *)p, process_closed); /* reaped; the news came over the connection */
}

static int spawn(uv_loop_t *l, const char *program, int listen_fd, const struct strv *args,
	uv_process_t **ret, struct err *e)
{
	scoped(strv) struct strv argv = STRV_INIT;
	strv_add(&argv, "wherry-shim");
	strv_addf(&argv, "--parent=%d", (int)getpid());
	strv_copy(&argv, args);
	uv_stdio_container_t stdio[4] = {{.flags = UV_IGNORE}, {.flags = UV_IGNORE},
		{.flags = UV_IGNORE}, {.flags = UV_INHERIT_FD, .data.fd = listen_fd}};
	uv_process_options_t o = {.exit_cb = process_exited,
		.file = program,
		.args = argv.v,
		.flags = UV_PROCESS_DETACHED,
		.stdio_count = 4,
		.stdio = stdio};
	uv_process_t *p = xnew(uv_process_t);
	int r = uv_spawn(l, p, &o);
	if (r < 0) {
		uv_close((uv_handle_t *)p, process_closed);
		return err_sys(e, -r, "cannot start %s", program);
	}
	uv_unref((uv_handle_t *)p);
	*ret = p;
	return 0;
}

struct shim *shim_start(uv_loop_t *l, const char *program, const char *dir, const struct strv *args,
	const struct shim_handlers *h, void *owner, struct err *e)
{
	uv_process_t *process;
	scoped(close) int listen_fd = listen_in(dir, e);
	if (listen_fd < 0 || spawn(l, program, listen_fd, args, &process, e) < 0) {
		return NULL;
	}
	struct shim *s = shim_reconnect(l, dir, h, owner);
	if (!s) {
		err_sys(e, errno, "cannot reach the shim in %s", dir);
		uv_process_kill(process, SIGKILL);
		return NULL;
	}
	s->process = process;
	s->pid = process->pid;
	return s;
}

void shim_free(struct shim *s)
{
	if (!s || s->freed) {
		return;
	}
	s->freed = true;
	uv_close((uv_handle_t *)&s->pipe, pipe_closed);
}

int shim_read_exit(const char *dir, int *ret_code, int64_t *ret_at_ns, bool *ret_oom)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(free) char *file = xasprintf("%s/exit", dir);
	int r = path_read(AT_FDCWD, file, 256, &text);
	if (r < 0) {
		return r;
	}
	int64_t values[3]; /* code, time, OOM flag: shim/main.c write_exit */
	const char *p = buf_str(&text);
	for (int i = 0; i < 3; i++) {
		char *end;
		values[i] = strtoll(p, &end, 10);
		if (end == p) {
			return -EINVAL;
		}
		p = end;
	}
	*ret_code = (int)values[0];
	*ret_at_ns = values[1];
	*ret_oom = values[2] != 0;
	return 0;
}
