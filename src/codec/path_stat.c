#include "codec/path_stat.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"

#define GO_DEVICE (1u << 26)
#define GO_CHAR_DEVICE (1u << 21)

/* The kinds of stat(2) are a number, those of Go are bits; a character device has two. */
static const struct {
	mode_t kind;
	uint32_t go;
} kinds[] = {
	{S_IFDIR, 1u << 31},
	{S_IFLNK, 1u << 27},
	{S_IFIFO, 1u << 25},
	{S_IFSOCK, 1u << 24},
	{S_IFCHR, GO_DEVICE | GO_CHAR_DEVICE},
	{S_IFBLK, GO_DEVICE},
};

static const struct {
	mode_t flag;
	uint32_t go;
} flags[] = {{S_ISUID, 1u << 23}, {S_ISGID, 1u << 22}, {S_ISVTX, 1u << 20}};

#define N_KINDS (sizeof(kinds) / sizeof(*kinds))
#define N_FLAGS (sizeof(flags) / sizeof(*flags))

uint32_t go_mode_from_stat(mode_t mode)
{
	uint32_t go = mode & 0777;
	for (size_t i = 0; i < N_KINDS; i++) {
		go |= (mode & S_IFMT) == kinds[i].kind ? kinds[i].go : 0;
	}
	for (size_t i = 0; i < N_FLAGS; i++) {
		go |= mode & flags[i].flag ? flags[i].go : 0;
	}
	return go;
}

mode_t go_mode_to_stat(uint32_t go_mode)
{
	mode_t mode = S_IFREG;
	for (size_t i = 0; i < N_KINDS && mode == S_IFREG; i++) {
		mode = (go_mode & kinds[i].go) == kinds[i].go ? kinds[i].kind : mode;
	}
	for (size_t i = 0; i < N_FLAGS; i++) {
		mode |= go_mode & flags[i].go ? flags[i].flag : 0;
	}
	return mode | (go_mode & 0777);
}

void path_stat_deinit(struct path_stat *s)
{
	free(s->name);
	free(s->link_target);
	*s = (struct path_stat){0};
}

json_t *path_stat_json(const struct path_stat *s)
{
	char time[CLOCK_TEXT_MAX];
	json_t *doc = json_object();
	json_put_str(doc, "name", s->name);
	json_put(doc, "size", json_integer(s->size));
	json_put(doc, "mode", json_integer(go_mode_from_stat(s->mode)));
	json_put_str(doc, "mtime", clock_format(s->mtime_ns, time));
	json_put_str(doc, "linkTarget", s->link_target);
	return doc;
}

char *path_stat_header(const json_t *doc)
{
	scoped(free) char *text = json_text(doc);
	struct buf out = BUF_INIT;
	base64_encode(text, strlen(text), &out);
	return buf_take_str(&out);
}

static int read_members(const json_t *doc, struct path_stat *ret, struct err *e)
{
	const char *name;
	const char *link;
	const char *mtime;
	int64_t mode;
	if (json_get_str(doc, "name", &name, e) < 0 ||
		json_get_str(doc, "linkTarget", &link, e) < 0 ||
		json_get_str(doc, "mtime", &mtime, e) < 0 ||
		json_get_i64(doc, "mode", 0, &mode, e) < 0 ||
		json_get_i64(doc, "size", 0, &ret->size, e) < 0) {
		return -1;
	}
	if (mode < 0 || mode > UINT32_MAX) {
		return err_set(e, ERR_INVALID, "mode is out of range");
	}
	ret->mode = go_mode_to_stat((uint32_t)mode);
	if (mtime && clock_parse(mtime, &ret->mtime_ns) < 0) {
		return err_set(e, ERR_INVALID, "mtime is no time");
	}
	ret->name = xstrdup(name ? name : "");
	ret->link_target = xstrdup(link ? link : "");
	return 0;
}

int path_stat_parse(const char *header, struct path_stat *ret, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	size_t n = strlen(header);
	struct path_stat s = {0};
	if (n > PATH_STAT_TEXT_MAX || base64_decode(header, n, &text) < 0) {
		return err_set(e, ERR_INVALID, "invalid " PATH_STAT_HEADER ": it is not base64");
	}
	scoped(json) json_t *doc = json_parse(buf_str(&text), text.len, PATH_STAT_HEADER, e);
	if (!doc) {
		return -1;
	}
	if (!json_is_object(doc) || read_members(doc, &s, e) < 0) {
		path_stat_deinit(&s);
		return err_set(e, ERR_INVALID, "invalid " PATH_STAT_HEADER);
	}
	*ret = s;
	return 0;
}
