#include "sys/udev_data.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"

#define HOST_DATA "/run/udev/data"
#define DATA_MAX (64u << 10)

int udev_data_make(const char *dir)
{
	scoped(free) char *data = xasprintf("%s/data", dir);
	int r = path_mkdirs(data, 0755);
	scoped(close) int fd = r < 0 ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return r < 0 ? r : fd < 0 ? -errno : path_write(fd, "control", "", 0, 0644, false);
}

/* A line of names begins with name. */
static bool is_named(const struct strv *names, const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < names->n; i++) {
		if (strncmp(names->v[i], name, n) == 0 && strchr("\n", names->v[i][n])) {
			return true;
		}
	}
	return false;
}

static void drop_others(int data, const struct strv *names)
{
	scoped(strv) struct strv present = STRV_INIT;
	if (path_list(data, &present) < 0) {
		return;
	}
	for (size_t i = 0; i < present.n; i++) {
		if (!is_named(names, present.v[i])) {
			unlinkat(data, present.v[i], 0);
		}
	}
}

/* "S:" and a link is what the database says of each. */
static void put_links(const char *record, const char *links, struct buf *ret)
{
	for (const char *p = links + (*links == '\n'); *p;) {
		size_t n = strcspn(p, "\n");
		buf_printf(ret, "S:%.*s\n", (int)n, p);
		p += n + (p[n] == '\n');
	}
	for (const char *p = record; *p;) {
		size_t n = strcspn(p, "\n");
		n += p[n] == '\n';
		if (strncmp(p, "S:", 2) != 0) {
			buf_append(ret, p, n);
		}
		p += n;
	}
}

/* Gone from the host, or never there: gone here. */
static int copy_one(int data, const char *line)
{
	size_t n = strcspn(line, "\n");
	scoped(free) char *name = xstrndup(line, n);
	scoped(buf) struct buf own = BUF_INIT;
	scoped(free) char *path = xasprintf(HOST_DATA "/%s", name);
	scoped(buf) struct buf text = BUF_INIT;
	int r = path_is_component(name) ? path_read(AT_FDCWD, path, DATA_MAX, &text) : -EINVAL;
	if (r == -ENOENT) {
		return unlinkat(data, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	}
	if (r < 0) {
		return r;
	}
	put_links(buf_str(&text), line + n, &own);
	return path_write(data, name, own.data, own.len, 0644, false);
}

int udev_data_copy(const char *dir, const struct strv *names)
{
	scoped(free) char *path = xasprintf("%s/data", dir);
	scoped(close) int data = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = data < 0 ? -errno : 0;
	if (r == 0) {
		drop_others(data, names);
	}
	for (size_t i = 0; r == 0 && i < names->n; i++) {
		r = copy_one(data, names->v[i]);
	}
	return r;
}
