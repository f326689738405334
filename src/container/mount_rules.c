#include "container/mount_rules.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "base/text.h"
#include "sys/mountinfo.h"

/* --- modes --- */

enum sort { SORT_ACCESS, SORT_LABEL, SORT_PROPAGATION, SORT_COPY, SORT_CONSISTENCY, SORTS };

static const struct word {
	const char *text;
	enum sort sort;
} words[] = {{"rw", SORT_ACCESS}, {"ro", SORT_ACCESS}, {"z", SORT_LABEL}, {"Z", SORT_LABEL},
	{"private", SORT_PROPAGATION}, {"rprivate", SORT_PROPAGATION}, {"slave", SORT_PROPAGATION},
	{"rslave", SORT_PROPAGATION}, {"shared", SORT_PROPAGATION}, {"rshared", SORT_PROPAGATION},
	{"nocopy", SORT_COPY}, {"default", SORT_CONSISTENCY}, {"consistent", SORT_CONSISTENCY},
	{"cached", SORT_CONSISTENCY}, {"delegated", SORT_CONSISTENCY}};

static const struct word *find_word(const char *text)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (strcmp(words[i].text, text) == 0) {
			return &words[i];
		}
	}
	return NULL;
}

static bool parse_sorts(const char *text, struct mount_mode *ret, unsigned counts[SORTS])
{
	scoped(strv) struct strv parts = STRV_INIT;
	strv_split(&parts, text, ',');
	*ret = (struct mount_mode){0};
	for (size_t i = 0; i < parts.n; i++) {
		const struct word *w = find_word(parts.v[i]);
		if (!w || counts[w->sort]++ > 0) {
			return false;
		}
		ret->read_only = ret->read_only || strcmp(w->text, "ro") == 0;
		ret->no_copy = ret->no_copy || w->sort == SORT_COPY;
		if (w->sort == SORT_PROPAGATION) {
			ret->propagation = w->text;
		}
	}
	return true;
}

bool mount_mode_parse(const char *text, struct mount_mode *ret)
{
	unsigned counts[SORTS] = {0};
	return parse_sorts(text, ret, counts);
}

bool mount_mode_is_valid(const char *text)
{
	struct mount_mode ignored;
	return mount_mode_parse(text, &ignored);
}

bool mount_mode_is_for_volumes_from(const char *text)
{
	unsigned counts[SORTS] = {0};
	struct mount_mode ignored;
	return parse_sorts(text, &ignored, counts) && counts[SORT_LABEL] == 0 &&
	       counts[SORT_PROPAGATION] == 0 && counts[SORT_COPY] == 0;
}

bool mount_propagation_is_valid(const char *word)
{
	const struct word *w = find_word(word);
	return w && w->sort == SORT_PROPAGATION;
}

bool mount_propagation_is_slave(const char *word)
{
	return word && (strcmp(word, "slave") == 0 || strcmp(word, "rslave") == 0);
}

bool mount_propagation_is_shared(const char *word)
{
	return word && (strcmp(word, "shared") == 0 || strcmp(word, "rshared") == 0);
}

/* --- Mounts --- */

/* Options of another type are refused before anything else: moby container_routes.go. */
static int check_option_types(const json_t *o, const char *type, struct err *e)
{
	static const struct {
		const char *key, *type;
	} options[] = {{"BindOptions", "bind"}, {"VolumeOptions", "volume"},
		{"TmpfsOptions", "tmpfs"}, {"ImageOptions", "image"}};
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		const json_t *v = json_object_get(o, options[i].key);
		if (!v || json_is_null(v)) {
			continue;
		}
		if (!json_is_object(v)) {
			return err_set(e, ERR_INVALID, "%s must be an object", options[i].key);
		}
		if (strcmp(type, options[i].type) != 0) {
			return err_set(e, ERR_INVALID,
				"%s must not be specified on mount type \"%s\"", options[i].key,
				type);
		}
	}
	return 0;
}

