#include "http/client_ssh.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/text.h"

/* On the other side either program knows `system dial-stdio`. */
#define REMOTE \
	"if command -v wherry >/dev/null 2>&1; then exec wherry%s system dial-stdio; else exec docker%s system dial-stdio; fi"

/* Names and addresses; nothing that a shell or ssh would take for something else. */
static bool is_plain(const char *text)
{
	return *text && *text != '-' &&
	       strspn(text,
		       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:%@+") ==
		       strlen(text);
}

static int refuse(const char *url, const char *why, struct err *e)
{
	return err_set(e, ERR_INVALID, "unable to parse docker host `%s`: %s", url, why);
}

int ssh_words(const char *url, struct strv *ret, struct err *e)
{
	scoped(free) char *rest = xstrdup(text_starts(url, "ssh://") ? url + 6 : "");
	scoped(free) char *socket_path = NULL;
	char *slash = strchr(rest, '/');
	if (slash) {
		socket_path = slash[1] ? xstrdup(slash) : NULL;
		*slash = '\0';
	}
	char *at = strrchr(rest, '@');
	char *host = at ? at + 1 : rest;
	if (at) {
		*at = '\0';
	}
	if (at && (strchr(rest, ':') || !is_plain(rest))) {
		return refuse(url,
			strchr(rest, ':') ? "plain-text password is not supported" : "the user", e);
	}
	char *bracket = *host == '[' ? strchr(host, ']') : NULL;
	char *port = strchr(bracket ? bracket : host, ':');
	uint16_t number;
	if (port) {
		*port++ = '\0';
	}
	if (bracket) {
		*bracket = '\0';
		host++;
	}
	bool odd_path =
		socket_path && strcspn(socket_path, " '\"\\$`;&|<>()*?\n\t") != strlen(socket_path);
	if (!is_plain(host) || (port && parse_u16(port, &number) < 0) || odd_path) {
		return refuse(url, "expected ssh://[USER@]HOST[:PORT]", e);
	}
	strv_add(ret, "ssh");
	strv_add(ret, "-T");
	strv_add(ret, "-o");
	strv_add(ret, "ConnectTimeout=30");
	if (at) {
		strv_add(ret, "-l");
		strv_add(ret, rest);
	}
	if (port) {
		strv_add(ret, "-p");
		strv_add(ret, port);
	}
	strv_add(ret, "--");
	strv_add(ret, host);
	scoped(free) char *option =
		socket_path ? xasprintf(" -H unix://%s", socket_path) : xstrdup("");
	strv_addf(ret, REMOTE, option, option);
	return 0;
}

int ssh_connect(const char *url, struct err *e)
{
	scoped(strv) struct strv words = STRV_INIT;
	int pair[2];
	pid_t pid;
	if (ssh_words(url, &words, e) < 0) {
		return -1;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		return err_sys(e, errno, "cannot make a socket pair");
	}
	scoped(close) int ours = pair[0];
	scoped(close) int theirs = pair[1];
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, theirs, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, theirs, STDOUT_FILENO);
	int r = posix_spawnp(&pid, "ssh", &actions, NULL, words.v, environ);
	posix_spawn_file_actions_destroy(&actions);
	return r != 0 ? err_sys(e, r, "cannot run ssh") : TAKE_FD(ours);
}
