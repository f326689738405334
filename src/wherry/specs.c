#include "wherry/specs.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <limits.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/text.h"

#define FILE_MAX (1u << 20)

int spec_csv(const char *text, struct strv *ret, struct err *e)
{
	return strv_split_csv(ret, text) < 0
		       ? err_set(e, ERR_INVALID,
				 "parse error in '%s': extraneous or missing \" in quoted-field",
				 text)
		       : 0;
}

json_t *spec_ulimit(const char *text, struct err *e)
{
	static const char *const names[] = {"core", "cpu", "data", "fsize", "locks", "memlock",
		"msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending",
		"stack"};
	const char *equal = strchr(text, '=');
	scoped(free) char *name = equal ? xstrndup(text, (size_t)(equal - text)) : NULL;
	bool known = false;
	for (size_t i = 0; name && i < sizeof(names) / sizeof(*names); i++) {
		known = known || strcmp(names[i], name) == 0;
	}
	if (!equal || !known) {
		err_set(e, ERR_INVALID,
			equal ? "invalid ulimit type: %s" : "invalid ulimit argument: %s",
			equal ? name : text);
		return NULL;
	}
	scoped(free) char *soft_text = xstrndup(equal + 1, strcspn(equal + 1, ":"));
	const char *colon = strchr(equal + 1, ':');
	const char *hard_text = colon ? colon + 1 : soft_text;
	int64_t soft;
	int64_t hard;
	bool soft_is_number = parse_i64(soft_text, -1, INT64_MAX, &soft) == 0;
	if (!soft_is_number || parse_i64(hard_text, -1, INT64_MAX, &hard) < 0) {
		err_set(e, ERR_INVALID, "strconv.ParseInt: parsing \"%s\": invalid syntax",
			soft_is_number ? hard_text : soft_text);
		return NULL;
	}
	if (hard >= 0 && (soft > hard || soft == -1)) {
		err_set(e, ERR_INVALID,
			"ulimit soft limit must be less than or equal to hard limit: %lld > %lld",
			(long long)soft, (long long)hard);
		return NULL;
	}
	return json_pack(
		"{ss sI sI}", "Name", name, "Hard", (json_int_t)hard, "Soft", (json_int_t)soft);
}

json_t *spec_restart(const char *text, struct err *e)
{
	const char *colon = strchr(text, ':');
	scoped(free) char *name = xstrndup(text, colon ? (size_t)(colon - text) : strlen(text));
	int count = 0;
	if (colon && !*name) {
		err_set(e, ERR_INVALID,
			"invalid restart policy format: no policy provided before colon");
		return NULL;
	}
	if (colon && parse_int(colon + 1, INT32_MIN, INT32_MAX, &count) < 0) {
		err_set(e, ERR_INVALID,
			"invalid restart policy format: maximum retry count must be an integer");
		return NULL;
	}
	return json_pack("{ss si}", "Name", name, "MaximumRetryCount", count);
}

static json_t *child(json_t *o, const char *key, json_t *take_new)
{
	json_t *v = json_object_get(o, key);
	if (v) {
		json_decref(take_new);
		return v;
	}
	json_put(o, key, take_new);
	return take_new;
}

static int set_network_field(
	const char *key, const char *value, char **name, json_t *endpoint, struct err *e)
{
	if (strcmp(key, "name") == 0) {
		free(*name);
		*name = xstrdup(value);
	} else if (strcmp(key, "alias") == 0) {
		json_array_append_new(child(endpoint, "Aliases", json_array()), json_string(value));
	} else if (strcmp(key, "ip") == 0) {
		json_put_str(child(endpoint, "IPAMConfig", json_object()), "IPv4Address", value);
	} else if (strcmp(key, "ip6") == 0) {
		json_put_str(child(endpoint, "IPAMConfig", json_object()), "IPv6Address", value);
	} else if (strcmp(key, "mac-address") == 0) {
		json_put_str(endpoint, "MacAddress", value);
	} else if (strcmp(key, "gw-priority") == 0) {
		int priority;
		if (parse_int(value, INT_MIN, INT_MAX, &priority) < 0) {
			return err_set(e, ERR_INVALID, "invalid gw-priority: %s", value);
		}
		json_put(endpoint, "GwPriority", json_integer(priority));
	} else if (strcmp(key, "driver-opt") == 0) {
		return spec_option(
			value, "driver-opt", child(endpoint, "DriverOpts", json_object()), e);
	} else {
		return err_set(e, ERR_INVALID, "invalid field key %s", key);
	}
	return 0;
}