static int check_bind(const json_t *o, struct err *e)
{
	const json_t *options = json_object_get(o, "BindOptions");
	const char *source = json_str(o, "Source");
	const char *propagation = json_str(options, "Propagation");
	bool read_only = json_bool(o, "ReadOnly");
	bool shallow = json_bool(options, "ReadOnlyNonRecursive");
	bool forced = json_bool(options, "ReadOnlyForceRecursive");
	if (!*source) {
		return err_set(e, ERR_INVALID, "field Source must not be empty");
	}
	if (*propagation && !mount_propagation_is_valid(propagation)) {
		return err_set(e, ERR_INVALID, "invalid propagation mode: %.32s", propagation);
	}
	if (*source != '/') {
		return err_set(e, ERR_INVALID,
			"invalid mount path: '%.150s' mount path must be absolute", source);
	}
	if ((shallow || forced) && !read_only) {
		return err_set(e, ERR_INVALID,
			"mount options conflict: !ReadOnly && BindOptions.%s",
			shallow ? "ReadOnlyNonRecursive" : "ReadOnlyForceRecursive");
	}
	if (shallow && forced) {
		return err_set(e, ERR_INVALID,
			"mount options conflict: ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive");
	}
	return 0;
}

static int check_volume(const json_t *o, struct err *e)
{
	const char *subpath = json_str(json_object_get(o, "VolumeOptions"), "Subpath");
	if (!*json_str(o, "Source") && json_bool(o, "ReadOnly")) {
		return err_set(
			e, ERR_INVALID, "must not set ReadOnly mode when using anonymous volumes");
	}
	if (*subpath && !mount_subpath_is_local(subpath)) {
		return err_set(e, ERR_INVALID, "subpath must be a relative path within the volume");
	}
	return 0;
}

static int check_image(const json_t *o, struct err *e)
{
	const char *subpath = json_str(json_object_get(o, "ImageOptions"), "Subpath");
	if (!*json_str(o, "Source")) {
		return err_set(e, ERR_INVALID, "field Source must not be empty");
	}
	if (*subpath && !mount_subpath_is_local(subpath)) {
		return err_set(e, ERR_INVALID, "subpath must be a relative path within the image");
	}
	return 0;
}

static int check_parts(const json_t *o, const char *type, struct err *e)
{
	const char *target = json_str(o, "Target");
	if (!*target) {
		return err_set(e, ERR_INVALID, "field Target must not be empty");
	}
	if (*target != '/') {
		return err_set(e, ERR_INVALID,
			"invalid mount path: '%.150s' mount path must be absolute", target);
	}
	scoped(free) char *clean = path_clean(target);
	if (strcmp(clean, "/") == 0) {
		return err_set(e, ERR_INVALID, "invalid specification: destination can't be '/'");
	}
	if (strcmp(type, "bind") == 0) {
		return check_bind(o, e);
	}
	if (strcmp(type, "volume") == 0) {
		return check_volume(o, e);
	}
	if (strcmp(type, "tmpfs") == 0) {
		return *json_str(o, "Source")
			       ? err_set(e, ERR_INVALID, "field Source must not be specified")
			       : 0;
	}
	if (strcmp(type, "image") == 0) {
		return check_image(o, e);
	}
	return err_set(e, ERR_INVALID, "mount type unknown");
}

int mount_object_check(const json_t *o, struct err *e)
{
	const char *type = json_str(o, "Type");
	if (check_option_types(o, type, e) < 0) {
		return -1;
	}
	return check_parts(o, type, e) < 0
		       ? err_wrap(e, "invalid mount config for type \"%.16s\"", type)
		       : 0;
}

bool mount_subpath_is_local(const char *path)
{
	scoped(strv) struct strv parts = STRV_INIT;
	int depth = 0;
	if (!*path || *path == '/') {
		return false;
	}
	strv_split(&parts, path, '/');
	for (size_t i = 0; i < parts.n; i++) {
		if (strcmp(parts.v[i], "..") == 0) {
			if (--depth < 0) {
				return false;
			}
		} else if (*parts.v[i] && strcmp(parts.v[i], ".") != 0) {
			depth++;
		}
	}
	return true;
}

/* --- tmpfs --- */

/* Each flag and what it undoes. */
static const char *const flags[][2] = {{"ro", "rw"}, {"rw", "ro"}, {"suid", "nosuid"},
	{"nosuid", "suid"}, {"dev", "nodev"}, {"nodev", "dev"}, {"exec", "noexec"},
	{"noexec", "exec"}, {"sync", "async"}, {"async", "sync"}, {"atime", "noatime"},
	{"noatime", "atime"}, {"diratime", "nodiratime"}, {"nodiratime", "diratime"},
	{"relatime", "norelatime"}, {"norelatime", "relatime"}, {"strictatime", "nostrictatime"},
	{"nostrictatime", "strictatime"}, {"dirsync", ""}, {"mand", "nomand"}, {"nomand", "mand"},
	{"private", ""}, {"rprivate", ""}, {"slave", ""}, {"rslave", ""}, {"shared", ""},
	{"rshared", ""}};
