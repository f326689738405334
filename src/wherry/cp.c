/* wherry cp: files between this machine and a container, by GET and PUT /containers/x/archive. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "codec/path_stat.h"
#include "wherry/cp.h"
#include "wherry/cp_local.h"
#include "wherry/cp_names.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/human.h"

#define LINKS_MAX 10

static char *archive_path(const char *container, const char *path)
{
	struct buf b = BUF_INIT;
	path_add(&b, "/containers/", container, "/archive");
	path_query(&b, "path", path);
	return buf_take_str(&b);
}

static int read_stat(const struct http_response *r, struct path_stat *ret, struct err *e)
{
	const char *header = http_response_header(r, PATH_STAT_HEADER);
	return header ? path_stat_parse(header, ret, e)
		      : err_set(e, ERR_SYSTEM, "the engine did not say what the path is");
}

/* HEAD has no words for what is wrong: *ret_found false. */
static int stat_in(struct cli *cli, const char *container, const char *path, struct path_stat *ret,
	bool *ret_found, struct err *e)
{
	scoped(free) char *at = archive_path(container, path);
	const struct http_call call = {.method = "HEAD", .path = at};
	struct http_response r;
	if (http_client_send(cli->http, &call, &r, e) < 0) {
		return -1;
	}
	*ret_found = r.status == 200;
	int result = *ret_found ? read_stat(&r, ret, e) : 0;
	http_response_deinit(&r);
	http_client_skip(cli->http);
	return result;
}

/* Absolute, with its end kept. */
static int absolute(const char *path, char **ret, struct err *e)
{
	scoped(free) char *here = *path == '/' ? NULL : getcwd(NULL, 0);
	if (*path != '/' && !here) {
		return err_sys(e, errno, "getwd");
	}
	scoped(free) char *joined = here ? xasprintf("%s/%s", here, path) : xstrdup(path);
	*ret = cp_clean(joined);
	return 0;
}

static void tell(const struct cp_options *o, int64_t bytes, const char *container, const char *to)
{
	char size[HUMAN_MAX];
	if (!o->quiet) {
		fprintf(stderr, "Successfully copied %s to %s%s%s\n",
			human_size((double)bytes, 3, size), container, *container ? ":" : "", to);
	}
}

/* --- into a container --- */

struct put {
	const char *container, *dir;
	bool copy_owner;
	const struct http_source *source;
};

static int send_put(struct cli *cli, const struct put *p, struct err *e)
{
	scoped(buf) struct buf at = BUF_INIT;
	path_add(&at, "/containers/", p->container, "/archive");
	path_query(&at, "path", p->dir);
	path_query(&at, "noOverwriteDirNonDir", "true");
	path_query(&at, "copyUIDGID", p->copy_owner ? "true" : NULL);
	const struct http_call call = {.method = "PUT",
		.path = buf_str(&at),
		.headers = "Content-Type: application/x-tar\r\n",
		.source = p->source};
	int r = engine_send(cli->http, &call, NULL, e);
	if (r == 0) {
		http_client_skip(cli->http);
	}
	return r;
}

struct counted_fd {
	int fd;
	int64_t bytes;
};

static long read_counted(void *owner, char *data, size_t n)
{
	struct counted_fd *c = owner;
	ssize_t got;
	do {
		got = read(c->fd, data, n);
	} while (got < 0 && errno == EINTR);
	c->bytes += got > 0 ? got : 0;
	return got < 0 ? -errno : got;
}

static int put_stdin(struct cli *cli, const struct cp_options *o, const struct cp_target *to,
	const char *container, struct err *e)
{
	struct counted_fd in = {STDIN_FILENO, 0};
	const struct http_source source = {read_counted, &in};
	const struct put p = {container, to->path, o->archive, &source};
	if (!to->is_dir) {
		return err_set(e, ERR_INVALID, "destination \"%s:%s\" must be a directory",
			container, to->path);
	}
	return send_put(cli, &p, e);
}

