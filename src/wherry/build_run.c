/* Threads: each job has one that calls Solve, and that one has another which reads the Status
 * stream; the program's own thread draws and waits for signals.
 *
 * Invariants
 * 1. The display, and done, solve and cancelled of each job, are touched with show->lock held.
 * 2. A job's thread ends when its Solve ended and its Status stream did, or 3 s after.
 */
#include "wherry/build_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "grpc/h2.h"
#include "wherry/build_display.h"
#include "wherry/build_session.h"

#define REFRESH_MS 100
#define STATUS_WAIT_MS 3000
#define INTERRUPTED 130
#define BUILDKIT_ID 25

struct build_show {
	pthread_mutex_t lock;
	struct build_display *display;
	struct buf out; /* to be written to stderr */
	int wake_fd;    /* an eventfd: a job ended */
};

/* --- one job --- */

int build_job_init(struct build_job *j, const struct build_options *o, struct err *e)
{
	*j = (struct build_job){.options = o};
	build_request_init(&j->request);
	return build_request_options(&j->request, o, e) < 0 ||
			       build_request_outputs(&j->request, o, e) < 0
		       ? -1
		       : 0;
}

void build_job_deinit(struct build_job *j)
{
	build_request_deinit(&j->request);
	build_place_deinit(&j->place);
	json_decref(j->response);
	free(j->error);
}

static void fail(struct build_job *j, const char *text)
{
	free(j->error);
	j->error = xstrdup(text);
}

/* The session is opened while the other connection is. */
struct opening {
	const struct cli *cli;
	const struct build_request *request;
	struct build_session *session;
	struct err e;
};

static void *open_session(void *arg)
{
	struct opening *o = arg;
	o->session = build_session_open(o->cli, o->request, &o->e);
	return NULL;
}

/* The Status stream of a job. */
struct watching {
	struct build_job *job;
	struct grpc_call *call;
	pthread_t thread;
	bool running, ended; /* ended under show->lock */
	pthread_cond_t changed;
};

static void take_update(void *owner, const struct build_update *u)
{
	struct build_job *j = owner;
	const char *source = j->options->source;
	pthread_mutex_lock(&j->show->lock);
	build_display_update(
		j->show->display, source ? source : "", u, clock_real_ns(), &j->show->out);
	pthread_mutex_unlock(&j->show->lock);
}

static void *watch(void *arg)
{
	struct watching *w = arg;
	scoped(buf) struct buf bytes = BUF_INIT;
	struct err e;
	while (grpc_recv(w->call, &bytes, &e) > 0 &&
		build_unpack_status(&bytes, take_update, w->job, &e) == 0) {
	}
	pthread_mutex_lock(&w->job->show->lock);
	w->ended = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->job->show->lock);
	return NULL;
}

static void start_watching(
	struct watching *w, struct build_job *j, struct h2 *conn, const char *ref)
{
	struct err e;
	scoped(buf) struct buf bytes = BUF_INIT;
	pthread_condattr_t a;
	*w = (struct watching){.job = j};
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&w->changed, &a);
	pthread_condattr_destroy(&a);
	build_pack_status(ref, &bytes);
	w->call = grpc_call_new(conn, "/moby.buildkit.v1.Control/Status", NULL, &e);
	if (w->call && grpc_send(w->call, buf_str(&bytes), bytes.len, &e) == 0 &&
		grpc_send_end(w->call, &e) == 0) {
		w->running = pthread_create(&w->thread, NULL, watch, w) == 0;
	}
}

static void stop_watching(struct watching *w)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += STATUS_WAIT_MS / 1000;
	if (w->running) {
		pthread_mutex_lock(&w->job->show->lock);
		int r = 0;
		while (!w->ended && r == 0) {
			r = pthread_cond_timedwait(&w->changed, &w->job->show->lock, &until);
		}
		pthread_mutex_unlock(&w->job->show->lock);
		grpc_cancel(w->call);
		pthread_join(w->thread, NULL);
	}
	grpc_call_free(w->call);
	pthread_cond_destroy(&w->changed);
}

static void set_solve(struct build_job *j, struct grpc_call *call)
{
	pthread_mutex_lock(&j->show->lock);
	j->solve = call;
	if (call && j->cancelled) {
		grpc_cancel(call);
	}
	pthread_mutex_unlock(&j->show->lock);
}

static void take_failure(struct build_job *j, struct grpc_call *call)
{
	const char *message;
	const struct buf *details;
	grpc_status(call, &message, &details);
	fail(j, message);
	build_unpack_place(details, &j->place);
}

