/* rmi, tag */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "codec/ref.h"
#include "wherry/engine.h"
#include "wherry/flags.h"

static void print_changes(const json_t *changes)
{
	for (size_t i = 0; i < json_array_size(changes); i++) {
		const json_t *c = json_array_get(changes, i);
		if (*json_str(c, "Deleted")) {
			printf("Deleted: %s\n", json_str(c, "Deleted"));
		} else {
			printf("Untagged: %s\n", json_str(c, "Untagged"));
		}
	}
}

int command_rmi(struct cli *cli, int argc, char **argv)
{
	bool force = false;
	bool no_prune = false;
	const struct flag flags[] = {
		{"force", 'f', FLAG_BOOL, &force, NULL, "Force removal of the image"},
		{"no-prune", 0, FLAG_BOOL, &no_prune, NULL, "Do not delete untagged parents"},
		{0},
	};
	const struct syntax s = {
		"rmi", "[OPTIONS] IMAGE [IMAGE...]", "Remove one or more images", 1, -1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	scoped(strv) struct strv failures = STRV_INIT;
	status = 0;
	for (int i = 1; i < argc; i++) {
		struct err e;
		scoped(json) json_t *changes = NULL;
		scoped(buf) struct buf path = BUF_INIT;
		path_add(&path, "/images/", argv[i], "");
		path_query(&path, "force", force ? "1" : NULL);
		path_query(&path, "noprune", no_prune ? "1" : NULL);
		if (engine_json(cli, "DELETE", buf_str(&path), NULL, &changes, &e) == 0) {
			print_changes(changes);
		} else {
			strv_add(&failures, e.msg);
			status = !force || e.kind != ERR_NOT_FOUND ? 1 : status;
		}
	}
	fflush(stdout); /* as docker: what went first, what did not at the end */
	for (size_t i = 0; i < failures.n; i++) {
		fprintf(stderr, "%s\n", failures.v[i]);
	}
	return status;
}

int command_tag(struct cli *cli, int argc, char **argv)
{
	const struct flag flags[] = {{0}};
	const struct syntax s = {"tag", "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
		"Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", 2, 2, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	struct ref ref;
	char name[REF_TEXT_MAX];
	if (ref_parse(argv[2], &ref, &e) < 0) {
		err_wrap(&e, "Error parsing reference: \"%s\" is not a valid repository/tag",
			argv[2]);
		return cli_fail(&e);
	}
	if (*ref.digest) {
		err_set(&e, ERR_INVALID, "refusing to create a tag with a digest reference");
		return cli_fail(&e);
	}
	ref_default_tag(&ref);
	scoped(buf) struct buf path = BUF_INIT;
	path_add(&path, "/images/", argv[1], "/tag");
	path_query(&path, "repo", ref_familiar_name(&ref, name));
	path_query(&path, "tag", ref.tag);
	return engine_json(cli, "POST", buf_str(&path), NULL, NULL, &e) < 0 ? cli_fail(&e) : 0;
}
