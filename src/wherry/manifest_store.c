#include "wherry/manifest_store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "wherry/manifest_text.h"

#define FILE_MAX (16u << 20)
#define OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"

/* --- files --- */

static char *file_name(const struct ref *ref)
{
	char canonical[REF_TEXT_MAX];
	char *name = xstrdup(ref_canonical(ref, canonical));
	for (char *p = name; *p; p++) {
		*p = *p == ':' ? '-' : *p == '/' ? '_' : *p;
	}
	return name;
}

static char *list_dir(const struct cli *cli, const struct ref *list)
{
	scoped(free) char *name = file_name(list);
	return xasprintf("%s/manifests/%s", cli->config_dir, name);
}

static int no_such(const struct ref *ref, struct err *e)
{
	char canonical[REF_TEXT_MAX];
	return err_set(e, ERR_NOT_FOUND, "No such manifest: %s", ref_canonical(ref, canonical));
}

static json_t *read_document(int dir_fd, const char *name, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	int r = path_read(dir_fd, name, FILE_MAX, &text);
	if (r < 0) {
		(void)err_sys(e, -r, "cannot read the manifest %s", name);
		return NULL;
	}
	json_t *doc = json_parse(buf_str(&text), text.len, "the manifest file", e);
	if (doc && !json_is_object(json_object_get(doc, "Descriptor"))) {
		(void)err_set(e, ERR_INVALID, "the manifest file %s is not one of docker's", name);
		json_decref(doc);
		return NULL;
	}
	return doc;
}

json_t *manifest_store_get(
	const struct cli *cli, const struct ref *list, const struct ref *manifest, struct err *e)
{
	scoped(free) char *dir = list_dir(cli, list);
	scoped(free) char *name = file_name(manifest);
	scoped(free) char *path = xasprintf("%s/%s", dir, name);
	if (access(path, F_OK) < 0 && errno == ENOENT) {
		(void)no_such(manifest, e);
		return NULL;
	}
	return read_document(AT_FDCWD, path, e);
}

json_t *manifest_store_list(const struct cli *cli, const struct ref *list, struct err *e)
{
	scoped(free) char *dir = list_dir(cli, list);
	scoped(strv) struct strv names = STRV_INIT;
	scoped(json) json_t *all = json_array();
	scoped(close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : path_list(fd, &names);
	if (r < 0) {
		(void)(r == -ENOENT ? no_such(list, e) : err_sys(e, -r, "cannot read %s", dir));
		return NULL;
	}
	for (size_t i = 0; i < names.n; i++) {
		json_t *doc = read_document(fd, names.v[i], e);
		if (!doc) {
			return NULL;
		}
		json_array_append_new(all, doc);
	}
	return names.n == 0 ? (no_such(list, e), NULL) : json_incref(all);
}

int manifest_store_save(const struct cli *cli, const struct ref *list, const struct ref *manifest,
	const json_t *doc, struct err *e)
{
	scoped(free) char *dir = list_dir(cli, list);
	scoped(free) char *name = file_name(manifest);
	scoped(free) char *path = xasprintf("%s/%s", dir, name);
	scoped(buf) struct buf text = BUF_INIT;
	manifest_compact(doc, &text);
	int r = path_mkdirs(dir, 0755);
	r = r < 0 ? r : path_write(AT_FDCWD, path, text.data, text.len, 0644, false);
	return r < 0 ? err_sys(e, -r, "cannot write %s", path) : 0;
}

int manifest_store_remove(const struct cli *cli, const struct ref *list, struct err *e)
{
	scoped(free) char *dir = list_dir(cli, list);
	int r = path_remove_tree(AT_FDCWD, dir);
	return r < 0 ? err_sys(e, -r, "cannot remove %s", dir) : 0;
}

/* --- documents --- */

json_t *manifest_platform(const json_t *found)
{
	json_t *p = json_pack("{ss ss}", "architecture", json_str(found, "architecture"), "os",
		json_str(found, "os"));
	const json_t *features = json_object_get(found, "os.features");
	if (*json_str(found, "os.version")) {
		json_put_str(p, "os.version", json_str(found, "os.version"));
	}
	if (json_array_size(features) > 0) {
		json_put(p, "os.features", json_deep_copy(features));
	}
	if (*json_str(found, "variant")) {
		json_put_str(p, "variant", json_str(found, "variant"));
	}
	return p;
}

json_t *manifest_document(const json_t *found, struct err *e)
{
	const json_t *text = json_object_get(found, "text");
	scoped(buf) struct buf raw = BUF_INIT;
	json_t *manifest =
		json_parse(json_string_value(text), json_string_length(text), "the manifest", e);
	if (!manifest) {
		return NULL;
	}
	base64_encode(json_string_value(text), json_string_length(text), &raw);
	bool is_oci = strcmp(json_str(found, "mediaType"), OCI_MANIFEST) == 0;
	return json_pack("{ss s{ss ss sI so} ss so}", "Ref", json_str(found, "ref"), "Descriptor",
		"mediaType", json_str(found, "mediaType"), "digest", json_str(found, "digest"),
		"size", (json_int_t)json_i64(found, "size", 0), "platform",
		manifest_platform(json_object_get(found, "platform")), "Raw", buf_str(&raw),
		is_oci ? "OCIManifest" : "SchemaV2Manifest", manifest);
}

const json_t *manifest_of(const json_t *doc, bool *ret_is_oci)
{
	const json_t *docker = json_object_get(doc, "SchemaV2Manifest");
	if (ret_is_oci) {
		*ret_is_oci = !docker;
	}
	return docker ? docker : json_object_get(doc, "OCIManifest");
}

int manifest_exact(const json_t *doc, struct buf *ret, struct err *e)
{
	const char *raw = json_str(doc, "Raw");
	const char *want = json_str(json_object_get(doc, "Descriptor"), "digest");
	char digest[REF_DIGEST_LEN + 1];
	bool is_oci;
	const json_t *manifest = manifest_of(doc, &is_oci);
	buf_clear(ret);
	if (*raw && base64_decode(raw, strlen(raw), ret) < 0) {
		return err_set(
			e, ERR_INVALID, "the manifest file of %s is damaged", json_str(doc, "Ref"));
	}
	if (!*raw && manifest) {
		manifest_print(manifest, is_oci ? "  " : "   ", ret);
	}
	sha256_digest(buf_str(ret), ret->len, digest);
	return strcmp(digest, want) == 0
		       ? 0
		       : err_set(e, ERR_INVALID,
				 "internal digest mismatch for %s: expected %s, got %s",
				 json_str(doc, "Ref"), want, digest);
}
