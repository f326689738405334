/* Job "verify": are the directories of layers what their tars say?
 *
 * request {"dir": DATA/layers, "layers": [{"diff_id", "dir"}], "deep": bool, "gentle": bool}
 *         not deep: names, kinds, sizes, owners, modes, times, links (tree/check.h). deep: every
 *         byte too, by the tar's digest. gentle: gives way to everything else on the machine
 * messages {"layer": diff id, "state": "checking" | "whole" | "damaged" | "no-recipe",
 *          "reason": ""}
 * result  {}
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/json.h"
#include "base/scoped.h"
#include "tree/check.h"
#include "tree/recipe.h"
#include "tree/stream.h"
#include "worker/jobs.h"
#include "worker/rpc.h"

/* linux/ioprio.h is not in every libc's headers: the class "idle" */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_IDLE (3 << 13)

static void be_gentle(void)
{
	(void)setpriority(PRIO_PROCESS, 0, 19);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
}

static void say(struct rpc *r, const char *diff_id, const char *state, const char *reason)
{
	rpc_send(r, json_pack("{ss ss ss}", "layer", diff_id, "state", state, "reason", reason));
}

/* This machine, rather than the layer, is what fails. */
static bool is_ours(const struct err *e)
{
	return e->sys == ENOMEM || e->sys == EMFILE || e->sys == ENFILE || e->sys == EACCES ||
	       e->sys == EPERM;
}

/* 0: whole; 1: not, and ret says why; -1 with *e: it cannot be told. */
static int check_tree(int root, struct stream *tar, char ret[static CHECK_WORDS_MAX], struct err *e)
{
	int r = check_directory(root, tar, ret, e);
	if (r < 0 && !is_ours(e)) {
		snprintf(ret, CHECK_WORDS_MAX, "%.255s", e->msg);
		return 1;
	}
	return r;
}

static int check_deep(int root, struct stream *tar, const char *diff_id,
	char ret[static CHECK_WORDS_MAX], struct err *e)
{
	char digest[STREAM_DIGEST_LEN + 1];
	scoped(stream_free) struct stream *hashed = stream_digest_new(tar);
	int r = check_tree(root, hashed, ret, e);
	if (r != 0) {
		return r;
	}
	stream_digest_text(hashed, digest);
	if (strcmp(digest, diff_id) == 0) {
		return 0;
	}
	snprintf(ret, CHECK_WORDS_MAX, "the contents of some file have changed");
	return 1;
}

static int check_layer(struct rpc *r, int layers, const json_t *layer, bool deep, struct err *e)
{
	const char *diff_id = json_str(layer, "diff_id");
	const char *dir = json_str(layer, "dir");
	char reason[CHECK_WORDS_MAX] = "";
	struct err why = {0};
	say(r, diff_id, "checking", "");
	scoped(close) int root =
		openat(layers, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (root < 0) {
		say(r, diff_id, "damaged", "its directory is missing");
		return 0;
	}
	scoped(stream_free) struct stream *tar =
		deep ? recipe_open(layers, dir, &why) : recipe_open_headers(layers, dir, &why);
	if (!tar) {
		if (is_ours(&why)) {
			*e = why;
			return -1;
		}
		say(r, diff_id, why.kind == ERR_NOT_FOUND ? "no-recipe" : "damaged", why.msg);
		return 0;
	}
	int found =
		deep ? check_deep(root, tar, diff_id, reason, e) : check_tree(root, tar, reason, e);
	if (found >= 0) {
		say(r, diff_id, found ? "damaged" : "whole", reason);
	}
	return found < 0 ? -1 : 0;
}

json_t *worker_verify(struct rpc *r, const json_t *request, struct err *e)
{
	const char *path = json_str(request, "dir");
	scoped(close) int layers = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (layers < 0) {
		(void)err_sys(e, errno, "cannot open %s", path);
		return NULL;
	}
	if (json_bool(request, "gentle")) {
		be_gentle();
	}
	size_t i;
	json_t *layer;
	json_array_foreach (json_object_get(request, "layers"), i, layer) {
		if (check_layer(r, layers, layer, json_bool(request, "deep"), e) < 0) {
			return NULL;
		}
	}
	return json_object();
}
