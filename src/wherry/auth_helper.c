#include "wherry/auth_helper.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

#define OUTPUT_MAX (1u << 20)

extern char **environ;

/* One socketpair is the helper's stdin and stdout: nothing is ever written to it after the
 * half-close. */
static int spawn(char *program, char *verb, pid_t *ret_pid, int *ret_fd)
{
	int pair[2];
	char *argv[] = {program, verb, NULL};
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		return -errno;
	}
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pair[1], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, pair[1], STDOUT_FILENO);
	int r = posix_spawnp(ret_pid, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(pair[1]);
	if (r != 0) {
		close(pair[0]);
		return -r;
	}
	*ret_fd = pair[0];
	return 0;
}

static int talk(int fd, const char *input, struct buf *ret)
{
	char data[4096];
	ssize_t n;
	if (send(fd, input, strlen(input), MSG_NOSIGNAL) < 0 && errno != EPIPE) {
		return -errno;
	}
	shutdown(fd, SHUT_WR);
	while ((n = read(fd, data, sizeof(data))) > 0 || (n < 0 && errno == EINTR)) {
		if (n > 0 && buf_append_limited(ret, data, (size_t)n, OUTPUT_MAX) < 0) {
			return -EMSGSIZE;
		}
	}
	return 0;
}

int auth_helper_run(
	const char *name, const char *verb, const char *input, struct buf *ret, struct err *e)
{
	scoped(free) char *program = xasprintf("docker-credential-%s", name);
	scoped(free) char *word = xstrdup(verb);
	scoped(close) int fd = -1;
	pid_t pid = -1;
	int status;
	int r = spawn(program, word, &pid, &fd);
	if (r < 0) {
		return err_sys(e, -r, "error getting credentials: cannot run %s", program);
	}
	r = talk(fd, input, ret);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
	}
	if (r < 0) {
		return err_sys(e, -r, "error getting credentials: %s", program);
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		bool unknown = strstr(buf_str(ret), "credentials not found");
		return err_set(e, unknown ? ERR_NOT_FOUND : ERR_SYSTEM,
			"error getting credentials - %s %s: %.200s", program, verb, buf_str(ret));
	}
	return 0;
}
