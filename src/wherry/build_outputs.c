/* -o, --push and --load: which exporters, and where their results go. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wherry/build_request.h"
#include "wherry/specs.h"

/* One -o. */
struct output {
	char *type, *dest;
	json_t *attrs;
	bool push;
};

static void output_deinit(struct output *o)
{
	free(o->type);
	free(o->dest);
	json_decref(o->attrs);
}

static void add_dest(struct build_request *r, const char *path, bool tree)
{
	r->dests = xrealloc(r->dests, r->n_dests + 1, sizeof(*r->dests));
	r->dests[r->n_dests++] =
		(struct build_dest){json_array_size(r->exports), xstrdup(path), tree};
}

static bool is_true(const char *text)
{
	return strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
}

static bool is_false(const char *text)
{
	return strcmp(text, "false") == 0 || strcmp(text, "0") == 0;
}

static int read_field(struct output *o, char *field, struct err *e)
{
	char *equal = strchr(field, '=');
	if (!equal) {
		return err_set(e, ERR_INVALID, "invalid value %s", field);
	}
	*equal = '\0';
	const char *value = equal + 1;
	if (strcmp(field, "type") == 0) {
		free(o->type);
		o->type = xstrdup(value);
	} else if (strcmp(field, "dest") == 0) {
		free(o->dest);
		o->dest = xstrdup(value);
	} else if (strcmp(field, "push") == 0) {
		o->push = is_true(value);
	} else {
		json_put_str(o->attrs, field, value);
	}
	return 0;
}

/* "dir" is type=local,dest=dir; "-" is type=tar,dest=-. */
static int read_output(const char *text, struct output *o, struct err *e)
{
	scoped(strv) struct strv fields = STRV_INIT;
	if (spec_csv(text, &fields, e) < 0) {
		return -1;
	}
	if (fields.n == 1 && !strchr(text, '=')) {
		o->type = xstrdup(strcmp(text, "-") == 0 ? "tar" : "local");
		o->dest = xstrdup(text);
		return 0;
	}
	for (size_t i = 0; i < fields.n; i++) {
		if (read_field(o, fields.v[i], e) < 0) {
			return -1;
		}
	}
	return o->type ? 0 : err_set(e, ERR_INVALID, "type is required for output");
}

static int check_file(const struct output *o, struct err *e)
{
	struct stat st;
	const char *dest = o->dest ? o->dest : "-";
	if (strcmp(dest, "-") == 0 && isatty(STDOUT_FILENO)) {
		return err_set(e, ERR_INVALID,
			"dest file is required for %s exporter. refusing to write to console",
			o->type);
	}
	if (strcmp(dest, "-") != 0 && stat(dest, &st) == 0 && S_ISDIR(st.st_mode)) {
		return err_set(e, ERR_INVALID, "destination file \"%s\" is a directory", dest);
	}
	return 0;
}

static void add_names(json_t *attrs, const struct strv *tags)
{
	scoped(buf) struct buf text = BUF_INIT;
	for (size_t i = 0; i < tags->n; i++) {
		buf_printf(&text, "%s%s", i > 0 ? "," : "", tags->v[i]);
	}
	if (text.len > 0 && !*json_str(attrs, "name")) {
		json_put_str(attrs, "name", buf_str(&text));
	}
}

/* "manifest", "manifest-descriptor[linux/arm64]". */
static int check_annotation_type(const char *text, struct err *e)
{
	static const char *const known[] = {
		"manifest", "index", "manifest-descriptor", "index-descriptor"};
	size_t n = strcspn(text, "[");
	size_t end = strlen(text);
	if (text[n] && (text[end - 1] != ']' || end - n < 3)) {
		return err_set(e, ERR_INVALID,
			"invalid annotation type \"%s\", expected type and optional platform in square brackets",
			text);
	}
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (strlen(known[i]) == n && strncmp(known[i], text, n) == 0) {
			return 0;
		}
	}
	return err_set(e, ERR_INVALID, "unknown annotation type \"%.*s\"", (int)n, text);
}

/* "[TYPE[[PLATFORM]]:]key=value", TYPE a list of manifest, index, manifest-descriptor,
 * index-descriptor. */
