#include "worker/build_git.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "worker/build_git_run.h"

#define SUBMODULE_DEPTH 16
#define REFERENCES_MEMORY ((size_t)128 << 20) /* over a million of them */

/* --- which commit --- */

/* "SHA\tNAME\n": the commit of that name, or NULL. */
static const char *find_line(const struct strv *lines, const char *name)
{
	for (size_t k = 0; k < lines->n; k++) {
		const char *tab = strchr(lines->v[k], '\t');
		if (tab && strcmp(tab + 1, name) == 0) {
			return lines->v[k];
		}
	}
	return NULL;
}

/* As git-checkout(1): a full name, a branch, then a tag, of which the commit that it means. */
static const char *choose(const struct strv *lines, const char *ref)
{
	static const char *const forms[] = {"%s^{}", "%s", "refs/%s^{}", "refs/%s", "refs/heads/%s",
		"refs/tags/%s^{}", "refs/tags/%s"};
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		const char *blank = strstr(forms[i], "%s");
		scoped(free) char *name =
			xasprintf("%.*s%s%s", (int)(blank - forms[i]), forms[i], ref, blank + 2);
		const char *line = find_line(lines, name);
		if (line) {
			return line;
		}
	}
	return NULL;
}

static int check_checksum(const struct git_url *g, const char *commit, struct err *e)
{
	return strncmp(g->checksum, commit, strlen(g->checksum)) == 0
		       ? 0
		       : err_set(e, ERR_INVALID, "%.150s: expected commit %.64s, it has %.64s",
				 g->shown, g->checksum, commit);
}

static int ask_remote(struct build *b, const struct git_url *g, struct buf *ret, struct err *e)
{
	scoped(git_session) struct git_session s = {0};
	scoped(free) char *peeled = xasprintf("%s^{}", g->ref);
	const char *const args[] = {"ls-remote", "--quiet", "--", g->remote,
		*g->ref ? g->ref : "HEAD", *g->ref ? peeled : NULL, NULL};
	if (git_session_begin(&s, b, g->remote, g->shown, b->tmp_dir, e) < 0) {
		return -1;
	}
	s.memory = REFERENCES_MEMORY;
	return git_run(&s, b->tmp_dir, args, ret, e);
}

int git_resolve(
	struct build *b, const struct git_url *g, char ret[static GIT_COMMIT_MAX], struct err *e)
{
	if (git_is_commit(g->ref)) {
		snprintf(ret, GIT_COMMIT_MAX, "%s", g->ref);
		return check_checksum(g, ret, e);
	}
	scoped(buf) struct buf text = BUF_INIT;
	scoped(strv) struct strv lines = STRV_INIT;
	if (ask_remote(b, g, &text, e) < 0) {
		return -1;
	}
	strv_split(&lines, buf_str(&text), '\n');
	const char *line = choose(&lines, *g->ref ? g->ref : "HEAD");
	scoped(free) char *commit = line ? xstrndup(line, strcspn(line, "\t")) : xstrdup("");
	if (!git_is_commit(commit)) {
		return err_set(e, ERR_INVALID, "%.150s: repository does not contain ref %.100s",
			g->shown, *g->ref ? g->ref : "HEAD");
	}
	snprintf(ret, GIT_COMMIT_MAX, "%s", commit);
	return check_checksum(g, ret, e);
}

/* --- its files --- */

/* One commit; where the server does not give one alone, all that it has. */
static int fetch(struct git_session *s, const struct git_url *g, const char *commit,
	const char *work, struct err *e)
{
	struct err ignored;
	const char *const exact[] = {"fetch", "--quiet", "--depth=1", "--no-tags",
		"--no-recurse-submodules", "--", "origin", commit, NULL};
	if (git_run(s, work, exact, NULL, &ignored) == 0) {
		return 0;
	}
	const char *const all[] = {"fetch", "--quiet", "--tags", "--no-recurse-submodules", "--",
		"origin", "+refs/*:refs/remotes/origin/*", NULL};
	return git_run(s, work, all, NULL, e);
}

static int check_out(struct git_session *s, const struct git_url *g, const char *commit,
	const char *work, struct err *e)
{
	const char *const init[] = {"init", "--quiet", "--template=", NULL};
	const char *const remote[] = {"remote", "add", "--", "origin", g->remote, NULL};
	const char *const out[] = {
		"checkout", "--quiet", "--force", "--detach", commit, "--", NULL};
	const char *const modules[] = {
		"submodule", "--quiet", "update", "--init", "--recursive", "--depth=1", NULL};
	if (git_run(s, work, init, NULL, e) < 0 || git_run(s, work, remote, NULL, e) < 0 ||
		fetch(s, g, commit, work, e) < 0 || git_run(s, work, out, NULL, e) < 0) {
		return -1;
	}
	scoped(free) char *list = xasprintf("%s/.gitmodules", work);
	struct stat st;
	if (g->no_submodules || lstat(list, &st) < 0) {
		return 0;
	}
	if (git_run(s, work, modules, NULL, e) < 0) {
		return err_wrap(e, "its submodules");
	}
	return 0;
}

/* A submodule's ".git" names its place in the repository's, which is ours. */
static void remove_git_files(int dir, int depth)
{
	scoped(strv) struct strv names = STRV_INIT;
	if (depth > SUBMODULE_DEPTH * 8 || path_list(dir, &names) < 0) {
		return;
	}
	for (size_t k = 0; k < names.n; k++) {
		struct stat st;
		if (strcmp(names.v[k], ".git") == 0) {
			path_remove_tree(dir, ".git");
		} else if (fstatat(dir, names.v[k], &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			   S_ISDIR(st.st_mode)) {
			scoped(close) int below = openat(
				dir, names.v[k], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			remove_git_files(below, depth + 1);
		}
	}
}

/* What is kept says nothing of how it was fetched. */
static int clean_git_dir(struct git_session *s, const struct git_url *g, const char *work,
	int work_fd, struct err *e)
{
	const char *const url[] = {"remote", "set-url", "--", "origin", g->shown, NULL};
	if (!g->keep_git_dir || *g->subdir) {
		remove_git_files(work_fd, 0);
		return 0;
	}
	unlinkat(work_fd, ".git/FETCH_HEAD", 0);
	path_remove_tree(work_fd, ".git/logs");
	return git_run(s, work, url, NULL, e);
}

int git_checkout(struct build *b, const struct git_url *g, const char *commit, const char *dir,
	const char *name, struct err *e)
{
	scoped(free) char *work = xasprintf("%s/%s", dir, name);
	if (mkdir(work, 0755) < 0) {
		return err_sys(e, errno, "cannot make a directory for %.150s", g->shown);
	}
	scoped(close) int fd = open(work, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	scoped(git_session) struct git_session s = {0};
	if (fd < 0) {
		return err_sys(e, errno, "cannot open %s", work);
	}
	if (git_session_begin(&s, b, g->remote, g->shown, dir, e) < 0 ||
		check_out(&s, g, commit, work, e) < 0 || clean_git_dir(&s, g, work, fd, e) < 0) {
		return -1;
	}
	if (!*g->subdir) {
		return TAKE_FD(fd);
	}
	int below = path_open_in(fd, g->subdir, O_RDONLY | O_DIRECTORY, 0);
	return below < 0 ? err_set(e, ERR_INVALID, "%.150s: there is no directory %.200s", g->shown,
				   g->subdir)
			 : below;
}
