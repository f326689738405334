/* seen PATH... - says when a device node can be used, and when it is gone: runs inside of a
 * container.
 *
 * One line for each change: "NANOSECONDS there PATH MAJOR:MINOR UID:GID MODE" once open() works,
 * "NANOSECONDS gone PATH". The clock is CLOCK_MONOTONIC, which all containers of a machine share.
 * With -i nothing is opened: a node that exists is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define PATHS_MAX 16

static long long now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static bool usable(const char *path, bool by_name, struct stat *st)
{
	if (stat(path, st) < 0 || (!S_ISCHR(st->st_mode) && !S_ISBLK(st->st_mode))) {
		return false;
	}
	if (by_name) {
		return true;
	}
	int fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 && errno == EACCES) {
		fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	}
	if (fd < 0) {
		return false;
	}
	close(fd);
	return true;
}

int main(int argc, char **argv)
{
	bool was[PATHS_MAX] = {false};
	bool by_name = argc > 1 && strcmp(argv[1], "-i") == 0;
	char **paths = argv + 1 + by_name;
	int n = argc - 1 - by_name;
	if (n < 1 || n > PATHS_MAX) {
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	for (int i = 0; i < n; i++) {
		char *copy = strdup(paths[i]);
		inotify_add_watch(
			watch, dirname(copy), IN_CREATE | IN_DELETE | IN_MOVE | IN_ATTRIB);
		free(copy);
	}
	printf("%lld begins\n", now_ns());
	for (;;) {
		for (int i = 0; i < n; i++) {
			struct stat st;
			bool exists = lstat(paths[i], &st) == 0;
			bool is = was[i] ? exists : usable(paths[i], by_name, &st);
			if (is == was[i]) {
				continue;
			}
			was[i] = is;
			if (is) {
				printf("%lld there %s %u:%u %u:%u %o\n", now_ns(), paths[i],
					major(st.st_rdev), minor(st.st_rdev), st.st_uid, st.st_gid,
					st.st_mode & 07777);
			} else {
				printf("%lld gone %s\n", now_ns(), paths[i]);
			}
		}
		/* the notice is the quick way; the limit is for directories that come later and
		 * rules that follow the node */
		struct pollfd p = {.fd = watch, .events = POLLIN};
		if (poll(&p, 1, 10) > 0) {
			char events[4096];
			while (read(watch, events, sizeof(events)) > 0) {
			}
		}
	}
}
