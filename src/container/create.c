/* POST /containers/create: the request checked, completed from the image, recorded. A failure
 * leaves nothing. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/scoped.h"
#include "container/boot_rules.h"
#include "container/internal.h"
#include "container/log_options.h"
#include "container/plug.h"
#include "container/storage.h"
#include "device/rule.h"
#include "device/storage_rule.h"
#include "image/image.h"
#include "store/store.h"
#include "volume/volume.h"

SCOPED(struct container *, container_free)

/* --- the image's configuration under the user's: moby merge() --- */

static bool is_set(const json_t *v)
{
	return v && !json_is_null(v) && !(json_is_string(v) && !*json_string_value(v));
}

static void take_if_unset(json_t *config, const json_t *image, const char *key)
{
	const json_t *v = json_object_get(image, key);
	if (!is_set(json_object_get(config, key)) && is_set(v)) {
		json_put(config, key, json_deep_copy(v));
	}
}

/* Objects of both; the user's entries win. */
static void merge_objects(json_t *config, const json_t *image, const char *key)
{
	json_t *from_image = json_object_get(image, key);
	json_t *own = json_object_get(config, key);
	if (!json_is_object(from_image)) {
		return;
	}
	json_t *merged = json_deep_copy(from_image);
	if (json_is_object(own)) {
		json_object_update(merged, own);
	}
	json_put(config, key, merged);
}

