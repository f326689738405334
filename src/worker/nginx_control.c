#include "worker/nginx_control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "base/text.h"
#include "worker/capture.h"

#define PATIENCE_MS 60000 /* a small machine with many certificates */
#define END_MS 5000       /* of one that is to be gone */
#define LOOK_USEC 2000
#define WORDS_MAX (64u << 10)
#define EMERGENCY "[emerg] "

static char *find_program(const char *wanted)
{
	const char *const programs[] = {wanted, "/usr/local/sbin/nginx", "/usr/sbin/nginx",
		"/usr/local/bin/nginx", "/usr/bin/nginx"};
	size_t n = *wanted ? 1 : sizeof(programs) / sizeof(*programs);
	for (size_t i = 0; i < n; i++) {
		if (*programs[i] && access(programs[i], X_OK) == 0) {
			return xstrdup(programs[i]);
		}
	}
	return NULL;
}

int nginx_control_init(struct nginx_control *n, const char *dir, const char *run,
	const char *program, struct err *e)
{
	*n = (struct nginx_control){.dir = dir, .run = run, .master = {.pidfd = -1}};
	n->pid_file = xasprintf("%s/nginx.pid", run);
	n->status = xasprintf("%s/status.sock", run);
	n->conf = xasprintf("%s/conf/current/nginx.conf", dir);
	scoped(free) char *real = realpath(dir, NULL); /* as it is found among a process's files */
	n->log = xasprintf("%s/log/error.log", real ? real : dir);
	n->program = find_program(program);
	if (!n->program) {
		return err_set(e, ERR_NOT_FOUND,
			"nginx is not installed: apt-get install nginx libnginx-mod-stream, then systemctl disable --now nginx");
	}
	if (nginx_master_find(n->pid_file, n->conf, &n->master) < 0) {
		n->master = (struct nginx_master){.pidfd = -1};
	}
	return 0;
}

static void forget_master(struct nginx_control *n)
{
	scoped_close(&n->master.pidfd);
	n->master = (struct nginx_master){.pidfd = -1};
}

void nginx_control_deinit(struct nginx_control *n)
{
	forget_master(n);
	free(n->program);
	free(n->pid_file);
	free(n->conf);
	free(n->log);
	free(n->status);
}

/* --- what it serves --- */

/* A request that hangs is one of a machine that is very busy: it is asked again. */
uint64_t nginx_generation(const struct nginx_control *n)
{
	static const char request[] = "GET / HTTP/1.0\r\nHost: status\r\n\r\n";
	const struct timeval patience = {.tv_sec = 5};
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char answer[1024];
	size_t got = 0;
	ssize_t r;
	scoped(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || strlen(n->status) >= sizeof(a.sun_path)) {
		return 0;
	}
	memcpy(a.sun_path, n->status, strlen(n->status) + 1);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0) {
		return 0;
	}
	while (got < sizeof(answer) - 1 &&
		(r = recv(fd, answer + got, sizeof(answer) - 1 - got, 0)) > 0) {
		got += (size_t)r;
	}
	answer[got] = '\0';
	const char *body = strstr(answer, "\r\n\r\n");
	return body ? strtoull(body + 4, NULL, 10) : 0;
}

/* --- its words --- */

/* The first emergency in a text of its log or its stderr, without what stands before the sentence:
 * "nginx: [emerg] bind() to ..." or "2026/11/28 10:00:00 [emerg] 12#12: bind() to ...". */
static bool find_words(const char *text, struct err *e)
{
	const char *at = strstr(text, EMERGENCY);
	if (!at) {
		return false;
	}
	at += strlen(EMERGENCY);
	const char *end = at + strcspn(at, "\n");
	const char *digits = at + strspn(at, "0123456789#");
	if (digits > at && text_starts(digits, ": ")) {
		at = digits + 2;
	}
	(void)err_set(e, ERR_INVALID, "nginx: %.*s", (int)(end - at), at);
	return true;
}

static off_t log_size(const struct nginx_control *n)
{
	struct stat st;
	return stat(n->log, &st) < 0 ? 0 : st.st_size;
}

static bool log_has_words(const struct nginx_control *n, off_t from, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(close) int fd = open(n->log, O_RDONLY | O_CLOEXEC);
	char *room = buf_room(&text, WORDS_MAX);
	ssize_t got = fd < 0 ? -1 : pread(fd, room, WORDS_MAX, from);
	if (got > 0) {
		buf_added(&text, (size_t)got);
	}
	return find_words(buf_str(&text), e);
}

static int run(const struct nginx_control *n, const char *option, const char *conf, struct err *e)
{
	int status;
	scoped(buf) struct buf out = BUF_INIT;
	scoped(buf) struct buf words = BUF_INIT;
	scoped(strv) struct strv argv = STRV_INIT;
	const char *const args[] = {n->program, "-p", n->dir, "-c", conf, "-e", n->log, option};
	for (size_t i = 0; i < sizeof(args) / sizeof(*args) && args[i]; i++) {
		strv_add(&argv, args[i]);
	}
	int r = capture_run(&argv, &out, &words, &status);
	if (r < 0) {
		return err_sys(e, -r, "cannot run %s", n->program);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		return 0;
	}
	return find_words(buf_str(&words), e)
		       ? -1
		       : err_set(e, ERR_SYSTEM, "nginx ended with status %d: %.300s",
				 WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
				 buf_str(&words));
}

int nginx_test(const struct nginx_control *n, const char *conf, struct err *e)
{
	return run(n, "-t", conf, e);
}

/* --- waiting --- */

static bool has_ended(int pidfd, int timeout_ms)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	return poll(&p, 1, timeout_ms) > 0;
}

