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

#define FDINFO_MAX 4096

bool mount_can_set_attributes(void)
{
	return syscall(SYS_mount_setattr, -1, "", 0, (void *)0, 0) == 0 || errno != ENOSYS;
}

/* "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw" */
static bool read_line(const char *line, struct mount_line *ret)
{
	scoped(free) char *one = xstrndup(line, strcspn(line, "\n"));
	scoped(strv) struct strv fields = STRV_INIT;
	const char *rest = strstr(one, " - ");
	int numbers[2];
	strv_split(&fields, one, ' ');
	char *colon = fields.n > 2 ? strchr(fields.v[2], ':') : NULL;
	if (!rest || !colon) {
		return false;
	}
	*colon = '\0';
	rest += strlen(" - ");
	snprintf(ret->type, sizeof(ret->type), "%.*s", (int)strcspn(rest, " "), rest);
	if (parse_int(fields.v[0], 0, INT_MAX, &ret->id) < 0 ||
		parse_int(fields.v[2], 0, INT_MAX, &numbers[0]) < 0 ||
		parse_int(colon + 1, 0, INT_MAX, &numbers[1]) < 0) {
		return false;
	}
	ret->major = (unsigned)numbers[0];
	ret->minor = (unsigned)numbers[1];
	return true;
}

static const char *next_line(const char *line)
{
	line = strchrnul(line, '\n');
	return *line ? line + 1 : line;
}

bool mount_find(const char *mountinfo, int id, struct mount_line *ret)
{
	for (const char *p = mountinfo; *p; p = next_line(p)) {
		struct mount_line one;
		if (read_line(p, &one) && one.id == id) {
			*ret = one;
			return true;
		}
	}
	return false;
}

bool mount_has(const char *mountinfo, unsigned major, unsigned minor)
{
	for (const char *p = mountinfo; *p; p = next_line(p)) {
		struct mount_line one;
		if (read_line(p, &one) && one.major == major && one.minor == minor) {
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
