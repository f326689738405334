#include "container/wanted.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "container/optional.h"
#include "device/device.h"
#include "device/rule.h"

#define BY_LINK "link:"
#define BY_PORT "port:"

static struct wanted *append(struct wanted_list *l)
{
	l->v = xrealloc(l->v, l->n + 1, sizeof(*l->v));
	l->v[l->n] = (struct wanted){0};
	return &l->v[l->n++];
}

static void read_devices(const json_t *config, const json_t *host, struct wanted_list *ret)
{
	size_t i;
	json_t *device;
	json_array_foreach (json_object_get(host, "Devices"), i, device) {
		struct wanted *w = append(ret);
		const char *path = json_str(device, "PathOnHost");
		const char *inside = json_str(device, "PathInContainer");
		const char *access = json_str(device, "CgroupPermissions");
		w->key = xstrdup(path);
		w->host = path_clean(path);
		w->inside = path_clean(*inside ? inside : path);
		w->access = xstrdup(*access ? access : "rwm");
		w->required = !optional_names(config, *inside ? inside : path);
	}
}

/* Only the owner's: an image must not help itself to devices of the machine. */
static json_t *own_labels(const json_t *config, const struct strv *image_labels)
{
	json_t *own = json_object();
	const char *key;
	json_t *value;
	json_object_foreach (json_object_get(config, "Labels"), key, value) {
		if (text_starts(key, DEVICE_LABEL) && !strv_has(image_labels, key)) {
			json_put(own, key, json_incref(value));
		}
	}
	return own;
}

static int read_labels(const json_t *labels, struct wanted_list *ret, struct err *e)
{
	struct device_rule **rules;
	size_t n;
	if (device_rules_read(labels, &rules, &n, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		struct wanted *w = append(ret);
		w->rule = TAKE(rules[i]);
		w->key = xstrdup(w->rule->name);
		w->required = w->rule->required;
	}
	device_rules_free(rules, n);
	return 0;
}

int wanted_read(const json_t *config, const json_t *host_config, const struct strv *image_labels,
	struct wanted_list *ret, struct err *e)
{
	scoped(json) json_t *labels = own_labels(config, image_labels);
	*ret = (struct wanted_list){0};
	if (!json_bool(host_config, "Privileged")) {
		read_devices(config, host_config, ret);
	}
	if (read_labels(labels, ret, e) < 0) {
		wanted_deinit(ret);
		return -1;
	}
	return 0;
}

void wanted_deinit(struct wanted_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].key);
		device_rule_free(l->v[i].rule);
		free(l->v[i].host);
		free(l->v[i].inside);
		free(l->v[i].access);
	}
	free(l->v);
	*l = (struct wanted_list){0};
}

/* --- which devices --- */

static bool has_identity(const struct device *d, const char *identity)
{
	if (text_starts(identity, BY_LINK)) {
		return device_has_link(d, identity + strlen(BY_LINK));
	}
	return text_starts(identity, BY_PORT) && *d->port &&
	       strcmp(d->port, identity + strlen(BY_PORT)) == 0;
}

/* What path is called below folder, or NULL when it is not. */
static const char *below(const char *path, const char *folder)
{
	size_t n = strlen(folder);
	return strncmp(path, folder, n) == 0 && path[n] == '/' && path[n + 1] ? path + n + 1 : NULL;
}

static const char *name_below(const struct device *d, const char *folder)
{
	const char *name = below(d->node, folder);
	for (size_t i = 0; i < d->links.n && !name; i++) {
		name = below(d->links.v[i], folder);
	}
	return name;
}

bool wanted_find_place(const struct wanted *w, const struct device *d, const char *identity,
	struct wanted_place *ret)
{
	if (w->rule) {
		if (!device_rule_matches(w->rule, d)) {
			return false;
		}
		*ret = (struct wanted_place){
			device_rule_target(w->rule, d), device_rule_is_many(w->rule)};
		return true;
	}
	const char *name = name_below(d, w->host);
	if (name) {
		*ret = (struct wanted_place){xasprintf("%s/%s", w->inside, name), true};
		return true;
	}
	bool meant = *identity ? has_identity(d, identity)
			       : strcmp(d->node, w->host) == 0 || device_has_link(d, w->host);
	if (meant) {
		*ret = (struct wanted_place){xstrdup(w->inside), false};
	}
	return meant;
}

char *wanted_link(const struct wanted *w, const struct device *d, const char *link)
{
	scoped(buf) struct buf text = BUF_INIT;
	const char *name = below(link, "/dev");
	const char *node = below(d->node, "/dev");
	if (!w->rule || !device_rule_has_links(w->rule) || !name || !node) {
		return NULL;
	}
	for (const char *p = name; (p = strchr(p, '/')); p++) {
		buf_puts(&text, "../");
	}
	buf_puts(&text, node);
	return buf_take_str(&text);
}

static const char *find_link(const struct device *d, const char *part)
{
	for (size_t i = 0; i < d->links.n; i++) {
		if (strstr(d->links.v[i], part)) {
			return d->links.v[i];
		}
	}
	return NULL;
}

char *wanted_identity(const struct wanted *w, const struct device *d)
{
	if (w->rule || device_has_link(d, w->host) || name_below(d, w->host)) {
		return xstrdup("");
	}
	/* without a serial number of its own a by-id link is that of all of its kind */
	const char *link = *d->serial_short ? find_link(d, "/by-id/") : NULL;
	link = link ? link : find_link(d, "/by-path/");
	if (link) {
		return xasprintf(BY_LINK "%s", link);
	}
	return *d->port ? xasprintf(BY_PORT "%s", d->port) : xstrdup("");
}
