#include "sys/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "sys/mountinfo.h"

#define FDINFO_MAX 4096
#define TABLE_MAX (16u << 20)

bool mount_can_set_attributes(void)
{
	return syscall(SYS_mount_setattr, -1, "", 0, (void *)0, 0) == 0 || errno != ENOSYS;
}

bool mount_find(const char *mountinfo, int id, struct mount_line *ret)
{
	scoped(free) char *text = xstrdup(mountinfo);
	struct mountinfo m;
	for (char *p = text; mountinfo_next(&p, &m);) {
		if (m.id == id) {
			*ret = (struct mount_line){.major = m.major, .minor = m.minor};
			snprintf(ret->type, sizeof(ret->type), "%s", m.fstype);
			return true;
		}
	}
	return false;
}

bool mount_has(const char *mountinfo, unsigned major, unsigned minor)
{
	scoped(free) char *text = xstrdup(mountinfo);
	struct mountinfo m;
	for (char *p = text; mountinfo_next(&p, &m);) {
		if (m.major == major && m.minor == minor) {
			return true;
		}
	}
	return false;
}

bool mount_is_at(const char *place)
{
	scoped(buf) struct buf text = BUF_INIT;
	struct mountinfo m;
	if (path_read(AT_FDCWD, "/proc/self/mountinfo", TABLE_MAX, &text) < 0) {
		return false;
	}
	scoped(free) char *copy = buf_take_str(&text);
	for (char *p = copy; mountinfo_next(&p, &m);) {
		if (strcmp(m.place, place) == 0) {
			return true;
		}
	}
	return false;
}

int fdinfo_number(int fd, const char *key, int *ret)
{
	char path[64];
	scoped(buf) struct buf text = BUF_INIT;
	snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", fd);
	int r = path_read(AT_FDCWD, path, FDINFO_MAX, &text);
	if (r < 0) {
		return r;
	}
	scoped(strv) struct strv lines = STRV_INIT;
	strv_split(&lines, buf_str(&text), '\n');
	for (size_t i = 0; i < lines.n; i++) {
		const char *line = lines.v[i];
		size_t n = strlen(key);
		if (strncmp(line, key, n) == 0 && line[n] == ':') {
			const char *value = line + n + 1;
			value += strspn(value, " \t");
			return parse_int(value, INT_MIN, INT_MAX, ret);
		}
	}
	return -ENODATA;
}

int mount_of_fd(int fd, int *ret_id)
{
	return fdinfo_number(fd, "mnt_id", ret_id);
}