static void solve(struct build_job *j, struct h2 *conn, const struct buf *request)
{
	struct err e;
	scoped(buf) struct buf answer = BUF_INIT;
	struct grpc_call *call = grpc_call_new(conn, "/moby.buildkit.v1.Control/Solve", NULL, &e);
	if (!call) {
		fail(j, e.msg);
		return;
	}
	set_solve(j, call);
	j->solving = true;
	bool sent = grpc_send(call, buf_str(request), request->len, &e) == 0 &&
		    grpc_send_end(call, &e) == 0;
	int got = sent ? grpc_recv(call, &answer, &e) : -1;
	scoped(buf) struct buf nothing = BUF_INIT;
	if (got > 0) {
		got = grpc_recv(call, &nothing, &e) < 0 ? -1 : 1; /* the status */
	}
	set_solve(j, NULL);
	if (got > 0) {
		j->response = build_unpack_solved(&answer, &e);
		j->ok = j->response;
		fail(j, j->ok ? NULL : e.msg);
	} else if (got == 0) {
		fail(j, "the engine gave no answer");
	} else {
		take_failure(j, call);
	}
	grpc_call_free(call);
}

static void run_job(struct build_job *j)
{
	char ref[ID_LEN + 1];
	struct err e;
	struct opening opening = {.cli = j->cli, .request = &j->request};
	pthread_t opener;
	scoped(buf) struct buf request = BUF_INIT;
	bool apart = pthread_create(&opener, NULL, open_session, &opening) == 0;
	struct h2 *conn = build_control_open(j->cli, &e);
	if (apart) {
		pthread_join(opener, NULL);
	} else {
		open_session(&opening);
	}
	j->no_buildkit = (!conn && e.kind == ERR_NOT_FOUND) ||
			 (!opening.session && opening.e.kind == ERR_NOT_FOUND);
	if (!conn || !opening.session) {
		fail(j, !conn ? e.msg : opening.e.msg);
	} else {
		struct watching watching;
		id_new(ref);
		ref[BUILDKIT_ID] = '\0';
		build_pack_solve(&j->request, ref, build_session_id(opening.session), &request);
		start_watching(&watching, j, conn, ref);
		solve(j, conn, &request);
		stop_watching(&watching);
	}
	h2_free(conn);
	build_session_close(opening.session);
}

static void *job_main(void *arg)
{
	struct build_job *j = arg;
	run_job(j);
	pthread_mutex_lock(&j->show->lock);
	j->done = true;
	pthread_mutex_unlock(&j->show->lock);
	eventfd_write(j->show->wake_fd, 1);
	return NULL;
}

/* --- the display --- */

static int choose_mode(
	const char *progress, bool quiet, enum build_display_mode *ret, struct err *e)
{
	static const struct {
		const char *name;
		enum build_display_mode mode;
	} modes[] = {{"plain", DISPLAY_PLAIN}, {"tty", DISPLAY_TTY}, {"quiet", DISPLAY_QUIET},
		{"none", DISPLAY_QUIET}, {"rawjson", DISPLAY_RAWJSON}};
	const char *env = getenv("BUILDKIT_PROGRESS");
	const char *term = getenv("TERM");
	bool terminal = isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
	progress = progress && *progress ? progress : env && *env ? env : "auto";
	*ret = quiet ? DISPLAY_QUIET : terminal ? DISPLAY_TTY : DISPLAY_PLAIN;
	if (quiet || strcmp(progress, "auto") == 0) {
		return 0;
	}
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		if (strcmp(progress, modes[i].name) == 0) {
			*ret = modes[i].mode;
			return *ret == DISPLAY_TTY && !isatty(STDERR_FILENO)
				       ? err_set(e, ERR_INVALID,
						 "failed to get console: provided file is not a console")
				       : 0;
		}
	}
	return err_set(e, ERR_INVALID, "invalid progress mode %s", progress);
}

static void write_out(struct build_show *s)
{
	struct winsize size;
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
		build_display_size(s->display, size.ws_col, size.ws_row);
	}
	path_write_all(STDERR_FILENO, buf_str(&s->out), s->out.len);
	buf_clear(&s->out);
}

static bool all_done(struct build_job *jobs, size_t n)
{
	bool done = true;
	for (size_t i = 0; i < n; i++) {
		done = done && jobs[i].done;
	}
	return done;
}

