/* system df */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wherry/df_document.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/format.h"
#include "wherry/human.h"
#include "wherry/table.h"

static const struct column columns[] = {
	{"Type", "TYPE"},
	{"TotalCount", "TOTAL"},
	{"Active", "ACTIVE"},
	{"Size", "SIZE"},
	{"Reclaimable", "RECLAIMABLE"},
	{0},
};

/* What one kind of objects takes, and what of it nothing needs. */
struct usage {
	size_t total, active;
	int64_t bytes, reclaimable_bytes;
};

static int64_t not_negative(int64_t n)
{
	return n > 0 ? n : 0;
}

static struct usage images_usage(const json_t *df)
{
	const json_t *list = json_object_get(df, "Images");
	struct usage u = {.total = json_array_size(list), .bytes = json_i64(df, "LayersSize", 0)};
	int64_t used = 0;
	for (size_t i = 0; i < u.total; i++) {
		const json_t *image = json_array_get(list, i);
		if (json_i64(image, "Containers", 0) > 0) {
			u.active++;
			used += json_i64(image, "Size", 0) -
				not_negative(json_i64(image, "SharedSize", 0));
		}
	}
	u.reclaimable_bytes = not_negative(u.bytes - used);
	return u;
}

static struct usage containers_usage(const json_t *df)
{
	const json_t *list = json_object_get(df, "Containers");
	struct usage u = {.total = json_array_size(list)};
	for (size_t i = 0; i < u.total; i++) {
		const json_t *c = json_array_get(list, i);
		const char *state = json_str(c, "State");
		bool active = strcmp(state, "running") == 0 || strcmp(state, "paused") == 0 ||
			      strcmp(state, "restarting") == 0;
		int64_t bytes = not_negative(json_i64(c, "SizeRw", 0));
		u.active += active;
		u.bytes += bytes;
		u.reclaimable_bytes += active ? 0 : bytes;
	}
	return u;
}

static struct usage volumes_usage(const json_t *df)
{
	const json_t *list = json_object_get(df, "Volumes");
	struct usage u = {.total = json_array_size(list)};
	for (size_t i = 0; i < u.total; i++) {
		const json_t *data = json_object_get(json_array_get(list, i), "UsageData");
		bool active = json_i64(data, "RefCount", 0) > 0;
		int64_t bytes = not_negative(json_i64(data, "Size", 0));
		u.active += active;
		u.bytes += bytes;
		u.reclaimable_bytes += active ? 0 : bytes;
	}
	return u;
}

static struct usage cache_usage(const json_t *df)
{
	const json_t *list = json_object_get(df, "BuildCache");
	struct usage u = {.total = json_array_size(list)};
	for (size_t i = 0; i < u.total; i++) {
		const json_t *c = json_array_get(list, i);
		bool active = json_bool(c, "InUse");
		u.active += active;
		u.bytes += json_i64(c, "Size", 0);
		u.reclaimable_bytes +=
			active || json_bool(c, "Shared") ? 0 : json_i64(c, "Size", 0);
	}
	return u;
}

static void add_usage(json_t *rows, const char *type, const struct usage *u, bool with_percent)
{
	char size[HUMAN_MAX];
	char free_size[HUMAN_MAX];
	human_size((double)u->bytes, 4, size);
	human_size((double)u->reclaimable_bytes, 4, free_size);
	scoped(free) char *total = xasprintf("%zu", u->total);
	scoped(free) char *active = xasprintf("%zu", u->active);
	scoped(free) char *reclaimable =
		with_percent && u->bytes > 0
			? xasprintf("%s (%lld%%)", free_size,
				  (long long)(u->reclaimable_bytes * 100 / u->bytes))
			: xstrdup(free_size);
	json_array_append_new(
		rows, json_pack("{ss ss ss ss ss}", "Type", type, "TotalCount", total, "Active",
			      active, "Size", size, "Reclaimable", reclaimable));
}

