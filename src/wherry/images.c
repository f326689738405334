/* images, history */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/human.h"
#include "wherry/table.h"
#include "wherry/times.h"

#define NONE "<none>"

static const struct column columns[] = {
	{"Repository", "REPOSITORY"},
	{"Tag", "TAG"},
	{"Digest", "DIGEST"},
	{"ID", "IMAGE ID"},
	{"CreatedSince", "CREATED"},
	{"CreatedAt", "CREATED AT"},
	{"Size", "SIZE"},
	{"Containers", "CONTAINERS"},
	{"SharedSize", "SHARED SIZE"},
	{"UniqueSize", "UNIQUE SIZE"},
	{"VirtualSize", "SIZE"},
	{0},
};

#define RAW_NAME "repository: {{.Repository}}\ntag: {{.Tag}}\n"
#define RAW_REST "image_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n"

struct images {
	bool all, digests, no_trunc, quiet;
	const char *format;
	struct strv filters;
};

static void put_size(json_t *row, const char *key, int64_t bytes)
{
	char text[HUMAN_MAX];
	json_put_str(row, key, bytes < 0 ? "N/A" : human_size((double)bytes, 3, text));
}

static void put_created(json_t *row, int64_t created, int64_t now)
{
	char text[TIMES_TEXT_MAX];
	struct buf ago = BUF_INIT;
	human_ago(created, now, &ago);
	json_put_str(row, "CreatedSince", created > 0 ? buf_str(&ago) : "N/A");
	json_put_str(row, "CreatedAt", created > 0 ? times_local(created, text) : "N/A");
	buf_deinit(&ago);
}

static void add_row(json_t *rows, const json_t *image, const char *repo, const char *tag,
	const char *digest, const struct images *o, int64_t now)
{
	json_t *row = json_object();
	char id[13];
	char all[HUMAN_MAX];
	scoped(free) char *containers =
		json_i64(image, "Containers", -1) < 0
			? xstrdup("N/A")
			: xasprintf("%lld", (long long)json_i64(image, "Containers", 0));
	json_put_str(row, "Repository", repo);
	json_put_str(row, "Tag", tag);
	json_put_str(row, "Digest", digest);
	json_put_str(row, "ID",
		o->no_trunc ? json_str(image, "Id") : human_short_id(json_str(image, "Id"), id));
	json_put_str(row, "Containers", containers);
	put_created(row, json_i64(image, "Created", 0), now);
	put_size(row, "Size", json_i64(image, "Size", 0));
	human_size((double)json_i64(image, "Size", 0), 4, all);
	json_put_str(row, "VirtualSize", all); /* the old member had one digit more */
	put_size(row, "SharedSize", json_i64(image, "SharedSize", -1));
	json_put_str(row, "UniqueSize", "N/A");
	json_array_append_new(rows, row);
}

/* The digest of a repository: RepoDigests has "repo@sha256:...". */
static const char *digest_of(const json_t *image, const char *repo)
{
	const json_t *digests = json_object_get(image, "RepoDigests");
	size_t n = strlen(repo);
	for (size_t i = 0; i < json_array_size(digests); i++) {
		const char *text = json_string_value(json_array_get(digests, i));
		if (text && strncmp(text, repo, n) == 0 && text[n] == '@') {
			return text + n + 1;
		}
	}
	return NONE;
}

static bool has_tag_of(const json_t *image, const char *repo)
{
	const json_t *tags = json_object_get(image, "RepoTags");
	size_t n = strlen(repo);
	for (size_t i = 0; i < json_array_size(tags); i++) {
		const char *text = json_string_value(json_array_get(tags, i));
		if (text && strncmp(text, repo, n) == 0 && text[n] == ':' &&
			!strchr(text + n, '/')) {
			return true;
		}
	}
	return false;
}

/* One row for each tag, and one for a digest whose repository has no tag; <none> for an image
 * without names. */
static void add_image(json_t *rows, const json_t *image, const struct images *o, int64_t now)
{
	const json_t *tags = json_object_get(image, "RepoTags");
	const json_t *digests = json_object_get(image, "RepoDigests");
	size_t before = json_array_size(rows);
	for (size_t i = 0; i < json_array_size(tags); i++) {
		const char *text = json_string_value(json_array_get(tags, i));
		const char *colon = text ? strrchr(text, ':') : NULL;
		if (!colon || text_starts(text, NONE)) {
			continue;
		}
		scoped(free) char *repo = xstrndup(text, (size_t)(colon - text));
		add_row(rows, image, repo, colon + 1, digest_of(image, repo), o, now);
	}
	for (size_t i = 0; i < json_array_size(digests); i++) {
		const char *text = json_string_value(json_array_get(digests, i));
		const char *at = text ? strchr(text, '@') : NULL;
		scoped(free) char *repo = at ? xstrndup(text, (size_t)(at - text)) : NULL;
		if (repo && strcmp(repo, NONE) != 0 && !has_tag_of(image, repo)) {
			add_row(rows, image, repo, NONE, at + 1, o, now);
		}
	}
	if (json_array_size(rows) == before) {
		add_row(rows, image, NONE, NONE, NONE, o, now);
	}
}

