/* Job "commit": a container's changes as one more layer, and the image that has it.
 *
 * request {"upper", "base": the image's document, "config": the new image's, "container_config",
 *         "parent": its id or "", "container": id, "created_by", "author", "comment", "changes":
 * [Dockerfile instructions], "references": [canonical], "tmp": {}} result  as of "load"
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "worker/config_change.h"
#include "worker/diff.h"
#include "worker/jobs.h"
#include "worker/layers.h"
#include "worker/output.h"
#include "worker/stubs.h"

/* --- the layer: packed by one thread, unpacked and hashed by the other --- */

struct packing {
	int upper, to;
	struct output *out;
	struct diff_result made;
	struct err error;
	bool failed;
};

static bool skip_stub(void *owner, int dir_fd, const char *name, const char *path)
{
	return stub_is(dir_fd, name, path);
}

static int write_piece(void *owner, const void *data, size_t n, struct err *e)
{
	struct packing *p = owner;
	return output_write(p->out, data, n, e);
}

static void *pack_upper(void *arg)
{
	struct packing *p = arg;
	p->out = output_new(p->to);
	p->failed = diff_pack(p->upper, write_piece, skip_stub, p, &p->made, &p->error) < 0 ||
		    output_flush(p->out, &p->error) < 0;
	output_free(p->out);
	close(p->to);
	return NULL;
}

static int unpack_stream(const json_t *request, int take_from, struct layer *ret, struct err *e)
{
	scoped(close) int from = take_from;
	scoped(stream_free) struct stream *in = stream_from_fd(from);
	return layer_unpack(request, 0, in, false, ret, e) < 0 || stream_drain(in, e) < 0 ? -1 : 0;
}

/* A removal renames the directory and then deletes: what was packed may be a part of it. */
static int check_still_there(const char *path, int upper, struct err *e)
{
	struct stat now;
	struct stat packed;
	if (stat(path, &now) == 0 && fstat(upper, &packed) == 0 && now.st_ino == packed.st_ino &&
		now.st_dev == packed.st_dev) {
		return 0;
	}
	return err_set(e, ERR_CONFLICT, "the container has been removed");
}

/* *ret_empty: the container changed nothing. */
static int make_layer(const json_t *request, struct layer *ret, bool *ret_empty, struct err *e)
{
	const char *path = json_str(request, "upper");
	scoped(close) int upper = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ends[2];
	pthread_t thread;
	if (upper < 0 || pipe2(ends, O_CLOEXEC) < 0) {
		return err_sys(e, errno, "cannot read %s", path);
	}
	signal(SIGPIPE, SIG_IGN); /* the unpacker may give up first */
	struct packing p = {.upper = upper, .to = ends[1]};
	int r = pthread_create(&thread, NULL, pack_upper, &p);
	if (r != 0) {
		close(ends[0]);
		close(ends[1]);
		return err_sys(e, r, "cannot make a thread");
	}
	r = unpack_stream(request, ends[0], ret, e);
	pthread_join(thread, NULL);
	if (r == 0 && p.failed) {
		*e = p.error;
		return -1;
	}
	*ret_empty = p.made.entries == 0;
	return r < 0 ? -1 : check_still_there(path, upper, e);
}

/* --- the document --- */

static void set_or_drop(json_t *doc, const char *key, const char *value)
{
	if (*value) {
		json_put_str(doc, key, value);
	} else {
		json_object_del(doc, key);
	}
}

static void describe(json_t *doc, const json_t *request)
{
	char now[CLOCK_TEXT_MAX];
	json_put_str(doc, "created", clock_format(clock_real_ns(), now));
	set_or_drop(doc, "author", json_str(request, "author"));
	set_or_drop(doc, "comment", json_str(request, "comment"));
	set_or_drop(doc, "parent", json_str(request, "parent"));
	json_put_str(doc, "container", json_str(request, "container"));
	json_put(
		doc, "container_config", json_incref(json_object_get(request, "container_config")));
}

static json_t *make_document(const json_t *request, struct err *e)
{
	struct build_config c;
	scoped(json) json_t *base = json_deep_copy(json_object_get(request, "base"));
	json_put(base, "config", json_deep_copy(json_object_get(request, "config")));
	build_config_for_changes(&c, base);
	int r = config_changes_apply(&c, json_object_get(request, "changes"), e);
	json_t *doc = r < 0 ? NULL : json_incref(c.image);
	build_config_deinit(&c);
	if (doc) {
		describe(doc, request);
	}
	return doc;
}

static int add_layer(json_t *doc, const json_t *request, const struct layer *l, struct err *e)
{
	json_t *ids = json_object_get(json_object_get(doc, "rootfs"), "diff_ids");
	json_t *history = json_object_get(doc, "history");
	json_t *entry = json_object();
	if (!json_is_array(history)) {
		history = json_array();
		json_put(doc, "history", history);
	}
	json_put_str(entry, "created", json_str(doc, "created"));
	set_or_drop(entry, "author", json_str(request, "author"));
	set_or_drop(entry, "created_by", json_str(request, "created_by"));
	set_or_drop(entry, "comment", json_str(request, "comment"));
	if (!l) {
		json_put(entry, "empty_layer", json_true());
	}
	json_array_append_new(history, entry);
	if (l && json_array_size(ids) >= LAYERS_MAX) {
		return err_set(
			e, ERR_INVALID, "the image would have more than %d layers", LAYERS_MAX);
	}
	if (l) {
		json_array_append_new(ids, json_string(l->diff_id));
	}
	return 0;
}

json_t *worker_commit(struct rpc *r, const json_t *request, struct err *e)
{
	struct layer layer;
	bool empty;
	scoped(json) json_t *doc = make_document(request, e);
	if (!doc || make_layer(request, &layer, &empty, e) < 0) {
		return NULL;
	}
	if (empty) {
		layer_drop(request, 0);
	} else if (layers_sync(request, e) < 0 || layer_record(r, &layer, e) < 0) {
		return NULL;
	}
	if (layers_settle(request, e) < 0) {
		return NULL;
	}
	if (add_layer(doc, request, empty ? NULL : &layer, e) < 0) {
		return NULL;
	}
	scoped(free) char *text = json_text(doc);
	return json_pack("{s[{ss sO ss}]}", "images", "config", text, "references",
		json_object_get(request, "references"), "digest", "");
}
