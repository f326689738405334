#include "compose/content.h"

#include <jansson.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "codec/sha256.h"

#define DIGITS 16

struct content {
	json_t *digests;
	content_read_fn *read;
	void *owner;
};

static void add_data(struct content *c, const char *target, const char *data, size_t n)
{
	char digest[72];
	sha256_digest(data, n, digest);
	digest[strlen("sha256:") + DIGITS] = '\0';
	json_put_str(c->digests, target, digest + strlen("sha256:"));
}

static void add_file(struct content *c, const char *target, const char *path)
{
	scoped(buf) struct buf data = BUF_INIT;
	if (c->read(c->owner, path, CONTENT_BYTES_MAX, &data) == 0) {
		add_data(c, target, buf_str(&data), data.len);
	}
}

static void add_uses(struct content *c, const struct file_use *uses, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (uses[i].path) {
			add_file(c, uses[i].target, uses[i].path);
		} else if (uses[i].content) {
			add_data(c, uses[i].target, uses[i].content, strlen(uses[i].content));
		}
	}
}

char *content_label(const struct service *s, content_read_fn *read, void *owner)
{
	for (size_t i = 0; i < s->labels.n; i++) {
		if (strcmp(s->labels.v[i].name, CONTENT_LABEL) == 0) {
			return NULL;
		}
	}
	scoped(json) json_t *digests = json_object();
	struct content c = {digests, read, owner};
	add_uses(&c, s->configs, s->n_configs);
	add_uses(&c, s->secrets, s->n_secrets);
	for (size_t i = 0; i < s->n_mounts; i++) {
		if (s->mounts[i].type == MOUNT_BIND && s->mounts[i].source) {
			add_file(&c, s->mounts[i].target, s->mounts[i].source);
		}
	}
	return json_object_size(digests) > 0 ? json_dumps(digests, JSON_COMPACT | JSON_SORT_KEYS)
					     : NULL;
}

static bool is_changed(const json_t *others, const char *target, const json_t *digest)
{
	const json_t *other = json_object_get(others, target);
	return other && !json_equal(other, digest);
}

/* What one of them does not have was a mount that came or went, which the configuration's hash
 * knows, or a file that was too big once. */
char *content_changes(const char *before, const char *now)
{
	scoped(json) json_t *old = json_loads(before, 0, NULL);
	scoped(json) json_t *new = json_loads(now, 0, NULL);
	struct buf text = BUF_INIT;
	const char *target;
	json_t *digest;
	json_object_foreach (new, target, digest) {
		if (is_changed(old, target, digest)) {
			buf_printf(&text, "%s%s", text.len ? ", " : "the content of ", target);
		}
	}
	if (text.len == 0) {
		buf_deinit(&text);
		return NULL;
	}
	buf_puts(&text, " changed");
	return buf_take_str(&text);
}