static int merge_env(json_t *config, const json_t *image, struct err *e)
{
	scoped(strv) struct strv own = STRV_INIT;
	scoped(strv) struct strv from_image = STRV_INIT;
	struct err ignored;
	if (json_get_strv(config, "Env", &own, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < own.n; i++) {
		if (own.v[i][0] == '=' || !own.v[i][0]) {
			return err_set(
				e, ERR_INVALID, "invalid environment variable: %.200s", own.v[i]);
		}
	}
	bool known = json_get_strv(image, "Env", &from_image, &ignored) == 0;
	if (own.n + from_image.n > CONTAINER_ENV_MAX) {
		return err_set(
			e, ERR_INVALID, "more than %d environment variables", CONTAINER_ENV_MAX);
	}
	if (known) {
		for (size_t i = 0; i < from_image.n; i++) {
			scoped(free) char *key =
				xstrndup(from_image.v[i], strcspn(from_image.v[i], "="));
			if (*key && !strv_env_get(&own, key) && !strv_has(&own, key)) {
				strv_add(&own, from_image.v[i]);
			}
		}
	}
	json_put(config, "Env", own.n > 0 ? json_strv(&own) : json_null());
	return 0;
}

/* An image's Cmd belongs to its Entrypoint: with another entrypoint it does not count. Entrypoint
 * [""] means none. */
static void merge_command(json_t *config, const json_t *image)
{
	const json_t *entrypoint = json_object_get(config, "Entrypoint");
	if (json_array_size(entrypoint) == 0) {
		if (json_array_size(json_object_get(config, "Cmd")) == 0) {
			json_put(config, "Cmd", json_null());
			take_if_unset(config, image, "Cmd");
		}
		if (json_is_null(entrypoint)) {
			take_if_unset(config, image, "Entrypoint");
		}
	} else if (json_array_size(entrypoint) == 1 &&
		   !*json_string_value(json_array_get(entrypoint, 0))) {
		json_put(config, "Entrypoint", json_null());
	}
}

static void merge_healthcheck(json_t *config, const json_t *image)
{
	static const char *const parts[] = {
		"Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"};
	json_t *own = json_object_get(config, "Healthcheck");
	const json_t *from_image = json_object_get(image, "Healthcheck");
	if (!json_is_object(own)) {
		take_if_unset(config, image, "Healthcheck");
		return;
	}
	for (size_t i = 0; i < 6; i++) {
		const json_t *v = json_object_get(own, parts[i]);
		bool unset = !v || json_is_null(v) ||
			     (json_is_array(v) && json_array_size(v) == 0) ||
			     (json_is_integer(v) && json_integer_value(v) == 0);
		const json_t *inherited = json_object_get(from_image, parts[i]);
		if (unset && inherited) {
			json_put(own, parts[i], json_deep_copy(inherited));
		}
	}
}

int container_config_merge(json_t *config, const json_t *image, struct err *e)
{
	static const char *const texts[] = {"User", "WorkingDir", "StopSignal", "Shell"};
	for (size_t i = 0; i < 4; i++) {
		take_if_unset(config, image, texts[i]);
	}
	merge_objects(config, image, "ExposedPorts");
	merge_objects(config, image, "Labels");
	merge_objects(config, image, "Volumes");
	merge_command(config, image);
	merge_healthcheck(config, image);
	return merge_env(config, image, e);
}

/* What the engine obeys, and what other containers wait for or are replaced by. An image that
 * compose has built, or that was committed from such a container, has some of these as well. */
static void note_image_labels(struct container *c, const json_t *image)
{
	static const char *const obeyed[] = {LABEL_REPLACES, BOOT_PROJECT_LABEL, BOOT_SERVICE_LABEL,
		BOOT_ONE_OFF_LABEL, BOOT_DEPENDS_LABEL};
	const json_t *own = json_object_get(c->config, "Labels");
	const json_t *labels = json_object_get(image, "Labels");
	for (size_t i = 0; i < sizeof(obeyed) / sizeof(*obeyed); i++) {
		if (json_object_get(labels, obeyed[i]) && !json_object_get(own, obeyed[i])) {
			strv_add(&c->image_labels, obeyed[i]);
		}
	}
	const char *key;
	const json_t *ignored;
	json_object_foreach ((json_t *)labels, key, ignored) {
		bool obeyed_too = text_starts(key, DEVICE_LABEL) ||
				  text_starts(key, STORAGE_LABEL) || text_starts(key, HTTP_LABEL) ||
				  text_starts(key, STREAM_LABEL);
		if (obeyed_too && !json_object_get(own, key)) {
			strv_add(&c->image_labels, key);
		}
	}
}

const char *container_own_label(const struct container *c, const char *key)
{
	return strv_has(&c->image_labels, key) ? "" : json_str(container_labels(c), key);
}

json_t *container_own_labels(const struct container *c, const char *prefix)
{
	json_t *own = NULL;
	const char *key;
	json_t *value;
	json_object_foreach ((json_t *)container_labels(c), key, value) {
		if (text_starts(key, prefix) && !strv_has(&c->image_labels, key)) {
			own = own ? own : json_object();
			json_object_set(own, key, value);
		}
	}
	return own;
}

static int merge_image(struct container *c, const struct image *img, struct err *e)
{
	json_t *config = c->config;
	const json_t *image = json_object_get(img->config, "config");
	note_image_labels(c, image);
	if (container_config_merge(config, image, e) < 0) {
		return -1;
	}
	if (json_array_size(json_object_get(config, "Entrypoint")) == 0 &&
		json_array_size(json_object_get(config, "Cmd")) == 0) {
		return err_set(e, ERR_INVALID, "no command specified");
	}
	return 0;
}

/* --- checks --- */

/* As moby mergeAndVerifyLogConfig: the daemon's options complete those of its own driver. */
static int check_log_config(const struct container_deps *d, json_t *host, struct err *e)
{
	json_t *log = json_object_get(host, "LogConfig");
	const char *dflt = json_str(d->log_defaults, "Type");
	if (!json_is_object(log)) {
		json_put(host, "LogConfig", log = json_object());
	}
	if (!*json_str(log, "Type")) {
		json_put_str(log, "Type", *dflt ? dflt : "json-file");
	}
	if (!json_is_object(json_object_get(log, "Config"))) {
		json_put(log, "Config", json_object());
	}
	json_t *config = json_object_get(log, "Config");
	if (strcmp(json_str(log, "Type"), dflt) == 0) {
		json_object_update_missing(config, json_object_get(d->log_defaults, "Config"));
	}
	return log_options_check(json_str(log, "Type"), config, e);
}

/* --- names --- */

static int name_container(struct container *c, const char *name, struct err *e)
{
	struct map *names = c->set->by_name;
	char made[80];
	if (name && *name) {
		if (container_name_check(c->set, name, e) < 0) {
			return -1;
		}
		c->name = xstrdup(name);
		return 0;
	}
	for (int attempt = 0;; attempt++) {
		container_name_random(made, sizeof(made));
		if (attempt > 0) {
			size_t n = strlen(made);
			snprintf(made + n, sizeof(made) - n, "%d", attempt);
		}
		if (!map_get(names, made)) {
			c->name = xstrdup(made);
			return 0;
		}
	}
}

static void default_hostname(struct container *c)
{
	const char *mode = container_network_mode(c);
	char host[65] = "";
	if (*json_str(c->config, "Hostname") || text_starts(mode, "container:")) {
		return;
	}
	if (strcmp(mode, "host") == 0 || strcmp(json_str(c->host_config, "UTSMode"), "host") == 0) {
		gethostname(host, sizeof(host) - 1);
	} else {
		snprintf(host, sizeof(host), "%.12s", c->id);
	}
	json_put_str(c->config, "Hostname", host);
}

/* --- putting it together --- */

static int make_directories(struct container *c, struct err *e)
{
	static const char *const names[] = {"upper", "work"};
	int r = path_mkdirs(c->dir, 0710);
	for (size_t i = 0; r == 0 && i < 2; i++) {
		scoped(free) char *path = xasprintf("%s/%s", c->dir, names[i]);
		/* upper becomes the container's "/": everybody may enter */
		r = mkdir(path, i == 0 ? 0755 : 0700) < 0 ? -errno : 0;
	}
	return r < 0 ? err_sys(e, -r, "cannot make %s", c->dir) : 0;
}

static void remove_directories(struct container *c)
{
	scoped(free) char *parent = xasprintf("%s/containers", c->set->d.data_root);
	scoped(close) int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		path_remove_tree(fd, c->id);
	}
}

