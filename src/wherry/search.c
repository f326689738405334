/* search */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/ref.h"
#include "wherry/auth.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/human.h"
#include "wherry/table.h"

#define DESCRIPTION_LEN 45

static const struct column columns[] = {
	{"Name", "NAME"},
	{"Description", "DESCRIPTION"},
	{"StarCount", "STARS"},
	{"IsOfficial", "OFFICIAL"},
	{"IsAutomated", "AUTOMATED"},
	{0},
};

static json_t *row_of(const json_t *found, bool no_trunc)
{
	scoped(buf) struct buf description = BUF_INIT;
	scoped(free) char *one_line = xstrdup(json_str(found, "description"));
	scoped(free) char *stars = xasprintf("%lld", (long long)json_i64(found, "star_count", 0));
	for (char *p = one_line; *p; p++) {
		*p = *p == '\n' || *p == '\r' ? ' ' : *p;
	}
	human_ellipsis(one_line, no_trunc ? SIZE_MAX : DESCRIPTION_LEN, &description);
	return json_pack("{ss ss ss ss ss}", "Name", json_str(found, "name"), "Description",
		buf_str(&description), "StarCount", stars, "IsOfficial",
		json_bool(found, "is_official") ? "[OK]" : "", "IsAutomated",
		json_bool(found, "is_automated") ? "[OK]" : "");
}

struct starred {
	const json_t *found;
	int64_t stars;
	size_t place; /* equal ones stay in the registry's order */
};

static int by_stars(const void *a, const void *b)
{
	const struct starred *x = a;
	const struct starred *y = b;
	if (x->stars != y->stars) {
		return x->stars < y->stars ? 1 : -1;
	}
	return x->place < y->place ? -1 : 1;
}

static json_t *rows_of(const json_t *list, bool no_trunc)
{
	size_t n = json_array_size(list);
	json_t *rows = json_array();
	scoped(free) struct starred *sorted = xnew_array(struct starred, n + 1);
	for (size_t i = 0; i < n; i++) {
		const json_t *found = json_array_get(list, i);
		sorted[i] = (struct starred){found, json_i64(found, "star_count", 0), i};
	}
	qsort(sorted, n, sizeof(*sorted), by_stars);
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(rows, row_of(sorted[i].found, no_trunc));
	}
	return rows;
}

static int take_document(void *owner, const json_t *doc, struct err *e)
{
	json_t **found = owner;
	json_decref(*found);
	*found = json_deep_copy(doc);
	return 0;
}

struct search {
	const char *format;
	bool no_trunc;
	int64_t limit;
	struct strv filters;
};

static int search(struct cli *cli, const struct search *o, const char *term, struct err *e)
{
	const struct table t = {.columns = columns,
		.dflt = "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}",
		.format = o->format,
		.type = "*formatter.searchContext"};
	struct err ignored;
	struct ref ref;
	scoped(buf) struct buf path = BUF_INIT;
	scoped(buf) struct buf headers = BUF_INIT;
	scoped(free) char *limit = xasprintf("%lld", (long long)o->limit);
	scoped(json) json_t *found = NULL;
	buf_puts(&path, "/images/search");
	path_query(&path, "term", term);
	path_query(&path, "limit", o->limit > 0 ? limit : NULL);
	if (table_check(&t, e) < 0 || path_filters(&path, &o->filters, e) < 0) {
		return -1;
	}
	/* of the registry that the term names, or of the default one */
	auth_header_for_image(cli, ref_parse(term, &ref, &ignored) == 0 ? term : "x", &headers);
	const struct http_call call = {.method = "GET",
		.path = buf_str(&path),
		.headers = headers.len ? buf_str(&headers) : NULL};
	if (engine_send(cli->http, &call, NULL, e) < 0 ||
		engine_documents(cli->http, take_document, &found, e) < 0) {
		return -1;
	}
	scoped(json) json_t *rows = rows_of(found, o->no_trunc);
	return table_print(&t, rows, e);
}

int command_search(struct cli *cli, int argc, char **argv)
{
	struct search o = {0};
	const struct flag flags[] = {
		{"filter", 'f', FLAG_FILTER, &o.filters, NULL,
			"Filter output based on conditions provided"},
		{"format", 0, FLAG_STRING, &o.format, NULL,
			"Pretty-print search using a Go template"},
		{"limit", 0, FLAG_INT, &o.limit, NULL, "Max number of search results"},
		{"no-trunc", 0, FLAG_BOOL, &o.no_trunc, NULL, "Don't truncate output"},
		{0},
	};
	const struct syntax s = {
		"search", "[OPTIONS] TERM", "Search a registry for images", 1, 1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status < 0) {
		struct err e;
		status = search(cli, &o, argv[1], &e) < 0 ? cli_fail(&e) : 0;
	}
	strv_deinit(&o.filters);
	return status;
}