static int put_local(struct cli *cli, const struct cp_options *o, const char *from,
	const struct cp_target *to, const char *container, struct err *e)
{
	bool is_dir;
	scoped(free) char *path = NULL;
	scoped(free) char *dir = NULL;
	scoped(free) char *name = NULL;
	scoped(free) char *parent = NULL;
	scoped(free) char *base = NULL;
	if (absolute(from, &path, e) < 0) {
		return -1;
	}
	struct cp_pack *pack = cp_pack_new(path, o->follow, &is_dir, e);
	if (!pack) {
		return -1;
	}
	cp_split_last(path, &parent, &base);
	const struct http_source source = {cp_pack_read, pack};
	int r = cp_place(to, is_dir, &dir, &name, e);
	if (r == 0) {
		const struct put p = {container, dir, o->archive, &source};
		r = cp_pack_start(pack, name ? name : base, e);
		r = r < 0 ? r : send_put(cli, &p, e);
	}
	struct err why;
	if (cp_pack_end(pack, &why) < 0 && r == 0) {
		*e = why;
		r = -1;
	}
	if (r == 0) {
		tell(o, cp_pack_bytes(pack), container, to->path);
	}
	cp_pack_free(pack);
	return r;
}

int cp_to_container(struct cli *cli, const struct cp_options *o, const char *from,
	const char *container, const char *to, struct err *e)
{
	scoped(path_stat) struct path_stat st = {0};
	scoped(free) char *path = xstrdup(to);
	bool found;
	if (stat_in(cli, container, path, &st, &found, e) < 0) {
		return -1;
	}
	if (found && S_ISLNK(st.mode)) { /* the engine has resolved it as far as it leads */
		free(path);
		path = xstrdup(st.link_target);
		path_stat_deinit(&st);
		if (stat_in(cli, container, path, &st, &found, e) < 0) {
			return -1;
		}
	}
	if (found && !S_ISDIR(st.mode) && !S_ISREG(st.mode)) {
		return err_set(e, ERR_INVALID,
			"destination \"%s:%s\" must be a directory or a regular file", container,
			to);
	}
	const struct cp_target target = {path, found, found && S_ISDIR(st.mode)};
	return strcmp(from, "-") == 0 ? put_stdin(cli, o, &target, container, e)
				      : put_local(cli, o, from, &target, container, e);
}

/* --- out of a container --- */

struct answer_stream {
	struct stream base;
	struct http_client *http;
	int64_t bytes;
};

static ssize_t answer_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct answer_stream *a = container_of(s, struct answer_stream, base);
	long got = http_client_read(a->http, data, n, e);
	a->bytes += got > 0 ? got : 0;
	return got;
}

static void answer_free(struct stream *s)
{
}

/* A link at the destination is where the copy goes; the path it leads to need not exist. */
static int local_target(char **path, struct cp_target *ret, struct err *e)
{
	struct stat st;
	for (int i = 0; i <= LINKS_MAX; i++) {
		char link[4097];
		int found = lstat(*path, &st);
		if (found < 0 && errno != ENOENT) {
			return err_sys(e, errno, "lstat %.300s", *path);
		}
		if (found < 0 || !S_ISLNK(st.st_mode)) {
			*ret = (struct cp_target){
				*path, found == 0, found == 0 && S_ISDIR(st.st_mode)};
			return 0;
		}
		ssize_t n = readlink(*path, link, sizeof(link) - 1);
		if (n < 0) {
			return err_sys(e, errno, "readlink %.300s", *path);
		}
		link[n] = '\0';
		scoped(free) char *dir = NULL;
		scoped(free) char *base = NULL;
		cp_split_last(*path, &dir, &base);
		free(*path);
		*path = path_join(dir, link);
	}
	return err_set(e, ERR_INVALID, "too many symlinks in %.300s", *path);
}

static int check_parent(const char *path, struct err *e)
{
	scoped(free) char *dir = NULL;
	scoped(free) char *base = NULL;
	cp_split_last(path, &dir, &base);
	return access(dir, F_OK) < 0
		       ? err_set(e, ERR_INVALID,
				 "invalid output path: directory \"%.300s\" does not exist", dir)
		       : 0;
}

static int copy_to_stdout(struct http_client *http, struct err *e)
{
	char chunk[65536];
	long n;
	while ((n = http_client_read(http, chunk, sizeof(chunk), e)) > 0) {
		int r = path_write_all(STDOUT_FILENO, chunk, (size_t)n);
		if (r < 0) {
			return err_sys(e, -r, "write stdout");
		}
	}
	return n < 0 ? -1 : 0;
}

struct source {
	const char *path; /* as asked for */
	const char *name; /* what the copy is called; NULL: as in the archive */
	bool is_dir;
};

