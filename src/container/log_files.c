#include "container/log_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/scoped.h"

/* A rotation renames from the top: at any moment one number in the middle may be missing, but the
 * gap moves while we look. */
#define GAP_MAX 3
#define TRIES 50

static char *name_of(const char *path, int number, bool gz)
{
	return number == 0 ? xstrdup(path) : xasprintf("%s.%d%s", path, number, gz ? ".gz" : "");
}

/* RFC 1952 2.3.1.1: FEXTRA with our subfield "WL". */
uint64_t log_gz_inode(const unsigned char *head)
{
	static const unsigned char magic[] = {0x1f, 0x8b, 8, 4};
	static const unsigned char field[] = {12, 0, 'W', 'L', 8, 0};
	uint64_t v = 0;
	if (memcmp(head, magic, sizeof(magic)) != 0 ||
		memcmp(head + 10, field, sizeof(field)) != 0) {
		return 0;
	}
	for (int i = 7; i >= 0; i--) {
		v = v << 8 | head[16 + i];
	}
	return v;
}

static ino_t content_of(int fd)
{
	unsigned char head[LOG_GZ_HEAD];
	return pread(fd, head, sizeof(head), 0) == sizeof(head) ? (ino_t)log_gz_inode(head) : 0;
}

int log_file_open(const char *path, int number, struct log_file *ret)
{
	struct stat st;
	bool gz = false;
	scoped(free) char *plain = name_of(path, number, false);
	scoped(close) int fd = open(plain, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT && number > 0) {
		scoped(free) char *packed = name_of(path, number, true);
		gz = true;
		fd = open(packed, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	}
	if (fd < 0 || fstat(fd, &st) < 0) {
		return -errno;
	}
	if (!S_ISREG(st.st_mode)) {
		return -EINVAL;
	}
	*ret = (struct log_file){.gz = gz,
		.dev = st.st_dev,
		.ino = st.st_ino,
		.content_ino = gz ? content_of(fd) : st.st_ino};
	ret->fd = TAKE_FD(fd);
	return 0;
}

static bool is_at(const char *name, const struct log_file *f, bool *ret_there)
{
	struct stat st;
	*ret_there = stat(name, &st) == 0;
	return *ret_there && st.st_ino == f->ino && st.st_dev == f->dev;
}

static bool was_packed_to(const char *name, const struct log_file *f)
{
	scoped(close) int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	return fd >= 0 && !f->gz && content_of(fd) == f->ino;
}

static int look_for(const char *path, const struct log_file *f)
{
	int missing = 0;
	for (int i = 0; i <= LOG_FILES_MAX && missing <= GAP_MAX; i++) {
		scoped(free) char *plain = name_of(path, i, false);
		scoped(free) char *packed = name_of(path, i, true);
		bool there;
		bool there_packed = false;
		if (is_at(plain, f, &there) || (i > 0 && is_at(packed, f, &there_packed)) ||
			(there_packed && was_packed_to(packed, f))) {
			return i;
		}
		missing = there || there_packed ? 0 : missing + 1;
	}
	return -1;
}

int log_file_place(const char *path, const struct log_file *f)
{
	int place = look_for(path, f);
	return place < 0 ? look_for(path, f) : place; /* it was moved past us */
}

int log_file_oldest(const char *path)
{
	int oldest = 0;
	for (int i = 1; i <= LOG_FILES_MAX && i <= oldest + GAP_MAX; i++) {
		scoped(free) char *plain = name_of(path, i, false);
		scoped(free) char *packed = name_of(path, i, true);
		if (access(plain, F_OK) == 0 || access(packed, F_OK) == 0) {
			oldest = i;
		}
	}
	return oldest;
}

int log_file_next(const char *path, const struct log_file *f, struct log_file *ret)
{
	for (int i = 0; i < TRIES; i++) {
		int place = log_file_place(path, f);
		if (place < 0) {
			return -ENOENT;
		}
		if (place == 0) {
			return -EAGAIN;
		}
		struct log_file next = {.fd = -1};
		int r = log_file_open(path, place - 1, &next);
		if (r < 0 && r != -ENOENT) {
			return r;
		}
		if (r < 0) {
			continue;
		}
		/* numbers only grow: if f is still where it was, next was behind it all the time */
		if (log_file_place(path, f) == place) {
			*ret = next;
			return 0;
		}
		scoped_close(&next.fd);
	}
	return -EBUSY;
}

int log_files_hold(const char *path)
{
	scoped(free) char *name = xasprintf("%s.readers", path);
	scoped(close) int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		return -errno;
	}
	for (int i = 0; i < TRIES; i++) { /* the shim has it for a moment when it asks */
		if (flock(fd, LOCK_SH | LOCK_NB) == 0) {
			return TAKE_FD(fd);
		}
	}
	return -EBUSY;
}
