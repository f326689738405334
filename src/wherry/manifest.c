/* manifest inspect, create, annotate, rm: docker's words and rules (docker/cli
 * cli/command/manifest). */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/flags.h"
#include "wherry/manifest.h"
#include "wherry/manifest_store.h"
#include "wherry/manifest_text.h"
#include "wherry/manifest_worker.h"

int manifest_ref(const char *text, struct ref *ret, struct err *e)
{
	if (ref_parse(text, ret, e) < 0) {
		return -1;
	}
	ref_default_tag(ret);
	return 0;
}

/* --- inspect --- */

static void print(const struct buf *text)
{
	printf("%s\n", buf_str(text));
}

static int print_one(const json_t *doc, bool verbose, struct err *e)
{
	scoped(buf) struct buf exact = BUF_INIT;
	scoped(buf) struct buf text = BUF_INIT;
	if (verbose) {
		manifest_print(doc, "\t", &text);
	} else if (*json_str(doc, "Raw")) {
		if (manifest_exact(doc, &exact, e) < 0) {
			return -1;
		}
		manifest_indent(buf_str(&exact), exact.len, "\t", &text);
	} else {
		manifest_print(manifest_of(doc, NULL), "\t", &text);
	}
	print(&text);
	return 0;
}

static int print_list(const struct ref *ref, const json_t *docs, bool verbose, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	const char *type;
	if (verbose) {
		manifest_print(docs, "\t", &text);
	} else if (manifest_list_text(ref, docs, &text, &type, e) < 0) {
		return err_wrap(e, "failed to assemble ManifestDescriptor");
	}
	print(&text);
	return 0;
}

static int inspect_remote(
	struct cli *cli, const struct ref *ref, bool verbose, bool insecure, struct err *e)
{
	scoped(json) json_t *docs = json_array();
	scoped(json) json_t *found =
		manifest_worker_ask(cli, "get", ref, insecure, NULL, NULL, NULL, e);
	size_t i;
	json_t *one;
	if (!found) {
		return -1;
	}
	json_array_foreach (json_object_get(found, "manifests"), i, one) {
		json_t *doc = manifest_document(one, e);
		if (!doc) {
			return -1;
		}
		json_array_append_new(docs, doc);
	}
	return json_bool(found, "list") ? print_list(ref, docs, verbose, e)
					: print_one(json_array_get(docs, 0), verbose, e);
}

static int inspect(struct cli *cli, const char *list, const char *name, bool verbose, bool insecure,
	struct err *e)
{
	struct ref ref, list_ref;
	if (manifest_ref(name, &ref, e) < 0 || (list && manifest_ref(list, &list_ref, e) < 0)) {
		return -1;
	}
	if (list) {
		scoped(json) json_t *doc = manifest_store_get(cli, &list_ref, &ref, e);
		return doc ? print_one(doc, verbose, e) : -1;
	}
	scoped(json) json_t *docs = manifest_store_list(cli, &ref, e);
	return docs ? print_list(&ref, docs, verbose, e)
		    : inspect_remote(cli, &ref, verbose, insecure, e);
}

#define INSECURE_FLAG                                                   \
	{                                                               \
		"insecure", 0, FLAG_BOOL, &insecure, NULL,              \
			"Allow communication with an insecure registry" \
	}

