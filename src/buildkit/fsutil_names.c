#include "buildkit/fsutil_names.h"

#include <string.h>

#include "base/mem.h"

struct fsutil_name {
	uint32_t parent;
	bool wanted; /* may be asked for */
	size_t name; /* in text */
};

void fsutil_names_deinit(struct fsutil_names *s)
{
	free(s->v);
	free(s->text);
	*s = (struct fsutil_names){0};
}

static size_t add_text(struct fsutil_names *s, const char *name)
{
	size_t n = strlen(name) + 1, at = s->text_n;
	while (s->text_room - at < n) {
		s->text_room = s->text_room ? s->text_room * 2 : 16384;
		s->text = xrealloc(s->text, s->text_room, 1);
	}
	memcpy(s->text + at, name, n);
	s->text_n += n;
	return at;
}

uint32_t fsutil_names_add(
	struct fsutil_names *s, uint32_t parent, const char *name, bool has_content)
{
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 512;
		s->v = xrealloc(s->v, s->room, sizeof(*s->v));
	}
	s->v[s->n] = (struct fsutil_name){parent, has_content, add_text(s, name)};
	return s->n++;
}

static void put_path(const struct fsutil_names *s, uint32_t id, struct buf *ret)
{
	const struct fsutil_name *f = &s->v[id];
	if (f->parent != FSUTIL_TOP) {
		put_path(s, f->parent, ret); /* as deep as the walk */
	}
	const char *name = s->text + f->name;
	buf_puts(ret, ret->len && *name ? "/" : "");
	buf_puts(ret, name);
}

void fsutil_names_path(const struct fsutil_names *s, uint32_t id, struct buf *ret)
{
	buf_clear(ret);
	put_path(s, id, ret);
}

int fsutil_names_take(struct fsutil_names *s, uint32_t id, struct buf *ret)
{
	if (id >= s->n || !s->v[id].wanted) {
		return -1;
	}
	s->v[id].wanted = false;
	fsutil_names_path(s, id, ret);
	return 0;
}
