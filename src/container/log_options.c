#include "container/log_options.h"

#include <ctype.h>
#include <regex.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/regex.h"
#include "base/text.h"
#include "container/internal.h"

/* Ours where Docker has no limit: memory cards. */
#define JSON_BYTES_DEFAULT (INT64_C(10) * 1000 * 1000)
#define JSON_FILES_DEFAULT 3
#define LOCAL_BYTES_DEFAULT (INT64_C(20) * 1000 * 1000)
#define LOCAL_FILES_DEFAULT 5
#define BUFFER_DEFAULT (INT64_C(1) << 20)
#define FILES_MAX 1000

static const struct driver {
	const char *name;
	const char *options[10];
	const char *place; /* end of the refusal of an option */
} drivers[] = {
	{"json-file",
		{"max-file", "max-size", "compress", "labels", "labels-regex", "env", "env-regex",
			"tag"},
		"for json-file log driver"},
	{"local", {"max-file", "max-size", "compress"}, "for log driver local"},
	{"journald", {"labels", "labels-regex", "env", "env-regex", "tag"},
		"for journald log driver"},
};

static const struct driver *find_driver(const char *name)
{
	for (size_t i = 0; i < sizeof(drivers) / sizeof(*drivers); i++) {
		if (strcmp(drivers[i].name, name) == 0) {
			return &drivers[i];
		}
	}
	return NULL;
}

static bool knows(const struct driver *d, const char *option)
{
	if (strcmp(option, "mode") == 0 || strcmp(option, "max-buffer-size") == 0) {
		return true;
	}
	for (size_t i = 0; d->options[i]; i++) {
		if (strcmp(d->options[i], option) == 0) {
			return true;
		}
	}
	return false;
}

static int check_mode(const json_t *config, struct err *e)
{
	const char *mode = json_str(config, "mode");
	int64_t bytes;
	bool waits = strcmp(mode, "non-blocking") != 0;
	if (*mode && waits && strcmp(mode, "blocking") != 0) {
		return err_set(e, ERR_INVALID, "logger: logging mode not supported: %.64s", mode);
	}
	if (!json_object_get(config, "max-buffer-size")) {
		return 0;
	}
	const char *size = json_str(config, "max-buffer-size");
	if (waits) {
		return err_set(e, ERR_INVALID,
			"logger: max-buffer-size option is only supported with 'mode=non-blocking'");
	}
	if (parse_size(size, &bytes) < 0 || bytes < 0) {
		return err_set(e, ERR_INVALID,
			"error parsing option max-buffer-size: invalid size: '%.64s'", size);
	}
	return 0;
}

int log_options_check(const char *type, const json_t *config, struct err *e)
{
	const char *key;
	json_t *v;
	if (strcmp(type, "none") == 0) {
		return 0;
	}
	if (check_mode(config, e) < 0) {
		return -1;
	}
	const struct driver *d = find_driver(type);
	if (!d) {
		return err_set(e, ERR_INVALID,
			"error looking up logging plugin %.64s: plugin \"%.64s\" not found", type,
			type);
	}
	json_object_foreach ((json_t *)config, key, v) {
		if (!json_is_string(v)) {
			return err_set(e, ERR_INVALID, "log option %.64s must be a string", key);
		}
		if (!knows(d, key)) {
			return err_set(e, ERR_INVALID, "unknown log opt '%.64s' %s", key, d->place);
		}
	}
	return 0;
}

/* --- values --- */

/* Go's strconv.ParseBool. */
static int read_bool(const char *prefix, const char *text, bool *ret, struct err *e)
{
	static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
	static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
	for (size_t i = 0; i < 6; i++) {
		if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
			*ret = strcmp(text, yes[i]) == 0;
			return 0;
		}
	}
	return err_set(e, ERR_SYSTEM, "%sstrconv.ParseBool: parsing \"%.64s\": invalid syntax",
		prefix, text);
}

