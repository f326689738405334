/* The context and its Dockerfile: a directory, an archive or a Dockerfile on standard input, a URL.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "wherry/build_request.h"
#include "wherry/build_url.h"

#define DOCKERFILE_MAX (1u << 20)
#define HEAD 512 /* bytes that tell an archive */

bool build_url_is_remote(const char *text)
{
	static const char *const prefixes[] = {
		"http://", "https://", "git://", "ssh://", "git@", "github.com/"};
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		if (text_starts(text, prefixes[i])) {
			return true;
		}
	}
	return false;
}

static int read_stdin(struct buf *ret, size_t limit, struct err *e)
{
	char data[4096];
	while (ret->len < limit) {
		size_t want = limit - ret->len < sizeof(data) ? limit - ret->len : sizeof(data);
		ssize_t n = read(STDIN_FILENO, data, want);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return err_sys(e, errno, "cannot read stdin");
		}
		if (n == 0) {
			break;
		}
		buf_append(ret, data, (size_t)n);
	}
	return 0;
}

static bool is_archive(const struct buf *b)
{
	static const struct {
		size_t at, n;
		const char *bytes;
	} magics[] = {{257, 5, "ustar"}, {0, 2, "\x1f\x8b"}, {0, 3, "BZh"},
		{0, 6,
			"\xfd"
			"7zXZ\0"},
		{0, 4, "\x28\xb5\x2f\xfd"}};
	for (size_t i = 0; i < sizeof(magics) / sizeof(*magics); i++) {
		if (b->len >= magics[i].at + magics[i].n &&
			memcmp(b->data + magics[i].at, magics[i].bytes, magics[i].n) == 0) {
			return true;
		}
	}
	return false;
}

/* --- the Dockerfile --- */

/* A directory of our own with the Dockerfile in it, and its .dockerignore if there is one. */
static int keep_dockerfile(struct build_request *r, const char *text, size_t n, struct err *e)
{
	const char *dir = getenv("TMPDIR");
	scoped(free) char *path = xasprintf("%s/wherry-build-XXXXXX", dir && *dir ? dir : "/tmp");
	if (!mkdtemp(path)) {
		return err_sys(e, errno, "cannot make a temporary directory");
	}
	r->temporary = TAKE(path);
	scoped(free) char *file = path_join(r->temporary, "Dockerfile");
	int w = path_write(AT_FDCWD, file, text, n, 0644, false);
	if (w < 0) {
		return err_sys(e, -w, "cannot write %s", file);
	}
	json_put_str(r->attrs, "filename", "Dockerfile");
	build_request_local(r, "dockerfile", r->temporary);
	return 0;
}

static int dockerfile_from_stdin(struct build_request *r, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	return read_stdin(&text, DOCKERFILE_MAX, e) < 0
		       ? -1
		       : keep_dockerfile(r, buf_str(&text), text.len, e);
}

/* The path of the Dockerfile of a directory. -f is relative to the working directory; "-f
 * sub/Dockerfile ctx" of older habits is found in the context too. */
static char *find_dockerfile(const char *dir, const char *file, struct err *e)
{
	scoped(free) char *below = path_join(dir, file ? file : "Dockerfile");
	scoped(free) char *lower = path_join(dir, "dockerfile");
	const char *chosen = file && (access(file, F_OK) == 0 || access(below, F_OK) < 0)   ? file
			     : !file && access(below, F_OK) < 0 && access(lower, F_OK) == 0 ? lower
											    : below;
	if (access(chosen, R_OK) < 0) {
		err_sys(e, errno,
			"unable to prepare context: unable to evaluate symlinks in Dockerfile path: %s",
			chosen);
		return NULL;
	}
	return xstrdup(chosen);
}

static int dockerfile_in_directory(
	struct build_request *r, const char *dir, const char *file, struct err *e)
{
	scoped(free) char *path = find_dockerfile(dir, file, e);
	if (!path) {
		return -1;
	}
	char *slash = strrchr(path, '/');
	scoped(free) char *parent = !slash          ? xstrdup(".")
				    : slash == path ? xstrdup("/")
						    : xstrndup(path, (size_t)(slash - path));
	json_put_str(r->attrs, "filename", slash ? slash + 1 : path);
	build_request_local(r, "dockerfile", parent);
	return 0;
}

static int put_dockerfile(struct build_request *r, const struct build_options *o, struct err *e)
{
	if (o->dockerfile_text) {
		return keep_dockerfile(r, o->dockerfile_text, strlen(o->dockerfile_text), e);
	}
	if (o->file && strcmp(o->file, "-") == 0) {
		return dockerfile_from_stdin(r, e);
	}
	if (o->file && build_url_is_remote(o->file)) {
		return err_set(e, ERR_INVALID,
			"-f %s: a Dockerfile is not fetched from a URL: fetch it, or build the URL",
			o->file);
	}
	return dockerfile_in_directory(r, o->operand, o->file, e);
}

/* --- the context --- */

static int from_directory(struct build_request *r, const struct build_options *o, struct err *e)
{
	struct stat st;
	if (stat(o->operand, &st) < 0) {
		return err_set(e, ERR_INVALID, "unable to prepare context: path \"%s\" not found",
			o->operand);
	}
	if (!S_ISDIR(st.st_mode)) {
		return err_set(e, ERR_INVALID,
			"unable to prepare context: context must be a directory: %s", o->operand);
	}
	build_request_local(r, "context", o->operand);
	return put_dockerfile(r, o, e);
}

/* "-": an archive is the context; anything else is a Dockerfile, and the context is empty. */
static int from_stdin(struct build_request *r, const struct build_options *o, struct err *e)
{
	char id[ID_LEN + 1];
	if (o->file && strcmp(o->file, "-") == 0) {
		return err_set(e, ERR_INVALID,
			"invalid argument: can't use stdin for both build context and dockerfile");
	}
	if (read_stdin(&r->early, HEAD, e) < 0) {
		return -1;
	}
	if (!is_archive(&r->early)) {
		if (o->file) {
			return err_set(e, ERR_INVALID,
				"ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles");
		}
		if (read_stdin(&r->early, DOCKERFILE_MAX, e) < 0 ||
			keep_dockerfile(r, buf_str(&r->early), r->early.len, e) < 0) {
			return -1;
		}
		scoped(free) char *empty = path_join(r->temporary, "context");
		if (mkdir(empty, 0755) < 0) {
			return err_sys(e, errno, "cannot make %s", empty);
		}
		build_request_local(r, "context", empty);
		return 0;
	}
	id_new(id);
	r->upload_id = xstrdup(id);
	scoped(free) char *url = xasprintf("http://buildkit-session/%s", id);
	json_put_str(r->attrs, "context", url);
	json_put_str(r->attrs, "filename", o->file ? o->file : "Dockerfile");
	return 0;
}

static int from_url(struct build_request *r, const struct build_options *o, struct err *e)
{
	json_put_str(r->attrs, "context", o->operand);
	if (o->dockerfile_text || (o->file && strcmp(o->file, "-") == 0)) {
		json_put_str(r->attrs, "dockerfilekey", "dockerfile");
		return put_dockerfile(r, o, e);
	}
	json_put_str(r->attrs, "filename", o->file ? o->file : "Dockerfile");
	return 0;
}

int build_request_context(struct build_request *r, const struct build_options *o, struct err *e)
{
	if (strcmp(o->operand, "-") == 0) {
		return from_stdin(r, o, e);
	}
	return build_url_is_remote(o->operand) && access(o->operand, F_OK) < 0
		       ? from_url(r, o, e)
		       : from_directory(r, o, e);
}
