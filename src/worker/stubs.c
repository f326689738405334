#include "worker/stubs.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"

enum kind { STUB_DIR, STUB_FILE };

static const struct {
	const char *path;
	enum kind kind;
} stubs[] = {
	{"dev", STUB_DIR},
	{"dev/console", STUB_FILE},
	{"dev/mqueue", STUB_DIR},
	{"dev/pts", STUB_DIR},
	{"dev/shm", STUB_DIR},
	{"etc", STUB_DIR},
	{"etc/hostname", STUB_FILE},
	{"etc/hosts", STUB_FILE},
	{"etc/resolv.conf", STUB_FILE},
	{"proc", STUB_DIR},
	{"sys", STUB_DIR},
	{"sys/fs", STUB_DIR},
	{"sys/fs/cgroup", STUB_DIR},
	{"sbin/docker-init", STUB_FILE},
};

static bool only_stubs(int dir_fd, const char *name, const char *path)
{
	scoped(strv) struct strv names = STRV_INIT;
	scoped(close) int fd =
		openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || path_list(fd, &names) < 0) {
		return false;
	}
	for (size_t i = 0; i < names.n; i++) {
		scoped(free) char *below = xasprintf("%s/%s", path, names.v[i]);
		if (!stub_is(fd, names.v[i], below)) {
			return false;
		}
	}
	return true;
}

bool stub_is(int dir_fd, const char *name, const char *path)
{
	struct stat st;
	for (size_t i = 0; i < sizeof(stubs) / sizeof(*stubs); i++) {
		if (strcmp(stubs[i].path, path) != 0) {
			continue;
		}
		if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			return false;
		}
		return stubs[i].kind == STUB_FILE
			       ? S_ISREG(st.st_mode) && st.st_size == 0
			       : S_ISDIR(st.st_mode) && only_stubs(dir_fd, name, path);
	}
	return false;
}
