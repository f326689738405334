#include "ingress/logs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"

bool ingress_logs_are_full(const char *dir)
{
	scoped(free) char *path = xasprintf("%s/log", dir);
	scoped(closedir) DIR *d = opendir(path);
	for (struct dirent *one; d && (one = readdir(d));) {
		struct stat st;
		if (text_ends(one->d_name, ".log") &&
			fstatat(dirfd(d), one->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			st.st_size >= INGRESS_LOG_BYTES) {
			return true;
		}
	}
	return false;
}
