#include "oci/device_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"

static json_t *device_rule(bool allow, char type, int major, int minor, const char *access)
{
	json_t *o = json_pack("{sb ss}", "allow", allow, "access", access);
	if (type) {
		const char text[2] = {type, '\0'};
		json_put_str(o, "type", text);
	}
	if (major >= 0) {
		json_put(o, "major", json_integer(major));
	}
	if (minor >= 0) {
		json_put(o, "minor", json_integer(minor));
	}
	return o;
}

/* "c 188:* rmw" */
static int parse_rule(const char *text, json_t **ret, struct err *e)
{
	char type;
	char major[12];
	char minor[12];
	char access[8];
	int used = 0;
	if (sscanf(text, "%c %11[0-9*]:%11[0-9*] %7[rwm]%n", &type, major, minor, access, &used) !=
			4 ||
		text[used] || !strchr("abc", type)) {
		return err_set(e, ERR_INVALID,
			"invalid device cgroup rule format: '%.64s': expected 'TYPE MAJOR:MINOR ACCESS' like 'c 188:* rwm'",
			text);
	}
	long long numbers[2] = {-1, -1};
	const char *parts[2] = {major, minor};
	for (int i = 0; i < 2; i++) {
		char *end = NULL;
		if (strcmp(parts[i], "*") != 0) {
			numbers[i] = strtoll(parts[i], &end, 10);
			if (*end || numbers[i] > INT32_MAX) {
				return err_set(e, ERR_INVALID,
					"invalid device number in the cgroup rule '%.64s'", text);
			}
		}
	}
	*ret = device_rule(true, type, (int)numbers[0], (int)numbers[1], access);
	return 0;
}

int oci_device_rules(
	const struct oci_device *v, size_t n, const json_t *own, json_t **ret, struct err *e)
{
	scoped(json) json_t *list = json_array();
	/* runc's allowed devices: any node may be made, only these opened */
	static const struct {
		char type;
		int major, minor;
		const char *access;
	} allowed[] = {{'c', -1, -1, "m"}, {'b', -1, -1, "m"}, {'c', 1, 3, "rwm"},
		{'c', 1, 5, "rwm"}, {'c', 1, 7, "rwm"}, {'c', 1, 8, "rwm"}, {'c', 1, 9, "rwm"},
		{'c', 5, 0, "rwm"}, {'c', 5, 1, "rwm"}, {'c', 5, 2, "rwm"}, {'c', 136, -1, "rwm"}};
	json_array_append_new(list, device_rule(false, 0, -1, -1, "rwm"));
	for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++) {
		json_array_append_new(list, device_rule(true, allowed[i].type, allowed[i].major,
						    allowed[i].minor, allowed[i].access));
	}
	for (size_t i = 0; i < n; i++) {
		const struct oci_device *d = &v[i];
		json_array_append_new(
			list, device_rule(true, d->type, (int)d->major, (int)d->minor, d->access));
	}
	size_t i;
	json_t *text;
	json_array_foreach (own, i, text) {
		json_t *rule;
		if (!json_is_string(text)) {
			return err_set(e, ERR_INVALID, "device cgroup rules must be strings");
		}
		if (parse_rule(json_string_value(text), &rule, e) < 0) {
			return -1;
		}
		json_array_append_new(list, rule);
	}
	*ret = TAKE(list);
	return 0;
}

/* --- cgroup v1 --- */

enum { MAY_READ = 1, MAY_WRITE = 2, MAY_MAKE = 4 };

struct v1_rule {
	char type;
	long long major, minor; /* -1: all */
	unsigned access;
};

struct v1_rules {
	struct v1_rule *v;
	size_t n;
	bool all; /* everything is allowed */
};

static void v1_deinit(struct v1_rules *r)
{
	free(r->v);
}

static unsigned access_bits(const char *text)
{
	return (strchr(text, 'r') ? MAY_READ : 0) | (strchr(text, 'w') ? MAY_WRITE : 0) |
	       (strchr(text, 'm') ? MAY_MAKE : 0);
}

