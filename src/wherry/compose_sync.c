/* What is there is put in as an archive that is made while it is sent (PutContainerArchive), what
 * is gone is removed by `rm` in the container: the API has no removal. */
#include "wherry/compose_sync.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "tree/pack.h"
#include "wherry/cp_local.h"
#include "wherry/engine.h"

#define POLL_MS 20
#define REMOVALS_MAX 500u /* words of one command */

struct sync {
	const struct sync_file *files;
	size_t n;
};

/* Gone again is fine: an event says so. */
static int pack_file(struct pack *p, const struct sync_file *f, struct err *e)
{
	const char *slash = strrchr(f->path, '/');
	scoped(free) char *dir =
		xstrndup(f->path, slash == f->path ? 1 : (size_t)(slash - f->path));
	scoped(close) int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	scoped(close) int below = -1;
	if (fd < 0) {
		return errno == ENOENT || errno == ENOTDIR ? 0
							   : err_sys(e, errno, "open %.300s", dir);
	}
	if (pack_entry(p, fd, slash + 1, f->target + strspn(f->target, "/"), &below, e) < 0) {
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	}
	return 0;
}

static int fill(void *owner, struct pack *p, struct err *e)
{
	const struct sync *s = owner;
	for (size_t i = 0; i < s->n; i++) {
		if (pack_file(p, &s->files[i], e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int put(struct compose *c, const struct state_container *k, struct sync *s, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	struct cp_pack *pack = cp_pack_of(fill, s);
	const struct http_source source = {cp_pack_read, pack};
	path_add(&path, "/containers/", k->id, "/archive?path=%2F&copyUIDGID=true");
	const struct http_call call = {.method = "PUT",
		.path = buf_str(&path),
		.headers = "Content-Type: application/x-tar\r\n",
		.source = &source};
	int r = cp_pack_start(pack, "", e);
	r = r == 0 ? engine_send(c->cli->http, &call, NULL, e) : r;
	if (r == 0) {
		http_client_skip(c->cli->http);
	}
	struct err packing;
	if (cp_pack_end(pack, &packing) < 0) {
		*e = packing;
		r = -1;
	}
	cp_pack_free(pack);
	return r < 0 ? err_wrap(e, "copying files to %.12s", k->id) : 0;
}

/* --- removals --- */

static int run(
	struct compose *c, const struct state_container *k, const json_t *words, struct err *e)
{
	scoped(json) json_t *body = json_object();
	scoped(json) json_t *answer = NULL;
	scoped(json) json_t *info = NULL;
	scoped(json) json_t *start = json_pack("{sb sb}", "Detach", 1, "Tty", 0);
	scoped(buf) struct buf path = BUF_INIT;
	json_put(body, "Cmd", json_deep_copy(words));
	json_put_str(body, "User", "0"); /* whoever owns the directory it is in */
	path_add(&path, "/containers/", k->id, "/exec");
	if (engine_json(c->cli, "POST", buf_str(&path), body, &answer, e) < 0) {
		return -1;
	}
	const char *id = json_str(answer, "Id");
	scoped(buf) struct buf begin = BUF_INIT;
	path_add(&begin, "/exec/", id, "/start");
	if (engine_json(c->cli, "POST", buf_str(&begin), start, NULL, e) < 0) {
		return -1;
	}
	do { /* a stream that nobody reads would end the command with dockerd */
		json_decref(TAKE(info));
		poll(NULL, 0, POLL_MS);
		if (engine_on(c->cli, "GET", "/exec/", id, "/json", &info, e) < 0) {
			return -1;
		}
	} while (json_bool(info, "Running"));
	int code = (int)json_i64(info, "ExitCode", 0);
	return code == 0 ? 0 : err_set(e, ERR_SYSTEM, "exit code %d", code);
}

static int remove_gone(
	struct compose *c, const struct state_container *k, const struct sync *gone, struct err *e)
{
	for (size_t i = 0; i < gone->n;) {
		scoped(json) json_t *words = json_pack("[sss]", "rm", "-rf", "--");
		for (size_t k2 = 0; i < gone->n && k2 < REMOVALS_MAX; k2++, i++) {
			json_array_append_new(words, json_string(gone->files[i].target));
		}
		if (run(c, k, words, e) < 0) {
			return err_wrap(e, "deleting paths in %.12s", k->id);
		}
	}
	return 0;
}

/* --- all --- */

struct split {
	struct sync there, gone;
	const struct state_container **list;
};

static int sync_one(struct compose *c, void *owner, size_t i, struct err *e)
{
	struct split *s = owner;
	const struct state_container *k = s->list[i];
	/* in one that does not run nothing can be removed; it gets the rest */
	if (compose_is_running(k) && remove_gone(c, k, &s->gone, e) < 0) {
		return -1;
	}
	return s->there.n > 0 ? put(c, k, &s->there, e) : 0;
}

int compose_sync(struct compose *c, const char *project, const char *service,
	const struct sync_file *files, size_t n, struct err *e)
{
	scoped(compose_state) struct compose_state state = {0};
	scoped(free) struct sync_file *there = xnew_array(struct sync_file, n + 1);
	scoped(free) struct sync_file *gone = xnew_array(struct sync_file, n + 1);
	struct split s = {.there = {there, 0}, .gone = {gone, 0}};
	size_t containers = 0;
	for (size_t i = 0; i < n; i++) {
		struct stat st;
		if (lstat(files[i].path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR)) {
			gone[s.gone.n++] = files[i];
		} else {
			there[s.there.n++] = files[i];
		}
	}
	if (compose_state_fetch(c, project, &state, e) < 0) {
		return -1;
	}
	scoped(free) const struct state_container **list =
		xnew_array(const struct state_container *, state.s.n_containers + 1);
	for (size_t i = 0; i < state.s.n_containers; i++) {
		const struct state_container *k = &state.s.containers[i];
		if (!k->one_off && strcmp(k->service, service) == 0) {
			list[containers++] = k;
		}
	}
	s.list = list;
	return compose_parallel(c, containers, sync_one, &s, e);
}
