#include "http/client_tls.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/scoped.h"
#include "base/strv.h"

void tls_files_deinit(struct tls_files *t)
{
	free(t->ca);
	free(t->cert);
	free(t->key);
	*t = (struct tls_files){0};
}

/* An empty line: it is agreed; else the reason. Byte by byte, since the stream follows. */
static int read_verdict(int fd, struct err *e)
{
	char line[300];
	size_t n = 0;
	char c = 0;
	while (n < sizeof(line) - 1) {
		ssize_t got = read(fd, &c, 1);
		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			return err_set(e, ERR_SYSTEM, "the TLS connection ended at its start");
		}
		if (c == '\n') {
			break;
		}
		line[n++] = c;
	}
	line[n] = '\0';
	return n == 0 ? 0 : err_set(e, ERR_SYSTEM, "cannot agree on TLS: %s", line);
}

int tls_connect(
	const char *worker, int take_fd, const char *host, const struct tls_files *t, struct err *e)
{
	scoped(close) int net = take_fd;
	int pair[2];
	pid_t pid;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		return err_sys(e, errno, "cannot make a socket pair");
	}
	scoped(close) int ours = pair[0];
	scoped(close) int theirs = pair[1];
	scoped(strv) struct strv words = STRV_INIT;
	const char *const texts[] = {
		worker, "tls", host, t->verify ? "verify" : "", t->ca, t->cert, t->key};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		strv_add(&words, texts[i] ? texts[i] : "");
	}
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, theirs, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, net, STDOUT_FILENO);
	int r = posix_spawn(&pid, worker, &actions, NULL, words.v, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (r != 0) {
		return err_sys(e, r, "cannot run %s", worker);
	}
	close(TAKE_FD(theirs)); /* or its end would never be seen */
	return read_verdict(ours, e) < 0 ? -1 : TAKE_FD(ours);
}
