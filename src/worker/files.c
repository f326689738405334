/* Jobs "files-stat", "files-get", "files-export" and "files-put": a container's files for HEAD, GET
 * and PUT /containers/x/archive and GET /containers/x/export.
 *
 * request  view.h's members; "path" as the client wrote it, "container" as the client named it;
 *          for put also "no_overwrite", "set_owner", "uid", "gid", "read_only_root"
 * fd 0     put: the archive, plain or compressed
 * fd 1     get, export: the tar, after the daemon has answered {"ask": "begin", "stat": {...}}
 * result   {}, of stat {"stat": {...}}
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strv.h"
#include "worker/find.h"
#include "worker/jobs.h"
#include "tree/kernel_fs.h"
#include "worker/output.h"
#include "tree/pack.h"
#include "worker/rpc.h"
#include "tree/stream.h"
#include "tree/unpack.h"
#include "worker/view.h"

static int find_requested(
	int root, const json_t *request, bool follow, struct found *ret, struct err *e)
{
	return find_path(
		root, json_str(request, "path"), json_str(request, "container"), follow, ret, e);
}

static json_t *stat_of(int root, const struct found *f, struct err *e)
{
	scoped(path_stat) struct path_stat s = {0};
	return find_stat(root, f, &s, e) < 0 ? NULL : path_stat_json(&s);
}

json_t *worker_files_stat(struct rpc *r, const json_t *request, struct err *e)
{
	scoped(found) struct found f = {.fd = -1};
	scoped(close) int root = view_open(request, e);
	if (root < 0 || find_requested(root, request, false, &f, e) < 0) {
		return NULL;
	}
	json_t *stat = stat_of(root, &f, e);
	return stat ? json_pack("{so}", "stat", stat) : NULL;
}

/* --- out of the container --- */

struct walk {
	struct pack *pack;
	bool from_root; /* of the container: /dev is the runtime's there */
};

/* A mount that holds no files of the container. */
static bool is_foreign(const struct walk *w, int parent, int dir, const char *name, int depth)
{
	if (view_same_mount(parent, dir)) {
		return false;
	}
	return kernel_fs_is(dir) || (w->from_root && depth == 0 && strcmp(name, "dev") == 0);
}

static int walk_dir(const struct walk *w, int dir, const char *path, int depth, struct err *e);

static int walk_entry(const struct walk *w, int dir, const char *dir_path, const char *name,
	int depth, struct err *e)
{
	scoped(free) char *path = dir_path ? xasprintf("%s/%s", dir_path, name) : xstrdup(name);
	scoped(close) int fd = -1;
	if (pack_entry(w->pack, dir, name, path, &fd, e) < 0) {
		return e->kind == ERR_NOT_FOUND ? 0 : -1; /* the container has removed it */
	}
	if (fd < 0 || is_foreign(w, dir, fd, name, depth)) {
		return 0;
	}
	return walk_dir(w, fd, path, depth + 1, e);
}

