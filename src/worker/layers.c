#include "worker/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/path.h"
#include "codec/ref.h"
#include "worker/rpc.h"
#include "tree/recipe.h"
#include "tree/unpack.h"

static int open_tmp(const json_t *request, struct err *e)
{
	const char *dir = json_str(json_object_get(request, "tmp"), "dir");
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cannot open %s", dir) : fd;
}

static int make_root(int tmp_fd, int n, struct err *e)
{
	char name[16];
	snprintf(name, sizeof(name), "%d", n);
	/* the root of a layer that brings no entry for it; mkdir's mode passes through the umask */
	if (mkdirat(tmp_fd, name, 0755) < 0) {
		return err_sys(e, errno, "cannot make a directory for the layer");
	}
	int fd = openat(tmp_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cannot make a directory for the layer") : fd;
}

struct recipe_writer *layer_recipe_new(int tmp_fd, int n, struct err *e)
{
	char name[32];
	snprintf(name, sizeof(name), "%d" RECIPE_SUFFIX, n);
	return recipe_writer_new(tmp_fd, name, e);
}

void layer_remove(int tmp_fd, int n)
{
	char name[32];
	snprintf(name, sizeof(name), "%d", n);
	path_remove_tree(tmp_fd, name);
	snprintf(name, sizeof(name), "%d" RECIPE_SUFFIX, n);
	unlinkat(tmp_fd, name, 0);
}

static int unpack_into(int tmp_fd, int n, struct stream *plain, bool verified,
	struct unpack_result *ret, struct err *e)
{
	scoped(close) int root = make_root(tmp_fd, n, e);
	if (root < 0) {
		return -1;
	}
	scoped(recipe_writer_free) struct recipe_writer *recipe = layer_recipe_new(tmp_fd, n, e);
	if (!recipe || unpack_layer(root, plain, verified, recipe, ret, e) < 0) {
		layer_remove(tmp_fd, n);
		return -1;
	}
	return 0;
}

int layer_unpack(const json_t *request, int n, struct stream *packed, bool verified,
	struct layer *ret, struct err *e)
{
	scoped(close) int tmp = open_tmp(request, e);
	if (tmp < 0) {
		return -1;
	}
	/* freed from the last to the first: none of these threads outlives what it reads */
	scoped(stream_free) struct stream *arriving = stream_ahead_new(packed);
	scoped(stream_free) struct stream *plain = stream_decompress_new(arriving);
	scoped(stream_free) struct stream *hashed = stream_digest_new(plain);
	scoped(stream_free) struct stream *tar = stream_ahead_new(hashed);
	struct unpack_result made;
	if (unpack_into(tmp, n, tar, verified, &made, e) < 0) {
		return -1;
	}
	struct layer l = {.bytes = made.bytes};
	snprintf(l.tmp_name, sizeof(l.tmp_name), "%.63s/%d",
		json_str(json_object_get(request, "tmp"), "name"), n);
	stream_digest_text(hashed, l.diff_id);
	*ret = l;
	return 0;
}

int layer_verify(struct stream *packed, const char *digest, int64_t size, struct err *e)
{
	char got[STREAM_DIGEST_LEN + 1];
	stream_digest_text(packed, got);
	return stream_digest_bytes(packed) == size && strcmp(got, digest) == 0
		       ? 0
		       : err_set(e, ERR_INVALID,
				 "filesystem layer verification failed for digest %s", digest);
}

void layer_drop(const json_t *request, int n)
{
	struct err ignored;
	scoped(close) int tmp = open_tmp(request, &ignored);
	if (tmp >= 0) {
		layer_remove(tmp, n);
	}
}

int layers_sync(const json_t *request, struct err *e)
{
	scoped(close) int tmp = open_tmp(request, e);
	return tmp < 0 ? -1 : unpack_sync(tmp, e);
}

int layers_settle(const json_t *request, struct err *e)
{
	scoped(close) int tmp = open_tmp(request, e);
	if (tmp < 0) {
		return -1;
	}
	scoped(close) int layers = openat(tmp, "../..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return layers < 0 || fsync(layers) < 0
		       ? err_sys(e, errno, "cannot write the layers to disk")
		       : 0;
}

json_t *layer_add(struct rpc *r, const struct layer *l, struct err *e)
{
	return rpc_ask(r,
		json_pack("{ss ss ss sI}", "ask", "add-layer", "diff_id", l->diff_id, "tmp",
			l->tmp_name, "size", (json_int_t)l->bytes),
		e);
}

int layer_record(struct rpc *r, const struct layer *l, struct err *e)
{
	scoped(json) json_t *answer = layer_add(r, l, e);
	return answer ? 0 : -1;
}

int config_diff_ids(const char *text, size_t n, struct strv *ret, struct err *e)
{
	scoped(json) json_t *doc = json_parse(text, n, "the image configuration", e);
	if (!doc) {
		return -1;
	}
	const char *os;
	json_t *rootfs, *ids;
	if (!json_is_object(doc)) {
		return err_set(e, ERR_INVALID, "the image configuration must be an object");
	}
	if (json_get_str(doc, "os", &os, e) < 0 || json_get_object(doc, "rootfs", &rootfs, e) < 0 ||
		json_get_array(rootfs, "diff_ids", &ids, e) < 0) {
		return err_wrap(e, "invalid image configuration");
	}
	if (os && *os && strcmp(os, "linux") != 0) {
		return err_set(e, ERR_INVALID,
			"image operating system \"%.32s\" cannot be used on this platform", os);
	}
	if (!rootfs) {
		return err_set(e, ERR_INVALID, "invalid image configuration: it has no rootfs");
	}
	if (json_array_size(ids) > LAYERS_MAX) {
		return err_set(e, ERR_INVALID,
			"the image has %zu layers; at most %d can be mounted", json_array_size(ids),
			LAYERS_MAX);
	}
	size_t i;
	json_t *id;
	json_array_foreach (ids, i, id) {
		if (!ref_is_digest(json_string_value(id))) {
			return err_set(e, ERR_INVALID,
				"invalid image configuration: diff id %zu is not a SHA-256 digest",
				i);
		}
		strv_add(ret, json_string_value(id));
	}
	return 0;
}
