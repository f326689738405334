/* Invariants
 * 1. A kept directory's index is read under the lock for reading, and replaced under it for
 * writing.
 * 2. The context is fetched with the same ignored patterns each time, so a second time only adds.
 */
#include "worker/build_context.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "build/run_mount.h"
#include "codec/sha256.h"
#include "worker/build.h"
#include "worker/context.h"
#include "worker/kept.h"
#include "worker/session.h"

#define METHOD "/moby.filesync.v1.FileSync/DiffCopy"
#define METADATA_ROOM 2000 /* of GRPC_METADATA_MAX, for what the transport adds */
#define STATUS_NS 100000000
#define LOCALS_MAX 64
#define KEEP_NS (7 * 24 * 3600 * NS_PER_SEC) /* as entries of the cache */

struct build_contexts {
	pthread_rwlock_t lock;
	struct kept *context; /* NULL: not fetched */
	bool all;             /* nothing but what is ignored was left out */
	struct map *locals;   /* name to struct kept */
};

/* What is asked of the client. */
struct wanted {
	const char *dir_name;
	const struct strv *exclude, *follow; /* may be NULL: everything */
};

/* --- progress --- */

struct watched {
	struct build *b;
	int vertex;
	char id[80];
	int64_t started_ns, told_ns;
	int64_t bytes;
};

static void tell_status(struct watched *w, bool completed)
{
	const struct build_status s = {.id = w->id,
		.current = w->bytes,
		.started_ns = w->started_ns,
		.completed = completed};
	build_event_status(w->b->events, w->vertex, &s);
}

static void on_progress(void *owner, const struct kept_progress *p)
{
	struct watched *w = owner;
	int64_t now = clock_mono_ns();
	w->bytes = p->bytes;
	if (now - w->told_ns > STATUS_NS) {
		w->told_ns = now;
		tell_status(w, false);
	}
}

/* --- one FileSync --- */

/* Values that are no ASCII travel encoded (moby/buildkit session/filesync encodeStringForHeader).
 */
static void add_values(struct strv *metadata, const char *name, const struct strv *values)
{
	bool encode = false;
	for (size_t i = 0; i < values->n; i++) {
		for (const char *p = values->v[i]; *p; p++) {
			encode = encode || *p & '\x80' || (unsigned char)*p < ' ';
		}
	}
	for (size_t i = 0; i < values->n; i++) {
		struct buf text = BUF_INIT;
		if (encode) {
			percent_encode(values->v[i], &text);
		} else {
			buf_puts(&text, values->v[i]);
		}
		strv_add(metadata, name);
		strv_take(metadata, buf_take_str(&text));
	}
	if (encode) {
		strv_addf(metadata, "%s-encoded", name);
		strv_add(metadata, "1");
	}
}

static size_t metadata_bytes(const struct strv *m)
{
	size_t n = 0;
	for (size_t i = 0; i < m->n; i++) {
		n += strlen(m->v[i]) + 16; /* RFC 9113 10.5.1: with some overhead for each */
	}
	return n;
}

static void make_metadata(const struct wanted *q, struct strv *ret)
{
	scoped(strv) struct strv name = STRV_INIT;
	strv_add(&name, q->dir_name);
	add_values(ret, "dir-name", &name);
	if (q->exclude) {
		add_values(ret, "exclude-patterns", q->exclude);
	}
	if (q->follow && q->follow->n) {
		scoped(strv) struct strv follow = STRV_INIT;
		add_values(&follow, "followpaths", q->follow);
		bool fits = metadata_bytes(ret) + metadata_bytes(&follow) <=
			    GRPC_METADATA_MAX - METADATA_ROOM;
		strv_copy(ret, fits ? &follow : &(struct strv)STRV_INIT); /* or more than needed */
	}
}

