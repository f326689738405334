/* Named contexts (--build-context NAME=DIRECTORY): files of the client's in the place of an image.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "worker/build.h"
#include "worker/build_context.h"
#include "worker/copy.h"

#define LOCAL "local:"

/* A borrowed fd of its directory. */
static int open_named(const struct build_step *t, const char *context, int *ret_fd, struct err *e)
{
	if (build_remote_is_named(context)) {
		return build_remote_named(t->b, context, ret_fd, e);
	}
	if (!text_starts(context, LOCAL)) {
		return err_set(e, ERR_INVALID,
			"the named context %.150s is neither an image (docker-image://, oci-layout://), a directory of the client, a repository nor an archive's URL",
			context);
	}
	return build_context_local(t->b, context + strlen(LOCAL), ret_fd, e);
}

static int digest_of(const struct build_step *t, int fd, char ret[static 65], struct err *e)
{
	return build_context_digest(t->b, fd, ".", true, NULL, NULL, ret, e);
}

int build_named_dir(const struct build_step *t, const char *context, struct strv *ret_dirs,
	char ret_digest[static 65], struct err *e)
{
	char link[64], path[4097];
	int fd;
	if (open_named(t, context, &fd, e) < 0 || digest_of(t, fd, ret_digest, e) < 0) {
		return build_fail(t, e);
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof(path));
	if (n < 0) {
		return err_sys(e, errno, "cannot resolve a named context");
	}
	strv_addn(ret_dirs, path, (size_t)n);
	return 0;
}

static int copy_into_layer(
	const struct build_step *t, int fd, const struct strv *keys, struct err *e)
{
	const struct copy_options o = {.set_owner = true};
	scoped(build_layer) struct build_layer l = {0};
	if (build_layer_begin(t, &l, e) < 0) {
		return -1;
	}
	struct copy *copy = copy_new(fd, l.root_fd, &o);
	int r = copy_dir_content(copy, ".", "/", false, e);
	copy_free(copy);
	return r < 0 ? -1 : build_layer_end(t, &l, keys, e);
}

int build_named_layer(const struct build_step *t, const char *context, struct err *e)
{
	char key[65];
	int fd;
	if (open_named(t, context, &fd, e) < 0 || digest_of(t, fd, key, e) < 0) {
		return build_fail(t, e);
	}
	build_mix(key, "named context");
	int cached = build_cache_look(t, key, e);
	if (cached != 0) {
		return cached < 0 ? -1 : 0;
	}
	scoped(strv) struct strv keys = STRV_INIT;
	strv_add(&keys, key);
	return copy_into_layer(t, fd, &keys, e) < 0 ? build_fail(t, e) : 0;
}
