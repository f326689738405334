#include "tree/inodes.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"

/* The place of ino, or the free one for it; room is a power of two and never full. */
static size_t place_of(const struct inodes *s, ino_t ino)
{
	size_t at = (size_t)((uint64_t)ino * UINT64_C(0x9e3779b97f4a7c15) >> 20);
	for (at &= s->room - 1; s->v[at] && s->v[at] != ino; at = (at + 1) & (s->room - 1)) {
	}
	return at;
}

static void grow(struct inodes *s)
{
	struct inodes old = *s;
	s->room = old.room ? old.room * 2 : 256;
	s->v = xnew_array(ino_t, s->room);
	for (size_t i = 0; i < old.room; i++) {
		if (old.v[i]) {
			s->v[place_of(s, old.v[i])] = old.v[i];
		}
	}
	free(old.v);
}

void inodes_add(struct inodes *s, ino_t ino)
{
	if (s->n + 1 > s->room / 4 * 3) {
		grow(s);
	}
	size_t at = place_of(s, ino);
	s->n += s->v[at] == 0;
	s->v[at] = ino;
}

bool inodes_has(const struct inodes *s, ino_t ino)
{
	return s->room > 0 && s->v[place_of(s, ino)] == ino;
}

void inodes_deinit(struct inodes *s)
{
	free(s->v);
	*s = (struct inodes){0};
}