static int read_max_size(bool local, const char *text, int64_t *ret, struct err *e)
{
	if (strcmp(text, "-1") == 0) { /* no limit, as it was Docker's default once */
		*ret = 0;
		return 0;
	}
	if (parse_size_decimal(text, ret) < 0) {
		return local ? err_set(e, ERR_SYSTEM,
				       "invalid value for max-size: %.64s: invalid size: '%.64s'",
				       text, text)
			     : err_set(e, ERR_SYSTEM, "invalid size: '%.64s'", text);
	}
	if (*ret <= 0 && !local) {
		return err_set(e, ERR_SYSTEM, "max-size must be a positive number");
	}
	return 0;
}

static int read_max_file(bool local, const char *text, int *ret, struct err *e)
{
	const char *prefix = local ? "invalid value for max-file: " : "";
	const char *again = local ? text : "";
	if (parse_int(text, -FILES_MAX, FILES_MAX, ret) < 0) {
		return err_set(e, ERR_SYSTEM,
			"%s%.64s%sstrconv.Atoi: parsing \"%.64s\": invalid syntax", prefix, again,
			local ? ": " : "", text);
	}
	if (*ret < 1 && !local) {
		return err_set(e, ERR_SYSTEM, "max-file cannot be less than 1");
	}
	return 0;
}

static int read_file_options(
	bool local, const json_t *config, struct log_settings *s, struct err *e)
{
	const char *max_size = json_str(config, "max-size");
	const char *max_file = json_str(config, "max-file");
	const char *compress = json_str(config, "compress");
	*s = local ? (struct log_settings){LOCAL_BYTES_DEFAULT, LOCAL_FILES_DEFAULT, true, 0}
		   : (struct log_settings){JSON_BYTES_DEFAULT, JSON_FILES_DEFAULT, false, 0};
	if (*max_size) {
		s->files = local ? s->files : 1; /* Docker's number when only a size is given */
		if (read_max_size(local, max_size, &s->max_bytes, e) < 0) {
			return -1;
		}
	}
	if ((*max_file && read_max_file(local, max_file, &s->files, e) < 0) ||
		(*compress && read_bool(local ? "error reading compress log option: " : "",
				      compress, &s->compress, e) < 0)) {
		return -1;
	}
	if (local && s->compress && s->files <= 1) {
		return err_set(
			e, ERR_SYSTEM, "compression cannot be enabled when max file count is 1");
	}
	if (s->compress && (s->files == 1 || s->max_bytes == 0) && !local) {
		return err_set(e, ERR_SYSTEM,
			"compress cannot be true when max-file is less than 2 or max-size is not set");
	}
	s->files = s->files < 1 ? 1 : s->files;
	return 0;
}

static int read_values(
	const char *type, const json_t *config, struct log_settings *ret, struct err *e)
{
	*ret = (struct log_settings){.files = 1};
	if (strcmp(type, "journald") == 0) {
		return access("/run/systemd/journal/socket", F_OK) < 0
			       ? err_set(e, ERR_SYSTEM, "journald is not enabled on this host")
			       : 0;
	}
	return read_file_options(strcmp(type, "local") == 0, config, ret, e);
}

int log_options_read(
	const char *type, const json_t *config, struct log_settings *ret, struct err *e)
{
	if (read_values(type, config, ret, e) < 0) {
		return err_wrap(e,
			"failed to create task for container: failed to initialize logging driver");
	}
	if (strcmp(json_str(config, "mode"), "non-blocking") == 0) {
		const char *size = json_str(config, "max-buffer-size");
		int64_t bytes = BUFFER_DEFAULT;
		if (*size) {
			(void)parse_size(size, &bytes); /* checked by create */
		}
		ret->buffer_bytes = bytes > 0 ? bytes : 1;
	}
	return 0;
}

/* --- attributes --- */

