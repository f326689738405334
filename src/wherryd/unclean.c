#include "wherryd/unclean.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define ID_MAX 64

static void read_id(const char *path, char ret[static ID_MAX])
{
	scoped(close) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, ret, ID_MAX - 1);
	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
}

bool unclean_begin(const char *data_root)
{
	char now[ID_MAX], then[ID_MAX];
	scoped(free) char *path = xasprintf("%s/running", data_root);
	read_id(BOOT_ID, now);
	read_id(path, then);
	if (strcmp(now, then) == 0) {
		return false;
	}
	scoped(close) int fd =
		open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : path_write_all(fd, now, strlen(now));
	if (r < 0) {
		log_warning("daemon", "no-running-mark", "reason", strerror(-r), NULL);
	}
	return *then != '\0';
}

void unclean_end(const char *data_root)
{
	scoped(free) char *path = xasprintf("%s/running", data_root);
	unlink(path);
}
