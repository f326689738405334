/* compose/loader.h - what the parts of the loader share; for src/compose only. */
#pragma once
#include "compose/env.h"
#include "compose/load.h"

#define LOAD_DEPTH_MAX 32

struct loader {
	const struct load_options *o;
	struct tree *t;
	struct env *env; /* process environment over .env */
	struct strv *warnings;
	struct strv *unset;           /* variables without a value */
	const struct open_file *open; /* document.c: what is being loaded */
	int depth;                    /* of includes */
	size_t files;
	struct err *e;
};

/* files.c: reads o's files. */
struct sources {
	struct strv paths; /* as errors name them; "-" for standard input */
	char *dir;         /* absolute: relative paths are from here */
};
void sources_deinit(struct sources *s);
static inline void scoped_sources(struct sources *s)
{
	sources_deinit(s);
}
/* Where the files are, with .env read into l->env on the way. */
int sources_find(struct loader *l, struct sources *ret);
int load_dotenv(struct loader *l, const char *path, bool required);
/* Reads a file or fails with a sentence, in which it is called name; at is where it was asked for
 * (NULL: the command line). */
/* What -EFBIG means: text ends where the limit is. */
int load_fail_size(struct loader *l, const char *name, const struct buf *text);
int load_read(struct loader *l, const char *path, const char *name, const struct node *at,
	struct buf *ret);

/* document.c: a file with everything it includes and extends, canonical, with absolute paths. NULL
 * with *e. */
struct node *document_load(
	struct loader *l, const char *path, const char *dir, const struct node *at);
/* The `name:` of a file without loading it, and FILE:LINE:COLUMN of it; NULL when it has none or
 * does not parse (document_load will say why). */
char *document_name(struct loader *l, const char *path, char **ret_place);

/* paths.c */
/* A build without a context is of dir itself. */
void default_context(struct loader *l, struct node *service, const char *dir);
void absolute_service(struct loader *l, struct node *service, const char *dir);
void absolute_project(struct loader *l, struct node *root, const char *dir);
char *absolute_path(struct loader *l, const char *path, const char *dir); /* the tree's */

/* normalise.c: profiles, defaults, names, implied dependencies, environment; then every reference
 * is checked. */
int normalise(struct loader *l, struct project *p);

/* decode.c: root to the typed part of p. */
int decode_project(struct loader *l, struct project *p);
