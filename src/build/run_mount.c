#include "build/run_mount.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "base/text.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static const char *const types[] = {"bind", "cache", "tmpfs", "secret", "ssh"};
static const char *const sharings[] = {"shared", "private", "locked"};

const char *run_mount_type_name(enum run_mount_type type)
{
	return types[type];
}

void run_mount_deinit(struct run_mount *m)
{
	free(m->from);
	free(m->source);
	free(m->target);
	free(m->env);
	free(m->id);
	*m = (struct run_mount){0};
}

const char *run_mount_flag(const char *flag)
{
	return text_starts(flag, "--mount=") ? flag + strlen("--mount=") : NULL;
}

/* --- words and numbers --- */

static int find_word(const char *const *words, size_t n, const char *value)
{
	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(words[i], value) == 0) {
			return (int)i;
		}
	}
	return -1;
}

/* Go's strconv.ParseBool. */
static int read_bool(const char *key, const char *value, bool *ret, struct err *e)
{
	static const char *const words[] = {
		"0", "f", "F", "false", "False", "FALSE", "1", "t", "T", "true", "True", "TRUE"};
	for (size_t i = 0; i < COUNT(words); i++) {
		if (strcmp(words[i], value) == 0) {
			*ret = i >= COUNT(words) / 2;
			return 0;
		}
	}
	return err_set(e, ERR_INVALID, "invalid value for %s: %.60s", key, value);
}

static int read_number(const char *key, const char *value, int base, unsigned *ret, struct err *e)
{
	char *end = NULL;
	errno = 0;
	unsigned long number = strspn(value, "0123456789") ? strtoul(value, &end, base) : 0;
	if (!end || *end || errno || number > UINT32_MAX) {
		return err_set(e, ERR_INVALID, "invalid value %.60s for %s", value, key);
	}
	*ret = (unsigned)number;
	return 0;
}

/* --- one field --- */

/* What parsing knows besides the result. */
struct reading {
	struct run_mount *m;
	bool access, sharing, mode, uid, gid; /* was given */
};

static int unexpected(const struct run_mount *m, const char *key, struct err *e)
{
	return err_set(
		e, ERR_INVALID, "unexpected key '%.60s' for mount type '%s'", key, types[m->type]);
}

static int set_type(struct reading *r, const char *key, const char *value, struct err *e)
{
	int type = find_word(types, COUNT(types), value);
	if (type < 0) {
		return err_set(e, ERR_INVALID, "unsupported mount type '%.60s'", value);
	}
	r->m->type = (enum run_mount_type)type;
	return 0;
}

static int set_sharing(struct reading *r, const char *key, const char *value, struct err *e)
{
	int sharing = find_word(sharings, COUNT(sharings), value);
	if (sharing < 0) {
		return err_set(e, ERR_INVALID, "unsupported sharing value '%.60s'", value);
	}
	r->m->sharing = (enum run_mount_sharing)sharing;
	r->sharing = true;
	return 0;
}

static int set_readonly(struct reading *r, const char *key, const char *value, struct err *e)
{
	r->access = true;
	return read_bool(key, value, &r->m->readonly, e);
}

static int set_readwrite(struct reading *r, const char *key, const char *value, struct err *e)
{
	if (set_readonly(r, key, value, e) < 0) {
		return -1;
	}
	r->m->readonly = !r->m->readonly;
	return 0;
}

static int set_required(struct reading *r, const char *key, const char *value, struct err *e)
{
	if (r->m->type != RUN_MOUNT_SECRET && r->m->type != RUN_MOUNT_SSH) {
		return unexpected(r->m, key, e);
	}
	return read_bool(key, value, &r->m->required, e);
}

static int set_size(struct reading *r, const char *key, const char *value, struct err *e)
{
	if (r->m->type != RUN_MOUNT_TMPFS) {
		return unexpected(r->m, key, e);
	}
	if (parse_size(value, &r->m->size) < 0 || r->m->size < 0) {
		return err_set(e, ERR_INVALID, "invalid value for %s: %.60s", key, value);
	}
	return 0;
}