static const char *const keys[] = {"mode", "size", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"};

static const char *undone_by(const char *flag)
{
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		if (strcmp(flags[i][0], flag) == 0) {
			return flags[i][1];
		}
	}
	return NULL;
}

static bool is_key(const char *option)
{
	size_t n = strcspn(option, "=");
	for (size_t i = 0; option[n] && i < sizeof(keys) / sizeof(*keys); i++) {
		if (strlen(keys[i]) == n && strncmp(keys[i], option, n) == 0) {
			return true;
		}
	}
	return false;
}

/* Takes out what a later option replaces: the same key, the same flag or its opposite. */
static bool is_replaced(const struct strv *all, size_t at)
{
	const char *option = all->v[at];
	size_t n = strcspn(option, "=");
	for (size_t i = at + 1; i < all->n; i++) {
		const char *undone = undone_by(all->v[i]);
		if (option[n] ? strncmp(all->v[i], option, n + 1) == 0
			      : strcmp(all->v[i], option) == 0 ||
					(undone && strcmp(undone, option) == 0)) {
			return true;
		}
	}
	return false;
}

int mount_tmpfs_options(const char *given, char **ret, struct err *e)
{
	scoped(strv) struct strv all = STRV_INIT;
	scoped(buf) struct buf text = BUF_INIT;
	strv_split(&all, "noexec,nosuid,nodev", ',');
	strv_split(&all, given, ',');
	for (size_t i = 0; i < all.n; i++) {
		if (*all.v[i] && !undone_by(all.v[i]) && !is_key(all.v[i])) {
			scoped(free) char *name = xstrndup(all.v[i], strcspn(all.v[i], "="));
			return err_set(e, ERR_INVALID, "invalid tmpfs option \"%.64s\"", name);
		}
		if (*all.v[i] && !is_replaced(&all, i)) {
			buf_printf(&text, "%s%s", text.len ? "," : "", all.v[i]);
		}
	}
	*ret = buf_take_str(&text);
	return 0;
}

/* --- where propagation can come from --- */

static bool holds(const char *mount_point, const char *path)
{
	size_t n = strcmp(mount_point, "/") == 0 ? 0 : strlen(mount_point);
	return strncmp(mount_point, path, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* fuseblk is of the machine's own disks: ntfs-3g. */
static bool has_server(const char *fstype)
{
	static const char *const types[] = {
		"nfs", "nfs4", "cifs", "smb3", "fuse", "ceph", "9p", "afs", "glusterfs", "lustre"};
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		if (strcmp(fstype, types[i]) == 0) {
			return true;
		}
	}
	return text_starts(fstype, "fuse.");
}

char *mount_server_place(const char *mountinfo, const char *path)
{
	scoped(free) char *text = xstrdup(mountinfo);
	scoped(free) char *best = NULL;
	bool away = false;
	struct mountinfo m;
	for (char *p = text; mountinfo_next(&p, &m);) {
		if (holds(m.place, path) && (!best || strlen(best) <= strlen(m.place))) {
			free(best);
			best = xstrdup(m.place);
			away = has_server(m.fstype);
		}
	}
	return away ? TAKE(best) : NULL;
}

char *mount_propagation_refusal(const char *mountinfo, const char *path, const char *propagation)
{
	scoped(free) char *text = xstrdup(mountinfo);
	scoped(free) char *best = NULL;
	bool shared = false;
	bool slave = false;
	struct mountinfo m;
	for (char *p = text; mountinfo_next(&p, &m);) {
		if (!holds(m.place, path) || (best && strlen(best) > strlen(m.place))) {
			continue;
		}
		free(best);
		best = xstrdup(m.place);
		shared = m.shared;
		slave = m.slave;
	}
	bool wants_shared = mount_propagation_is_shared(propagation);
	if (shared || (slave && !wants_shared)) {
		return NULL;
	}
	return xasprintf("path %s is mounted on %s but it is not a shared%s mount", path,
		best ? best : "/", wants_shared ? "" : " or slave");
}