/* path NULL: names stand alone. */
static int walk_dir(const struct walk *w, int dir, const char *path, int depth, struct err *e)
{
	scoped(strv) struct strv names = STRV_INIT;
	int r = depth > PACK_DEPTH_MAX ? -ELOOP : path_list(dir, &names);
	if (r < 0 && r != -ENOENT) {
		return err_sys(e, -r, "cannot read %.200s", path ? path : "/");
	}
	for (size_t i = 0; i < names.n; i++) {
		if (walk_entry(w, dir, path, names.v[i], depth, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int walk_found(const struct walk *w, const struct found *f, struct err *e)
{
	bool is_root = strcmp(f->base, "/") == 0;
	scoped(close) int dir = pack_reopen(f->fd, O_RDONLY | O_DIRECTORY);
	if (dir < 0) {
		return err_sys(e, -dir, "cannot read %.200s", f->path);
	}
	if (pack_directory(w->pack, dir, f->base, e) < 0) {
		return -1;
	}
	return f->kernel ? 0 : walk_dir(w, dir, is_root ? "" : f->base, 0, e);
}

/* What is no directory is packed by its name in its directory, which may have become something
 * else: then that is what is there. */
static int pack_file(const struct walk *w, int root, const struct found *f, struct err *e)
{
	scoped(free) char *parent = xstrdup(f->path);
	char *slash = strrchr(parent, '/');
	*slash = '\0';
	scoped(close) int dir =
		path_open_in(root, *parent ? parent : "/", O_RDONLY | O_DIRECTORY, 0);
	if (dir < 0) {
		return err_sys(e, -dir, "cannot read %.200s", f->path);
	}
	return pack_entry(w->pack, dir, slash + 1, f->base, NULL, e);
}

/* The head of the answer leaves before the first byte of the archive. */
static int begin(struct rpc *r, json_t *take_stat, struct err *e)
{
	json_t *msg = json_pack("{ss}", "ask", "begin");
	json_put(msg, "stat", take_stat);
	scoped(json) json_t *answer = rpc_ask(r, msg, e);
	return answer ? 0 : -1;
}

static int finish(struct pack *p, struct output *out, struct err *e)
{
	return pack_end(p, e) < 0 ? -1 : output_flush(out, e);
}

json_t *worker_files_get(struct rpc *r, const json_t *request, struct err *e)
{
	scoped(found) struct found f = {.fd = -1};
	scoped(close) int root = view_open(request, e);
	if (root < 0 || find_requested(root, request, false, &f, e) < 0) {
		return NULL;
	}
	json_t *stat = stat_of(root, &f, e);
	if (!stat || begin(r, stat, e) < 0) {
		return NULL;
	}
	scoped(output_free) struct output *out = output_new(STDOUT_FILENO);
	scoped(pack_free) struct pack *p = pack_new(output_write, out);
	const struct walk w = {p, strcmp(f.path, "/") == 0};
	int done = S_ISDIR(f.st.st_mode) ? walk_found(&w, &f, e) : pack_file(&w, root, &f, e);
	return done < 0 || finish(p, out, e) < 0 ? NULL : json_object();
}

json_t *worker_files_export(struct rpc *r, const json_t *request, struct err *e)
{
	scoped(close) int root = view_open_bare(request, e);
	scoped(close) int dir = root < 0 ? -1 : pack_reopen(root, O_RDONLY | O_DIRECTORY);
	if (root >= 0 && dir < 0) {
		(void)err_sys(e, -dir, "cannot read the container's root");
	}
	if (dir < 0 || begin(r, json_null(), e) < 0) {
		return NULL;
	}
	scoped(output_free) struct output *out = output_new(STDOUT_FILENO);
	scoped(pack_free) struct pack *p = pack_new(output_write, out);
	const struct walk w = {p, false};
	return walk_dir(&w, dir, NULL, 0, e) < 0 || finish(p, out, e) < 0 ? NULL : json_object();
}

/* --- into the container --- */

static int check_writable(int root, const struct found *f, const json_t *request, struct err *e)
{
	struct statvfs fs;
	bool of_root = view_same_mount(root, f->fd);
	bool read_only = fstatvfs(f->fd, &fs) == 0 && (fs.f_flag & ST_RDONLY);
	if (of_root && (read_only || json_bool(request, "read_only_root"))) {
		return err_set(e, ERR_DENIED, "container rootfs is marked read-only");
	}
	return read_only ? err_set(e, ERR_DENIED, "mounted volume is marked read-only") : 0;
}

static int find_place(int root, const json_t *request, struct found *ret, struct err *e)
{
	if (find_requested(root, request, true, ret, e) < 0) {
		return -1;
	}
	if (!S_ISDIR(ret->st.st_mode)) {
		return err_set(e, ERR_INVALID, "extraction point is not a directory");
	}
	if (ret->kernel) {
		return err_set(e, ERR_DENIED, "%.200s is the kernel's: nothing can be put there",
			ret->path);
	}
	return check_writable(root, ret, request, e);
}

json_t *worker_files_put(struct rpc *r, const json_t *request, struct err *e)
{
	scoped(found) struct found f = {.fd = -1};
	scoped(close) int root = view_open(request, e);
	if (root < 0 || find_place(root, request, &f, e) < 0) {
		return NULL;
	}
	const struct unpack_place place = {
		.dir = f.path,
		.keep_kinds = json_bool(request, "no_overwrite"),
		.set_owner = json_bool(request, "set_owner"),
		.uid = (uid_t)json_i64(request, "uid", 0),
		.gid = (gid_t)json_i64(request, "gid", 0),
	};
	struct unpack_result made;
	scoped(stream_free) struct stream *in = stream_from_fd(STDIN_FILENO);
	scoped(stream_free) struct stream *plain = stream_decompress_new(in);
	return unpack_files(root, plain, &place, &made, e) < 0 ? NULL : json_object();
}