static int unpack_answer(struct cli *cli, const struct cp_options *o, const struct source *s,
	const char *to, struct err *e)
{
	struct answer_stream a = {{answer_read, answer_free}, cli->http, 0};
	struct cp_target target;
	scoped(free) char *path = xstrdup(to);
	scoped(free) char *dir = NULL;
	scoped(free) char *name = NULL;
	scoped(free) char *parent = NULL;
	scoped(free) char *base = NULL;
	if (local_target(&path, &target, e) < 0 ||
		cp_place(&target, s->is_dir, &dir, &name, e) < 0) {
		return -1;
	}
	cp_split_last(s->path, &parent, &base);
	bool rootless = strcmp(base, ".") == 0 || strcmp(base, "/") == 0;
	const char *new_root = name ? name : s->name;
	if (cp_unpack(dir, new_root ? (rootless ? "" : base) : NULL, new_root, &a.base, e) < 0) {
		return -1;
	}
	tell(o, a.bytes, "", to);
	return 0;
}

/* -L: the file that the link leads to, under the link's name. */
static int follow_link(
	struct cli *cli, const char *container, char **path, char **ret_name, struct err *e)
{
	scoped(path_stat) struct path_stat st = {0};
	scoped(free) char *parent = NULL;
	bool found;
	if (stat_in(cli, container, *path, &st, &found, e) < 0) {
		return -1;
	}
	if (found && S_ISLNK(st.mode)) {
		cp_split_last(*path, &parent, ret_name);
		free(*path);
		*path = xstrdup(st.link_target);
	}
	return 0;
}

int cp_from_container(struct cli *cli, const struct cp_options *o, const char *container,
	const char *from, const char *to, struct err *e)
{
	scoped(path_stat) struct path_stat st = {0};
	scoped(free) char *path = xstrdup(from);
	scoped(free) char *name = NULL;
	scoped(free) char *local = NULL;
	bool to_stdout = strcmp(to, "-") == 0;
	if (!to_stdout && (absolute(to, &local, e) < 0 || check_parent(local, e) < 0)) {
		return -1;
	}
	if (o->follow && follow_link(cli, container, &path, &name, e) < 0) {
		return -1;
	}
	scoped(free) char *at = archive_path(container, path);
	const struct http_call call = {.method = "GET", .path = at};
	struct http_response r;
	if (http_client_send(cli->http, &call, &r, e) < 0) {
		return -1;
	}
	int failed = r.status >= 400 ? http_client_fail(cli->http, &r, e) : read_stat(&r, &st, e);
	if (r.status >= 400) {
		(void)err_wrap(e, "Error response from daemon");
	}
	http_response_deinit(&r);
	if (failed < 0) {
		return -1;
	}
	const struct source s = {path, name, S_ISDIR(st.mode)};
	return to_stdout ? copy_to_stdout(cli->http, e) : unpack_answer(cli, o, &s, local, e);
}

/* --- the command --- */

int cp_run(struct cli *cli, const struct cp_options *o, const char *from, const char *to,
	struct err *e)
{
	scoped(free) char *from_container = NULL;
	scoped(free) char *to_container = NULL;
	scoped(free) char *from_path = NULL;
	scoped(free) char *to_path = NULL;
	cp_split(from, &from_container, &from_path);
	cp_split(to, &to_container, &to_path);
	if (from_container && to_container) {
		return err_set(e, ERR_INVALID, "copying between containers is not supported");
	}
	if (!from_container && !to_container) {
		return err_set(e, ERR_INVALID, "must specify at least one container source");
	}
	return from_container ? cp_from_container(cli, o, from_container, from_path, to_path, e)
			      : cp_to_container(cli, o, from_path, to_container, to_path, e);
}

int command_cp(struct cli *cli, int argc, char **argv)
{
	struct cp_options o = {0};
	const struct flag flags[] = {
		{"archive", 'a', FLAG_BOOL, &o.archive, NULL,
			"Archive mode (copy all uid/gid information)"},
		{"follow-link", 'L', FLAG_BOOL, &o.follow, NULL,
			"Always follow symbol link in SRC_PATH"},
		{"quiet", 'q', FLAG_BOOL, &o.quiet, NULL,
			"Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached"},
		{0},
	};
	const struct syntax s = {"cp", "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-",
		"Copy files/folders between a container and the local filesystem", 2, 2, false};
	int status = flags_parse(&s, flags, &argc, argv);
	struct err e;
	if (status >= 0) {
		return status;
	}
	if (!*argv[1] || !*argv[2]) {
		(void)err_set(&e, ERR_INVALID, "%s can not be empty",
			*argv[1] ? "destination" : "source");
		return cli_fail(&e);
	}
	o.quiet = o.quiet || !isatty(STDOUT_FILENO);
	return cp_run(cli, &o, argv[1], argv[2], &e) < 0 ? cli_fail(&e) : 0;
}
