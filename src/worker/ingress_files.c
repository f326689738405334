#include "worker/ingress_files.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "base/text.h"
#include "worker/ingress_pages.h"

#define GROUP "www-data"
#define PASSWORDS "htpasswd/"

/* Root's own without it: then nginx does not start either, and says why. */
static gid_t group_of_nginx(void)
{
	const struct group *g = getgrnam(GROUP);
	return g ? g->gr_gid : 0;
}

static int make_directory(const char *path, mode_t mode, gid_t gid, struct err *e)
{
	int r = path_mkdirs(path, mode);
	if (r == 0 && (chown(path, 0, gid) < 0 || chmod(path, mode) < 0)) {
		r = -errno;
	}
	return r < 0 ? err_sys(e, -r, "cannot make %s", path) : 0;
}

int ingress_directories(const char *dir, const char *run, struct err *e)
{
	gid_t gid = group_of_nginx();
	const struct {
		const char *base, *name;
		mode_t mode;
	} all[] = {{dir, "", 0711}, {dir, "/conf", 0700}, {dir, "/log", 0711},
		{dir, "/pages", 0711}, {dir, "/pages/own", 0711}, {dir, "/htpasswd", 0710},
		{dir, "/acme-challenge", 0711}, {run, "", 0710}, {run, "/tmp", 0711},
		{run, "/root", 0710}, {run, "/api", 0710}};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		scoped(free) char *path = xasprintf("%s%s", all[i].base, all[i].name);
		if (make_directory(path, all[i].mode, gid, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* --- generations --- */

static char *conf_path(const char *dir, uint64_t generation, const char *name)
{
	return xasprintf("%s/conf/%" PRIu64 "%s", dir, generation, name);
}

int ingress_write_conf(
	const char *dir, uint64_t generation, const char *text, char **ret, struct err *e)
{
	scoped(free) char *folder = conf_path(dir, generation, "");
	scoped(free) char *file = conf_path(dir, generation, "/nginx.conf");
	int r = path_mkdirs(folder, 0700);
	if (r == 0) {
		r = path_write(AT_FDCWD, file, text, strlen(text), 0600, false);
	}
	if (r < 0) {
		return err_sys(e, -r, "cannot write %s", file);
	}
	*ret = TAKE(file);
	return 0;
}

uint64_t ingress_current(const char *dir)
{
	char target[32];
	scoped(free) char *link = xasprintf("%s/conf/current", dir);
	ssize_t n = readlink(link, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	return strtoull(target, NULL, 10);
}

int ingress_set_current(const char *dir, uint64_t generation, struct err *e)
{
	char target[32];
	scoped(free) char *link = xasprintf("%s/conf/current", dir);
	scoped(free) char *fresh = xasprintf("%s/conf/current.new", dir);
	snprintf(target, sizeof(target), "%" PRIu64, generation);
	unlink(fresh);
	int r = generation == 0              ? unlink(link)
		: symlink(target, fresh) < 0 ? -1
					     : rename(fresh, link);
	return r < 0 && errno != ENOENT ? err_sys(e, errno, "cannot make %s", link) : 0;
}

void ingress_remove_others(const char *dir)
{
	scoped(free) char *path = xasprintf("%s/conf", dir);
	scoped(strv) struct strv names = STRV_INIT;
	scoped(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t current = ingress_current(dir);
	if (fd < 0 || path_list(fd, &names) < 0) {
		return;
	}
	for (size_t i = 0; i < names.n; i++) {
		if (strcmp(names.v[i], "current") != 0 &&
			strtoull(names.v[i], NULL, 10) != current) {
			(void)path_remove_tree(fd, names.v[i]);
		}
	}
}

/* --- files that go with it --- */

static int write_file(const char *path, const char *text, mode_t mode, gid_t gid, struct err *e)
{
	scoped(buf) struct buf now = BUF_INIT;
	if (path_read(AT_FDCWD, path, strlen(text) + 1, &now) == 0 &&
		strcmp(buf_str(&now), text) == 0) {
		return 0; /* nothing is written while nothing changes */
	}
	/* nobody may read it before it has its group */
	scoped(free) char *fresh = xasprintf("%s.new", path);
	int r = path_write(AT_FDCWD, fresh, text, strlen(text), 0600, false);
	if (r == 0 &&
		(chown(fresh, 0, gid) < 0 || chmod(fresh, mode) < 0 || rename(fresh, path) < 0)) {
		r = -errno;
	}
	if (r < 0) {
		unlink(fresh);
	}
	return r < 0 ? err_sys(e, -r, "cannot write %s", path) : 0;
}

int ingress_write_files(const char *dir, const json_t *files, struct err *e)
{
	const char *name;
	json_t *text;
	json_object_foreach ((json_t *)files, name, text) {
		scoped(free) char *path = xasprintf("%s/%s", dir, name);
		if (!text_starts(name, PASSWORDS) || !path_is_component(name + strlen(PASSWORDS)) ||
			!json_is_string(text)) {
			return err_set(e, ERR_INVALID, "'%.200s' is no file of the ingress", name);
		}
		if (write_file(path, json_string_value(text), 0640, group_of_nginx(), e) < 0) {
			return -1;
		}
	}
	return 0;
}

void ingress_remove_files(const char *dir, const json_t *files)
{
	scoped(free) char *path = xasprintf("%s/" PASSWORDS, dir);
	scoped(strv) struct strv names = STRV_INIT;
	scoped(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || path_list(fd, &names) < 0) {
		return;
	}
	for (size_t i = 0; i < names.n; i++) {
		scoped(free) char *key = xasprintf(PASSWORDS "%s", names.v[i]);
		if (!json_object_get(files, key)) {
			unlinkat(fd, names.v[i], 0);
		}
	}
}

int ingress_write_pages(const char *dir, struct err *e)
{
	for (size_t i = 0; i < INGRESS_PAGES; i++) {
		scoped(free) char *text = ingress_page_text(i);
		scoped(free) char *path = xasprintf("%s/pages/%s", dir, ingress_page_name(i));
		if (write_file(path, text, 0644, 0, e) < 0) {
			return -1;
		}
	}
	return 0;
}
