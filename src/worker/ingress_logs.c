#include "worker/ingress_logs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "base/text.h"

static int open_logs(const char *dir, struct strv *ret_names)
{
	scoped(free) char *path = xasprintf("%s/log", dir);
	scoped(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && path_list(fd, ret_names) == 0 ? TAKE_FD(fd) : -1;
}

void ingress_logs_turn(const char *dir, long long limit)
{
	scoped(strv) struct strv names = STRV_INIT;
	scoped(close) int fd = open_logs(dir, &names);
	for (size_t i = 0; fd >= 0 && i < names.n; i++) {
		struct stat st;
		scoped(free) char *first = xasprintf("%s.1", names.v[i]);
		scoped(free) char *second = xasprintf("%s.2", names.v[i]);
		if (!text_ends(names.v[i], ".log") ||
			fstatat(fd, names.v[i], &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			st.st_size < limit) {
			continue;
		}
		(void)renameat(fd, first, fd, second);
		(void)renameat(fd, names.v[i], fd, first);
	}
}

void ingress_logs_archive(const char *dir)
{
	char folder[32];
	struct tm tm;
	time_t now = time(NULL);
	scoped(strv) struct strv names = STRV_INIT;
	scoped(close) int fd = open_logs(dir, &names);
	gmtime_r(&now, &tm);
	strftime(folder, sizeof(folder), "%Y-%m-%d_%H-%M-%S", &tm);
	for (size_t i = 0; fd >= 0 && i < names.n; i++) {
		struct stat st;
		scoped(free) char *to = xasprintf("%s/%s", folder, names.v[i]);
		if (fstatat(fd, names.v[i], &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
			st.st_size == 0) {
			continue;
		}
		if (mkdirat(fd, folder, 0700) < 0 && errno != EEXIST) {
			return;
		}
		(void)renameat(fd, names.v[i], fd, to);
	}
}
