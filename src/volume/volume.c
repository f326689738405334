/* Invariants
 * 1. A volume is in the table only while DATA/volumes/NAME/_data exists: the directory is made
 * before the row and removed after it.
 * 2. What is mounted there is unmounted before anything is removed: a removal deletes nobody's
 * disk.
 */
#include "volume/volume.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/text.h"
#include "event/event.h"
#include "job/remove.h"
#include "store/store.h"
#include "sys/mounts.h"

struct volume {
	char *name;
	char *mountpoint;
	json_t *labels;
	json_t *options;
	int64_t created_ns;
	bool anonymous;
	bool seeded;
	enum volume_state state; /* not stored: a new daemon looks */
	char *reason;
	int64_t since_ns;
};

struct volume_set {
	struct store *store;
	struct event_bus *bus;
	struct job_pool *jobs;
	char *tmp; /* DATA/tmp */
	struct map *by_name;
	char *root;
	int root_fd;
};

static void volume_free(struct volume *w)
{
	if (!w) {
		return;
	}
	json_decref(w->labels);
	json_decref(w->options);
	free(w->name);
	free(w->mountpoint);
	free(w->reason);
	free(w);
}
SCOPED(struct volume *, volume_free)

static json_t *object_or_empty(const json_t *o)
{
	return json_is_object(o) ? json_deep_copy(o) : json_object();
}

static json_t *object_or_null(const json_t *o)
{
	return json_is_object(o) ? json_deep_copy(o) : json_null();
}

static struct volume *volume_new(const struct volume_set *v, const char *name)
{
	struct volume *w = xnew(struct volume);
	w->name = xstrdup(name);
	w->mountpoint = xasprintf("%s/%s/_data", v->root, name);
	return w;
}

static int save(struct volume_set *v, const struct volume *w, struct err *e)
{
	scoped(json) json_t *doc = json_object();
	json_put(doc, "labels", json_incref(w->labels));
	json_put(doc, "options", json_incref(w->options));
	json_put(doc, "created_ns", json_integer(w->created_ns));
	json_put(doc, "anonymous", json_boolean(w->anonymous));
	json_put(doc, "seeded", json_boolean(w->seeded));
	return store_put(v->store, STORE_VOLUMES, w->name, doc, e);
}

/* Makes DATA/volumes/NAME/_data; an existing one is kept with what is in it. */
static int make_directory(struct volume_set *v, const char *name, struct err *e)
{
	if (mkdirat(v->root_fd, name, 0701) < 0 && errno != EEXIST) {
		return err_sys(e, errno, "cannot make the directory of volume %s", name);
	}
	scoped(close) int fd =
		openat(v->root_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || (mkdirat(fd, "_data", 0755) < 0 && errno != EEXIST)) {
		return err_sys(e, errno, "cannot make the directory of volume %s", name);
	}
	return 0;
}

static int load_row(void *owner, const char *id, json_t *doc, struct err *e)
{
	struct volume_set *v = owner;
	struct volume *w = volume_new(v, id);
	w->labels = object_or_null(json_object_get(doc, "labels"));
	w->options = object_or_empty(json_object_get(doc, "options"));
	w->created_ns = json_i64(doc, "created_ns", 0);
	w->anonymous = json_bool(doc, "anonymous");
	w->seeded = json_bool(doc, "seeded");
	map_put(v->by_name, id, w);
	return make_directory(
		v, id, e); /* somebody's rm -rf must not keep the daemon from starting */
}