static void cancel_all(struct build_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		jobs[i].cancelled = !jobs[i].done;
		if (jobs[i].solve) {
			grpc_cancel(jobs[i].solve);
		}
	}
}

/* A second signal does not wait for the engine. */
static void hear_signal(struct build_show *s, struct build_job *jobs, size_t n, int fd, bool *again)
{
	struct signalfd_siginfo info;
	if (read(fd, &info, sizeof(info)) != sizeof(info)) {
		return;
	}
	if (*again) {
		_exit(INTERRUPTED);
	}
	*again = true;
	pthread_mutex_lock(&s->lock);
	cancel_all(jobs, n);
	pthread_mutex_unlock(&s->lock);
}

/* Draws until all jobs are done. Returns whether it was interrupted. */
static bool attend(struct build_show *s, struct build_job *jobs, size_t n, int signal_fd)
{
	struct pollfd p[] = {
		{.fd = s->wake_fd, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}};
	bool interrupted = false;
	int64_t next_ms = clock_mono_ms() + REFRESH_MS;
	for (bool done = false; !done;) {
		int64_t left = next_ms - clock_mono_ms();
		poll(p, 2, left > 0 ? (int)left : 0);
		if (p[1].revents & POLLIN) {
			hear_signal(s, jobs, n, signal_fd, &interrupted);
		}
		eventfd_t ignored;
		if (p[0].revents & POLLIN) {
			eventfd_read(s->wake_fd, &ignored);
		}
		pthread_mutex_lock(&s->lock);
		done = all_done(jobs, n);
		if (done) {
			build_display_end(s->display, clock_real_ns(), &s->out);
		} else if (clock_mono_ms() >= next_ms) {
			build_display_refresh(s->display, clock_real_ns(), &s->out);
			next_ms = clock_mono_ms() + REFRESH_MS;
		}
		write_out(s);
		pthread_mutex_unlock(&s->lock);
	}
	return interrupted;
}

static bool run_jobs(struct build_show *s, struct cli *cli, struct build_job *jobs, size_t n)
{
	sigset_t wanted;
	sigset_t old;
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGINT);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &wanted, &old); /* before the threads, which inherit it */
	scoped(close) int signal_fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	size_t started = 0;
	for (; started < n; started++) {
		jobs[started].show = s;
		jobs[started].cli = cli;
		if (pthread_create(&jobs[started].thread, NULL, job_main, &jobs[started]) != 0) {
			fail(&jobs[started], "cannot start a thread");
			break;
		}
	}
	bool interrupted = attend(s, jobs, started, signal_fd);
	for (size_t i = 0; i < started; i++) {
		pthread_join(jobs[i].thread, NULL);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return interrupted;
}

static int report(struct build_show *s, struct build_job *jobs, size_t n, bool interrupted)
{
	int status = 0;
	for (size_t i = 0; i < n; i++) {
		if (jobs[i].no_buildkit) {
			return -1;
		}
		if (!jobs[i].ok) {
			build_outcome_failed(&jobs[i]);
			status = interrupted ? INTERRUPTED : 1;
		}
	}
	if (s->display->o.mode == DISPLAY_PLAIN || s->display->o.mode == DISPLAY_TTY) {
		build_display_warnings(s->display, &s->out);
		write_out(s);
	}
	return status;
}

int build_run(struct cli *cli, struct build_job *jobs, size_t n, const char *progress)
{
	struct err e;
	enum build_display_mode mode;
	bool quiet = n > 0 && jobs[0].options->quiet;
	if (choose_mode(progress, quiet, &mode, &e) < 0) {
		fprintf(stderr, "ERROR: %s\n", e.msg);
		return 1;
	}
	scoped(free) char *title = xasprintf("building with \"%s\" instance using docker driver",
		cli->context && *cli->context ? cli->context : "default");
	scoped(free) char *corner =
		xasprintf("docker:%s", cli->context && *cli->context ? cli->context : "default");
	const char *no_color = getenv("NO_COLOR");
	const struct build_display_options o = {.mode = mode,
		.color = mode == DISPLAY_TTY && !(no_color && *no_color),
		.title = title,
		.corner = corner};
	struct build_show s = {.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	pthread_mutex_init(&s.lock, NULL);
	s.display = build_display_new(&o);
	bool interrupted = run_jobs(&s, cli, jobs, n);
	int status = report(&s, jobs, n, interrupted);
	build_display_free(s.display);
	buf_deinit(&s.out);
	close(s.wake_fd);
	pthread_mutex_destroy(&s.lock);
	return status;
}