static int print_summary(const json_t *df, const char *format, struct err *e)
{
	const struct table t = {.columns = columns,
		.dflt = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
		.format = format,
		.type = "*formatter.diskUsageImagesContext"};
	scoped(json) json_t *rows = json_array();
	struct usage u = images_usage(df);
	add_usage(rows, "Images", &u, true);
	u = containers_usage(df);
	add_usage(rows, "Containers", &u, true);
	u = volumes_usage(df);
	add_usage(rows, "Local Volumes", &u, true);
	u = cache_usage(df);
	add_usage(rows, "Build Cache", &u, false);
	return table_print(&t, rows, e);
}

/* --- -v: each object --- */

static void put_text_or_none(struct buf *out, const char *text)
{
	buf_puts(out, *text ? text : "<none>");
}

static void print_images(const json_t *df, int64_t now)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(buf) struct buf aligned = BUF_INIT;
	const json_t *list = json_object_get(df, "Images");
	buf_puts(&text,
		"REPOSITORY\tTAG\tIMAGE ID\tCREATED\tSIZE\tSHARED SIZE\tUNIQUE SIZE\tCONTAINERS\n");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *image = json_array_get(list, i);
		const char *name =
			json_string_value(json_array_get(json_object_get(image, "RepoTags"), 0));
		const char *colon = name ? strrchr(name, ':') : NULL;
		scoped(free) char *repo =
			colon ? xstrndup(name, (size_t)(colon - name)) : xstrdup("");
		char id[13];
		char size[HUMAN_MAX];
		char shared[HUMAN_MAX];
		char own[HUMAN_MAX];
		int64_t bytes = json_i64(image, "Size", 0);
		int64_t shared_bytes = json_i64(image, "SharedSize", -1);
		put_text_or_none(&text, repo);
		buf_putc(&text, '\t');
		put_text_or_none(&text, colon ? colon + 1 : "");
		buf_printf(&text, "\t%s\t", human_short_id(json_str(image, "Id"), id));
		human_ago(json_i64(image, "Created", 0), now, &text);
		buf_printf(&text, "\t%s\t%s\t%s\t%lld\n", human_size((double)bytes, 3, size),
			shared_bytes < 0 ? "N/A" : human_size((double)shared_bytes, 4, shared),
			shared_bytes < 0 ? "N/A"
					 : human_size((double)(bytes - shared_bytes), 4, own),
			(long long)not_negative(json_i64(image, "Containers", 0)));
	}
	table_align(buf_str(&text), 10, &aligned);
	printf("Images space usage:\n\n%s", buf_str(&aligned));
}

static void print_containers(const json_t *df, int64_t now)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(buf) struct buf aligned = BUF_INIT;
	const json_t *list = json_object_get(df, "Containers");
	buf_puts(&text,
		"CONTAINER ID\tIMAGE\tCOMMAND\tLOCAL VOLUMES\tSIZE\tCREATED\tSTATUS\tNAMES\n");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *c = json_array_get(list, i);
		const char *name =
			json_string_value(json_array_get(json_object_get(c, "Names"), 0));
		const json_t *mounts = json_object_get(c, "Mounts");
		int volumes = 0;
		char id[13];
		char size[HUMAN_MAX];
		for (size_t k = 0; k < json_array_size(mounts); k++) {
			volumes +=
				strcmp(json_str(json_array_get(mounts, k), "Type"), "volume") == 0;
		}
		char image_id[13];
		const char *image = json_str(c, "Image");
		bool is_id = strncmp(image, "sha256:", 7) == 0; /* of an image that lost its name */
		buf_printf(&text, "%s\t%s\t\"", human_short_id(json_str(c, "Id"), id),
			is_id ? human_short_id(image, image_id) : image);
		human_ellipsis(json_str(c, "Command"), 20, &text);
		buf_printf(&text, "\"\t%d\t%s\t", volumes,
			human_size((double)not_negative(json_i64(c, "SizeRw", 0)), 3, size));
		human_ago(json_i64(c, "Created", 0), now, &text);
		buf_printf(&text, "\t%s\t%s\n", json_str(c, "Status"),
			name && *name == '/' ? name + 1 : "");
	}
	table_align(buf_str(&text), 10, &aligned);
	printf("\nContainers space usage:\n\n%s", buf_str(&aligned));
}

