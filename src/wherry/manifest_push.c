/* manifest push */
#include "wherry/manifest.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "wherry/flags.h"
#include "wherry/manifest_store.h"
#include "wherry/manifest_text.h"
#include "wherry/manifest_worker.h"

#define OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"

/* The order of members is docker's (distribution manifest/manifestlist): digests are of it. */
static json_t *list_entry(const json_t *doc)
{
	const json_t *d = json_object_get(doc, "Descriptor");
	return json_pack("{ss sI ss so}", "mediaType", json_str(d, "mediaType"), "size",
		(json_int_t)json_i64(d, "size", 0), "digest", json_str(d, "digest"), "platform",
		manifest_platform(json_object_get(d, "platform")));
}

static int check_entry(const struct ref *ref, const json_t *doc, struct ref *ret, struct err *e)
{
	if (ref_parse(json_str(doc, "Ref"), ret, e) < 0) {
		return -1;
	}
	if (strcmp(ret->domain, ref->domain) != 0) {
		return err_set(e, ERR_INVALID,
			"cannot use source images from a different registry than the target image: %s != %s",
			ret->domain, ref->domain);
	}
	return ref_is_digest(json_str(json_object_get(doc, "Descriptor"), "digest"))
		       ? 0
		       : err_set(e, ERR_INVALID, "digest parse of image \"%s\" failed",
				 json_str(doc, "Ref"));
}

int manifest_list_text(const struct ref *ref, const json_t *docs, struct buf *ret,
	const char **ret_type, struct err *e)
{
	scoped(json) json_t *entries = json_array();
	const json_t *first = json_object_get(json_array_get(docs, 0), "Descriptor");
	size_t i;
	json_t *doc;
	json_array_foreach (docs, i, doc) {
		struct ref ignored;
		if (check_entry(ref, doc, &ignored, e) < 0) {
			return -1;
		}
		json_array_append_new(entries, list_entry(doc));
	}
	*ret_type =
		strcmp(json_str(first, "mediaType"), OCI_MANIFEST) == 0 ? OCI_INDEX : DOCKER_LIST;
	scoped(json) json_t *list = json_pack(
		"{si ss sO}", "schemaVersion", 2, "mediaType", *ret_type, "manifests", entries);
	manifest_print(list, "   ", ret);
	return 0;
}

/* What the list's repository needs of another one: all blobs, then the manifest. */
static int add_foreign(
	const struct ref *ref, const json_t *doc, json_t *blobs, json_t *manifests, struct err *e)
{
	struct ref from;
	scoped(buf) struct buf text = BUF_INIT;
	const json_t *d = json_object_get(doc, "Descriptor");
	const json_t *m = manifest_of(doc, NULL);
	/* layers of Windows may be where no registry has them */
	bool may_miss = strcmp(json_str(json_object_get(d, "platform"), "os"), "windows") == 0;
	if (check_entry(ref, doc, &from, e) < 0) {
		return -1;
	}
	if (strcmp(from.path, ref->path) == 0) {
		return 0;
	}
	if (manifest_exact(doc, &text, e) < 0) {
		return -1;
	}
	size_t i;
	json_t *layer;
	json_array_append_new(blobs,
		json_pack("{ss ss sb}", "from", from.path, "digest",
			json_str(json_object_get(m, "config"), "digest"), "may_miss", may_miss));
	json_array_foreach (json_object_get(m, "layers"), i, layer) {
		json_array_append_new(
			blobs, json_pack("{ss ss sb}", "from", from.path, "digest",
				       json_str(layer, "digest"), "may_miss", may_miss));
	}
	json_array_append_new(manifests,
		json_pack("{ss ss so}", "digest", json_str(d, "digest"), "mediaType",
			json_str(d, "mediaType"), "text", json_stringn(buf_str(&text), text.len)));
	return 0;
}

static int check_platforms(const json_t *docs, struct err *e)
{
	size_t i;
	json_t *doc;
	json_array_foreach (docs, i, doc) {
		const json_t *p = json_object_get(json_object_get(doc, "Descriptor"), "platform");
		if (!*json_str(p, "os") || !*json_str(p, "architecture")) {
			return err_set(e, ERR_INVALID,
				"manifest %s must have an OS and Architecture to be pushed to a registry",
				json_str(doc, "Ref"));
		}
	}
	return 0;
}

static json_t *make_request(const struct ref *ref, const json_t *docs, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(json) json_t *blobs = json_array();
	scoped(json) json_t *manifests = json_array();
	const char *type;
	size_t i;
	json_t *doc;
	if (check_platforms(docs, e) < 0 || manifest_list_text(ref, docs, &text, &type, e) < 0) {
		return NULL;
	}
	json_array_foreach (docs, i, doc) {
		if (add_foreign(ref, doc, blobs, manifests, e) < 0) {
			return NULL;
		}
	}
	return json_pack("{sO sO s{ss ss}}", "blobs", blobs, "manifests", manifests, "list",
		"mediaType", type, "text", buf_str(&text));
}

static void say_pushed(void *owner, const char *digest)
{
	const struct ref *ref = owner;
	char name[REF_TEXT_MAX];
	printf("Pushed ref %s@%s with digest: %s\n", ref_name(ref, name), digest, digest);
	fflush(stdout);
}

static int push(struct cli *cli, const char *name, bool insecure, bool purge, struct err *e)
{
	struct ref ref;
	if (manifest_ref(name, &ref, e) < 0) {
		return -1;
	}
	scoped(json) json_t *docs = manifest_store_list(cli, &ref, e);
	json_t *request = docs ? make_request(&ref, docs, e) : NULL;
	if (!request) {
		return -1;
	}
	scoped(json) json_t *done =
		manifest_worker_ask(cli, "push", &ref, insecure, request, say_pushed, &ref, e);
	if (!done) {
		return -1;
	}
	printf("%s\n", json_str(done, "digest"));
	return purge ? manifest_store_remove(cli, &ref, e) : 0;
}

int command_manifest_push(struct cli *cli, int argc, char **argv)
{
	bool insecure = false;
	bool purge = false;
	const struct flag flags[] = {
		{"insecure", 0, FLAG_BOOL, &insecure, NULL, "Allow push to an insecure registry"},
		{"purge", 'p', FLAG_BOOL, &purge, NULL,
			"Remove the local manifest list after push"},
		{0},
	};
	const struct syntax s = {"manifest push", "[OPTIONS] MANIFEST_LIST",
		"Push a manifest list to a repository", 1, 1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	return push(cli, argv[1], insecure, purge, &e) < 0 ? cli_fail(&e) : 0;
}