static struct v1_rule *v1_find(const struct v1_rules *r, const struct v1_rule *key)
{
	for (size_t i = 0; i < r->n; i++) {
		if (r->v[i].type == key->type && r->v[i].major == key->major &&
			r->v[i].minor == key->minor) {
			return &r->v[i];
		}
	}
	return NULL;
}

/* The kernel keeps one entry for each pair of numbers. */
static void v1_add(struct v1_rules *r, struct v1_rule one)
{
	struct v1_rule *known = v1_find(r, &one);
	if (known) {
		known->access |= one.access;
		return;
	}
	r->v = xrealloc(r->v, r->n + 1, sizeof(*r->v));
	r->v[r->n++] = one;
}

static int v1_number(const char *text, long long *ret)
{
	int64_t n;
	if (strcmp(text, "*") == 0) {
		*ret = -1;
		return 0;
	}
	if (parse_i64(text, 0, UINT32_MAX, &n) < 0) {
		return -1;
	}
	*ret = n;
	return 0;
}

static int v1_read_line(const char *line, struct v1_rules *ret, struct err *e)
{
	struct v1_rule one;
	char major[12];
	char minor[12];
	char access[8];
	if (sscanf(line, "%c %11[0-9*]:%11[0-9*] %7[rwm]", &one.type, major, minor, access) != 4 ||
		!strchr("abc", one.type) || v1_number(major, &one.major) < 0 ||
		v1_number(minor, &one.minor) < 0) {
		return err_set(e, ERR_INVALID, "devices.list has the line '%.64s'", line);
	}
	ret->all = ret->all || one.type == 'a';
	one.access = access_bits(access);
	v1_add(ret, one);
	return 0;
}

static int v1_read_list(const char *list, struct v1_rules *ret, struct err *e)
{
	scoped(strv) struct strv lines = STRV_INIT;
	strv_split(&lines, list, '\n');
	for (size_t i = 0; i < lines.n; i++) {
		if (*lines.v[i] && v1_read_line(lines.v[i], ret, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static void v1_read_rules(const json_t *rules, struct v1_rules *ret)
{
	size_t i;
	json_t *rule;
	json_array_foreach (rules, i, rule) {
		const char *type = json_str(rule, "type");
		if (!json_bool(rule, "allow")) {
			continue; /* a group begins with nothing */
		}
		ret->all = ret->all || !*type || *type == 'a';
		v1_add(ret, (struct v1_rule){*type, json_i64(rule, "major", -1),
				    json_i64(rule, "minor", -1),
				    access_bits(json_str(rule, "access"))});
	}
}

static void v1_put(struct strv *ret, const struct v1_rule *r, unsigned access)
{
	char major[24] = "*";
	char minor[24] = "*";
	if (r->major >= 0) {
		snprintf(major, sizeof(major), "%lld", r->major);
	}
	if (r->minor >= 0) {
		snprintf(minor, sizeof(minor), "%lld", r->minor);
	}
	strv_addf(ret, "%c %s:%s %s%s%s", r->type, major, minor, access & MAY_READ ? "r" : "",
		access & MAY_WRITE ? "w" : "", access & MAY_MAKE ? "m" : "");
}

/* What a has and b has not. */
static void v1_put_excess(const struct v1_rules *a, const struct v1_rules *b, struct strv *ret)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct v1_rule *other = v1_find(b, &a->v[i]);
		unsigned excess = a->v[i].access & ~(other ? other->access : 0);
		if (excess) {
			v1_put(ret, &a->v[i], excess);
		}
	}
}

int oci_device_rules_change(const char *list, const json_t *rules, struct strv *ret_deny,
	struct strv *ret_allow, struct err *e)
{
	struct v1_rules have = {0};
	struct v1_rules want = {0};
	int r = v1_read_list(list, &have, e);
	v1_read_rules(rules, &want);
	if (r == 0 && !have.all && !want.all) {
		v1_put_excess(&have, &want, ret_deny);
		v1_put_excess(&want, &have, ret_allow);
	}
	v1_deinit(&have);
	v1_deinit(&want);
	return r;
}
