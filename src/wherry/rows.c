#include "wherry/rows.h"

#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void rows_put_labels(json_t *row, json_t *labels)
{
	scoped(strv) struct strv list = STRV_INIT;
	scoped(buf) struct buf text = BUF_INIT;
	const char *key;
	json_t *v;
	json_object_foreach (labels, key, v) {
		strv_addf(&list, "%s=%s", key, json_is_string(v) ? json_string_value(v) : "");
	}
	if (list.n > 0) {
		qsort(list.v, list.n, sizeof(*list.v), by_text);
	}
	for (size_t i = 0; i < list.n; i++) {
		buf_printf(&text, "%s%s", i ? "," : "", list.v[i]);
	}
	json_put_str(row, "Labels", buf_str(&text));
	json_put(row, "_labels", json_is_object(labels) ? json_incref(labels) : json_object());
}

struct keyed {
	const char *key;
	json_t *row;
};

static int by_key(const void *a, const void *b)
{
	return strverscmp(((const struct keyed *)a)->key, ((const struct keyed *)b)->key);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(((const struct keyed *)a)->key, ((const struct keyed *)b)->key);
}

static void sort(json_t *rows, const char *key, int (*compare)(const void *, const void *))
{
	size_t n = json_array_size(rows);
	scoped(free) struct keyed *list = xnew_array(struct keyed, n + 1);
	for (size_t i = 0; i < n; i++) {
		json_t *row = json_array_get(rows, i);
		list[i] = (struct keyed){json_str(row, key), json_incref(row)};
	}
	qsort(list, n, sizeof(*list), compare);
	json_array_clear(rows);
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(rows, list[i].row);
	}
}

void rows_sort(json_t *rows, const char *key)
{
	sort(rows, key, by_key);
}

void rows_sort_plain(json_t *rows, const char *key)
{
	sort(rows, key, by_bytes);
}
