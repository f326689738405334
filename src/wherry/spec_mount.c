#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/text.h"
#include "wherry/specs.h"

/* "./x" and ".." are the client's business: the engine has another working directory. The caller's.
 */
static char *absolute(const char *path)
{
	if (*path != '.') {
		return xstrdup(path);
	}
	scoped(free) char *cwd = getcwd(NULL, 0);
	return path_join(cwd ? cwd : "/", path);
}

int spec_volume(const char *text, json_t *volumes, json_t *binds, struct err *e)
{
	const char *colon = strchr(text, ':');
	if (!*text || colon == text) {
		return err_set(
			e, ERR_INVALID, "invalid spec: %s: empty section between colons", text);
	}
	if (!colon) {
		json_put(volumes, text, json_object());
		return 0;
	}
	scoped(free) char *source = xstrndup(text, (size_t)(colon - text));
	scoped(free) char *host = absolute(source);
	scoped(free) char *bind = xasprintf("%s%s", host, colon);
	const char *second = strchr(colon + 1, ':');
	if (second && strchr(second + 1, ':')) {
		return err_set(e, ERR_INVALID, "invalid spec: %s: too many colons", text);
	}
	if ((!colon[1] && strcmp(text, "/:") != 0) || strstr(colon, "::")) {
		return err_set(
			e, ERR_INVALID, "invalid spec: %s: empty section between colons", text);
	}
	json_array_append_new(binds, json_string(bind));
	return 0;
}

int spec_tmpfs(const char *text, json_t *tmpfs, struct err *e)
{
	scoped(free) char *path = xstrndup(text, strcspn(text, ":"));
	const char *colon = strchr(text, ':');
	json_put_str(tmpfs, path, colon ? colon + 1 : "");
	return 0;
}

/* --- --mount --- */

static json_t *section(json_t *mount, const char *name)
{
	json_t *o = json_object_get(mount, name);
	if (!o) {
		o = json_object();
		json_put(mount, name, o);
	}
	return o;
}

static int parse_flag_value(const char *key, const char *value, bool *ret, struct err *e)
{
	static const char *const words[2][5] = {
		{"false", "0", "f", "False", "FALSE"}, {"true", "1", "t", "True", "TRUE"}};
	*ret = !value;
	for (size_t i = 0; value && i < 10; i++) {
		if (strcmp(value, words[i % 2][i / 2]) == 0) {
			*ret = i % 2;
			return 0;
		}
	}
	return value ? err_set(e, ERR_INVALID, "invalid value for %s: %s", key, value) : 0;
}

static int set_recursive(json_t *mount, const char *value, struct err *e)
{
	json_t *bind = section(mount, "BindOptions");
	if (strcmp(value, "enabled") == 0) {
		return 0;
	}
	if (strcmp(value, "disabled") == 0) {
		json_put(bind, "NonRecursive", json_true());
	} else if (strcmp(value, "writable") == 0) {
		json_put(bind, "ReadOnlyNonRecursive", json_true());
	} else if (strcmp(value, "readonly") == 0) {
		json_put(bind, "ReadOnlyForceRecursive", json_true());
	} else {
		return err_set(e, ERR_INVALID,
			"invalid value for bind-recursive: %s (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")",
			value);
	}
	return 0;
}

static int set_tmpfs(json_t *mount, const char *key, const char *value, struct err *e)
{
	json_t *tmpfs = section(mount, "TmpfsOptions");
	if (strcmp(key, "tmpfs-size") == 0) {
		int64_t bytes;
		if (parse_size(value, &bytes) < 0) {
			return err_set(e, ERR_INVALID, "invalid value for %s: %s", key, value);
		}
		json_put(tmpfs, "SizeBytes", json_integer(bytes));
		return 0;
	}
	char *end;
	unsigned long mode = strtoul(value, &end, 8);
	if (!*value || *end || mode > 07777) {
		return err_set(e, ERR_INVALID, "invalid value for %s: %s", key, value);
	}
	json_put(tmpfs, "Mode", json_integer((json_int_t)mode));
	return 0;
}

