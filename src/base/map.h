/* base/map.h - strings to pointers, in insertion order.
 *
 * Keys are copied; values are borrowed. Removal while walking is allowed for the entry just
 * visited. Hashes are seeded per map from the kernel, so that a peer who chooses names cannot
 * choose collisions.
 */
#pragma once
#include <stddef.h>

struct map;

struct map *map_new(void);
void map_free(struct map *m); /* NULL is fine; values are not touched */

void *map_get(const struct map *m, const char *key);        /* NULL when absent */
void *map_put(struct map *m, const char *key, void *value); /* the value it replaced, or NULL */
void *map_remove(struct map *m, const char *key);           /* the value removed, or NULL */
size_t map_count(const struct map *m);

/* Walks in insertion order: start with *pos = 0; returns the value or NULL at the end.
 * ret_key may be NULL; the key is borrowed until the entry is removed. */
void *map_next(const struct map *m, size_t *pos, const char **ret_key);

#define map_each(m, T, value)                                     \
	size_t value##_pos = 0;                                   \
	for (T *value = map_next((m), &value##_pos, NULL); value; \
		value = map_next((m), &value##_pos, NULL))