static int receive(
	struct build *b, struct kept *k, const struct wanted *q, struct watched *w, struct err *e)
{
	scoped(strv) struct strv metadata = STRV_INIT;
	make_metadata(q, &metadata);
	bool fits = metadata_bytes(&metadata) <= GRPC_METADATA_MAX - METADATA_ROOM;
	if (!fits) { /* everything comes, and is ignored here */
		const struct wanted less = {q->dir_name, NULL, q->follow};
		strv_clear(&metadata);
		make_metadata(&less, &metadata);
	}
	scoped(free) char *key = xasprintf("local-sessionid:%s", q->dir_name);
	const char *session = json_str(json_object_get(b->options, "attrs"), key);
	scoped(grpc_call_free) struct grpc_call *call =
		session_call_on(b, session, METHOD, &metadata, e);
	if (!call) {
		return -1;
	}
	const struct fsutil_stream s = fsutil_over_call(call);
	return kept_receive(k, &s, fits ? NULL : b->ignore, on_progress, w, e);
}

static int fetch(
	struct build *b, struct kept *k, const struct wanted *q, const char *what, struct err *e)
{
	struct watched w = {.b = b, .started_ns = clock_real_ns()};
	snprintf(w.id, sizeof(w.id), "transferring %.60s:", q->dir_name);
	w.vertex = build_event_vertex(b->events, NULL, 0, "%s", what);
	b->fetched = w.vertex;
	build_event_begin(b->events, w.vertex);
	if (strcmp(q->dir_name, "dockerfile") == 0) {
		b->definition = w.vertex;
	}
	int r = receive(b, k, q, &w, e);
	if (r == 0) {
		tell_status(&w, true);
	} else {
		(void)err_wrap(e, "the client's directory '%.60s'", q->dir_name);
	}
	build_event_end(b->events, w.vertex, false, r < 0 ? e : NULL);
	return r;
}

/* --- what is used of the context --- */

static bool is_remote(const struct df_instruction *i, const char *source)
{
	return i->kind == DF_ADD && (strstr(source, "://") || text_starts(source, "git@"));
}

/* *ret_all: more than can be said by names. */
static void add_used(const char *source, struct strv *ret, bool *ret_all)
{
	scoped(free) char *clean = path_join("/", source);
	if (strchr(source, '$') || strcmp(clean, "/") == 0) {
		*ret_all = true;
	} else if (!strv_has(ret, clean + 1)) {
		strv_add(ret, clean + 1);
	}
}

static bool is_heredoc(const struct df_instruction *i, const char *word)
{
	for (size_t k = 0; k < i->n_heredocs; k++) {
		if (strcmp(i->heredocs[k].word, word) == 0) {
			return true;
		}
	}
	return false;
}

static void used_by_copy(const struct df_instruction *i, struct strv *ret, bool *ret_all)
{
	if (df_flag(i, "from")) {
		return;
	}
	for (size_t k = 0; k + 1 < i->words.n; k++) {
		const char *source = i->words.v[k];
		if (!is_heredoc(i, source) && !is_remote(i, source)) {
			add_used(source, ret, ret_all);
		}
	}
}

static void used_by_run(const struct df_instruction *i, struct strv *ret, bool *ret_all)
{
	for (size_t k = 0; k < i->flags.n; k++) {
		const char *text = run_mount_flag(i->flags.v[k]);
		scoped(free) char *from = text ? run_mount_from(text) : NULL;
		if (!text || from) {
			continue;
		}
		bool bind = !strstr(text, "type=") || strstr(text, "type=bind");
		const char *source = strstr(text, "source=");
		source = source                 ? source + 7
			 : strstr(text, "src=") ? strstr(text, "src=") + 4
						: NULL;
		if (bind && source && !strchr(text, '"')) {
			scoped(free) char *path = xstrndup(source, strcspn(source, ","));
			add_used(path, ret, ret_all);
		} else if (bind) {
			*ret_all = true;
		}
	}
}

static void used_by_stage(
	const struct build *b, const struct stage *stage, struct strv *ret, bool *ret_all)
{
	for (size_t k = stage->from; k < stage->end; k++) {
		const struct df_instruction *i = &b->d.v[k];
		if (i->kind == DF_COPY || i->kind == DF_ADD) {
			used_by_copy(i, ret, ret_all);
		} else if (i->kind == DF_RUN) {
			used_by_run(i, ret, ret_all);
		}
	}
}

