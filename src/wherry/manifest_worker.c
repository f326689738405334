#include "wherry/manifest_worker.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/program.h"
#include "job/wire.h"
#include "wherry/auth.h"

#define LINE_MAX_BYTES (64u << 20)
#define HUB_SERVER "https://index.docker.io/v1/"
#define JOB_FD 3

/* fd: our end of its socket. */
static int start(int *ret_fd, pid_t *ret_pid, struct err *e)
{
	scoped(free) char *worker = program_find("wherry-worker", "worker", WHERRY_LIBEXECDIR);
	int pair[2];
	if (!worker) {
		return err_set(e, ERR_NOT_FOUND,
			"wherry-worker is neither beside this program nor in %s",
			WHERRY_LIBEXECDIR);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		return err_sys(e, errno, "cannot make a socket pair");
	}
	char name[] = "manifests";
	char *words[] = {worker, name, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pair[1], JOB_FD);
	int r = posix_spawn(ret_pid, worker, &actions, NULL, words, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(pair[1]); /* or its end would never be seen */
	if (r != 0) {
		close(pair[0]);
		return err_sys(e, r, "cannot run %s", worker);
	}
	*ret_fd = pair[0];
	return 0;
}

/* 1: a line in *ret, 0: no more. */
static int read_line(int fd, struct buf *in, struct buf *ret)
{
	size_t searched = 0;
	for (;;) {
		char *end = in->len > searched
				    ? memchr(in->data + searched, '\n', in->len - searched)
				    : NULL;
		if (end) {
			size_t n = (size_t)(end - in->data);
			buf_clear(ret);
			buf_append(ret, in->data, n);
			buf_consume(in, n + 1);
			return 1;
		}
		searched = in->len;
		char chunk[16384];
		ssize_t n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0 || buf_append_limited(in, chunk, (size_t)n, LINE_MAX_BYTES) < 0) {
			return 0;
		}
	}
}

static json_t *read_result(
	int fd, void (*pushed)(void *owner, const char *digest), void *owner, struct err *e)
{
	scoped(buf) struct buf in = BUF_INIT;
	scoped(buf) struct buf line = BUF_INIT;
	while (read_line(fd, &in, &line) > 0) {
		scoped(json) json_t *msg = json_parse(buf_str(&line), line.len, "the answer", e);
		const json_t *error = json_object_get(msg, "error");
		json_t *result = json_object_get(msg, "result");
		if (!msg) {
			return NULL;
		}
		if (error) {
			job_err_from_json(error, e);
			return NULL;
		}
		if (result) {
			return json_incref(result);
		}
		if (pushed && *json_str(msg, "pushed")) {
			pushed(owner, json_str(msg, "pushed"));
		}
	}
	(void)err_set(e, ERR_SYSTEM, "wherry-worker ended without an answer");
	return NULL;
}

static json_t *make_request(
	struct cli *cli, const char *what, const struct ref *ref, bool insecure, json_t *take_more)
{
	char canonical[REF_TEXT_MAX];
	bool hub = strcmp(ref->domain, REF_DEFAULT_DOMAIN) == 0;
	json_t *request = take_more ? take_more : json_object();
	json_put_str(request, "what", what);
	json_put_str(request, "reference", ref_canonical(ref, canonical));
	json_put(request, "insecure", json_boolean(insecure));
	json_put(request, "auth", auth_find(cli, hub ? HUB_SERVER : ref->domain));
	return request;
}

json_t *manifest_worker_ask(struct cli *cli, const char *what, const struct ref *ref, bool insecure,
	json_t *take_more, void (*pushed)(void *owner, const char *digest), void *owner,
	struct err *e)
{
	scoped(json) json_t *request = make_request(cli, what, ref, insecure, take_more);
	scoped(free) char *text = json_text(request);
	scoped(free) char *line = xasprintf("%s\n", text);
	scoped(close) int fd = -1;
	pid_t pid;
	if (start(&fd, &pid, e) < 0) {
		return NULL;
	}
	signal(SIGPIPE, SIG_IGN); /* a worker that could not begin is told by its missing answer */
	(void)path_write_all(fd, line, strlen(line));
	json_t *result = read_result(fd, pushed, owner, e);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
	}
	return result;
}
