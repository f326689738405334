#include "device/sysfs.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"

char *sysfs_follow(const struct device_roots *r, const char *link)
{
	char target[PATH_MAX];
	scoped(free) char *path = xasprintf("%s/%s", r->sys, link);
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0) {
		return NULL;
	}
	target[n] = '\0';
	const char *p = target;
	while (strncmp(p, "../", 3) == 0) {
		p += 3;
	}
	return text_starts(p, "devices/") ? xasprintf("/%s", p) : NULL;
}

char *sysfs_disk(const struct device_roots *r, const char *sysfs)
{
	char *disk = xstrdup(sysfs);
	scoped(free) char *partition = xasprintf("%s%s/partition", r->sys, sysfs);
	if (access(partition, F_OK) == 0) {
		*strrchr(disk, '/') = '\0';
	}
	return disk;
}
