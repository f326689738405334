/* worker/build_copy.h - COPY and ADD: what is written, before anything is copied
 * (build_copy_read.c), and the copying (build_copy.c). */
#pragma once
#include <sys/types.h>

#include "build/chmod.h"
#include "worker/build.h"
#include "worker/build_git.h"
#include "worker/copy.h"

struct copy_source {
	enum { SOURCE_FILE, SOURCE_DIR, SOURCE_ARCHIVE, SOURCE_TEXT, SOURCE_URL, SOURCE_GIT } kind;
	char *path;    /* below the source root, without links; of TEXT the content; of a URL it
			  without its password */
	char *name;    /* in a destination directory; of a URL may be "" */
	char *parents; /* --parents: directories to make below the destination, or NULL */
	char *base;    /* of them: where they are below the source root, "" or with a slash */
	char digest[72];
	int64_t mtime;  /* of a URL, or -1 */
	char *download; /* file in the stage's place, or NULL */
	struct git_url git;
	char commit[GIT_COMMIT_MAX];
};

struct copy_step {
	const struct build_step *t;
	int root_fd;     /* of the sources; borrowed */
	char *root;      /* its path as the kernel says it */
	char *dest;      /* absolute, clean */
	char *dest_text; /* as it was written, expanded */
	bool dest_dir;   /* it was written as a directory */
	char *chown_text, *chmod_text;
	bool has_chmod, has_chown;
	struct chmod_rule chmod;
	uid_t uid;
	gid_t gid;
	struct ignore *exclude; /* NULL: nothing */
	bool parents;
	bool unpack;  /* archives are */
	size_t pivot; /* components of the source that is read before its pivot */
	struct copy_source *v;
	size_t n;
	char from_key[65]; /* of --from: what identifies the sources unread, or "" */
	bool wildcard;     /* a pattern was there: no match is fine */
};

void copy_step_deinit(struct copy_step *c); /* also removes its downloads */
static inline void scoped_copy_step(struct copy_step *c)
{
	copy_step_deinit(c);
}

/* One flag's value, expanded; *ret stays when it is absent. */
int copy_read_flag(const struct build_step *t, const char *name, char **ret, struct err *e);
/* Flags and destination; then, with the sources' root known, the sources: downloads them, too. */
int copy_read_flags(struct copy_step *c, struct err *e);
int copy_read_dest(struct copy_step *c, struct err *e);
int copy_read_sources(struct copy_step *c, struct err *e);
/* The here-document that a word stands for, or NULL; borrowed. */
const struct df_heredoc *copy_find_heredoc(const struct df_instruction *i, const char *word);
/* The error for a source that is not there, which says why or what may be meant
 * (build_copy_missing.c): -1. */
int copy_missing(const struct copy_step *c, const char *written, struct err *e);
/* The path below the root without links (build_copy_dest.c); the caller's. NULL with *e: too many.
 */
char *copy_resolve(int root_fd, const char *path, struct err *e);
/* --exclude; owner: a struct copy_step. */
enum copy_verdict copy_filter_excluded(void *owner, const char *top, const char *path);
struct copy_source *copy_new_source(struct copy_step *c, struct err *e); /* or NULL: too many */

/* --- build_copy_remote.c: ADD of what is elsewhere --- */
bool copy_is_remote(const char *written); /* a URL or a repository */
/* A URL is downloaded, of a repository the commit is found out. */
int copy_add_remote(struct copy_step *c, const char *written, struct err *e);
/* The files of a repository, which are fetched now, into dir of the root. */
int copy_git(struct copy_step *c, const struct copy_source *s, int root_fd, const char *dir,
	const struct copy_options *o, struct err *e);
