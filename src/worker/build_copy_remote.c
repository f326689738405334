/* ADD of a URL or of a git repository. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "worker/build_copy.h"
#include "worker/context.h"

/* --- URLs --- */

static bool is_url(const char *text)
{
	return text_starts(text, "http://") || text_starts(text, "https://");
}

static bool is_flag_set(const struct copy_step *c, const char *name)
{
	const char *value = df_flag(c->t->i, name);
	return value && strcasecmp(value, "false") != 0 && strcmp(value, "0") != 0;
}

/* What the path of a URL ends with. */
static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static char *url_file_name(const char *url)
{
	const char *path = strchr(strstr(url, "://") + 3, '/');
	size_t n = path ? strcspn(path, "?#") : 0;
	scoped(free) char *clean = xstrndup(path ? path : "", n);
	scoped(buf) struct buf name = BUF_INIT;
	const char *last = base_name(clean);
	if (percent_decode(last, strlen(last), false, &name) < 0 ||
		!path_is_component(buf_str(&name))) {
		return xstrdup("");
	}
	return buf_take_str(&name);
}

static int check_download(const struct copy_step *c, const struct copy_source *s, struct err *e)
{
	const char *wanted = df_flag(c->t->i, "checksum");
	if (wanted && *wanted && strcmp(wanted, s->digest) != 0) {
		return err_set(
			e, ERR_INVALID, "digest mismatch for %.150s: it is %s", s->path, s->digest);
	}
	return 0;
}

static int add_url(struct copy_step *c, const char *url, struct err *e)
{
	const struct build_step *t = c->t;
	struct copy_source *s = copy_new_source(c, e);
	if (!s) {
		return -1;
	}
	s->kind = SOURCE_URL;
	s->path = git_url_redact(url); /* for messages alone */
	s->name = url_file_name(url);
	s->download = xasprintf("download-%zu", c->n);
	const int flags = O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;
	scoped(close) int fd = openat(t->s->place.fd, s->download, flags, 0600);
	if (fd < 0) {
		return err_sys(e, errno, "cannot make a file for %.200s", s->path);
	}
	build_say(t->b->events, t->s->turn, "Downloading %.500s\n", s->path);
	struct build_fetched got;
	if (build_fetch(url, fd, &got, e) < 0) {
		return -1;
	}
	snprintf(s->digest, sizeof(s->digest), "%s", got.digest);
	s->mtime = got.mtime;
	if (got.mtime >= 0) {
		const struct timespec times[2] = {{.tv_sec = got.mtime}, {.tv_sec = got.mtime}};
		futimens(fd, times);
	}
	if (check_download(c, s, e) < 0) {
		return -1;
	}
	/* only where it is asked for: not by content alone */
	bool unpack = df_flag(c->t->i, "unpack") && c->unpack && lseek(fd, 0, SEEK_SET) == 0;
	if (unpack && context_is_archive(fd)) {
		s->kind = SOURCE_ARCHIVE;
	}
	return 0;
}

/* --- repositories --- */

static int read_git_flags(struct copy_step *c, struct git_url *g, struct err *e)
{
	const char *wanted = df_flag(c->t->i, "checksum");
	g->keep_git_dir = g->keep_git_dir || is_flag_set(c, "keep-git-dir");
	if (!wanted || !*wanted) {
		return 0;
	}
	if (strspn(wanted, "0123456789abcdef") != strlen(wanted) || strlen(wanted) > 64) {
		return err_set(e, ERR_INVALID,
			"--checksum of a git repository must be a commit, not '%.80s'", wanted);
	}
	free(g->checksum);
	g->checksum = xstrdup(wanted);
	return 0;
}

static int add_git(struct copy_step *c, const char *written, struct err *e)
{
	struct copy_source *s = copy_new_source(c, e);
	if (!s) {
		return -1;
	}
	s->kind = SOURCE_GIT;
	if (git_url_parse(written, &s->git, e) < 0 || read_git_flags(c, &s->git, e) < 0 ||
		git_resolve(c->t->b, &s->git, s->commit, e) < 0) {
		return -1;
	}
	s->path = xstrdup(s->git.shown);
	s->name = xstrdup("");
	memset(s->digest, '0', 64);
	build_mix(s->digest, s->commit);
	build_mix(s->digest, s->git.subdir);
	build_mix(s->digest, s->git.keep_git_dir ? "git" : "");
	build_mix(s->digest, s->git.no_submodules ? "alone" : "");
	return 0;
}

int copy_git(struct copy_step *c, const struct copy_source *s, int root_fd, const char *dir,
	const struct copy_options *o, struct err *e)
{
	const struct build_place *p = &c->t->s->place;
	path_remove_tree(p->fd, "repository"); /* of a step before that failed */
	scoped(close) int fd = git_checkout(c->t->b, &s->git, s->commit, p->dir, "repository", e);
	int r = -1;
	if (fd >= 0) {
		scoped(copy_free) struct copy *copy = copy_new(fd, root_fd, o);
		r = copy_dir_content(copy, ".", dir, false, e);
	}
	path_remove_tree(p->fd, "repository");
	return r;
}

bool copy_is_remote(const char *written)
{
	return is_url(written) || git_url_is(written, false);
}

int copy_add_remote(struct copy_step *c, const char *written, struct err *e)
{
	return git_url_is(written, false) ? add_git(c, written, e) : add_url(c, written, e);
}