static int check_routes(const struct container *c, struct err *e)
{
	scoped(json) json_t *labels = container_own_labels(c, HTTP_LABEL);
	scoped(json) json_t *streams = container_own_labels(c, STREAM_LABEL);
	if (!c->set->d.check_routes || (!labels && !streams)) {
		return 0;
	}
	labels = labels ? labels : json_object();
	json_object_update(labels, streams);
	return c->set->d.check_routes(labels, e);
}

static int read_request(
	struct container *c, const json_t *body, const struct image *img, struct err *e)
{
	json_t *host;
	if (json_get_object(body, "HostConfig", &host, e) < 0) {
		return -1;
	}
	c->config = container_fields_config(body, e);
	c->host_config = c->config ? container_fields_host(host, e) : NULL;
	if (c->host_config) {
		container_defaults(c->host_config, c->set->d.settings);
	}
	/* modes first: that the image exposes ports does not hinder sharing a network */
	if (!c->host_config || modes_check(c->config, c->host_config, e) < 0 ||
		merge_image(c, img, e) < 0 || checks_run(c, e) < 0 ||
		check_log_config(&c->set->d, c->host_config, e) < 0 ||
		endpoints_read(c, body, e) < 0 || plug_init(c, e) < 0 || check_routes(c, e) < 0) {
		return -1;
	}
	default_hostname(c);
	container_place(c);
	return 0;
}

static void take_back_volumes(struct container_set *s, const struct strv *made)
{
	for (size_t i = 0; i < made->n; i++) {
		struct err ignored;
		struct volume *v = volume_find(s->d.volumes, made->v[i], &ignored);
		if (v) {
			(void)volume_remove(s->d.volumes, v, &ignored);
		}
	}
}

int container_create(struct container_set *s, const char *name, const json_t *body,
	struct container **ret, json_t **ret_warnings, struct err *e)
{
	const char *image_name;
	if (!json_is_object(body)) {
		return err_set(e, ERR_INVALID, "the body must be a JSON object");
	}
	if (json_get_str(body, "Image", &image_name, e) < 0) {
		return -1;
	}
	if (!image_name || !*image_name) {
		return err_set(e, ERR_INVALID, "no image specified");
	}
	const struct image *img =
		image_find_for(s->d.images, image_name, json_str(body, "Platform"), e);
	if (!img || image_trust_check(s->d.images, img, image_name, e) < 0) {
		return -1;
	}
	char id[ID_LEN + 1];
	id_new(id);
	scoped(container_free) struct container *c = container_new(s, id);
	c->image_id = xstrdup(img->id);
	c->image_ref = xstrdup(image_name);
	strv_copy(&c->layers, &img->layers);
	c->created_ns = clock_real_ns();
	scoped(strv) struct strv made = STRV_INIT;
	if (name_container(c, name, e) < 0 || read_request(c, body, img, e) < 0) {
		return -1;
	}
	bool shallow = json_bool(body, "DefaultReadOnlyNonRecursive");
	if (mounts_read(s, c->config, c->host_config, shallow, &c->mounts, &made, e) < 0 ||
		storage_init(c, e) < 0 || make_directories(c, e) < 0 ||
		container_record_save(c, e) < 0) {
		mounts_deinit(&c->mounts);
		take_back_volumes(s, &made);
		remove_directories(c);
		return -1;
	}
	*ret = TAKE(c);
	map_put(s->by_id, (*ret)->id, *ret);
	map_put(s->by_name, (*ret)->name, *ret);
	container_event(*ret, "create", NULL);
	log_info("container", "created", "id", (*ret)->id, "name", (*ret)->name, NULL);
	*ret_warnings = TAKE((*ret)->warnings);
	return 0;
}