static int set_env(struct reading *r, const char *key, const char *value, struct err *e)
{
	if (r->m->type != RUN_MOUNT_SECRET) {
		return unexpected(r->m, key, e);
	}
	if (!*value || strchr(value, '=')) {
		return err_set(e, ERR_INVALID, "invalid value for %s: %.60s", key, value);
	}
	free(r->m->env);
	r->m->env = xstrdup(value);
	return 0;
}

static int set_mode(struct reading *r, const char *key, const char *value, struct err *e)
{
	r->mode = true;
	if (read_number(key, value, 8, &r->m->mode, e) < 0) {
		return -1;
	}
	r->m->mode &= 07777;
	return 0;
}

static int set_uid(struct reading *r, const char *key, const char *value, struct err *e)
{
	r->uid = true;
	return read_number(key, value, 10, &r->m->uid, e);
}

static int set_gid(struct reading *r, const char *key, const char *value, struct err *e)
{
	r->gid = true;
	return read_number(key, value, 10, &r->m->gid, e);
}

static int set_text(char **at, const char *value)
{
	free(*at);
	*at = *value ? xstrdup(value) : NULL;
	return 0;
}

static int set_from(struct reading *r, const char *key, const char *value, struct err *e)
{
	return set_text(&r->m->from, value);
}

static int set_source(struct reading *r, const char *key, const char *value, struct err *e)
{
	return set_text(&r->m->source, value);
}

static int set_target(struct reading *r, const char *key, const char *value, struct err *e)
{
	return set_text(&r->m->target, value);
}

static int set_id(struct reading *r, const char *key, const char *value, struct err *e)
{
	return set_text(&r->m->id, value);
}

static const struct {
	const char *key;
	int (*set)(struct reading *r, const char *key, const char *value, struct err *e);
	bool alone; /* "ro" is "ro=true" */
} keys[] = {
	{"destination", set_target, false},
	{"dst", set_target, false},
	{"env", set_env, false},
	{"from", set_from, false},
	{"gid", set_gid, false},
	{"id", set_id, false},
	{"mode", set_mode, false},
	{"readonly", set_readonly, true},
	{"readwrite", set_readwrite, true},
	{"required", set_required, true},
	{"ro", set_readonly, true},
	{"rw", set_readwrite, true},
	{"sharing", set_sharing, false},
	{"size", set_size, false},
	{"source", set_source, false},
	{"src", set_source, false},
	{"target", set_target, false},
	{"type", set_type, false},
	{"uid", set_uid, false},
};

static int unknown_key(const char *key, const char *field, struct err *e)
{
	const char *meant = NULL;
	for (size_t i = 0; i < COUNT(keys) && !meant; i++) {
		meant = text_distance(key, keys[i].key) <= 2 && strlen(key) > 2 ? keys[i].key
										: NULL;
	}
	return err_set(e, ERR_INVALID, "unexpected key '%.60s' in '%.100s'%s%s%s", key, field,
		meant ? " (did you mean " : "", meant ? meant : "", meant ? "?)" : "");
}

static int read_field(struct reading *r, const char *field, const struct expander *x, struct err *e)
{
	size_t n = strcspn(field, "=");
	scoped(free) char *key = xstrndup(field, n);
	scoped(free) char *value = NULL;
	size_t at = 0;
	while (at < COUNT(keys) && strcasecmp(keys[at].key, key) != 0) {
		at++;
	}
	if (!field[n] && (at == COUNT(keys) || !keys[at].alone)) {
		return err_set(
			e, ERR_INVALID, "invalid field '%.100s' must be a key=value pair", field);
	}
	if (at == COUNT(keys)) {
		return unknown_key(key, field, e);
	}
	if (field[n] && expand_word(x, field + n + 1, &value, e) < 0) {
		return -1;
	}
	return keys[at].set(r, keys[at].key, value ? value : "true", e);
}

