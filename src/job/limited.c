#include "job/limited.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/path.h"
#include "base/scoped.h"

#define REAP_STEPS 20 /* of one that has answered, or was killed */
#define REAP_STEP_US 1000

struct outcome {
	int result;
	struct err e;
};

/* Holds nothing that somebody waits for the end of: a process that cannot be killed keeps it open.
 */
static void leave_all_behind(int keep_fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 3 && null >= 0; i++) {
		dup2(null, i);
	}
	if (keep_fd > 3) {
		close_range(3, (unsigned)keep_fd - 1, 0);
	}
	close_range((unsigned)keep_fd + 1, ~0u, 0);
}

static _Noreturn void run_child(int out, limited_fn *fn, void *arg)
{
	struct outcome o = {0};
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	leave_all_behind(out);
	o.result = fn(arg, &o.e);
	(void)path_write_all(out, &o, sizeof(o));
	_exit(0);
}

static bool reap(pid_t pid)
{
	for (int i = 0; i < REAP_STEPS; i++) {
		if (waitpid(pid, NULL, WNOHANG) != 0) {
			return true;
		}
		usleep(REAP_STEP_US);
	}
	return false;
}

/* 1: there; 0: too late; -1: it ended without. */
static int read_outcome(int fd, int limit_ms, struct outcome *ret)
{
	int64_t end = clock_mono_ms() + limit_ms;
	for (;;) {
		int64_t left = end - clock_mono_ms();
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int n = poll(&p, 1, left > 0 ? (int)left : 0);
		if (n == 0) {
			return 0;
		}
		if (n > 0) {
			return read(fd, ret, sizeof(*ret)) == (ssize_t)sizeof(*ret) ? 1 : -1;
		}
		if (errno != EINTR) {
			return -1;
		}
	}
}

int limited_run(int limit_ms, limited_fn *fn, void *arg, pid_t *ret_left, struct err *e)
{
	int ends[2];
	struct outcome o;
	*ret_left = 0;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		return err_sys(e, errno, "cannot make a pipe");
	}
	scoped(close) int in = ends[0];
	scoped(close) int out = ends[1];
	pid_t pid = fork();
	if (pid < 0) {
		return err_sys(e, errno, "cannot fork");
	}
	if (pid == 0) {
		run_child(out, fn, arg);
	}
	close(TAKE_FD(out));
	int r = read_outcome(in, limit_ms, &o);
	if (r <= 0) {
		kill(pid, SIGKILL);
	}
	*ret_left = reap(pid) ? 0 : pid;
	if (r > 0) {
		*e = o.e;
		return o.result;
	}
	return r == 0 ? err_set(e, ERR_BUSY, "no answer within %d s", limit_ms / 1000)
		      : err_set(e, ERR_SYSTEM, "the process for it ended early");
}
