/* export, diff, commit: what a container has become. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "codec/ref.h"
#include "wherry/download.h"
#include "wherry/commit.h"
#include "wherry/engine.h"
#include "wherry/flags.h"

/* --- export --- */

int command_export(struct cli *cli, int argc, char **argv)
{
	const char *output = NULL;
	const struct flag flags[] = {
		{"output", 'o', FLAG_STRING, &output, NULL, "Write to a file, instead of STDOUT"},
		{0},
	};
	const struct syntax s = {"export", "[OPTIONS] CONTAINER",
		"Export a container's filesystem as a tar archive", 1, 1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	struct err e;
	if (status >= 0) {
		return status;
	}
	scoped(buf) struct buf path = BUF_INIT;
	path_add(&path, "/containers/", argv[1], "/export");
	return download_check(output, &e) < 0 || download(cli, buf_str(&path), output,
							 "failed to export container", &e) < 0
		       ? cli_fail(&e)
		       : 0;
}

/* --- diff --- */

int command_diff(struct cli *cli, int argc, char **argv)
{
	static const char letters[] = "CAD";
	const struct flag flags[] = {{0}};
	const struct syntax s = {"diff", "CONTAINER",
		"Inspect changes to files or directories on a container's filesystem", 1, 1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	struct err e;
	json_t *answer = NULL;
	if (status >= 0) {
		return status;
	}
	if (engine_on(cli, "GET", "/containers/", argv[1], "/changes", &answer, &e) < 0) {
		return cli_fail(&e);
	}
	scoped(json) json_t *changes = answer;
	size_t i;
	json_t *change;
	json_array_foreach (changes, i, change) {
		int64_t kind = json_i64(change, "Kind", 0);
		printf("%c %s\n", kind >= 0 && kind <= 2 ? letters[kind] : '?',
			json_str(change, "Path"));
	}
	return 0;
}

/* --- commit --- */

int commit_container(struct cli *cli, const struct commit_options *o, const char *container,
	const char *reference, char **ret_id, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	scoped(json) json_t *answer = NULL;
	struct ref ref;
	char name[REF_TEXT_MAX];
	buf_puts(&path, "/commit");
	path_query(&path, "container", container);
	if (reference) {
		if (ref_parse(reference, &ref, e) < 0) {
			return -1;
		}
		path_query(&path, "repo", ref_familiar_name(&ref, name));
		path_query(&path, "tag", *ref.tag ? ref.tag : NULL);
	}
	path_query(&path, "author", o->author);
	path_query(&path, "comment", o->message);
	path_query(&path, "pause", o->pause ? NULL : "0");
	for (size_t i = 0; i < o->changes.n; i++) {
		path_query(&path, "changes", o->changes.v[i]);
	}
	if (engine_json(cli, "POST", buf_str(&path), NULL, &answer, e) < 0) {
		return -1;
	}
	*ret_id = xstrdup(json_str(answer, "Id"));
	return 0;
}

int command_commit(struct cli *cli, int argc, char **argv)
{
	struct commit_options o = {.pause = true};
	scoped(free) char *id = NULL;
	struct err e;
	const struct flag flags[] = {
		{"author", 'a', FLAG_STRING, &o.author, NULL,
			"Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")"},
		{"change", 'c', FLAG_LIST, &o.changes, NULL,
			"Apply Dockerfile instruction to the created image"},
		{"message", 'm', FLAG_STRING, &o.message, NULL, "Commit message"},
		{"pause", 'p', FLAG_BOOL, &o.pause, NULL, "Pause container during commit"},
		{0},
	};
	const struct syntax s = {"commit", "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
		"Create a new image from a container's changes", 1, 2, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status < 0) {
		status = commit_container(cli, &o, argv[1], argc > 2 ? argv[2] : NULL, &id, &e) < 0
				 ? cli_fail(&e)
				 : (printf("%s\n", id), 0);
	}
	strv_deinit(&o.changes);
	return status;
}