/* --- the whole --- */

static int check_secret(const struct reading *r, struct err *e)
{
	const struct run_mount *m = r->m;
	if (m->from) {
		return err_set(e, ERR_INVALID, "secret mount should not have a from");
	}
	if (!m->source && !m->target && !m->id) {
		return err_set(
			e, ERR_INVALID, "invalid secret mount. one of source, target required");
	}
	if (m->source && m->id) {
		return err_set(e, ERR_INVALID, "both source and id can't be set");
	}
	return 0;
}

static int check(const struct reading *r, struct err *e)
{
	const struct run_mount *m = r->m;
	bool owned = m->type != RUN_MOUNT_BIND && m->type != RUN_MOUNT_TMPFS;
	const char *owner = r->mode ? "mode" : r->uid ? "uid" : r->gid ? "gid" : NULL;
	if (owner && !owned) {
		return err_set(e, ERR_INVALID, "%s not allowed for \"%s\" type mounts", owner,
			types[m->type]);
	}
	if (m->type == RUN_MOUNT_SECRET && check_secret(r, e) < 0) {
		return -1;
	}
	if (m->type == RUN_MOUNT_SSH && m->source) {
		return err_set(e, ERR_INVALID, "ssh does not support source");
	}
	if (r->sharing && m->type != RUN_MOUNT_CACHE) {
		return err_set(
			e, ERR_INVALID, "invalid cache sharing set for %s mount", types[m->type]);
	}
	bool needs_target = m->type != RUN_MOUNT_SECRET && m->type != RUN_MOUNT_SSH;
	if (needs_target && !m->target) {
		return err_set(
			e, ERR_INVALID, "--mount=type=%s: it needs a target", types[m->type]);
	}
	return 0;
}

static char *last_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return xstrdup(slash ? slash + 1 : path);
}

static void set_defaults(struct reading *r)
{
	static const unsigned modes[] = {0, 0755, 0, 0400, 0600};
	struct run_mount *m = r->m;
	if (!r->access) {
		m->readonly = m->type != RUN_MOUNT_CACHE && m->type != RUN_MOUNT_TMPFS;
	}
	m->has_owner = r->mode || r->uid || r->gid;
	m->mode = r->mode ? m->mode : modes[m->type];
	if (m->id) {
		return;
	}
	if (m->type == RUN_MOUNT_SECRET) {
		m->id = m->source ? xstrdup(m->source) : last_name(m->target);
	} else {
		m->id = xstrdup(m->type == RUN_MOUNT_CACHE ? m->target
				: m->type == RUN_MOUNT_SSH ? "default"
							   : "");
	}
}

int run_mount_parse(
	const char *text, const struct expander *x, struct run_mount *ret, struct err *e)
{
	struct reading r = {.m = ret};
	scoped(strv) struct strv fields = STRV_INIT;
	*ret = (struct run_mount){.type = RUN_MOUNT_BIND};
	if (strv_split_csv(&fields, text) < 0) {
		return err_set(e, ERR_INVALID, "failed to parse csv mounts: %.100s", text);
	}
	for (size_t k = 0; k < fields.n; k++) {
		if (read_field(&r, fields.v[k], x, e) < 0) {
			return -1;
		}
	}
	if (check(&r, e) < 0) {
		return -1;
	}
	set_defaults(&r);
	return 0;
}

char *run_mount_from(const char *text)
{
	scoped(strv) struct strv fields = STRV_INIT;
	char *from = NULL;
	if (strv_split_csv(&fields, text) < 0) {
		return NULL;
	}
	for (size_t k = 0; k < fields.n; k++) {
		if (strncasecmp(fields.v[k], "from=", 5) == 0) {
			set_text(&from, fields.v[k] + 5);
		}
	}
	return from;
}
