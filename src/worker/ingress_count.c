/* Job "ingress-count": {"dir", "positions": {inode: bytes}}: lines of DIR/log that have come behind
 * those positions are counted by route. Files of which nothing is known are counted whole.
 *
 * Result: {"positions": {...}, "routes": {KEY: {"classes": [1xx ... 5xx], "bytes": n, "ms": n,
 * "buckets": [...]}}}, as ingress/counters.h has them.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "codec/access_line.h"
#include "ingress/counters_shape.h"
#include "worker/jobs.h"

#define CHUNK_BYTES (64 << 10) /* a longer line is passed over */

struct count {
	json_t *routes, *positions;
};

static void add_to(json_t *array, size_t i, int64_t n)
{
	json_array_set_new(
		array, i, json_integer(json_integer_value(json_array_get(array, i)) + n));
}

static json_t *zeros(size_t n)
{
	json_t *array = json_array();
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(array, json_integer(0));
	}
	return array;
}

static json_t *route_of(struct count *c, const char *key)
{
	json_t *o = json_object_get(c->routes, key);
	if (!o) {
		o = json_pack("{so so sI sI}", "classes", zeros(COUNTER_CLASSES), "buckets",
			zeros(COUNTER_BUCKETS + 1), "bytes", (json_int_t)0, "ms", (json_int_t)0);
		json_object_set_new(c->routes, key, o);
	}
	return o;
}

static void count_line(struct count *c, const char *line, size_t n)
{
	struct access_line l;
	if (access_line_parse(line, n, &l) < 0) {
		return;
	}
	json_t *o = route_of(c, l.route);
	size_t bucket = 0;
	while (bucket < COUNTER_BUCKETS && l.ms > counter_bounds_ms[bucket]) {
		bucket++;
	}
	add_to(json_object_get(o, "classes"), (size_t)(l.status / 100 - 1), 1);
	add_to(json_object_get(o, "buckets"), bucket, 1);
	json_put(o, "bytes", json_integer(json_i64(o, "bytes", 0) + l.bytes));
	json_put(o, "ms", json_integer(json_i64(o, "ms", 0) + l.ms));
}

/* Whole lines from *at on; *at is behind the last of them. */
static void count_file(struct count *c, int fd, off_t *at)
{
	scoped(free) char *chunk = xnew_array(char, CHUNK_BYTES);
	for (ssize_t n; (n = pread(fd, chunk, CHUNK_BYTES, *at)) > 0;) {
		const char *line = chunk, *end = chunk + n;
		for (const char *nl; (nl = memchr(line, '\n', (size_t)(end - line)));
			line = nl + 1) {
			count_line(c, line, (size_t)(nl - line));
		}
		if (line == chunk && n < CHUNK_BYTES) {
			return; /* nginx is still writing it */
		}
		*at += line == chunk ? n : line - chunk;
	}
}

static void look_at(struct count *c, int dir, const char *name, const json_t *known)
{
	struct stat st;
	char inode[32];
	scoped(close) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		return;
	}
	snprintf(inode, sizeof(inode), "%ju", (uintmax_t)st.st_ino);
	off_t at = json_i64(known, inode, 0);
	at = at >= 0 && at <= st.st_size ? at : 0; /* another file has the number now */
	count_file(c, fd, &at);
	json_put(c->positions, inode, json_integer(at));
}

json_t *worker_ingress_count(struct rpc *r, const json_t *request, struct err *e)
{
	scoped(free) char *path = xasprintf("%s/log", json_str(request, "dir"));
	scoped(strv) struct strv names = STRV_INIT;
	scoped(close) int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct count c = {json_object(), json_object()};
	if (dir >= 0 && path_list(dir, &names) == 0) {
		for (size_t i = 0; i < names.n; i++) {
			if (strcmp(names.v[i], "error.log") != 0) {
				look_at(&c, dir, names.v[i], json_object_get(request, "positions"));
			}
		}
	}
	return json_pack("{so so}", "positions", c.positions, "routes", c.routes);
}