static void add_listed(json_t *out, const char *names, const json_t *from)
{
	scoped(strv) struct strv list = STRV_INIT;
	strv_split(&list, names, ',');
	for (size_t i = 0; i < list.n; i++) {
		if (json_object_get(from, list.v[i])) {
			json_put_str(out, list.v[i], json_str(from, list.v[i]));
		}
	}
}

static int add_matching(json_t *out, const char *pattern, const json_t *from, struct err *e)
{
	regex_t re;
	const char *key;
	json_t *v;
	if (!*pattern) {
		return 0;
	}
	if (regex_is_costly(pattern)) {
		return err_set(
			e, ERR_SYSTEM, "error parsing regexp: too costly: `%.200s`", pattern);
	}
	int r = regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB);
	if (r != 0) {
		char why[128];
		regerror(r, &re, why, sizeof(why));
		return err_set(e, ERR_SYSTEM, "error parsing regexp: %s: `%.200s`", why, pattern);
	}
	json_object_foreach ((json_t *)from, key, v) {
		if (regexec(&re, key, 0, NULL, 0) == 0) {
			json_put_str(out, key, json_string_value(v));
		}
	}
	regfree(&re);
	return 0;
}

static json_t *environment(const struct container *c)
{
	json_t *env = json_object();
	size_t i;
	json_t *item;
	json_array_foreach (json_object_get(c->config, "Env"), i, item) {
		const char *text = json_string_value(item);
		const char *equals = text ? strchr(text, '=') : NULL;
		if (equals) {
			scoped(free) char *key = xstrndup(text, (size_t)(equals - text));
			json_put_str(env, key, equals + 1);
		}
	}
	return env;
}

static json_t *attributes(const struct container *c, const json_t *config, struct err *e)
{
	scoped(json) json_t *out = json_object();
	scoped(json) json_t *env = environment(c);
	const json_t *labels = json_object_get(c->config, "Labels");
	add_listed(out, json_str(config, "labels"), labels);
	if (add_matching(out, json_str(config, "labels-regex"), labels, e) < 0) {
		return NULL;
	}
	add_listed(out, json_str(config, "env"), env);
	if (add_matching(out, json_str(config, "env-regex"), env, e) < 0) {
		return NULL;
	}
	return json_incref(out);
}

/* --- tag --- */

struct facts {
	const struct container *c;
	struct buf text; /* of the field that was asked for last */
};

static void put_short(struct buf *out, const char *id)
{
	const char *hex = text_starts(id, "sha256:") ? id + 7 : id;
	buf_append(out, hex, strnlen(hex, ID_SHORT_LEN));
}

static void put_list(struct buf *out, const json_t *list)
{
	size_t i;
	json_t *item;
	json_array_foreach (list, i, item) {
		buf_puts(out, out->len ? " " : "");
		buf_puts(out, json_string_value(item));
	}
}

static const char *fact(void *owner, const char *field)
{
	struct facts *f = owner;
	const struct container *c = f->c;
	const struct {
		const char *field, *text;
	} plain[] = {{"FullID", c->id}, {"ContainerID", c->id}, {"Name", c->name},
		{"ImageFullID", c->image_id}, {"ContainerImageID", c->image_id},
		{"ImageName", c->image_ref}, {"ContainerImageName", c->image_ref},
		{"DaemonName", "docker"}};
	buf_clear(&f->text);
	for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
		if (strcmp(plain[i].field, field) == 0) {
			return plain[i].text;
		}
	}
	if (strcmp(field, "ID") == 0) {
		put_short(&f->text, c->id);
	} else if (strcmp(field, "ImageID") == 0) {
		put_short(&f->text, c->image_id);
	} else if (strcmp(field, "ContainerName") == 0) {
		buf_printf(&f->text, "/%s", c->name);
	} else if (strcmp(field, "Command") == 0) {
		put_list(&f->text, json_object_get(c->config, "Entrypoint"));
		put_list(&f->text, json_object_get(c->config, "Cmd"));
	} else {
		return NULL;
	}
	return buf_str(&f->text);
}

