/* build/git_url.h - the names of git repositories in ADD and as build contexts. Pure.
 *
 * https://HOST/PATH.git, ssh://, git://, git@HOST:PATH, each with #REF:SUBDIR or, as newer
 * BuildKit, ?ref=&branch=&tag=&commit=&checksum=&subdir=&keep-git-dir=&submodules=. What comes out
 * is safe to be an argument of git: known protocols only, no option, no blank. Rules: moby/buildkit
 * util/gitutil.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"

struct git_url {
	char *remote;   /* what git is given */
	char *shown;    /* for people: without a password */
	char *ref;      /* branch, tag, "refs/..." or commit; "" for the default branch */
	char *subdir;   /* "" or relative and clean, inside the repository */
	char *checksum; /* beginning of a commit that it must be, or "" */
	bool keep_git_dir;
	bool no_submodules;
};

/* Whether ADD takes the text for a repository. context: also "github.com/x/y", as `docker build`.
 */
bool git_url_is(const char *text, bool context);
/* ERR_INVALID with the reason. git_url_deinit is right after either. */
int git_url_parse(const char *text, struct git_url *ret, struct err *e);
void git_url_deinit(struct git_url *g);
static inline void scoped_git_url(struct git_url *g)
{
	git_url_deinit(g);
}
bool git_url_is_http(const char *text); /* http:// or https://, in any case */
/* 40 or 64 lower-case hex digits. */
bool git_is_commit(const char *text);
/* The text without user and password, for messages; the caller's. */
char *git_url_redact(const char *url);
