/* compose/load.h - compose files to a project.
 *
 * Finds the files, reads .env, interpolates, checks, applies include and extends, merges several
 * files, and fills in what the specification implies. Nothing is created on the machine and no
 * engine is asked. Every failure that a file causes begins with FILE:LINE:COLUMN and says what was
 * expected.
 */
#pragma once
#include "base/buf.h"
#include "base/strv.h"
#include "compose/model.h"

/* Reads a file of at most limit bytes: 0 or -errno. "-" is standard input. With -EFBIG the first
 * limit bytes are in *ret, so that it can be said where they end. */
typedef int load_read_fn(void *owner, const char *path, size_t limit, struct buf *ret);

struct load_options {
	const struct strv *files;     /* -f */
	const struct strv *env_files; /* --env-file */
	const struct strv *profiles;  /* --profile */
	const struct strv *services; /* named on the command line: active whatever their profiles */
	const char *project_name;    /* -p; NULL */
	const char *project_directory; /* NULL */
	const char *cwd;               /* absolute */
	char *const *environment;
	struct strv *warnings; /* takes the warnings of a load that failed; NULL */
	load_read_fn *read;
	void *owner;
	/* no interpolation: what is loaded can be printed, but has no typed services */
	bool keep_variables;
	/* `config`: what only matters when something is started is no error, and optional
	 * dependencies on disabled services stay */
	bool only_show;
	bool all_resources; /* networks and volumes that no service uses are kept */
	bool no_normalise, no_paths, no_consistency; /* its --no-... flags */
};

struct project *project_load(const struct load_options *o, struct err *e); /* NULL with *e */

/* The name that `compose` gives to a project in a directory: lower case, letters, digits, '-' and
 * '_'. The caller's. */
char *project_normalise_name(const char *text);