static int set_volume(json_t *mount, const char *key, const char *value, struct err *e)
{
	json_t *options = section(mount, "VolumeOptions");
	if (strcmp(key, "volume-driver") == 0) {
		json_put_str(section(options, "DriverConfig"), "Name", value);
		return 0;
	}
	if (strcmp(key, "volume-opt") == 0) {
		return spec_option(value, "volume-opt",
			section(section(options, "DriverConfig"), "Options"), e);
	}
	if (strcmp(key, "volume-label") == 0) {
		return spec_label(value, section(options, "Labels"), e);
	}
	if (strcmp(key, "volume-subpath") == 0) {
		json_put_str(options, "Subpath", value);
		return 0;
	}
	return err_set(e, ERR_INVALID, "unexpected key '%s' in '%s=%s'", key, key, value);
}

/* Keys that may stand without a value. Returns 1 when key is none of them. */
static int set_switch(json_t *mount, const char *key, const char *value, struct err *e)
{
	bool on;
	if (strcmp(key, "readonly") == 0 || strcmp(key, "ro") == 0) {
		if (parse_flag_value(key, value, &on, e) < 0) {
			return -1;
		}
		json_put(mount, "ReadOnly", json_boolean(on));
	} else if (strcmp(key, "volume-nocopy") == 0) {
		if (parse_flag_value(key, value, &on, e) < 0) {
			return -1;
		}
		json_put(section(mount, "VolumeOptions"), "NoCopy", json_boolean(on));
	} else if (strcmp(key, "bind-nonrecursive") == 0) {
		if (parse_flag_value(key, value, &on, e) < 0) {
			return -1;
		}
		json_put(section(mount, "BindOptions"), "NonRecursive", json_boolean(on));
	} else {
		return 1;
	}
	return 0;
}

static int set_field(json_t *mount, char *field, struct err *e)
{
	char *value = strchr(field, '=');
	if (value) {
		*value++ = '\0';
	}
	for (char *p = field; *p; p++) {
		*p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
	}
	int r = set_switch(mount, field, value, e);
	if (r <= 0) {
		return r;
	}
	if (!value) {
		return err_set(
			e, ERR_INVALID, "invalid field '%s' must be a key=value pair", field);
	}
	if (strcmp(field, "type") == 0) {
		json_put_str(mount, "Type", value);
	} else if (strcmp(field, "source") == 0 || strcmp(field, "src") == 0) {
		json_put_str(mount, "Source", value);
	} else if (strcmp(field, "target") == 0 || strcmp(field, "dst") == 0 ||
		   strcmp(field, "destination") == 0) {
		json_put_str(mount, "Target", value);
	} else if (strcmp(field, "consistency") == 0) {
		json_put_str(mount, "Consistency", value);
	} else if (strcmp(field, "image-subpath") == 0) {
		json_put_str(section(mount, "ImageOptions"), "Subpath", value);
	} else if (strcmp(field, "bind-propagation") == 0) {
		json_put_str(section(mount, "BindOptions"), "Propagation", value);
	} else if (strcmp(field, "bind-recursive") == 0) {
		return set_recursive(mount, value, e);
	} else if (text_starts(field, "tmpfs-size") || text_starts(field, "tmpfs-mode")) {
		return set_tmpfs(mount, field, value, e);
	} else {
		return set_volume(mount, field, value, e);
	}
	return 0;
}

/* Options of one type on a mount of another are a typing error. */
static int check_mount(const json_t *mount, struct err *e)
{
	static const char *const sections[][2] = {{"BindOptions", "bind"},
		{"VolumeOptions", "volume"}, {"TmpfsOptions", "tmpfs"}, {"ImageOptions", "image"}};
	const char *type = json_str(mount, "Type");
	if (!*json_str(mount, "Target")) {
		return err_set(e, ERR_INVALID, "target is required");
	}
	for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
		if (json_object_get(mount, sections[i][0]) && strcmp(type, sections[i][1]) != 0) {
			return err_set(e, ERR_INVALID,
				"cannot mix '%s-*' options with mount type '%s'", sections[i][1],
				type);
		}
	}
	return 0;
}

json_t *spec_mount(const char *text, struct err *e)
{
	scoped(strv) struct strv fields = STRV_INIT;
	scoped(json) json_t *mount = json_pack("{ss}", "Type", "volume");
	if (spec_csv(text, &fields, e) < 0) {
		return NULL;
	}
	for (size_t i = 0; i < fields.n; i++) {
		if (set_field(mount, fields.v[i], e) < 0) {
			return NULL;
		}
	}
	if (check_mount(mount, e) < 0) {
		return NULL;
	}
	if (strcmp(json_str(mount, "Type"), "bind") == 0) {
		scoped(free) char *source = absolute(json_str(mount, "Source"));
		json_put_str(mount, "Source", source);
	}
	return json_incref(mount);
}
