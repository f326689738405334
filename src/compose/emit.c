#include "compose/emit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "compose/scalar.h"

static int compare_members(const void *a, const void *b)
{
	return strcmp(
		(*(const struct member *const *)a)->key, (*(const struct member *const *)b)->key);
}

/* Ports and mounts are structures in Go, printed in the order of their fields. */
static int compare_fields(const void *a, const void *b)
{
	static const char *const order[] = {"name", "type", "source", "mode", "host_ip", "target",
		"published", "protocol", "app_protocol", "read_only", "consistency", "bind",
		"volume", "tmpfs", NULL};
	size_t ranks[2] = {0, 0};
	const char *keys[2] = {
		(*(const struct member *const *)a)->key, (*(const struct member *const *)b)->key};
	for (size_t i = 0; i < 2; i++) {
		while (order[ranks[i]] && strcmp(order[ranks[i]], keys[i]) != 0) {
			ranks[i]++;
		}
	}
	return ranks[0] != ranks[1] ? (ranks[0] < ranks[1] ? -1 : 1) : strcmp(keys[0], keys[1]);
}

/* The members by name, as Go prints maps. The caller frees. */
static const struct member **sorted(const struct node *map, bool fields)
{
	const struct member **v = calloc(map->n + 1, sizeof(struct member *));
	for (size_t i = 0; v && i < map->n; i++) {
		v[i] = &map->members[i];
	}
	if (v) {
		qsort(v, map->n, sizeof(struct member *),
			fields ? compare_fields : compare_members);
	}
	return v;
}

/* The text with each `$` doubled, so that it is read again as it is; in *space when it has any. */
static const char *doubled(const char *text, bool keep_dollars, struct buf *space)
{
	if (keep_dollars || !strchr(text, '$')) {
		return text;
	}
	for (; *text; text++) {
		buf_puts(space, *text == '$' ? "$" : "");
		buf_putc(space, *text);
	}
	return buf_str(space);
}

/* A character that YAML would take for a line end or refuse unescaped: its escape, and its length
 * in UTF-8. */
static const char *escape_of(const unsigned char *p, size_t *ret_n, char text[static 8])
{
	bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
	bool separator = p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9);
	bool mark = p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf;
	if (*p == '"' || *p == '\\') {
		snprintf(text, 8, "\\%c", *p);
	} else if (*p == '\n' || *p == '\t') {
		snprintf(text, 8, "\\%c", *p == '\n' ? 'n' : 't');
	} else if (*p < 0x20 || *p == 0x7f || c1) {
		snprintf(text, 8, "\\x%02x", c1 ? p[1] : *p);
	} else if (separator || mark) {
		snprintf(text, 8, "%s", mark ? "\\uFEFF" : p[2] == 0xa8 ? "\\L" : "\\P");
	} else {
		return NULL;
	}
	*ret_n = c1 ? 2 : separator || mark ? 3 : 1;
	return text;
}

static bool has_escapes(const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		char escape[8];
		size_t used;
		if ((*p < 0x20 || *p >= 0x7f) && escape_of(p, &used, escape)) {
			return true;
		}
	}
	return false;
}

/* What other readers of YAML take for a boolean or nothing. */
static bool is_word(const char *text)
{
	static const char *const words[] = {
		"yes", "no", "on", "off", "y", "n", "true", "false", "null", "~", NULL};
	for (size_t i = 0; strlen(text) <= 5 && words[i]; i++) {
		if (strcasecmp(text, words[i]) == 0) {
			return true;
		}
	}
	return false;
}

/* Can the text stand without quotes and still be read as this string? */
static bool is_plain(const char *text)
{
	if (scalar_kind(text) != NODE_STR || strchr("-?:,[]{}#&*!|>'\"%@` =", text[0]) ||
		strpbrk(text, "\"\\") || strstr(text, ": ") || strstr(text, " #") ||
		is_word(text) || has_escapes(text)) {
		return false;
	}
	char last = text[strlen(text) - 1];
	/* "22:22" is a number in YAML 1.1's base 60; dates are times */
	bool digits = strspn(text, "0123456789:.-+_") == strlen(text);
	return last != ' ' && last != ':' && !digits;
}