static void used_files(const struct build *b, struct strv *ret, bool *ret_all)
{
	for (size_t t = 0; t < b->n_targets; t++) {
		const struct plan *plan = &b->targets[t].plan;
		for (size_t k = 0; k < plan->n; k++) {
			if (plan->v[k].needed) {
				used_by_stage(b, &plan->v[k], ret, ret_all);
			}
		}
	}
}

/* --- directories --- */

bool build_context_by_session(const struct build *b, const char *option)
{
	const json_t *source = json_object_get(b->options, option);
	return strcmp(json_str(source, "kind"), "session") == 0;
}

static int make_dir(struct build *b, const char *name, struct err *e)
{
	if (mkdirat(b->tmp_fd, name, 0755) < 0 && errno != EEXIST) {
		return err_sys(e, errno, "cannot make a directory for the context");
	}
	int fd = openat(b->tmp_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cannot make a directory for the context") : fd;
}

int build_context_fetch(struct build *b, const char *name, const struct strv *files,
	const char *what, const char *dir, struct err *e)
{
	int fd = make_dir(b, dir, e);
	scoped(kept_close) struct kept *k = fd < 0 ? NULL : kept_temporary(fd, e);
	const struct wanted q = {name, NULL, files};
	if (!k || fetch(b, k, &q, what, e) < 0) {
		return -1;
	}
	int tree = openat(kept_tree_fd(k), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return tree < 0 ? err_sys(e, errno, "cannot open the files of '%.60s'", name) : tree;
}

/* One for each client's directory and what is built of it: other builds use other files. */
static void make_key(const struct build *b, const char *name, char ret[static 65])
{
	memset(ret, '0', 64);
	ret[64] = '\0';
	build_mix(ret, json_str(b->options, "shared_key"));
	build_mix(ret, name);
	build_mix(ret, json_str(b->options, "dockerfile"));
	build_mix(ret, json_str(b->options, "target"));
}

/* Kept, or of this build alone while another build has that one. */
static struct kept *open_kept(struct build *b, const char *name, struct err *e)
{
	char key[65];
	make_key(b, name, key);
	key[32] = '\0';
	scoped(free) char *all = xasprintf("%s/contexts", json_str(b->request, "cache_dir"));
	struct kept *k = kept_open(all, key, e);
	if (k && kept_index(k)->n == 0) { /* a new one: others may be in use no more */
		struct statvfs fs;
		int64_t disk = fstatvfs(kept_tree_fd(k), &fs) < 0
				       ? 0
				       : (int64_t)(fs.f_blocks * fs.f_frsize);
		kept_trim(all, clock_real_ns(), KEEP_NS, disk ? disk / 10 : INT64_MAX);
	}
	if (k || e->kind != ERR_BUSY) {
		return k;
	}
	scoped(free) char *own = xasprintf("context-%.16s", key);
	int fd = make_dir(b, own, e);
	return fd < 0 ? NULL : kept_temporary(fd, e);
}

static struct build_contexts *contexts_of(struct build *b)
{
	if (!b->contexts_kept) { /* before any stage runs */
		struct build_contexts *c = xnew(struct build_contexts);
		pthread_rwlock_init(&c->lock, NULL);
		c->locals = map_new();
		b->contexts_kept = c;
	}
	return b->contexts_kept;
}

void build_contexts_close(struct build *b)
{
	struct build_contexts *c = TAKE(b->contexts_kept);
	if (!c) {
		return;
	}
	kept_close(c->context);
	map_each (c->locals, struct kept, k) {
		kept_close(k);
	}
	map_free(c->locals);
	pthread_rwlock_destroy(&c->lock);
	free(c);
}

/* With the lock. follow NULL: all of it. */
static int sync_context(struct build *b, const struct strv *follow, struct err *e)
{
	struct build_contexts *c = b->contexts_kept;
	scoped(strv) struct strv exclude = STRV_INIT;
	ignore_patterns(b->ignore, &exclude);
	const struct wanted q = {"context", &exclude, follow};
	c->context = c->context ? c->context : open_kept(b, q.dir_name, e);
	if (!c->context || fetch(b, c->context, &q, "[internal] load build context", e) < 0) {
		return -1;
	}
	c->all = follow == NULL;
	if (b->context_fd < 0) {
		b->context_fd =
			openat(kept_tree_fd(c->context), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	return b->context_fd < 0 ? err_sys(e, errno, "cannot open the context") : 0;
}

int build_context_open(struct build *b, struct err *e)
{
	scoped(strv) struct strv used = STRV_INIT;
	bool all = false;
	struct build_contexts *c = contexts_of(b);
	if (!build_context_by_session(b, "context")) {
		c->all = true;
		return 0;
	}
	used_files(b, &used, &all);
	if (used.n > 0 || all) {
		return sync_context(b, all ? NULL : &used, e);
	}
	b->context_fd = make_dir(b, "context", e); /* nothing of it is used, as far as we know */
	return b->context_fd < 0 ? -1 : 0;
}

int build_context_widen(struct build *b, struct err *e)
{
	struct build_contexts *c = b->contexts_kept;
	int r = 0;
	pthread_rwlock_wrlock(&c->lock);
	if (!c->all) {
		int before = c->context ? -1 : b->context_fd;
		b->context_fd = c->context ? b->context_fd : -1;
		r = sync_context(b, NULL, e);
		if (before >= 0) {
			close(before); /* nobody used it */
		}
	}
	pthread_rwlock_unlock(&c->lock);
	return r;
}

int build_context_local(struct build *b, const char *name, int *ret_fd, struct err *e)
{
	struct build_contexts *c = b->contexts_kept;
	scoped(free) char *what = xasprintf("[context %s] load from client", name);
	const struct wanted q = {name, NULL, NULL};
	pthread_rwlock_wrlock(&c->lock);
	struct kept *k = map_get(c->locals, name);
	if (!k && map_count(c->locals) < LOCALS_MAX) {
		k = open_kept(b, name, e);
		if (k && fetch(b, k, &q, what, e) < 0) {
			kept_close(TAKE(k));
		}
		if (k) {
			map_put(c->locals, name, k);
		}
	} else if (!k) {
		(void)err_set(e, ERR_INVALID, "more than %d named contexts", LOCALS_MAX);
	}
	pthread_rwlock_unlock(&c->lock);
	if (!k) {
		return -1;
	}
	*ret_fd = kept_tree_fd(k);
	return 0;
}

/* --- what is known of them --- */

static const struct kept *find_kept(const struct build *b, int root_fd)
{
	const struct build_contexts *c = b->contexts_kept;
	if (root_fd == b->context_fd) {
		return c->context;
	}
	map_each (c->locals, struct kept, k) {
		if (kept_tree_fd(k) == root_fd) {
			return k;
		}
	}
	return NULL;
}

int build_context_digest(struct build *b, int root_fd, const char *path, bool with_owners,
	copy_filter *filter, void *owner, char ret[static 65], struct err *e)
{
	struct build_contexts *c = b->contexts_kept;
	pthread_rwlock_rdlock(&c->lock);
	const struct kept *k = with_owners ? NULL : find_kept(b, root_fd);
	scoped(free) char *clean = path_join("/", path);
	const char *below = clean[1] ? clean + 1 : ".";
	bool known = k && context_digest_index(kept_index(k), below, filter, owner, ret, e) == 0;
	pthread_rwlock_unlock(&c->lock);
	/* a path through a link is in no index */
	return known ? 0 : context_digest(root_fd, path, with_owners, filter, owner, ret, e);
}

bool build_context_is(const struct build *b, int root_fd)
{
	return root_fd == b->context_fd || find_kept(b, root_fd);
}
