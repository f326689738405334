#include "worker/build_time.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "worker/build.h"

#define EPOCH_MAX_S (INT64_MAX / NS_PER_SEC)
#define DEPTH_MAX 512 /* as tree/pack.h */

static bool wants_rewrite(const json_t *options)
{
	size_t k;
	json_t *output;
	json_array_foreach (json_object_get(options, "outputs"), k, output) {
		const json_t *attrs = json_object_get(output, "attrs");
		if (strcmp(json_str(attrs, "rewrite-timestamp"), "true") == 0) {
			return true;
		}
	}
	return false;
}

int build_time_read(struct build *b, struct err *e)
{
	const char *text = strv_env_get(&b->build_args, "SOURCE_DATE_EPOCH");
	int64_t seconds = json_i64(b->options, "source_date_epoch", -1);
	b->epoch_ns = -1;
	if (text && *text && parse_i64(text, 0, EPOCH_MAX_S, &seconds) < 0) {
		return err_set(e, ERR_INVALID, "invalid SOURCE_DATE_EPOCH: %.40s", text);
	}
	if (seconds >= 0 && seconds <= EPOCH_MAX_S) {
		b->epoch_ns = seconds * NS_PER_SEC;
		b->rewrite = wants_rewrite(b->options);
	}
	return 0;
}

int64_t build_now_ns(const struct build *b)
{
	return b->epoch_ns >= 0 ? b->epoch_ns : clock_real_ns();
}

int64_t build_file_clock_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now.tv_sec * NS_PER_SEC + now.tv_nsec;
}

int64_t build_step_time_ns(const struct build_step *t)
{
	int64_t created;
	if (t->b->epoch_ns >= 0) {
		return t->b->epoch_ns;
	}
	return clock_parse(json_str(t->s->c.image, "created"), &created) == 0 && created > 0
		       ? created
		       : 0;
}

struct setting {
	int64_t from_ns;
	struct timespec to;
	bool spare_linked;
};

static int set_below(int fd, const struct setting *s, int depth, struct err *e);

static bool is_late(const struct setting *s, const struct stat *st)
{
	bool linked = !S_ISDIR(st->st_mode) && st->st_nlink > 1;
	return st->st_mtim.tv_sec * NS_PER_SEC + st->st_mtim.tv_nsec >= s->from_ns &&
	       !(s->spare_linked && linked);
}

static int set_entry(int dir, const char *name, const struct setting *s, int depth, struct err *e)
{
	struct stat st;
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, s->to};
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return err_sys(e, errno, "cannot read %.200s", name);
	}
	if (S_ISDIR(st.st_mode)) {
		scoped(close) int fd =
			openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0) {
			return err_sys(e, errno, "cannot read %.200s", name);
		}
		if (set_below(fd, s, depth + 1, e) < 0) {
			return -1;
		}
	}
	if (is_late(s, &st) && utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0) {
		return err_sys(e, errno, "cannot set the time of %.200s", name);
	}
	return 0;
}

static int set_below(int fd, const struct setting *s, int depth, struct err *e)
{
	scoped(strv) struct strv names = STRV_INIT;
	int r = depth > DEPTH_MAX ? -ELOOP : path_list(fd, &names);
	if (r < 0) {
		return err_sys(e, -r, "cannot read a layer");
	}
	for (size_t k = 0; k < names.n; k++) {
		if (set_entry(fd, names.v[k], s, depth, e) < 0) {
			return -1;
		}
	}
	return 0;
}

int build_time_set(int dir_fd, int64_t from_ns, int64_t to_ns, bool spare_linked, struct err *e)
{
	const struct setting s = {
		.from_ns = from_ns,
		.to = {.tv_sec = to_ns / NS_PER_SEC, .tv_nsec = (long)(to_ns % NS_PER_SEC)},
		.spare_linked = spare_linked,
	};
	return set_below(dir_fd, &s, 0, e);
}
