/* worker/build_git_run.h - one run of git(1); build_git.h says how it is confined. */
#pragma once
#include "base/buf.h"
#include "base/strv.h"
#include "worker/build.h"

struct git_session {
	struct build *b;
	const char *shown; /* the repository, for messages; borrowed */
	const char *dir;   /* of ours, borrowed */
	char *own;         /* a directory in it, for known hosts and a socket; NULL: not needed */
	struct strv env;
	size_t memory; /* bytes that one of git's processes may have */
	struct ssh_relay *relay;
};

/* remote: for the logins that the client has for it. */
int git_session_begin(struct git_session *s, struct build *b, const char *remote, const char *shown,
	const char *dir, struct err *e);
void git_session_end(struct git_session *s); /* also of a zero one */
static inline void scoped_git_session(struct git_session *s)
{
	git_session_end(s);
}

/* Runs "git ARGS" (NULL-terminated) in cwd; its standard output, up to 1 MiB, replaces *ret (may be
 * NULL). -1 with *e: git's last line. */
int git_run(struct git_session *s, const char *cwd, const char *const *args, struct buf *ret,
	struct err *e);