static void emit_string(const char *text, bool keep_dollars, struct buf *ret)
{
	scoped(buf) struct buf space = BUF_INIT;
	const char *shown = doubled(text, keep_dollars, &space);
	if (*shown && is_plain(shown)) {
		buf_puts(ret, shown);
		return;
	}
	buf_putc(ret, '"');
	for (const unsigned char *p = (const unsigned char *)shown; *p;) {
		char text_of[8];
		size_t n = 1;
		const char *escape = escape_of(p, &n, text_of);
		if (escape) {
			buf_puts(ret, escape);
		} else {
			buf_putc(ret, (char)*p);
		}
		p += n;
	}
	buf_putc(ret, '"');
}

static void emit_scalar(const struct node *n, bool keep_dollars, struct buf *ret)
{
	if (n->kind == NODE_NULL) {
		buf_puts(ret, "null");
	} else if (n->kind == NODE_STR) {
		emit_string(n->text, keep_dollars, ret);
	} else {
		buf_puts(ret, n->text);
	}
}

static void indent(struct buf *ret, int depth)
{
	for (int i = 0; i < depth; i++) {
		buf_puts(ret, "  ");
	}
}

/* The node after "key:" or "-"; the first line goes on where the caller stopped when in_list is
 * set. */
static void emit(const struct node *n, int depth, bool in_list, bool keep_dollars, struct buf *ret)
{
	if (node_is_scalar(n) || n->n == 0) {
		buf_putc(ret, ' ');
		if (node_is_scalar(n)) {
			emit_scalar(n, keep_dollars, ret);
		} else {
			buf_puts(ret, n->kind == NODE_MAP ? "{}" : "[]");
		}
		buf_putc(ret, '\n');
		return;
	}
	if (!in_list && depth > 0) {
		buf_putc(ret, '\n');
	}
	const struct member **members = n->kind == NODE_MAP ? sorted(n, in_list) : NULL;
	for (size_t i = 0; i < n->n; i++) {
		if (in_list && i == 0) {
			buf_putc(ret, ' ');
		} else {
			indent(ret, depth);
		}
		if (n->kind == NODE_MAP && members) {
			emit_string(members[i]->key, true, ret); /* keys are never interpolated */
			buf_putc(ret, ':');
			emit(members[i]->value, depth + 1, false, keep_dollars, ret);
		} else {
			buf_putc(ret, '-');
			emit(n->members[i].value, depth + 1, true, keep_dollars, ret);
		}
	}
	free(members);
}

/* docker compose's order of sections: what runs, then what it needs. */
void emit_yaml(const struct node *n, bool keep_dollars, struct buf *ret)
{
	static const char *const order[] = {
		"name", "services", "networks", "volumes", "secrets", "configs", "models"};
	if (keep_dollars) { /* no project to docker compose, but a mapping like any other */
		emit(n, 0, false, true, ret);
		return;
	}
	for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++) {
		const struct node *section = node_get(n, order[i]);
		if (section) {
			buf_printf(ret, "%s:", order[i]);
			emit(section, 1, false, keep_dollars, ret);
		}
	}
	node_each (m, n) {
		if (strncmp(m->key, "x-", 2) == 0) {
			emit_string(m->key, true, ret);
			buf_putc(ret, ':');
			emit(m->value, 1, false, keep_dollars, ret);
		}
	}
}

static json_t *to_json(const struct node *n, bool keep_dollars)
{
	if (n->kind == NODE_STR) {
		scoped(buf) struct buf space = BUF_INIT;
		json_t *string = json_string(doubled(n->text, keep_dollars, &space));
		return string ? string : json_string("");
	}
	if (node_is_scalar(n)) {
		return node_json(n);
	}
	json_t *doc = n->kind == NODE_MAP ? json_object() : json_array();
	for (size_t i = 0; i < n->n; i++) {
		json_t *value = to_json(n->members[i].value, keep_dollars);
		if (n->kind == NODE_MAP) {
			json_object_set_new(doc, n->members[i].key, value);
		} else {
			json_array_append_new(doc, value);
		}
	}
	return doc;
}

void emit_json(const struct node *n, bool keep_dollars, struct buf *ret)
{
	scoped(json) json_t *doc = to_json(n, keep_dollars);
	scoped(free) char *text = json_dumps(doc, JSON_INDENT(2) | JSON_SORT_KEYS);
	buf_puts(ret, text ? text : "{}");
	buf_putc(ret, '\n');
}
