#include "wherry/df_document.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "wherry/human.h"
#include "wherry/ps.h"
#include "wherry/rows.h"
#include "wherry/times.h"
#include "wherry/volumes.h"

#define NONE "<none>"

static void put_size(json_t *row, const char *key, int64_t bytes, int digits)
{
	char text[HUMAN_MAX];
	json_put_str(row, key, bytes < 0 ? "N/A" : human_size((double)bytes, digits, text));
}

static void put_number(json_t *row, const char *key, int64_t n)
{
	scoped(free) char *text = xasprintf("%lld", (long long)(n > 0 ? n : 0));
	json_put_str(row, key, text);
}

static void put_ago(json_t *row, const char *key, int64_t seconds, int64_t now)
{
	scoped(buf) struct buf ago = BUF_INIT;
	if (seconds > 0) {
		human_ago(seconds, now, &ago);
	}
	json_put_str(row, key, buf_str(&ago));
}

/* Under its first name, as `system df -v` lists it. */
static json_t *image_row(const json_t *image, int64_t now)
{
	char text[TIMES_TEXT_MAX];
	const char *name = json_string_value(json_array_get(json_object_get(image, "RepoTags"), 0));
	const char *colon = name ? strrchr(name, ':') : NULL;
	scoped(free) char *repo = colon ? xstrndup(name, (size_t)(colon - name)) : xstrdup(NONE);
	int64_t created = json_i64(image, "Created", 0);
	int64_t bytes = json_i64(image, "Size", 0);
	int64_t shared = json_i64(image, "SharedSize", -1);
	json_t *row = json_object();
	put_number(row, "Containers", json_i64(image, "Containers", 0));
	json_put_str(row, "CreatedAt", times_local(created, text));
	put_ago(row, "CreatedSince", created, now);
	json_put_str(row, "Digest", "");
	json_put_str(row, "ID", json_str(image, "Id"));
	json_put_str(row, "Repository", repo);
	put_size(row, "SharedSize", shared, 4);
	put_size(row, "Size", bytes, 3);
	json_put_str(row, "Tag", colon ? colon + 1 : NONE);
	put_size(row, "UniqueSize", shared < 0 ? -1 : bytes - shared, 4);
	put_size(row, "VirtualSize", bytes, 4);
	return row;
}

static json_t *container_row(const json_t *c, int64_t now)
{
	int64_t bytes = json_i64(c, "SizeRw", 0);
	json_t *row = ps_row(c, true, now);
	put_size(row, "Size", bytes > 0 ? bytes : 0, 3);
	return row;
}

static json_t *volume_row(const json_t *v, int64_t now)
{
	const json_t *usage = json_object_get(v, "UsageData");
	json_t *row = volumes_row(v);
	put_number(row, "Links", json_i64(usage, "RefCount", 0));
	put_size(row, "Size", json_i64(usage, "Size", -1), 3);
	return row;
}

static void put_time(json_t *row, const char *at, const char *since, const char *given, int64_t now)
{
	char text[TIMES_TEXT_MAX];
	int64_t ns = 0;
	bool known = clock_parse(given, &ns) == 0 && ns > 0;
	json_put_str(row, at, known ? times_from_api(given, text) : "");
	put_ago(row, since, known ? ns / NS_PER_SEC : 0, now);
}

/* API 1.42 has a list of them, which dockerd spells with a blank. */
static void put_parents(json_t *row, const json_t *c)
{
	const json_t *list = json_object_get(c, " Parents");
	list = list ? list : json_object_get(c, "Parents");
	scoped(buf) struct buf text = BUF_INIT;
	size_t i;
	json_t *item;
	json_array_foreach (list, i, item) {
		buf_printf(&text, "%s%s", i ? ", " : "", json_string_value(item));
	}
	json_put_str(row, "Parent", text.len ? buf_str(&text) : json_str(c, "Parent"));
}

static json_t *cache_row(const json_t *c, int64_t now)
{
	json_t *row = json_object();
	json_put_str(row, "CacheType", json_str(c, "Type"));
	put_time(row, "CreatedAt", "CreatedSince", json_str(c, "CreatedAt"), now);
	json_put_str(row, "Description", json_str(c, "Description"));
	json_put_str(row, "ID", json_str(c, "ID"));
	json_put_str(row, "InUse", json_bool(c, "InUse") ? "true" : "false");
	put_time(row, "LastUsedAt", "LastUsedSince", json_str(c, "LastUsedAt"), now);
	put_parents(row, c);
	json_put_str(row, "Shared", json_bool(c, "Shared") ? "true" : "false");
	put_size(row, "Size", json_i64(c, "Size", 0), 3);
	put_number(row, "UsageCount", json_i64(c, "UsageCount", 0));
	return row;
}

/* Members in the order of their names, and those alone that templates may name. */
static json_t *sorted_row(json_t *take_row)
{
	scoped(json) json_t *row = take_row;
	json_object_del(row, "_labels");
	scoped(free) char *text = json_dumps(row, JSON_SORT_KEYS);
	return json_loads(text, 0, NULL);
}

json_t *df_document(const json_t *df, int64_t now)
{
	static const struct {
		const char *list;
		json_t *(*row_of)(const json_t *object, int64_t now);
	} kinds[] = {{"Images", image_row}, {"Containers", container_row}, {"Volumes", volume_row},
		{"BuildCache", cache_row}};
	json_t *document = json_object();
	for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
		size_t i;
		json_t *object;
		json_t *rows = json_array();
		json_array_foreach (json_object_get(df, kinds[k].list), i, object) {
			json_array_append_new(rows, sorted_row(kinds[k].row_of(object, now)));
		}
		json_put(document, kinds[k].list, rows);
	}
	rows_sort_plain(json_object_get(document, "BuildCache"), "LastUsedAt");
	return document;
}
