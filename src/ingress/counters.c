#include "ingress/counters.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "ingress/counters_shape.h"
#include "job/job.h"

#define ROUTES_COUNTED_MAX 4096 /* that there ever were since the daemon began */

struct route_count {
	char *key;
	uint64_t classes[COUNTER_CLASSES], buckets[COUNTER_BUCKETS + 1], bytes, ms;
};

struct counters {
	struct job_pool *jobs;
	char *dir;
	json_t *positions; /* inode to bytes that are counted */
	struct map *routes;
	struct job *job;
	bool begun;  /* nginx has run: there may be something to count */
	bool wanted; /* somebody has asked */
	struct list waiting;
};

struct counters_wait {
	struct list node;
	void (*done)(void *owner);
	void *owner;
};

struct counters *counters_new(struct job_pool *jobs, const char *dir)
{
	struct counters *c = xnew(struct counters);
	scoped(free) char *path = xasprintf("%s/log", dir);
	scoped(closedir) DIR *d = opendir(path);
	c->jobs = jobs;
	c->dir = xstrdup(dir);
	c->routes = map_new();
	c->positions = json_object();
	list_init(&c->waiting);
	for (struct dirent *one; d && (one = readdir(d));) {
		struct stat st;
		char inode[32];
		if (fstatat(dirfd(d), one->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode)) {
			snprintf(inode, sizeof(inode), "%ju", (uintmax_t)st.st_ino);
			json_put(c->positions, inode, json_integer(st.st_size));
		}
	}
	return c;
}

void counters_free(struct counters *c)
{
	if (!c) {
		return;
	}
	map_each (c->routes, struct route_count, r) {
		free(r->key);
		free(r);
	}
	map_free(c->routes);
	json_decref(c->positions);
	free(c->dir);
	free(c);
}

static struct route_count *route_of(struct counters *c, const char *key)
{
	struct route_count *r = map_get(c->routes, key);
	if (!r && map_count(c->routes) < ROUTES_COUNTED_MAX) {
		r = xnew(struct route_count);
		r->key = xstrdup(key);
		(void)map_put(c->routes, key, r);
	}
	return r;
}

static void add_all(uint64_t *to, size_t n, const json_t *from)
{
	for (size_t i = 0; i < n; i++) {
		to[i] += (uint64_t)json_integer_value(json_array_get(from, i));
	}
}

static void take(struct counters *c, const json_t *result)
{
	const char *key;
	const json_t *o;
	json_object_foreach (json_object_get(result, "routes"), key, o) {
		struct route_count *r = route_of(c, key);
		if (r) {
			add_all(r->classes, COUNTER_CLASSES, json_object_get(o, "classes"));
			add_all(r->buckets, COUNTER_BUCKETS + 1, json_object_get(o, "buckets"));
			r->bytes += (uint64_t)json_i64(o, "bytes", 0);
			r->ms += (uint64_t)json_i64(o, "ms", 0);
		}
	}
	json_decref(c->positions);
	c->positions = json_incref(json_object_get(result, "positions"));
}

static void counted(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct counters *c = owner;
	struct list due = LIST_INIT(due);
	c->job = NULL;
	if (result) {
		take(c, result);
	} else if (e->kind != ERR_BUSY) { /* the daemon ends */
		log_warning("ingress", "not_counted", "reason", e->msg, NULL);
	}
	list_each_safe (pos, &c->waiting) {
		list_remove(pos);
		list_append(&due, pos);
	}
	while (!list_empty(&due)) {
		struct counters_wait *w = container_of(due.next, struct counters_wait, node);
		list_remove(&w->node);
		w->done(w->owner);
		free(w);
	}
}

static bool start(struct counters *c)
{
	static const struct job_handlers handlers = {NULL, NULL, counted};
	struct err e;
	if (!c->job) {
		json_t *request = json_pack("{ss sO}", "dir", c->dir, "positions", c->positions);
		c->job = job_start(c->jobs, "ingress-count", request, -1, false, &handlers, c, &e);
		if (!c->job) {
			log_warning("ingress", "not_counted", "reason", e.msg, NULL);
		}
	}
	return c->job;
}

void counters_begin(struct counters *c)
{
	c->begun = true;
}

struct counters_wait *counters_read(struct counters *c, void (*done)(void *owner), void *owner)
{
	c->wanted = true;
	if (!c->begun || !start(c)) {
		return NULL;
	}
	struct counters_wait *w = xnew(struct counters_wait);
	w->done = done;
	w->owner = owner;
	list_append(&c->waiting, &w->node);
	return w;
}

void counters_forget(struct counters_wait *w)
{
	list_remove(&w->node);
	free(w);
}

void counters_turned(struct counters *c)
{
	if (c->wanted) {
		(void)start(c);
	}
}

/* --- text --- */

static void put_head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_classes(const struct counters *c, struct buf *b)
{
	static const char name[] = "wherry_ingress_requests_total";
	put_head(b, name, "counter", "Requests of a route, by the first digit of their status");
	map_each (c->routes, const struct route_count, r) {
		for (size_t i = 0; i < COUNTER_CLASSES; i++) {
			if (r->classes[i] > 0) {
				buf_printf(b, "%s{route=\"%s\",code=\"%zuxx\"} %" PRIu64 "\n", name,
					r->key, i + 1, r->classes[i]);
			}
		}
	}
}

static void put_bytes(const struct counters *c, struct buf *b)
{
	static const char name[] = "wherry_ingress_response_bytes_total";
	put_head(b, name, "counter", "Bytes of the bodies of a route's responses");
	map_each (c->routes, const struct route_count, r) {
		buf_printf(b, "%s{route=\"%s\"} %" PRIu64 "\n", name, r->key, r->bytes);
	}
}

static void put_seconds_of(const struct route_count *r, const char *name, struct buf *b)
{
	uint64_t below = 0;
	for (size_t i = 0; i < COUNTER_BUCKETS; i++) {
		below += r->buckets[i];
		buf_printf(b, "%s_bucket{route=\"%s\",le=\"%g\"} %" PRIu64 "\n", name, r->key,
			(double)counter_bounds_ms[i] / 1000, below);
	}
	below += r->buckets[COUNTER_BUCKETS];
	buf_printf(b, "%s_bucket{route=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, r->key, below);
	buf_printf(b, "%s_sum{route=\"%s\"} %" PRIu64 ".%03" PRIu64 "\n", name, r->key,
		r->ms / 1000, r->ms % 1000);
	buf_printf(b, "%s_count{route=\"%s\"} %" PRIu64 "\n", name, r->key, below);
}

void counters_put(const struct counters *c, struct buf *b)
{
	static const char name[] = "wherry_ingress_request_duration_seconds";
	if (map_count(c->routes) == 0) {
		return;
	}
	put_classes(c, b);
	put_bytes(c, b);
	put_head(b, name, "histogram",
		"Time from the first byte of a request to the last of its response");
	map_each (c->routes, const struct route_count, r) {
		put_seconds_of(r, name, b);
	}
}
