#include "worker/build_annotations.h"

#include <ctype.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "oci/platform.h"

static const char *const image_kinds[] = {"manifest", "manifest-descriptor"};
static const char *const index_kinds[] = {"index", "index-descriptor"};

/* The name of an attribute in its parts. */
struct annotation_name {
	char *kind;
	char *platform;  /* "" for all */
	const char *key; /* in the name */
};

static void scoped_annotation_name(struct annotation_name *n)
{
	free(n->kind);
	free(n->platform);
}

/* How many bytes from p on are of the set. */
static size_t span(const char *p, const char *more, bool upper)
{
	size_t n = 0;
	while (islower((unsigned char)p[n]) || (p[n] && strchr(more, p[n])) ||
		(upper && isalnum((unsigned char)p[n]))) {
		n++;
	}
	return n;
}

static bool read_name(const char *name, struct annotation_name *ret)
{
	static const char prefix[] = "annotation";
	const char *p = name + strlen(prefix);
	if (!text_starts(name, prefix)) {
		return false;
	}
	size_t n = *p == '-' ? span(p + 1, "-", false) : 0;
	ret->kind = n ? xstrndup(p + 1, n) : xstrdup("manifest");
	p += n ? n + 1 : 0;
	n = *p == '[' ? span(p + 1, "_/-", true) : 0;
	bool bracket = n && p[n + 1] == ']';
	ret->platform = bracket ? xstrndup(p + 1, n) : xstrdup("");
	p += bracket ? n + 2 : 0;
	ret->key = p + 1;
	return *p == '.' && p[1] && !strpbrk(p + 1, " \t\r\n\f\v");
}

static bool is_kind(const char *kind, const char *const *kinds)
{
	return strcmp(kind, kinds[0]) == 0 || strcmp(kind, kinds[1]) == 0;
}

static bool is_same(const struct platform *a, const char *text)
{
	struct platform b;
	struct err ignored;
	return platform_parse(text, &b, &ignored) == 0 && strcmp(a->os, b.os) == 0 &&
	       strcmp(a->arch, b.arch) == 0 && strcmp(a->variant, b.variant) == 0;
}

struct targets {
	const char *const *platforms;
	size_t n;
	json_t *common, *images;
};

static int put(
	const struct targets *t, const struct annotation_name *name, json_t *value, struct err *e)
{
	struct platform wanted;
	bool found = !*name->platform;
	if (*name->platform && platform_parse(name->platform, &wanted, e) < 0) {
		return -1;
	}
	if (is_kind(name->kind, index_kinds)) {
		json_put(json_object_get(t->common, name->kind), name->key, json_incref(value));
	} else if (!is_kind(name->kind, image_kinds)) {
		return err_set(e, ERR_INVALID, "unrecognized annotation type %.40s", name->kind);
	}
	for (size_t k = 0; k < t->n; k++) {
		bool own = *name->platform && is_same(&wanted, t->platforms[k]);
		found = found || own;
		json_t *kind = json_object_get(json_array_get(t->images, k), name->kind);
		/* what is said of one platform goes before what is said of all */
		if (kind && (own || (!*name->platform && !json_object_get(kind, name->key)))) {
			json_put(kind, name->key, json_incref(value));
		}
	}
	return found ? 0
		     : err_set(e, ERR_INVALID,
			       "invalid annotation: no platform %.80s found in source",
			       name->platform);
}

int build_annotations(const json_t *attrs, const char *const *platforms, size_t n,
	json_t **ret_common, json_t **ret_images, struct err *e)
{
	scoped(json) json_t *common = json_pack("{s{} s{}}", index_kinds[0], index_kinds[1]);
	scoped(json) json_t *images = json_array();
	const struct targets t = {platforms, n, common, images};
	const char *text;
	json_t *value;
	for (size_t k = 0; k < n; k++) {
		json_array_append_new(
			images, json_pack("{s{} s{}}", image_kinds[0], image_kinds[1]));
	}
	json_object_foreach ((json_t *)attrs, text, value) {
		scoped(annotation_name) struct annotation_name name = {0};
		if (read_name(text, &name) && put(&t, &name, value, e) < 0) {
			return -1;
		}
	}
	*ret_common = TAKE(common);
	*ret_images = TAKE(images);
	return 0;
}