static int add_annotation(const char *text, json_t *attrs, struct err *e)
{
	const char *equal = strchr(text, '=');
	const char *colon = strchr(text, ':');
	if (!equal) {
		return err_set(
			e, ERR_INVALID, "invalid annotation \"%s\", expected key=value", text);
	}
	scoped(strv) struct strv types = STRV_INIT;
	if (colon && colon < equal) {
		scoped(free) char *list = xstrndup(text, (size_t)(colon - text));
		strv_split(&types, list, ',');
		text = colon + 1;
	} else {
		strv_add(&types, "manifest");
	}
	for (size_t i = 0; i < types.n; i++) {
		bool plain = strcmp(types.v[i], "manifest") == 0;
		if (check_annotation_type(types.v[i], e) < 0) {
			return -1;
		}
		scoped(free) char *key = xasprintf("annotation%s%s.%.*s", plain ? "" : "-",
			plain ? "" : types.v[i], (int)(equal - text), text);
		json_put_str(attrs, key, equal + 1);
	}
	return 0;
}

/* An image for the engine itself. The exporter of its own store is "moby"; several platforms, or
 * words that only the other one knows, need "image". */
static int add_image(
	struct build_request *r, const struct build_options *o, struct output *out, struct err *e)
{
	bool as_image = o->annotations.n > 0 || o->platforms.n > 1 ||
			(o->platforms.n == 1 && strchr(o->platforms.v[0], ','));
	if (out->push && !*json_str(out->attrs, "name")) {
		return err_set(e, ERR_INVALID, "tag is needed when pushing to registry");
	}
	if (out->push && as_image) {
		json_put_str(out->attrs, "push", "true");
	} else if (out->push) {
		strv_split(&r->push_names, json_str(out->attrs, "name"), ',');
	}
	free(out->type);
	out->type = xstrdup(as_image ? "image" : "moby");
	return 0;
}

static int add_output(
	struct build_request *r, const struct build_options *o, struct output *out, struct err *e)
{
	bool image = strcmp(out->type, "image") == 0 || strcmp(out->type, "registry") == 0 ||
		     strcmp(out->type, "moby") == 0 ||
		     (strcmp(out->type, "docker") == 0 && !out->dest);
	bool archive = !image && (strcmp(out->type, "tar") == 0 || strcmp(out->type, "oci") == 0 ||
					 strcmp(out->type, "docker") == 0);
	bool tree = strcmp(out->type, "local") == 0;
	out->push = out->push || strcmp(out->type, "registry") == 0;
	if (image || (archive && strcmp(out->type, "tar") != 0)) {
		add_names(out->attrs, &o->tags);
		for (size_t i = 0; i < o->annotations.n; i++) {
			if (add_annotation(o->annotations.v[i], out->attrs, e) < 0) {
				return -1;
			}
		}
	}
	if (tree && !out->dest) {
		return err_set(e, ERR_INVALID, "dest is required for local output");
	}
	bool layout = archive && is_false(json_str(out->attrs, "tar"));
	if (layout && (!out->dest || strcmp(out->dest, "-") == 0)) {
		return err_set(
			e, ERR_INVALID, "dest is required for %s output with tar=false", out->type);
	}
	if ((image && add_image(r, o, out, e) < 0) ||
		(archive && !layout && check_file(out, e) < 0)) {
		return -1;
	}
	if (layout && build_request_export(r, out->dest, e) < 0) {
		return -1;
	}
	if (tree || (archive && !layout)) {
		add_dest(r, out->dest ? out->dest : "-", tree);
	}
	json_array_append_new(
		r->exports, json_pack("{s:s,s:O}", "type", out->type, "attrs", out->attrs));
	return 0;
}

int build_request_outputs(struct build_request *r, const struct build_options *o, struct err *e)
{
	struct strv texts = STRV_INIT;
	int result = 0;
	if (*json_str(r->attrs, "requestid")) {
		return 0; /* nothing is built */
	}
	strv_copy(&texts, &o->outputs);
	if (o->push) {
		strv_add(&texts, "type=registry");
	}
	if (texts.n == 0 || (o->load && !o->push)) { /* pushing loads as well */
		strv_add(&texts, "type=docker");
	}
	for (size_t i = 0; i < texts.n && result == 0; i++) {
		struct output out = {.attrs = json_object()};
		result = read_output(texts.v[i], &out, e);
		result = result == 0 ? add_output(r, o, &out, e) : -1;
		output_deinit(&out);
	}
	strv_deinit(&texts);
	return result;
}
