#include "ingress/route.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "ingress/host.h"
#include "ingress/route_parts.h"
#include "ingress/route_text.h"

static void route_free(struct route *r)
{
	if (!r) {
		return;
	}
	for (size_t i = 0; i < r->n_headers; i++) {
		free(r->headers[i].name);
		free(r->headers[i].value);
	}
	free(r->headers);
	strv_deinit(&r->hosts);
	strv_deinit(&r->users);
	free(r->name);
	free(r->path);
	free(r->users_file);
	free(r->redirect);
	free(r->error_page);
	free(r->root_volume);
	free(r->root_path);
	free(r);
}

void route_set_deinit(struct route_set *s)
{
	for (size_t i = 0; i < s->n_routes; i++) {
		route_free(s->routes[i]);
	}
	for (size_t i = 0; i < s->n_streams; i++) {
		stream_route_free(s->streams[i]);
	}
	free(s->routes);
	free(s->streams);
	*s = (struct route_set){0};
}

bool route_label_is_ours(const char *key)
{
	return text_starts(key, ROUTE_LABEL) || text_starts(key, STREAM_LABEL);
}

/* --- names of labels --- */

/* wherry.http.FIELD or wherry.http.NAME.FIELD: what is before FIELD is *ret_name, the caller's. */
static const struct route_field *split_key(const char *key, char **ret_name, struct err *e)
{
	const char *rest = key + strlen(ROUTE_LABEL);
	const char *dot = strchr(rest, '.');
	const char *word = dot ? dot + 1 : rest;
	const struct route_field *f = route_field_find(word);
	scoped(free) char *name = xstrndup(rest, dot ? (size_t)(dot - rest) : 0);
	if (!f) {
		scoped(free) char *known = route_field_names();
		(void)err_set(e, ERR_INVALID, "%.100s: there is no '%.60s'; there are: %s", key,
			word, known);
		return NULL;
	}
	if (dot && (!host_is_label(name) || route_field_find(name))) {
		(void)err_set(e, ERR_INVALID,
			"%.100s: the name of a route has small letters, digits and '-', and is none of its "
			"fields",
			key);
		return NULL;
	}
	*ret_name = TAKE(name);
	return f;
}

/* --- one route --- */

static struct route *route_new(const char *name)
{
	struct route *r = xnew(struct route);
	r->name = xstrdup(name);
	r->path = xstrdup("/");
	r->websocket = true;
	r->buffering = true;
	return r;
}

static struct route *find_route(struct route_set *s, const char *name)
{
	for (size_t i = 0; i < s->n_routes; i++) {
		if (strcmp(s->routes[i]->name, name) == 0) {
			return s->routes[i];
		}
	}
	return NULL;
}

static int compare_routes(const void *a, const void *b)
{
	return strcmp((*(struct route *const *)a)->name, (*(struct route *const *)b)->name);
}

static int read_field(
	struct route *r, const struct route_field *f, const json_t *value, struct err *e)
{
	const char *text = json_is_string(value) ? json_string_value(value) : "";
	text += strspn(text, " \t\r\n");
	size_t n = strlen(text);
	while (n > 0 && strchr(" \t\r\n", text[n - 1])) {
		n--;
	}
	scoped(free) char *copy = xstrndup(text, n);
	if (n == 0) {
		return err_set(e, ERR_INVALID, "has no value");
	}
	return f->read(r, copy, e);
}

static int add_label(struct route_set *s, const char *key, const json_t *value, struct err *e)
{
	scoped(free) char *name = NULL;
	const struct route_field *f = split_key(key, &name, e);
	if (!f) {
		return -1;
	}
	struct route *r = find_route(s, name);
	if (!r && s->n_routes == ROUTES_MAX) {
		return err_set(e, ERR_INVALID, "%.100s: more than %d routes", key, ROUTES_MAX);
	}
	if (!r) {
		r = route_new(name);
		s->routes = xrealloc(s->routes, s->n_routes + 1, sizeof(struct route *));
		s->routes[s->n_routes++] = r;
	}
	if (read_field(r, f, value, e) < 0) {
		return err_wrap(e, "%.100s", key), -1;
	}
	return 0;
}

/* The names of the fields that labels have for a route. */
static void list_given(const json_t *labels, const char *name, struct strv *ret)
{
	scoped(free) char *prefix =
		*name ? xasprintf(ROUTE_LABEL "%s.", name) : xstrdup(ROUTE_LABEL);
	const char *key;
	json_t *value;
	json_object_foreach ((json_t *)labels, key, value) {
		if (text_starts(key, prefix) && !strchr(key + strlen(prefix), '.')) {
			strv_add(ret, key + strlen(prefix));
		}
	}
}

static int check_routes(const struct route_set *s, const json_t *labels, struct err *e)
{
	for (size_t i = 0; i < s->n_routes; i++) {
		const struct route *r = s->routes[i];
		scoped(strv) struct strv given = STRV_INIT;
		list_given(labels, r->name, &given);
		if (route_check(r, &given, e) < 0) {
			return err_wrap(e, ROUTE_LABEL "%s%s", r->name, *r->name ? ".*" : "*"), -1;
		}
	}
	return 0;
}

/* --- all --- */

static int add_stream(struct route_set *s, const char *key, const json_t *value, struct err *e)
{
	const char *text = json_is_string(value) ? json_string_value(value) : "";
	if (s->n_streams == ROUTES_MAX) {
		return err_set(
			e, ERR_INVALID, "more than %d labels " STREAM_LABEL "NAME", ROUTES_MAX);
	}
	struct stream_route *r = stream_route_parse(key + strlen(STREAM_LABEL), text, e);
	if (!r) {
		return -1;
	}
	for (size_t i = 0; i < s->n_streams; i++) {
		const struct stream_route *other = s->streams[i];
		if (other->listen == r->listen && other->protocol == r->protocol) {
			int failed = err_set(e, ERR_INVALID,
				"%.100s: port %u is that of " STREAM_LABEL "%s", key,
				(unsigned)r->listen, other->name);
			stream_route_free(r);
			return failed;
		}
	}
	s->streams = xrealloc(s->streams, s->n_streams + 1, sizeof(struct stream_route *));
	s->streams[s->n_streams++] = r;
	return 0;
}

static int read_all(const json_t *labels, struct route_set *s, struct err *e)
{
	scoped(strv) struct strv keys = STRV_INIT;
	const char *key;
	json_t *value;
	json_object_foreach ((json_t *)labels, key, value) {
		if (route_label_is_ours(key)) {
			strv_add(&keys, key);
		}
	}
	strv_sort(&keys); /* of several errors always the same one */
	for (size_t i = 0; i < keys.n; i++) {
		value = json_object_get(labels, keys.v[i]);
		int r = text_starts(keys.v[i], STREAM_LABEL) ? add_stream(s, keys.v[i], value, e)
							     : add_label(s, keys.v[i], value, e);
		if (r < 0) {
			return -1;
		}
	}
	return check_routes(s, labels, e);
}

int route_set_read(const json_t *labels, struct route_set *ret, struct err *e)
{
	*ret = (struct route_set){0};
	if (read_all(labels, ret, e) < 0) {
		route_set_deinit(ret);
		return -1;
	}
	if (ret->n_routes > 1) {
		qsort(ret->routes, ret->n_routes, sizeof(struct route *), compare_routes);
	}
	return 0;
}
