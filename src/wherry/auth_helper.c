#include "wherry/auth_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#define INPUT_MAX (32u << 10) /* what a pipe takes without a reader */
#define OUTPUT_MAX (1u << 20)

extern char **environ;

/* It becomes a part of a file's name that is looked up in PATH. */
static bool is_name(const char *name)
{
	size_t n = strlen(name);
	return n > 0 && n <= NAME_MAX - sizeof("docker-credential-") &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
		       n;
}

struct child {
	pid_t pid;
	int in, out; /* our ends */
};

static void close_pair(const int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

/* Pipes, not sockets: scripts open /dev/stdin, which a socket refuses. */
static int spawn(char *program, char *verb, struct child *ret)
{
	int in[2], out[2];
	char *argv[] = {program, verb, NULL};
	if (pipe2(in, O_CLOEXEC) < 0) {
		return -errno;
	}
	if (pipe2(out, O_CLOEXEC) < 0) {
		int why = errno;
		close_pair(in);
		return -why;
	}
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	int r = posix_spawnp(&ret->pid, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	ret->in = in[1];
	ret->out = out[0];
	if (r != 0) {
		close(ret->in);
		close(ret->out);
	}
	return -r;
}

/* A helper that ends without reading is no reason to die: its status says what it means. */
static int write_input(int fd, const char *input)
{
	struct sigaction before;
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigaction(SIGPIPE, &ignore, &before);
	ssize_t n = write(fd, input, strlen(input)); /* all of it fits the pipe */
	int r = n < 0 && errno != EPIPE ? -errno : 0;
	sigaction(SIGPIPE, &before, NULL);
	return r;
}

static int read_output(int fd, int timeout_ms, struct buf *ret)
{
	const int64_t end = clock_mono_ms() + timeout_ms;
	for (;;) {
		char data[4096];
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left = end - clock_mono_ms();
		int ready = left > 0 ? poll(&p, 1, (int)left) : 0;
		if (ready == 0) {
			return -ETIMEDOUT;
		}
		ssize_t n = ready < 0 ? -1 : read(fd, data, sizeof(data));
		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		if (n == 0) {
			return 0;
		}
		if (n > 0 && buf_append_limited(ret, data, (size_t)n, OUTPUT_MAX) < 0) {
			return -EMSGSIZE;
		}
	}
}

static int talk(
	struct child *c, const char *input, int timeout_ms, struct buf *ret, int *ret_status)
{
	int r = write_input(c->in, input);
	close(c->in);
	r = r < 0 ? r : read_output(c->out, timeout_ms, ret);
	close(c->out);
	if (r < 0) {
		kill(c->pid, SIGKILL);
	}
	while (waitpid(c->pid, ret_status, 0) < 0 && errno == EINTR) {
	}
	return r;
}

/* The words of docker-credential-helpers' client: "error getting credentials - err: ..., out:
 * `...`".
 */
static int failed(
	struct err *e, enum err_kind kind, const char *verb, const char *why, struct buf *out)
{
	static const char *const verbs[][2] = {{"get", "getting"}, {"store", "storing"},
		{"erase", "erasing"}, {"list", "listing"}};
	const char *doing = verb;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		doing = strcmp(verbs[i][0], verb) == 0 ? verbs[i][1] : doing;
	}
	while (out->len > 0 && strchr(" \t\r\n", out->data[out->len - 1])) {
		out->data[--out->len] = '\0';
	}
	return err_set(
		e, kind, "error %s credentials - err: %s, out: `%.120s`", doing, why, buf_str(out));
}

int auth_helper_run(const char *name, const char *verb, const char *input, int timeout_ms,
	struct buf *ret, struct err *e)
{
	scoped(free) char *program = xasprintf("docker-credential-%s", name);
	scoped(free) char *word = xstrdup(verb);
	struct child c = {-1, -1, -1};
	char why[160];
	int status = 0;
	if (!is_name(name)) {
		return err_set(e, ERR_INVALID,
			"the credential helper \"%.64s\" in config.json is not the end of a program's name",
			name);
	}
	if (strlen(input) > INPUT_MAX) {
		return err_set(e, ERR_INVALID, "credentials of more than %u bytes", INPUT_MAX);
	}
	int r = spawn(program, word, &c);
	if (r < 0) {
		snprintf(why, sizeof(why), "exec: \"%.80s\": %s", program,
			r == -ENOENT ? "executable file not found in $PATH" : strerror(-r));
		return failed(e, ERR_SYSTEM, verb, why, ret);
	}
	r = talk(&c, input, timeout_ms, ret, &status);
	if (r == -ETIMEDOUT) {
		snprintf(why, sizeof(why), "no answer in %d s", timeout_ms / 1000);
		return failed(e, ERR_SYSTEM, verb, why, ret);
	}
	if (r < 0) {
		return failed(e, ERR_SYSTEM, verb, strerror(-r), ret);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		return 0;
	}
	bool unknown = strstr(buf_str(ret), "credentials not found in native keychain") != NULL;
	snprintf(why, sizeof(why), WIFEXITED(status) ? "exit status %d" : "signal: %d",
		WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return failed(e, unknown ? ERR_NOT_FOUND : ERR_SYSTEM, verb, why, ret);
}
