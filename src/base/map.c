/* Invariants
 * 1. slots[i].key is NULL exactly where an entry was removed; used counts slots ever filled since
 * the last rebuild, count those that still hold a key.
 * 2. index has a power-of-two size above 1.5 * used; each cell is 0 (free) or 1 + a slot number.
 * 3. A cell is never freed alone: removal leaves it pointing at an empty slot until the next
 * rebuild, so probing never stops early.
 */
#include "base/map.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"

struct slot {
	char *key;
	void *value;
	uint64_t hash;
};

struct map {
	struct slot *slots;
	size_t used;
	size_t count;
	size_t cap;
	uint32_t *index;
	size_t index_size;
	uint64_t seed;
};

/* FNV-1a with a secret start and a final mix: enough for tables of a few thousand names. */
static uint64_t hash_key(const struct map *m, const char *key)
{
	uint64_t h = m->seed;
	for (const unsigned char *p = (const unsigned char *)key; *p; p++) {
		h = (h ^ *p) * 0x100000001b3u;
	}
	h ^= h >> 32;
	return h * 0x9e3779b97f4a7c15u;
}

struct map *map_new(void)
{
	struct map *m = xnew(struct map);
	if (getrandom(&m->seed, sizeof(m->seed), GRND_NONBLOCK) != sizeof(m->seed)) {
		m->seed = (uint64_t)(uintptr_t)m; /* early boot: address space randomisation */
	}
	m->seed |= 1;
	return m;
}

void map_free(struct map *m)
{
	if (!m) {
		return;
	}
	for (size_t i = 0; i < m->used; i++) {
		free(m->slots[i].key);
	}
	free(m->slots);
	free(m->index);
	free(m);
}

static void index_add(struct map *m, size_t slot)
{
	size_t mask = m->index_size - 1;
	size_t i = (size_t)(m->slots[slot].hash >> 16) & mask;
	while (m->index[i]) {
		i = (i + 1) & mask;
	}
	m->index[i] = (uint32_t)(slot + 1);
}

/* Drops the holes and makes room for one more entry. A walker's position would move with the
 * holes, which is why only map_put rebuilds: removal during a walk is allowed, insertion is not. */
static void rebuild(struct map *m)
{
	size_t kept = 0;
	for (size_t i = 0; i < m->used; i++) {
		if (m->slots[i].key) {
			m->slots[kept++] = m->slots[i];
		}
	}
	m->used = kept;
	m->cap = kept < 8 ? 16 : kept * 2;
	m->slots = xrealloc(m->slots, m->cap, sizeof(*m->slots));

	size_t size = 32;
	while (size < m->cap * 2) {
		size *= 2;
	}
	free(m->index);
	m->index = xnew_array(uint32_t, size);
	m->index_size = size;
	for (size_t i = 0; i < m->used; i++) {
		index_add(m, i);
	}
}

static struct slot *find(const struct map *m, const char *key)
{
	if (m->count == 0) {
		return NULL;
	}
	uint64_t hash = hash_key(m, key);
	size_t mask = m->index_size - 1;
	for (size_t i = (size_t)(hash >> 16) & mask; m->index[i]; i = (i + 1) & mask) {
		struct slot *s = &m->slots[m->index[i] - 1];
		if (s->key && s->hash == hash && strcmp(s->key, key) == 0) {
			return s;
		}
	}
	return NULL;
}

void *map_get(const struct map *m, const char *key)
{
	struct slot *s = find(m, key);
	return s ? s->value : NULL;
}

void *map_put(struct map *m, const char *key, void *value)
{
	struct slot *s = find(m, key);
	if (s) {
		void *old = s->value;
		s->value = value;
		return old;
	}
	if (m->used == m->cap) {
		rebuild(m);
	}
	m->slots[m->used] = (struct slot){xstrdup(key), value, hash_key(m, key)};
	index_add(m, m->used);
	m->used++;
	m->count++;
	return NULL;
}

void *map_remove(struct map *m, const char *key)
{
	struct slot *s = find(m, key);
	if (!s) {
		return NULL;
	}
	void *value = s->value;
	free(s->key);
	*s = (struct slot){0};
	m->count--;
	return value;
}

size_t map_count(const struct map *m)
{
	return m->count;
}

void *map_next(const struct map *m, size_t *pos, const char **ret_key)
{
	while (*pos < m->used) {
		struct slot *s = &m->slots[(*pos)++];
		if (s->key) {
			if (ret_key) {
				*ret_key = s->key;
			}
			return s->value;
		}
	}
	return NULL;
}