static int put_tag(const struct container *c, const json_t *config, const char *dflt,
	struct buf *out, struct err *e)
{
	struct facts f = {c, BUF_INIT};
	const char *text = json_str(config, "tag");
	int r = log_tag_expand(*text ? text : dflt, fact, &f, out, e);
	buf_deinit(&f.text);
	return r;
}

/* --- what stands in every line --- */

static int json_extra(
	const struct container *c, const json_t *config, struct buf *ret, struct err *e)
{
	scoped(buf) struct buf tag = BUF_INIT;
	scoped(json) json_t *attrs = attributes(c, config, e);
	if (!attrs || put_tag(c, config, "", &tag, e) < 0) {
		return -1;
	}
	if (tag.len > 0) {
		json_put_str(attrs, "tag", buf_str(&tag));
	}
	if (json_object_size(attrs) > 0) {
		scoped(free) char *text = json_dumps(attrs, JSON_COMPACT | JSON_SORT_KEYS);
		buf_printf(ret, "\"attrs\":%s,", text ? text : "{}");
	}
	return 0;
}

/* A value that has a newline takes the protocol's other form. */
static void put_field(struct buf *out, const char *key, const char *value)
{
	size_t n = strlen(value);
	if (!strchr(value, '\n')) {
		buf_printf(out, "%s=%s\n", key, value);
		return;
	}
	buf_printf(out, "%s\n", key);
	for (int i = 0; i < 8; i++) { /* little endian */
		buf_putc(out, (char)((uint64_t)n >> (8 * i) & 0xff));
	}
	buf_append(out, value, n);
	buf_putc(out, '\n');
}

/* Names of journal fields: upper-case letters, digits and '_', not at the beginning. */
static void put_attribute(struct buf *out, const char *key, const char *value)
{
	scoped(buf) struct buf name = BUF_INIT;
	for (const char *p = key; *p; p++) {
		char c = isalnum((unsigned char)*p) ? (char)toupper((unsigned char)*p) : '_';
		if (name.len > 0 || c != '_') {
			buf_putc(&name, c);
		}
	}
	if (name.len > 0) {
		put_field(out, buf_str(&name), value);
	}
}

static int journal_extra(
	const struct container *c, const json_t *config, struct buf *ret, struct err *e)
{
	scoped(buf) struct buf tag = BUF_INIT;
	scoped(json) json_t *attrs = attributes(c, config, e);
	const char *key;
	json_t *v;
	if (!attrs || put_tag(c, config, "{{.ID}}", &tag, e) < 0) {
		return -1;
	}
	buf_printf(ret, "CONTAINER_ID=%.12s\nCONTAINER_ID_FULL=%s\nCONTAINER_NAME=%s\n", c->id,
		c->id, c->name);
	put_field(ret, "CONTAINER_TAG", buf_str(&tag));
	put_field(ret, "SYSLOG_IDENTIFIER", buf_str(&tag));
	put_field(ret, "IMAGE_NAME", c->image_ref);
	json_object_foreach (attrs, key, v) {
		put_attribute(ret, key, json_string_value(v));
	}
	return 0;
}

int log_options_extra(const struct container *c, const char *type, const json_t *config,
	struct buf *ret, struct err *e)
{
	int r = strcmp(type, "json-file") == 0  ? json_extra(c, config, ret, e)
		: strcmp(type, "journald") == 0 ? journal_extra(c, config, ret, e)
						: 0;
	if (r == 0 && ret->len > LOG_EXTRA_MAX) {
		r = err_set(e, ERR_SYSTEM,
			"labels and variables of the log options are longer than %d bytes",
			LOG_EXTRA_MAX);
	}
	return r < 0 ? err_wrap(e,
			       "failed to create task for container: failed to initialize logging driver")
		     : 0;
}