static void send_to(int pidfd, int signal)
{
	(void)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

static bool have_left(const struct nginx_pids *workers)
{
	for (size_t i = 0; i < workers->n; i++) {
		if (!nginx_worker_has_left(workers->v[i])) {
			return false;
		}
	}
	return true;
}

/* Those of before take no requests any more, and the ones that do say that generation. */
static int wait_served(const struct nginx_control *n, const struct nginx_pids *before,
	uint64_t generation, off_t log_from, struct err *e)
{
	for (int64_t end = clock_mono_ms() + PATIENCE_MS; clock_mono_ms() < end;) {
		if (have_left(before) && nginx_generation(n) == generation) {
			return 0;
		}
		if (log_has_words(n, log_from, e)) {
			return -1;
		}
		if (has_ended(n->master.pidfd, 0)) {
			return err_set(e, ERR_SYSTEM, "nginx has ended");
		}
		usleep(LOOK_USEC);
	}
	return err_set(e, ERR_SYSTEM, "nginx does not serve the new configuration after %d s",
		PATIENCE_MS / 1000);
}

/* Its pid file names another master than that, which is written a moment after it was started. */
static int wait_master(struct nginx_control *n, pid_t but, off_t log_from, struct err *e)
{
	for (int64_t end = clock_mono_ms() + PATIENCE_MS; clock_mono_ms() < end;) {
		struct nginx_master m;
		if (nginx_master_find(n->pid_file, n->conf, &m) == 0) {
			if (m.pid != but) {
				forget_master(n);
				n->master = m;
				return 0;
			}
			close(m.pidfd);
		}
		if (log_has_words(n, log_from, e)) {
			return -1;
		}
		usleep(LOOK_USEC);
	}
	return err_set(e, ERR_SYSTEM, "nginx was started, and there is no process of it");
}

/* --- what a killed master leaves --- */

/* They go on with what they have, but they have the ports as well. */
void nginx_end_orphans(const struct nginx_control *n)
{
	struct nginx_pids orphans;
	if (nginx_orphans(n->master.pid, n->log, &orphans) < 0) {
		return;
	}
	for (size_t i = 0; i < orphans.n; i++) {
		kill(orphans.v[i], SIGQUIT);
	}
	for (int64_t end = clock_mono_ms() + END_MS;
		!have_left(&orphans) && clock_mono_ms() < end;) {
		usleep(LOOK_USEC);
	}
	for (size_t i = 0; i < orphans.n; i++) {
		if (!nginx_worker_has_left(orphans.v[i])) {
			kill(orphans.v[i], SIGKILL);
		}
	}
	nginx_pids_deinit(&orphans);
}

/* One that is on its way out would remove the pid file of the next. */
static void end_master(struct nginx_control *n)
{
	if (n->master.pid == 0) {
		return;
	}
	send_to(n->master.pidfd, SIGTERM);
	if (!has_ended(n->master.pidfd, END_MS)) {
		send_to(n->master.pidfd, SIGKILL);
		(void)has_ended(n->master.pidfd, END_MS);
	}
	forget_master(n);
}

/* --- start, reload, upgrade, end --- */

int nginx_start(struct nginx_control *n, uint64_t generation, struct err *e)
{
	static const char *const sockets[] = {"status.sock", "https.sock", "none.sock"};
	const struct nginx_pids none = {0};
	end_master(n);
	nginx_end_orphans(n);
	for (size_t i = 0; i < sizeof(sockets) / sizeof(*sockets); i++) {
		scoped(free) char *path = xasprintf("%s/%s", n->run, sockets[i]);
		unlink(path);
	}
	unlink(n->pid_file);
	off_t from = log_size(n);
	return run(n, NULL, n->conf, e) < 0 || wait_master(n, 0, from, e) < 0
		       ? -1
		       : wait_served(n, &none, generation, from, e);
}

int nginx_reload(struct nginx_control *n, uint64_t generation, struct err *e)
{
	struct nginx_pids before;
	off_t from = log_size(n);
	int r = nginx_workers(n->master.pid, &before);
	if (r < 0) {
		return err_sys(e, -r, "cannot see nginx's workers");
	}
	send_to(n->master.pidfd, SIGHUP);
	r = wait_served(n, &before, generation, from, e);
	nginx_pids_deinit(&before);
	return r;
}

/* The new program gets the sockets of the old one, which then ends what it has: nginx(8), USR2. */
int nginx_upgrade(struct nginx_control *n, uint64_t generation, struct err *e)
{
	struct nginx_pids before;
	off_t from = log_size(n);
	pid_t old = n->master.pid;
	scoped(close) int old_fd = fcntl(n->master.pidfd, F_DUPFD_CLOEXEC, 0);
	int r = old_fd < 0 ? -errno : nginx_workers(old, &before);
	if (r < 0) {
		return err_sys(e, -r, "cannot see nginx's workers");
	}
	send_to(old_fd, SIGUSR2);
	r = wait_master(n, old, from, e);
	if (r == 0) {
		send_to(old_fd, SIGQUIT);
		r = wait_served(n, &before, generation, from, e);
	}
	nginx_pids_deinit(&before);
	return r;
}

void nginx_reopen(struct nginx_control *n)
{
	if (n->master.pid > 0) {
		send_to(n->master.pidfd, SIGUSR1);
	}
}

void nginx_stop(struct nginx_control *n)
{
	struct nginx_pids before;
	if (n->master.pid > 0 && nginx_workers(n->master.pid, &before) == 0) {
		send_to(n->master.pidfd, SIGQUIT);
		for (int64_t end = clock_mono_ms() + END_MS;
			!have_left(&before) && clock_mono_ms() < end;) {
			usleep(LOOK_USEC);
		}
		nginx_pids_deinit(&before);
	}
	nginx_end_orphans(n);
}
