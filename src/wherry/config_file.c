#include "wherry/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"

#define CONFIG_MAX (1u << 20)

json_t *config_file_read(const struct cli *cli, struct err *e)
{
	scoped(free) char *path = xasprintf("%s/config.json", cli->config_dir);
	scoped(buf) struct buf text = BUF_INIT;
	int r = path_read(AT_FDCWD, path, CONFIG_MAX, &text);
	if (r == -ENOENT || r == -ENOTDIR || (r == 0 && text.len == 0)) {
		return json_object();
	}
	if (r < 0) {
		err_sys(e, -r, "cannot read %s", path);
		return NULL;
	}
	json_t *doc = json_parse(buf_str(&text), text.len, path, e);
	if (doc && !json_is_object(doc)) {
		json_decref(TAKE(doc));
		err_set(e, ERR_INVALID, "%s: expected a JSON object", path);
	}
	return doc;
}

json_t *config_file_read_or_empty(const struct cli *cli)
{
	struct err e;
	json_t *doc = config_file_read(cli, &e);
	if (!doc) {
		fprintf(stderr, "WARNING: Error loading config file: %s\n", e.msg);
		doc = json_object();
	}
	return doc;
}

/* Through a symbolic link to the file it means, which may be kept elsewhere. The caller's. */
static char *real_file(const char *path)
{
	char *real = realpath(path, NULL);
	return real ? real : xstrdup(path);
}

int config_file_write(const struct cli *cli, const json_t *doc, struct err *e)
{
	scoped(free) char *path = xasprintf("%s/config.json", cli->config_dir);
	scoped(free) char *real = real_file(path);
	scoped(free) char *text = json_dumps(doc, JSON_INDENT(4));
	int r = path_mkdirs(cli->config_dir, 0700);
	struct stat st;
	bool owned = stat(real, &st) == 0;
	if (r == 0) {
		r = path_write(AT_FDCWD, real, text, strlen(text), 0600, true);
	}
	if (r == 0 && owned && geteuid() == 0 && (st.st_uid != 0 || st.st_gid != 0) &&
		chown(real, st.st_uid, st.st_gid) < 0) { /* sudo must not take a user's file away */
		r = -errno;
	}
	return r < 0 ? err_sys(e, -r, "cannot write %s", path) : 0;
}
