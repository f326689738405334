#include "wherry/build_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"

#define KEYS_MAX 32u

extern char **environ;

struct build_keys {
	pid_t child;  /* the agent's command; when it ends, so does the agent */
	int agent;    /* pid */
	int lifeline; /* its standard input */
	char *socket;
};

/* The agent's command: adds the keys, says where the agent is, and lives as long as the pipe. */
static const char script[] =
	"ssh-add -q -- \"$@\" && echo \"$SSH_AGENT_PID $SSH_AUTH_SOCK\" && exec cat >/dev/null";

static int spawn_agent(const struct strv *keys, struct build_keys *k, int *ret_out)
{
	int in[2], out[2];
	char *argv[KEYS_MAX + 6] = {"ssh-agent", "sh", "-c", (char *)script, "sh"};
	for (size_t i = 0; i < keys->n; i++) {
		argv[5 + i] = keys->v[i];
	}
	if (pipe2(in, O_CLOEXEC) < 0) {
		return -errno;
	}
	if (pipe2(out, O_CLOEXEC) < 0) {
		int why = errno;
		close(in[0]);
		close(in[1]);
		return -why;
	}
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	int r = posix_spawnp(&k->child, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	k->lifeline = in[1];
	*ret_out = out[0];
	k->child = r == 0 ? k->child : 0;
	return -r;
}

/* "PID SOCKET\n": the keys are there. The agent keeps the pipe open, so the line ends it. */
static int read_place(int fd, struct build_keys *k)
{
	scoped(buf) struct buf line = BUF_INIT;
	char c = '\0';
	while (line.len < 4096) {
		ssize_t n = read(fd, &c, 1);
		if (n == 1 && c != '\n') {
			buf_putc(&line, c);
		} else if (n >= 0 || errno != EINTR) {
			break;
		}
	}
	char *blank = strchr(buf_str(&line), ' ');
	if (c != '\n' || !blank) {
		return -1;
	}
	*blank = '\0';
	k->socket = xstrdup(blank + 1);
	return parse_int(buf_str(&line), 1, INT32_MAX, &k->agent);
}

struct build_keys *build_keys_new(const char *paths, struct err *e)
{
	scoped(strv) struct strv keys = STRV_INIT;
	strv_split(&keys, paths, ',');
	if (keys.n == 0 || keys.n > KEYS_MAX) {
		err_set_(e, ERR_INVALID, "--ssh: between 1 and %u files of keys are expected",
			KEYS_MAX);
		return NULL;
	}
	struct build_keys *k = xnew(struct build_keys);
	k->lifeline = -1;
	int out = -1;
	int r = spawn_agent(&keys, k, &out);
	if (r < 0) {
		err_sys_(e, -r,
			"--ssh: ssh-agent (of the package openssh-client) is needed for keys in files");
	} else if (read_place(out, k) < 0) {
		err_set_(e, ERR_INVALID, "--ssh: ssh-add could not take %s", paths);
		r = -1;
	}
	if (out >= 0) {
		close(out);
	}
	if (r < 0) {
		build_keys_free(k);
		return NULL;
	}
	return k;
}

void build_keys_free(struct build_keys *k)
{
	if (!k) {
		return;
	}
	if (k->agent > 0) {
		kill(k->agent, SIGTERM); /* it would look for its command only every 10 s */
	}
	if (k->lifeline >= 0) {
		close(k->lifeline);
	}
	while (k->child > 0 && waitpid(k->child, NULL, 0) < 0 && errno == EINTR) {
	}
	free(k->socket);
	free(k);
}

const char *build_keys_socket(const struct build_keys *k)
{
	return k->socket;
}
