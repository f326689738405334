#include "worker/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/path.h"
#include "base/scoped.h"

/* What a child wrote to a memfd, from its beginning. */
static int read_back(int fd, struct buf *ret)
{
	char path[40];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path_read(AT_FDCWD, path, CAPTURE_MAX, ret);
}

static int run(const struct strv *argv, int out, int err, int *ret_status)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_adddup2(&actions, err, 2);
	int r = posix_spawnp(&pid, argv->v[0], &actions, NULL, argv->v, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (r != 0) {
		return -r;
	}
	while (waitpid(pid, ret_status, 0) < 0) {
		if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

int capture_run(const struct strv *argv, struct buf *ret_out, struct buf *ret_err, int *ret_status)
{
	scoped(close) int out = memfd_create("out", MFD_CLOEXEC);
	scoped(close) int err = memfd_create("err", MFD_CLOEXEC);
	*ret_status = 0;
	if (out < 0 || err < 0) {
		return -errno;
	}
	int r = run(argv, out, err, ret_status);
	if (r == 0) {
		r = read_back(out, ret_out);
	}
	return r < 0 ? r : read_back(err, ret_err);
}
