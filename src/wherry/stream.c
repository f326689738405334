#include "wherry/stream.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "base/path.h"
#include "wherry/config_file.h"
#include "wherry/engine.h"

#define CHUNK (32u << 10)
/* an exec is not running yet when its start is answered: docker tries ten times as well */
#define RESIZE_TRIES 10
#define RESIZE_PAUSE_MS 10
#define TO_ENGINE_MAX (256u << 10) /* past it stdin is not read */

static const int proxied[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM};

int stream_check_tty(bool with_stdin, bool tty, struct err *e)
{
	if (with_stdin && tty && !isatty(STDIN_FILENO)) {
		return err_set(e, ERR_INVALID, "the input device is not a TTY");
	}
	return 0;
}

static int choose_detach_keys(struct stream *s, struct err *e)
{
	scoped(json) json_t *config = NULL;
	const char *keys = s->o.detach_keys;
	if (!keys || !*keys) {
		config = config_file_read_or_empty(s->cli);
		keys = *json_str(config, "detachKeys") ? json_str(config, "detachKeys")
						       : DETACH_KEYS_DEFAULT;
	}
	return detach_parse(keys, &s->detach, e);
}

/* From here on the signals wait for stream_relay: one that comes before the container runs must not
 * end us. */
static int catch_signals(struct stream *s, struct err *e)
{
	sigset_t wanted;
	sigemptyset(&wanted);
	if (s->o.tty) {
		sigaddset(&wanted, SIGWINCH);
	}
	for (size_t i = 0; s->o.sig_proxy && i < sizeof(proxied) / sizeof(*proxied); i++) {
		sigaddset(&wanted, proxied[i]);
	}
	s->signal_fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0) {
		return err_sys(e, errno, "cannot wait for signals");
	}
	sigprocmask(SIG_BLOCK, &wanted, &s->old_mask);
	s->masked = true;
	return 0;
}

int stream_open(struct stream *s, struct cli *cli, const struct stream_options *o, const char *path,
	const json_t *body, struct err *e)
{
	*s = (struct stream){
		.cli = cli, .o = *o, .fd = -1, .signal_fd = -1, .stdin_open = o->with_stdin};
	if (choose_detach_keys(s, e) < 0 || catch_signals(s, e) < 0) {
		return -1;
	}
	scoped(http_client_free) struct http_client *http = engine_connect(cli, e);
	const struct http_call call = {
		.method = "POST", .path = path, .body_json = body, .upgrade = true};
	if (!http || engine_send(http, &call, NULL, e) < 0) {
		return -1;
	}
	s->fd = http_client_take_socket(http, &s->early);
	return s->fd < 0 ? err_set(e, ERR_SYSTEM,
				   "the engine closed the connection instead of attaching")
			 : 0;
}

void stream_resize(struct stream *s)
{
	struct winsize size;
	struct err ignored;
	s->resize_again_ms = 0;
	if (!s->o.tty || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 ||
		(size.ws_row == 0 && size.ws_col == 0)) {
		return;
	}
	scoped(buf) struct buf path = BUF_INIT;
	buf_printf(&path, "/%s/%s/resize?h=%u&w=%u", s->o.kind, s->o.id, size.ws_row, size.ws_col);
	if (engine_json(s->cli, "POST", buf_str(&path), NULL, NULL, &ignored) < 0 &&
		s->resize_tries < RESIZE_TRIES) {
		s->resize_again_ms = ++s->resize_tries * RESIZE_PAUSE_MS;
	}
}

static void make_raw(struct stream *s)
{
	struct termios raw;
	if (!s->o.tty || !s->o.with_stdin || tcgetattr(STDIN_FILENO, &s->old_termios) < 0) {
		return;
	}
	raw = s->old_termios;
	cfmakeraw(&raw);
	s->raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

static void take_signals(struct stream *s)
{
	struct signalfd_siginfo info;
	struct err ignored;
	while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGWINCH) {
			stream_resize(s);
			continue;
		}
		scoped(buf) struct buf path = BUF_INIT;
		buf_printf(&path, "/%s/%s/kill?signal=%u", s->o.kind, s->o.id, info.ssi_signo);
		engine_json(s->cli, "POST", buf_str(&path), NULL, NULL,
			&ignored); /* it may have ended by itself */
	}
}

