#include "wherry/context_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "codec/sha256.h"
#include "wherry/rows.h"

#define META_MAX (1u << 20)

char *docker_context_dir(const char *config_dir, const char *name)
{
	char digest[72];
	sha256_digest(name, strlen(name), digest);
	return xasprintf("%s/contexts/meta/%s", config_dir, strchr(digest, ':') + 1);
}

static json_t *read_meta(const char *dir, struct err *e)
{
	scoped(free) char *path = xasprintf("%s/meta.json", dir);
	scoped(buf) struct buf text = BUF_INIT;
	int r = path_read(AT_FDCWD, path, META_MAX, &text);
	if (r < 0) {
		err_sys(e, -r, "cannot read %s", path);
		return NULL;
	}
	return json_parse(buf_str(&text), text.len, path, e);
}

json_t *docker_context_read(const char *config_dir, const char *name, struct err *e)
{
	scoped(free) char *dir = docker_context_dir(config_dir, name);
	json_t *doc = read_meta(dir, e);
	if (!doc && (e->sys == ENOENT || e->sys == ENOTDIR)) {
		err_set(e, ERR_NOT_FOUND,
			"context \"%s\": context not found: open %s/meta.json: no such file or directory",
			name, dir);
	}
	return doc;
}

char *docker_context_host(
	const char *config_dir, const char *name, bool *ret_skip_verify, struct err *e)
{
	scoped(json) json_t *doc = docker_context_read(config_dir, name, e);
	if (!doc) {
		return NULL;
	}
	const json_t *endpoint = json_object_get(json_object_get(doc, "Endpoints"), "docker");
	if (!*json_str(endpoint, "Host")) {
		err_set(e, ERR_INVALID, "context \"%s\" has no docker endpoint", name);
		return NULL;
	}
	*ret_skip_verify = json_bool(endpoint, "SkipTLSVerify");
	return xstrdup(json_str(endpoint, "Host"));
}

json_t *docker_context_list(const char *config_dir)
{
	json_t *found = json_array();
	scoped(free) char *path = xasprintf("%s/contexts/meta", config_dir);
	scoped(closedir) DIR *dir = opendir(path);
	for (struct dirent *d; dir && (d = readdir(dir));) {
		struct err e;
		scoped(free) char *one = xasprintf("%s/%s", path, d->d_name);
		json_t *doc = d->d_name[0] == '.' ? NULL : read_meta(one, &e);
		if (doc && *json_str(doc, "Name")) {
			json_array_append(found, doc);
		}
		json_decref(doc);
	}
	rows_sort(found, "Name");
	return found;
}