int command_manifest_inspect(struct cli *cli, int argc, char **argv)
{
	bool insecure = false;
	bool verbose = false;
	const struct flag flags[] = {
		INSECURE_FLAG,
		{"verbose", 'v', FLAG_BOOL, &verbose, NULL,
			"Output additional info including layers and platform"},
		{0},
	};
	const struct syntax s = {"manifest inspect", "[OPTIONS] [MANIFEST_LIST] MANIFEST",
		"Display an image manifest, or manifest list", 1, 2, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	const char *list = argc > 2 ? argv[1] : NULL;
	return inspect(cli, list, argv[argc - 1], verbose, insecure, &e) < 0 ? cli_fail(&e) : 0;
}

/* --- create --- */

/* What the list has already is not fetched again, unless docker kept it without its exact text. */
static int add_manifest(
	struct cli *cli, const struct ref *list, const char *name, bool insecure, struct err *e)
{
	struct ref ref;
	char canonical[REF_TEXT_MAX];
	if (manifest_ref(name, &ref, e) < 0) {
		return -1;
	}
	scoped(json) json_t *doc = manifest_store_get(cli, list, &ref, e);
	if (!doc && e->kind != ERR_NOT_FOUND) {
		return -1;
	}
	if (!doc || !*json_str(doc, "Raw")) {
		scoped(json) json_t *found =
			manifest_worker_ask(cli, "get", &ref, insecure, NULL, NULL, NULL, e);
		if (!found) {
			return -1;
		}
		if (json_bool(found, "list")) {
			return err_set(e, ERR_INVALID, "%s is a manifest list",
				ref_canonical(&ref, canonical));
		}
		json_decref(doc);
		doc = manifest_document(json_array_get(json_object_get(found, "manifests"), 0), e);
	}
	return doc ? manifest_store_save(cli, list, &ref, doc, e) : -1;
}

static int create(struct cli *cli, char **names, int n, bool amend, bool insecure, struct err *e)
{
	struct ref list;
	char canonical[REF_TEXT_MAX];
	if (manifest_ref(names[0], &list, e) < 0) {
		return err_wrap(e, "error parsing name for manifest list %s", names[0]);
	}
	scoped(json) json_t *before = manifest_store_list(cli, &list, e);
	if (!before && e->kind != ERR_NOT_FOUND) {
		return -1;
	}
	if (before && !amend) {
		return err_set(e, ERR_CONFLICT,
			"refusing to amend an existing manifest list with no --amend flag");
	}
	for (int i = 1; i < n; i++) {
		if (add_manifest(cli, &list, names[i], insecure, e) < 0) {
			return -1;
		}
	}
	printf("Created manifest list %s\n", ref_canonical(&list, canonical));
	return 0;
}

int command_manifest_create(struct cli *cli, int argc, char **argv)
{
	bool insecure = false;
	bool amend = false;
	const struct flag flags[] = {
		{"amend", 'a', FLAG_BOOL, &amend, NULL, "Amend an existing manifest list"},
		INSECURE_FLAG,
		{0},
	};
	const struct syntax s = {"manifest create", "MANIFEST_LIST MANIFEST [MANIFEST...]",
		"Create a local manifest list for annotating and pushing to a registry", 2, -1,
		false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	return create(cli, argv + 1, argc - 1, amend, insecure, &e) < 0 ? cli_fail(&e) : 0;
}

/* --- annotate --- */

struct annotation {
	const char *os, *arch, *os_version, *variant;
	struct strv os_features;
};

static bool is_known_platform(const char *os, const char *arch)
{
	/* docker's: what Go's compiler makes programs for */
	static const char *const known[] = {"darwin/386", "darwin/amd64", "darwin/arm",
		"darwin/arm64", "dragonfly/amd64", "freebsd/386", "freebsd/amd64", "freebsd/arm",
		"linux/386", "linux/amd64", "linux/arm", "linux/arm64", "linux/ppc64le",
		"linux/mips64", "linux/mips64le", "linux/riscv64", "linux/s390x", "netbsd/386",
		"netbsd/amd64", "netbsd/arm", "openbsd/386", "openbsd/amd64", "openbsd/arm",
		"plan9/386", "plan9/amd64", "solaris/amd64", "windows/386", "windows/amd64"};
	scoped(free) char *both = xasprintf("%s/%s", os, arch);
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (strcmp(known[i], both) == 0) {
			return true;
		}
	}
	return false;
}

static void put_given(json_t *platform, const char *key, const char *value)
{
	if (value && *value) {
		json_put_str(platform, key, value);
	}
}

static void add_features(json_t *platform, const struct strv *lists)
{
	scoped(strv) struct strv all = STRV_INIT;
	struct err ignored;
	(void)json_get_strv(platform, "os.features", &all, &ignored);
	for (size_t i = 0; i < lists->n; i++) {
		scoped(strv) struct strv parts = STRV_INIT;
		strv_split(&parts, lists->v[i], ',');
		for (size_t k = 0; k < parts.n; k++) {
			if (!strv_has(&all, parts.v[k])) {
				strv_add(&all, parts.v[k]);
			}
		}
	}
	if (all.n > 0) {
		json_put(platform, "os.features", json_strv(&all));
	}
}

static int annotate(struct cli *cli, const struct annotation *a, const char *list_name,
	const char *name, struct err *e)
{
	struct ref list, ref;
	if (manifest_ref(list_name, &list, e) < 0) {
		return err_wrap(e, "annotate: error parsing name for manifest list %s", list_name);
	}
	if (manifest_ref(name, &ref, e) < 0) {
		return err_wrap(e, "annotate: error parsing name for manifest %s", name);
	}
	scoped(json) json_t *doc = manifest_store_get(cli, &list, &ref, e);
	if (!doc) {
		return e->kind != ERR_NOT_FOUND
			       ? -1
			       : err_set(e, ERR_NOT_FOUND,
					 "manifest for image %s does not exist in %s", name,
					 list_name);
	}
	json_t *descriptor = json_object_get(doc, "Descriptor");
	scoped(json) json_t *platform = manifest_platform(json_object_get(descriptor, "platform"));
	put_given(platform, "os", a->os);
	put_given(platform, "architecture", a->arch);
	put_given(platform, "variant", a->variant);
	put_given(platform, "os.version", a->os_version);
	add_features(platform, &a->os_features);
	json_put(descriptor, "platform", manifest_platform(platform));
	if (!is_known_platform(json_str(platform, "os"), json_str(platform, "architecture"))) {
		return err_set(e, ERR_INVALID,
			"manifest entry for image has unsupported os/arch combination: %s/%s",
			a->os ? a->os : "", a->arch ? a->arch : "");
	}
	return manifest_store_save(cli, &list, &ref, doc, e);
}

int command_manifest_annotate(struct cli *cli, int argc, char **argv)
{
	struct annotation a = {0};
	const struct flag flags[] = {
		{"arch", 0, FLAG_STRING, &a.arch, NULL, "Set architecture"},
		{"os", 0, FLAG_STRING, &a.os, NULL, "Set operating system"},
		{"os-features", 0, FLAG_LIST, &a.os_features, "strings",
			"Set operating system feature"},
		{"os-version", 0, FLAG_STRING, &a.os_version, NULL, "Set operating system version"},
		{"variant", 0, FLAG_STRING, &a.variant, NULL, "Set architecture variant"},
		{0},
	};
	const struct syntax s = {"manifest annotate", "[OPTIONS] MANIFEST_LIST MANIFEST",
		"Add additional information to a local image manifest", 2, 2, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status < 0) {
		struct err e;
		status = annotate(cli, &a, argv[1], argv[2], &e) < 0 ? cli_fail(&e) : 0;
	}
	strv_deinit(&a.os_features);
	return status;
}

/* --- rm --- */

static int remove_list(struct cli *cli, const char *name, struct err *e)
{
	struct ref list;
	if (manifest_ref(name, &list, e) < 0) {
		return -1;
	}
	scoped(json) json_t *docs = manifest_store_list(cli, &list, e);
	return docs ? manifest_store_remove(cli, &list, e) : -1;
}

int command_manifest_rm(struct cli *cli, int argc, char **argv)
{
	const struct flag flags[] = {{0}};
	const struct syntax s = {"manifest rm", "MANIFEST_LIST [MANIFEST_LIST...]",
		"Delete one or more manifest lists from local storage", 1, -1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	status = 0;
	for (int i = 1; i < argc; i++) {
		struct err e;
		status |= remove_list(cli, argv[i], &e) < 0 ? cli_fail(&e) : 0;
	}
	return status;
}
