/* Device nodes of --device and --privileged. */
#include "container/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"

static int add_device(struct device_list *list, const struct stat *st, const char *path,
	const char *access, struct err *e)
{
	if (list->n == DEVICES_MAX) {
		return err_set(e, ERR_INVALID, "more than %d devices", DEVICES_MAX);
	}
	strv_add(&list->paths, path);
	list->v[list->n++] = (struct oci_device){
		.path = list->paths.v[list->paths.n - 1],
		.type = S_ISBLK(st->st_mode) ? 'b' : 'c',
		.major = major(st->st_rdev),
		.minor = minor(st->st_rdev),
		.access = access,
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
	};
	return 0;
}

/* All nodes of a folder of devices, as --device /dev/snd; names that a container has of its own are
 * left out. */
static int add_device_dir(struct device_list *list, const char *host, const char *inside,
	const char *access, int depth, struct err *e)
{
	static const char *const own[] = {
		"pts", "shm", "fd", "mqueue", "console", ".lxc", ".udev", ".lxd-mounts"};
	scoped(closedir) DIR *dir = opendir(host);
	if (!dir) {
		return err_sys(e, errno, "cannot read %s", host);
	}
	for (struct dirent *d; (d = readdir(dir));) {
		struct stat st;
		bool skip = d->d_name[0] == '.';
		for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++) {
			skip = skip || strcmp(d->d_name, own[i]) == 0;
		}
		if (skip || fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			continue;
		}
		scoped(free) char *h = xasprintf("%s/%s", host, d->d_name);
		scoped(free) char *i = xasprintf("%s/%s", inside, d->d_name);
		if (S_ISDIR(st.st_mode) && depth > 0) {
			if (add_device_dir(list, h, i, access, depth - 1, e) < 0) {
				return -1;
			}
		} else if ((S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) &&
			   add_device(list, &st, i, access, e) < 0) {
			return -1;
		}
	}
	return 0;
}

int devices_read(const json_t *host, const json_t *devices, struct device_list *list, struct err *e)
{
	size_t i;
	json_t *o;
	if (json_bool(host, "Privileged")) {
		return add_device_dir(list, "/dev", "/dev", "rwm", 3, e);
	}
	json_array_foreach (devices, i, o) {
		const char *path = json_str(o, "PathOnHost");
		const char *inside =
			*json_str(o, "PathInContainer") ? json_str(o, "PathInContainer") : path;
		const char *access = *json_str(o, "CgroupPermissions")
					     ? json_str(o, "CgroupPermissions")
					     : "rwm";
		struct stat st;
		if (stat(path, &st) < 0) {
			return err_set(e, ERR_SYSTEM,
				"error gathering device information while adding custom device \"%.200s\": no such file or directory",
				path);
		}
		if (strspn(access, "rwm") != strlen(access)) {
			return err_set(e, ERR_INVALID,
				"invalid device mode '%.16s': expected some of r, w and m", access);
		}
		if (S_ISDIR(st.st_mode)) {
			if (add_device_dir(list, path, inside, access, 3, e) < 0) {
				return -1;
			}
		} else if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode)) {
			return err_set(e, ERR_SYSTEM,
				"error gathering device information while adding custom device \"%.200s\": not a device node",
				path);
		} else if (add_device(list, &st, inside, access, e) < 0) {
			return -1;
		}
	}
	return 0;
}