static void print_volumes(const json_t *df)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(buf) struct buf aligned = BUF_INIT;
	const json_t *list = json_object_get(df, "Volumes");
	buf_puts(&text, "VOLUME NAME\tLINKS\tSIZE\n");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);
		const json_t *data = json_object_get(v, "UsageData");
		char size[HUMAN_MAX];
		buf_printf(&text, "%s\t%lld\t%s\n", json_str(v, "Name"),
			(long long)json_i64(data, "RefCount", 0),
			human_size((double)not_negative(json_i64(data, "Size", 0)), 3, size));
	}
	table_align(buf_str(&text), 10, &aligned);
	printf("\nLocal Volumes space usage:\n\n%s", buf_str(&aligned));
}

/* "5 minutes ago" of a time that the engine gave; "" when it gave none. */
static void put_ago(const char *text, int64_t now, struct buf *out)
{
	int64_t ns;
	if (clock_parse(text, &ns) == 0 && ns > 0) {
		human_ago(ns / NS_PER_SEC, now, out);
	}
}

static void print_cache(const json_t *df, int64_t now)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(buf) struct buf aligned = BUF_INIT;
	const json_t *list = json_object_get(df, "BuildCache");
	struct usage u = cache_usage(df);
	char size[HUMAN_MAX];
	printf("\nBuild cache usage: %s\n\n", human_size((double)u.bytes, 4, size));
	buf_puts(&text, "CACHE ID\tCACHE TYPE\tSIZE\tCREATED\tLAST USED\tUSAGE\tSHARED\n");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *c = json_array_get(list, i);
		char id[13];
		buf_printf(&text, "%s\t%s\t%s\t", human_short_id(json_str(c, "ID"), id),
			json_str(c, "Type"), human_size((double)json_i64(c, "Size", 0), 3, size));
		put_ago(json_str(c, "CreatedAt"), now, &text);
		buf_putc(&text, '\t');
		put_ago(json_str(c, "LastUsedAt"), now, &text);
		buf_printf(&text, "\t%lld\t%s\n", (long long)json_i64(c, "UsageCount", 0),
			json_bool(c, "Shared") ? "true" : "false");
	}
	table_align(buf_str(&text), 10, &aligned);
	printf("%s", buf_str(&aligned));
}

static void print_verbose(const json_t *df)
{
	int64_t now = clock_real_ns() / NS_PER_SEC;
	print_images(df, now);
	print_containers(df, now);
	print_volumes(df);
	print_cache(df, now);
}

/* The template in one of --format's forms; the caller's. */
static char *template_of(const char *format)
{
	if (strcmp(format, "json") == 0) {
		return xstrdup("{{json .}}");
	}
	return format_unescape(text_starts(format, "table ") ? format + strlen("table ") : format);
}

static int print_document(const json_t *df, const char *template, struct err *e)
{
	static const struct format_style style = {.type = "*formatter.diskUsageContext"};
	scoped(json) json_t *document = df_document(df, clock_real_ns() / NS_PER_SEC);
	scoped(format) struct format *f = format_new("", template, e);
	scoped(buf) struct buf out = BUF_INIT;
	int r = f ? format_run(f, document, &style, &out, e) : -1;
	fwrite(out.data, 1, out.len, stdout);
	return r;
}

int command_system_df(struct cli *cli, int argc, char **argv)
{
	const char *format = NULL;
	bool verbose = false;
	const struct flag flags[] = {
		{"format", 0, FLAG_STRING, &format, NULL, TABLE_FORMAT_HELP},
		{"verbose", 'v', FLAG_BOOL, &verbose, NULL,
			"Show detailed information on space usage"},
		{0},
	};
	const struct syntax s = {"system df", "[OPTIONS]", "Show wherry disk usage", 0, 0, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	scoped(json) json_t *df = NULL;
	bool table = !format || !*format || strcmp(format, "table") == 0;
	scoped(free) char *text = verbose && !table ? template_of(format) : NULL;
	if (text && format_check(text, &e) < 0) {
		return cli_fail(&e);
	}
	if (engine_json(cli, "GET", "/system/df", NULL, &df, &e) < 0) {
		return cli_fail(&e);
	}
	if (text) {
		return print_document(df, text, &e) < 0 ? cli_fail(&e) : 0;
	}
	if (verbose) {
		print_verbose(df);
		return 0;
	}
	return print_summary(df, format, &e) < 0 ? cli_fail(&e) : 0;
}