int spec_network(const char *text, char **ret_name, json_t **ret_endpoint, struct err *e)
{
	scoped(json) json_t *endpoint = json_object();
	scoped(free) char *name = NULL;
	if (!strchr(text, '=')) {
		name = xstrdup(text);
	} else {
		scoped(strv) struct strv fields = STRV_INIT;
		if (spec_csv(text, &fields, e) < 0) {
			return -1;
		}
		for (size_t i = 0; i < fields.n; i++) {
			char *value = strchr(fields.v[i], '=');
			if (!value) {
				return err_set(e, ERR_INVALID, "invalid field %s", fields.v[i]);
			}
			*value++ = '\0';
			if (set_network_field(fields.v[i], value, &name, endpoint, e) < 0) {
				return -1;
			}
		}
	}
	if (!name || !*name) {
		return err_set(e, ERR_INVALID, "network name is required: %s", text);
	}
	*ret_name = TAKE(name);
	*ret_endpoint = TAKE(endpoint);
	return 0;
}

char *spec_add_host(const char *text, struct err *e)
{
	size_t n = strcspn(text, "=");
	n = text[n] ? n : strcspn(text, ":");
	if (n == 0 || !text[n]) {
		err_set(e, ERR_INVALID, "bad format for add-host: \"%s\"", text);
		return NULL;
	}
	const char *ip = text + n + 1;
	size_t len = strlen(ip);
	if (len > 1 && ip[0] == '[' && ip[len - 1] == ']') {
		ip++;
		len -= 2;
	}
	scoped(free) char *address = xstrndup(ip, len);
	if (strcmp(address, "host-gateway") != 0 && !spec_is_ip(address)) {
		err_set(e, ERR_INVALID, "invalid IP address in add-host: \"%s\"", address);
		return NULL;
	}
	return xasprintf("%.*s:%s", (int)n, text, address);
}

int spec_env(const char *text, struct strv *env, struct err *e)
{
	if (!*text || *text == '=') {
		return err_set(e, ERR_INVALID, "invalid environment variable: %s", text);
	}
	const char *own = strchr(text, '=') ? NULL : getenv(text);
	if (own) {
		strv_addf(env, "%s=%s", text, own);
	} else {
		strv_add(env, text);
	}
	return 0;
}

/* One line of an --env-file, without its leading blanks. */
static int env_line(const char *line, const char *path, struct strv *env, struct err *e)
{
	size_t n = strcspn(line, "=");
	if (n == 0) {
		return err_set(e, ERR_INVALID,
			"invalid env file (%s): no variable name on line '%s'", path, line);
	}
	if (strcspn(line, " \t") < n) {
		return err_set(e, ERR_INVALID,
			"invalid env file (%s): variable '%.*s' contains whitespaces", path, (int)n,
			line);
	}
	if (line[n] == '=') {
		strv_add(env, line);
	} else if (getenv(line)) {
		strv_addf(env, "%s=%s", line, getenv(line));
	}
	return 0;
}

/* Reads the lines of a file that say something: comments and blank ones are left out. */
static int read_lines(const char *path, struct strv *ret, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	int r = path_read(AT_FDCWD, path, FILE_MAX, &text);
	if (r < 0) {
		return spec_open_failed(-r, path, e);
	}
	const char *p = buf_str(&text);
	p += text_starts(p, "\xef\xbb\xbf") ? 3 : 0; /* a byte order mark */
	while (*p) {
		size_t n = strcspn(p, "\n");
		scoped(free) char *line = xstrndup(p, n > 0 && p[n - 1] == '\r' ? n - 1 : n);
		const char *content = line + strspn(line, " \t\v\f");
		if (*content && *content != '#') {
			strv_add(ret, content);
		}
		p += n + (p[n] == '\n');
	}
	return 0;
}

int spec_env_file(const char *path, struct strv *env, struct err *e)
{
	scoped(strv) struct strv lines = STRV_INIT;
	if (read_lines(path, &lines, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < lines.n; i++) {
		if (env_line(lines.v[i], path, env, e) < 0) {
			return -1;
		}
	}
	return 0;
}

int spec_label(const char *text, json_t *labels, struct err *e)
{
	size_t n = strcspn(text, "=");
	if (n == 0) {
		return err_set(e, ERR_INVALID, "invalid label '%s': empty name", text);
	}
	scoped(free) char *key = xstrndup(text, n);
	json_put_str(labels, key, text[n] ? text + n + 1 : "");
	return 0;
}

int spec_label_file(const char *path, json_t *labels, struct err *e)
{
	scoped(strv) struct strv lines = STRV_INIT;
	if (read_lines(path, &lines, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < lines.n; i++) {
		if (spec_label(lines.v[i], labels, e) < 0) {
			return -1;
		}
	}
	return 0;
}

int spec_option(const char *text, const char *what, json_t *options, struct err *e)
{
	size_t n = strcspn(text, "=");
	if (n == 0 || !text[n]) {
		return err_set(e, ERR_INVALID, "invalid %s: %s: expected key=value", what, text);
	}
	scoped(free) char *key = xstrndup(text, n);
	json_put_str(options, key, text + n + 1);
	return 0;
}