static int write_output(void *owner, int type, const char *data, size_t n, struct err *e)
{
	if (type == 3) {
		return err_set(e, ERR_SYSTEM, "error from daemon in stream: %.*s",
			(int)(n < 400 ? n : 400), data);
	}
	int r = path_write_all(type == 2 ? STDERR_FILENO : STDOUT_FILENO, data, n);
	return r < 0 ? err_sys(e, -r, "cannot write the output") : 0;
}

static int take_output(struct stream *s, const char *data, size_t n, struct err *e)
{
	return s->o.tty ? write_output(NULL, 1, data, n, e)
			: demux_feed(&s->demux, data, n, write_output, NULL, e);
}

/* 1: there will be more; 0: the output has ended. */
static int read_engine(struct stream *s, struct err *e)
{
	char data[CHUNK];
	ssize_t n = recv(s->fd, data, sizeof(data), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return 1;
	}
	if (n < 0 && errno != ECONNRESET) {
		return err_sys(e, errno, "the connection to %s broke", s->cli->host);
	}
	return n <= 0 ? 0 : take_output(s, data, (size_t)n, e) < 0 ? -1 : 1;
}

/* Sends what is pending; once stdin has ended and all is sent, says so with a half-close. */
static void write_engine(struct stream *s)
{
	while (s->to_engine.len > 0) {
		ssize_t n = send(
			s->fd, s->to_engine.data, s->to_engine.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0 && errno != EAGAIN) { /* the container does not read any more: its output
						   may still come */
			s->stdin_open = false;
			buf_clear(&s->to_engine);
		}
		if (n < 0) {
			return;
		}
		buf_consume(&s->to_engine, (size_t)n);
	}
	if (!s->stdin_open && s->o.with_stdin) {
		s->o.with_stdin = false;
		shutdown(s->fd, SHUT_WR);
	}
}

/* True when the user detached. */
static bool read_stdin(struct stream *s)
{
	char data[CHUNK];
	bool detached = false;
	ssize_t n = read(STDIN_FILENO, data, sizeof(data));
	if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
		return false;
	}
	if (n <= 0) {
		s->stdin_open = false;
	} else if (s->raw) {
		detached = detach_feed(&s->detach, data, (size_t)n, &s->to_engine);
	} else {
		buf_append(&s->to_engine, data, (size_t)n);
	}
	write_engine(s);
	return detached;
}

enum { FD_ENGINE, FD_SIGNALS, FD_STDIN, FD_MAX };

int stream_relay(struct stream *s, bool *ret_detached, struct err *e)
{
	*ret_detached = false;
	make_raw(s);
	if (s->early.len > 0 && take_output(s, s->early.data, s->early.len, e) < 0) {
		return -1;
	}
	for (;;) {
		bool wants_stdin = s->stdin_open && s->to_engine.len < TO_ENGINE_MAX;
		struct pollfd fds[FD_MAX] = {
			[FD_ENGINE] = {s->fd, (short)(POLLIN | (s->to_engine.len ? POLLOUT : 0)),
				0},
			[FD_SIGNALS] = {s->signal_fd, POLLIN, 0},
			[FD_STDIN] = {wants_stdin ? STDIN_FILENO : -1, POLLIN, 0},
		};
		int n = poll(fds, FD_MAX, s->resize_again_ms ? s->resize_again_ms : -1);
		if (n < 0 && errno != EINTR) {
			return err_sys(e, errno, "cannot wait for the streams");
		}
		if (n == 0) {
			stream_resize(s);
		}
		if (fds[FD_SIGNALS].revents) {
			take_signals(s);
		}
		if (fds[FD_ENGINE].revents & POLLOUT) {
			write_engine(s);
		}
		if (fds[FD_STDIN].revents && read_stdin(s)) {
			*ret_detached = true;
			return 0;
		}
		if (fds[FD_ENGINE].revents & (POLLIN | POLLHUP | POLLERR)) {
			int r = read_engine(s, e);
			if (r <= 0) {
				return r;
			}
		}
	}
}

void stream_close(struct stream *s)
{
	if (s->raw) {
		tcsetattr(STDIN_FILENO, TCSADRAIN, &s->old_termios);
		s->raw = false;
	}
	if (s->masked) {
		sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
		s->masked = false;
	}
	scoped_close(&s->fd);
	scoped_close(&s->signal_fd);
	s->fd = s->signal_fd = -1;
	buf_deinit(&s->early);
	buf_deinit(&s->to_engine);
}