/* reference: the operand, a filter like any other. */
static int list(struct cli *cli, struct images *o, const char *reference, const struct table *t,
	struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	scoped(json) json_t *found = NULL;
	if (reference) {
		strv_addf(&o->filters, "reference=%s", reference);
	}
	buf_puts(&path, "/images/json");
	path_query(&path, "all", o->all ? "1" : NULL);
	if (table_check(t, e) < 0 || path_filters(&path, &o->filters, e) < 0 ||
		engine_json(cli, "GET", buf_str(&path), NULL, &found, e) < 0) {
		return -1;
	}
	scoped(json) json_t *rows = json_array();
	int64_t now = clock_real_ns() / NS_PER_SEC;
	for (size_t i = 0; i < json_array_size(found); i++) {
		add_image(rows, json_array_get(found, i), o, now);
	}
	return table_print(t, rows, e);
}

int command_images(struct cli *cli, int argc, char **argv)
{
	struct images o = {0};
	const struct flag flags[] = {
		{"all", 'a', FLAG_BOOL, &o.all, NULL,
			"Show all images (default hides intermediate images)"},
		{"digests", 0, FLAG_BOOL, &o.digests, NULL, "Show digests"},
		{"filter", 'f', FLAG_FILTER, &o.filters, NULL,
			"Filter output based on conditions provided"},
		{"format", 0, FLAG_STRING, &o.format, NULL, TABLE_FORMAT_HELP},
		{"no-trunc", 0, FLAG_BOOL, &o.no_trunc, NULL, "Don't truncate output"},
		{"quiet", 'q', FLAG_BOOL, &o.quiet, NULL, "Only show image IDs"},
		{0},
	};
	const struct syntax s = {
		"images", "[OPTIONS] [REPOSITORY[:TAG]]", "List images", 0, 1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status < 0) {
		scoped(free) char *format =
			table_format(cli->config, "imagesFormat", o.format, o.quiet);
		const struct table t = {.columns = columns,
			.raw = o.digests ? RAW_NAME "digest: {{.Digest}}\n" RAW_REST
					 : RAW_NAME RAW_REST,
			.type = "*formatter.imageContext",
			.dflt = o.digests
					? "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
					: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
			.quiet_field = "ID",
			.format = format,
			.quiet = o.quiet};
		struct err e;
		status = list(cli, &o, argc > 1 ? argv[1] : NULL, &t, &e) < 0 ? cli_fail(&e) : 0;
	}
	strv_deinit(&o.filters);
	return status;
}

/* --- history --- */

static const struct column history_columns[] = {
	{"ID", "IMAGE"},
	{"CreatedSince", "CREATED"},
	{"CreatedAt", "CREATED AT"},
	{"CreatedBy", "CREATED BY"},
	{"Size", "SIZE"},
	{"Comment", "COMMENT"},
	{0},
};

struct history {
	bool human, no_trunc, quiet;
	const char *format;
};

static json_t *history_row(const json_t *step, const struct history *o, int64_t now)
{
	json_t *row = json_object();
	char id[13];
	char created[TIMES_TEXT_MAX];
	int64_t seconds = json_i64(step, "Created", 0);
	struct buf by = BUF_INIT;
	scoped(free) char *flat = xstrdup(json_str(step, "CreatedBy"));
	scoped(free) char *bytes = xasprintf("%lld", (long long)json_i64(step, "Size", 0));
	for (char *p = flat; (p = strchr(p, '\t'));) {
		*p = ' ';
	}
	human_ellipsis(flat, o->no_trunc ? SIZE_MAX : 45, &by);
	json_put_str(row, "ID",
		o->no_trunc ? json_str(step, "Id") : human_short_id(json_str(step, "Id"), id));
	json_put_str(row, "CreatedBy", buf_str(&by));
	json_put_str(row, "Comment", json_str(step, "Comment"));
	put_created(row, seconds, now);
	times_rfc3339(seconds, created);
	json_put_str(row, "CreatedAt", created);
	if (o->human) {
		put_size(row, "Size", json_i64(step, "Size", 0));
	} else {
		json_put_str(row, "Size", bytes);
		json_put_str(row, "CreatedSince", created);
	}
	buf_deinit(&by);
	return row;
}

int command_history(struct cli *cli, int argc, char **argv)
{
	struct history o = {.human = true};
	const struct flag flags[] = {
		{"format", 0, FLAG_STRING, &o.format, NULL, TABLE_FORMAT_HELP},
		{"human", 'H', FLAG_BOOL, &o.human, NULL,
			"Print sizes and dates in human readable format (default true)"},
		{"no-trunc", 0, FLAG_BOOL, &o.no_trunc, NULL, "Don't truncate output"},
		{"quiet", 'q', FLAG_BOOL, &o.quiet, NULL, "Only show image IDs"},
		{0},
	};
	const struct syntax s = {
		"history", "[OPTIONS] IMAGE", "Show the history of an image", 1, 1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	const struct table t = {.columns = history_columns,
		.type = "*image.historyContext",
		.dflt = o.human ? "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
				: "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
		.quiet_field = "ID",
		.format = o.format,
		.quiet = o.quiet};
	struct err e;
	scoped(json) json_t *steps = NULL;
	scoped(json) json_t *rows = json_array();
	if (table_check(&t, &e) < 0 ||
		engine_on(cli, "GET", "/images/", argv[1], "/history", &steps, &e) < 0) {
		return cli_fail(&e);
	}
	int64_t now = clock_real_ns() / NS_PER_SEC;
	for (size_t i = 0; i < json_array_size(steps); i++) {
		json_array_append_new(rows, history_row(json_array_get(steps, i), &o, now));
	}
	return table_print(&t, rows, &e) < 0 ? cli_fail(&e) : 0;
}