struct volume_set *volume_set_new(struct store *s, struct event_bus *bus, struct job_pool *jobs,
	const char *data_root, struct err *e)
{
	struct volume_set *v = xnew(struct volume_set);
	v->store = s;
	v->bus = bus;
	v->jobs = jobs;
	v->tmp = xasprintf("%s/tmp", data_root);
	v->by_name = map_new();
	v->root = xasprintf("%s/volumes", data_root);
	int r = path_mkdirs(v->root, 0711);
	v->root_fd = r < 0 ? -1 : open(v->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (v->root_fd < 0) {
		err_sys(e, r < 0 ? -r : errno, "cannot make %s", v->root);
		volume_set_free(v);
		return NULL;
	}
	if (store_each(s, STORE_VOLUMES, load_row, v, e) < 0) {
		volume_set_free(v);
		return NULL;
	}
	return v;
}

void volume_set_free(struct volume_set *v)
{
	if (!v) {
		return;
	}
	map_each (v->by_name, struct volume, w) {
		volume_free(w);
	}
	map_free(v->by_name);
	if (v->root_fd >= 0) {
		close(v->root_fd);
	}
	free(v->root);
	free(v->tmp);
	free(v);
}

struct volume *volume_find(struct volume_set *v, const char *name, struct err *e)
{
	struct volume *w = map_get(v->by_name, name);
	if (!w) {
		err_set(e, ERR_NOT_FOUND, "get %s: no such volume", name);
	}
	return w;
}

struct volume *volume_next(const struct volume_set *v, size_t *pos)
{
	return map_next(v->by_name, pos, NULL);
}

const char *volume_name(const struct volume *w)
{
	return w->name;
}

const char *volume_mountpoint(const struct volume *w)
{
	return w->mountpoint;
}

bool volume_anonymous(const struct volume *w)
{
	return w->anonymous;
}

bool volume_wants_seed(const struct volume *w)
{
	return !w->seeded;
}

void volume_set_seeded(struct volume_set *v, struct volume *w)
{
	struct err ignored; /* offered again after a restart: a filled volume is not seeded twice */
	w->seeded = true;
	save(v, w, &ignored);
}

bool volume_needs_mount(const struct volume *w)
{
	return *json_str(w->options, "device") || *json_str(w->options, "type");
}

bool volume_mounts_read_only(const struct volume *w)
{
	bool ro = false;
	scoped(strv) struct strv parts = STRV_INIT;
	strv_split(&parts, json_str(w->options, "o"), ',');
	for (size_t i = 0; i < parts.n; i++) {
		ro = strcmp(parts.v[i], "ro") == 0 || (ro && strcmp(parts.v[i], "rw") != 0);
	}
	return ro;
}

bool volume_is_mounted(const struct volume *w)
{
	return mount_is_at(w->mountpoint);
}

/* --- file systems whose server may be away --- */

bool volume_has_options(const struct volume *w)
{
	return json_object_size(w->options) > 0;
}

bool volume_is_watched(const struct volume *w)
{
	return remote_is_watched(w->options, w->labels);
}

enum remote_start volume_start_of(const struct volume *w)
{
	return remote_start_of(w->options, w->labels);
}

enum volume_state volume_state(const struct volume *w)
{
	return w->state;
}

const char *volume_reason(const struct volume *w)
{
	return w->reason ? w->reason : "";
}

void volume_take_state(struct volume *w, enum volume_state state)
{
	w->state = state;
	w->since_ns = clock_real_ns();
}

static const char *const state_words[] = {"unused", "mounted", "waiting", "degraded"};

void volume_set_state(
	struct volume_set *v, struct volume *w, enum volume_state state, const char *reason)
{
	bool news = state != w->state;
	if (!news && strcmp(volume_reason(w), reason) == 0) {
		return;
	}
	free(w->reason);
	w->reason = xstrdup(reason);
	w->since_ns = news ? clock_real_ns() : w->since_ns;
	w->state = state;
	if (news && state != VOLUME_UNUSED) {
		log_info("volume", state_words[state], "name", w->name, "reason",
			*reason ? reason : NULL, NULL);
		volume_publish(v, state_words[state], w->name,
			json_pack("{ss ss}", "driver", "local", "reason", reason));
	}
}

static json_t *status_of(const struct volume *w)
{
	char since[CLOCK_TEXT_MAX] = "";
	if (w->since_ns) {
		clock_format(w->since_ns / NS_PER_SEC * NS_PER_SEC, since);
	}
	return json_pack("{ss ss ss}", "State", state_words[w->state], "Reason", volume_reason(w),
		"Since", since);
}

static char *credentials_path(const struct volume *w)
{
	return xasprintf(
		"%.*s/credentials", (int)(strlen(w->mountpoint) - strlen("/_data")), w->mountpoint);
}

int volume_set_credentials(
	struct volume_set *v, struct volume *w, const char *text, size_t n, struct err *e)
{
	scoped(free) char *path = credentials_path(w);
	scoped(buf) struct buf old = BUF_INIT;
	if (!remote_type_is_cifs(json_str(w->options, "type"))) {
		return err_set(
			e, ERR_INVALID, "volume %s is not of the type cifs or smb3", w->name);
	}
	if (n > REMOTE_CREDENTIALS_MAX || memchr(text, '\0', n)) {
		return err_set(e, ERR_INVALID, "credentials are a text of at most %d bytes",
			REMOTE_CREDENTIALS_MAX);
	}
	scoped(free) char *copy = xstrndup(text, n);
	scoped(free) char *parsed = remote_credentials(copy, e);
	explicit_bzero(copy, n);
	if (!parsed) {
		return -1;
	}
	explicit_bzero(parsed, strlen(parsed));
	bool same = path_read(AT_FDCWD, path, REMOTE_CREDENTIALS_MAX, &old) == 0 && old.len == n &&
		    memcmp(old.data, text, n) == 0;
	if (old.data) {
		explicit_bzero(old.data, old.len);
	}
	if (same) {
		return err_set(e, ERR_UNCHANGED, "volume %s has these credentials", w->name);
	}
	int r = path_write(AT_FDCWD, path, text, n, 0600, true);
	return r < 0 ? err_sys(e, -r, "cannot keep the credentials of volume %s", w->name) : 0;
}

json_t *volume_mount_request(const struct volume *w)
{
	json_t *request = json_object_size(w->options) ? json_deep_copy(w->options) : json_object();
	const char *file = remote_setting(w->options, w->labels, REMOTE_CREDENTIALS);
	scoped(free) char *kept = credentials_path(w);
	bool has_kept =
		!*file && remote_type_is_cifs(json_str(request, "type")) && access(kept, F_OK) == 0;
	json_put_str(request, "name", w->name);
	json_put_str(request, "target", w->mountpoint);
	json_put_str(request, "credentials", has_kept ? kept : file);
	return request;
}

json_t *volume_inspect(const struct volume *w)
{
	char created[CLOCK_TEXT_MAX];
	json_t *o = json_object();
	json_put_str(
		o, "CreatedAt", clock_format(w->created_ns / NS_PER_SEC * NS_PER_SEC, created));
	json_put_str(o, "Driver", "local");
	json_put(o, "Labels", json_incref(w->labels));
	json_put_str(o, "Mountpoint", w->mountpoint);
	json_put_str(o, "Name", w->name);
	json_put(
		o, "Options", json_object_size(w->options) ? json_incref(w->options) : json_null());
	json_put_str(o, "Scope", "local");
	if (volume_is_watched(w)) {
		json_put(o, "Status", status_of(w));
	}
	return o;
}

/* moby volume/names: [a-zA-Z0-9][a-zA-Z0-9_.-] and at least two characters */
static int check_name(const char *name, struct err *e)
{
	static const char first[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	static const char rest[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t n = strlen(name);
	if (n == 1) {
		return err_set(e, ERR_INVALID,
			"create %s: volume name is too short, names should be at least two alphanumeric "
			"characters",
			name);
	}
	if (n > 255 || !strchr(first, name[0]) || strspn(name, rest) != n) {
		return err_set(e, ERR_INVALID,
			"create %.64s: \"%.64s\" includes invalid characters for a local volume name, only "
			"\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use "
			"absolute path",
			name, name);
	}
	return 0;
}

static int check_driver(const char *name, const char *driver, struct err *e)
{
	return !driver || !*driver || strcmp(driver, "local") == 0
		       ? 0
		       : err_set(e, ERR_NOT_FOUND,
				 "create %s: error looking up volume plugin %.64s: plugin \"%.64s\" not found",
				 name, driver, driver);
}

static int check_options(const char *name, const json_t *options, struct err *e)
{
	static const struct {
		const char *option, *needs;
	} pairs[] = {{"device", "type"}, {"type", "device"}, {"o", "device"}, {"o", "type"}};
	const char *key;
	json_t *value;
	json_object_foreach ((json_t *)options, key, value) {
		bool known = strcmp(key, "type") == 0 || strcmp(key, "device") == 0 ||
			     strcmp(key, "o") == 0 || strcmp(key, "size") == 0 ||
			     strcmp(key, REMOTE_WAIT) == 0 || strcmp(key, REMOTE_CREDENTIALS) == 0;
		if (!known) {
			return err_set(
				e, ERR_INVALID, "create %s: invalid option: \"%.64s\"", name, key);
		}
		if (!json_is_string(value)) {
			return err_set(
				e, ERR_INVALID, "create %s: option %s must be a string", name, key);
		}
	}
	const char *size = json_string_value(json_object_get(options, "size"));
	int64_t bytes = 0;
	if (size && parse_size(size, &bytes) < 0) {
		return err_set(e, ERR_INVALID, "create %s: invalid size: '%.64s'", name, size);
	}
	if (bytes > 0) {
		return err_set(e, ERR_INVALID,
			"create %s: quota size requested but no quota support", name);
	}
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		if (json_object_get(options, pairs[i].option) &&
			!json_object_get(options, pairs[i].needs)) {
			return err_set(e, ERR_INVALID, "create %s: missing required option: \"%s\"",
				name, pairs[i].needs);
		}
	}
	return 0;
}

void volume_publish(
	struct volume_set *v, const char *action, const char *name, json_t *take_attributes)
{
	event_publish(v->bus, "volume", action, name, take_attributes);
}

static void publish(struct volume_set *v, const char *action, const char *name)
{
	json_t *attributes = json_object();
	json_put_str(attributes, "driver", "local");
	volume_publish(v, action, name, attributes);
}

struct volume *volume_create(struct volume_set *v, const char *name, const char *driver,
	const json_t *labels, const json_t *options, struct err *e)
{
	char made_up[ID_LEN + 1];
	bool anonymous = !name || !*name;
	if (anonymous) {
		id_new(made_up);
		name = made_up;
	}
	if (check_driver(name, driver, e) < 0 || check_name(name, e) < 0 ||
		check_options(name, options, e) < 0) {
		return NULL;
	}
	if (remote_check(options, labels, e) < 0) {
		err_wrap(e, "create %s", name);
		return NULL;
	}
	struct volume *known = map_get(v->by_name, name);
	if (known) {
		return known;
	}
	scoped(volume_free) struct volume *w = volume_new(v, name);
	w->labels = anonymous ? object_or_empty(labels) : object_or_null(labels);
	w->options = object_or_empty(options);
	w->created_ns = clock_real_ns();
	w->anonymous = anonymous;
	if (anonymous) { /* docker volume prune finds them by this label */
		json_put_str(w->labels, "com.docker.volume.anonymous", "");
	}
	if (make_directory(v, name, e) < 0 || save(v, w, e) < 0) {
		path_remove_tree(v->root_fd, name);
		return NULL;
	}
	map_put(v->by_name, name, w);
	publish(v, "create", name);
	return TAKE(w);
}

/* Out of the way by one rename, then a worker's business (doc/decisions.md). */
static int discard_tree(struct volume_set *v, const char *name, struct err *e)
{
	char id[ID_LEN + 1];
	id_new(id);
	scoped(free) char *away = xasprintf("volume-%.32s", id);
	scoped(free) char *to = xasprintf("%s/%s", v->tmp, away);
	if (renameat(v->root_fd, name, AT_FDCWD, to) < 0) {
		int r = errno == ENOENT ? path_remove_tree(v->root_fd, name) : -errno;
		return r < 0 ? err_sys(e, -r, "remove %s: cannot remove the volume's directory",
				       name)
			     : 0;
	}
	if (v->jobs) {
		job_remove_trees(v->jobs, "volume", v->tmp, json_pack("[s]", away), NULL, NULL);
	}
	return 0;
}

int volume_remove(struct volume_set *v, struct volume *w, struct err *e)
{
	if (volume_needs_mount(w) && volume_is_mounted(w)) {
		return err_set(e, ERR_SYSTEM, "remove %s: volume has active mounts", w->name);
	}
	if (store_delete(v->store, STORE_VOLUMES, w->name, e) < 0) {
		return -1;
	}
	map_remove(v->by_name, w->name);
	int r = discard_tree(v, w->name, e);
	publish(v, "destroy", w->name);
	volume_free(w);
	return r;
}
