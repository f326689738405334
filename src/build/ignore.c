#include "build/ignore.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"

struct pattern {
	char *text; /* clean, no leading slash */
	bool keep;  /* "!" */
	int line;
};

struct ignore {
	char *name;
	struct pattern *v;
	size_t n;
	bool any_keep;
};

void ignore_free(struct ignore *g)
{
	if (!g) {
		return;
	}
	for (size_t i = 0; i < g->n; i++) {
		free(g->v[i].text);
	}
	free(g->v);
	free(g->name);
	free(g);
}
SCOPED(struct ignore *, ignore_free)

/* "[a-c]" at p against c. Returns what follows the bracket, or NULL when it is broken. */
static const char *match_class(const char *p, char c, bool *ret_match)
{
	bool negate = *++p == '^';
	p += negate;
	bool match = false;
	for (bool first = true; *p != ']' || first; first = false) {
		p += *p == '\\' && p[1];
		char low = *p;
		char high = low;
		if (!low) {
			return NULL;
		}
		p++;
		if (*p == '-' && p[1] && p[1] != ']') {
			p++;
			p += *p == '\\' && p[1];
			high = *p++;
		}
		match = match || (low <= c && c <= high);
		if (!*p) {
			return NULL;
		}
	}
	*ret_match = match != negate;
	return p + 1;
}

bool ignore_pattern_valid(const char *pattern)
{
	for (const char *p = pattern; *p;) {
		bool match;
		if (*p == '\\' && !p[1]) {
			return false;
		}
		if (*p == '[') {
			p = match_class(p, 'x', &match);
			if (!p) {
				return false;
			}
			continue;
		}
		p += *p == '\\' ? 2 : 1;
	}
	return true;
}

/* One element of a pattern (not a star) against one character: where to go on, or NULL. */
static const char *match_one(const char *p, char c)
{
	bool match;
	if (!c || !*p) {
		return NULL;
	}
	if (*p == '?') {
		return c != '/' ? p + 1 : NULL;
	}
	if (*p == '[') {
		const char *next = match_class(p, c, &match);
		return next && match && c != '/' ? next : NULL;
	}
	p += *p == '\\' && p[1];
	return *p == c ? p + 1 : NULL;
}

/* Behind the stars of "**": a slash after them may stand for no directory at all. */
static const char *after_double_star(const char *p)
{
	while (*p == '*') {
		p++;
	}
	return p;
}

/* Backtracks to the last star of each sort, so the time is at most pattern times path squared. */
bool ignore_pattern_match(const char *pattern, const char *path)
{
	const char *p = pattern, *s = path;
	const char *star = NULL, *star_s = NULL; /* "*": within a component */
	const char *deep = NULL, *deep_s = NULL; /* "**": anything */
	bool deep_slash = false; /* it was double-star slash: resume at component starts */
	for (;;) {
		if (p[0] == '*' && p[1] == '*') {
			p = after_double_star(p);
			if (!*p) {
				return true;
			}
			deep_slash = *p == '/';
			p += deep_slash;
			deep = p;
			deep_s = s;
			star = NULL;
			continue;
		}
		if (*p == '*') {
			star = ++p;
			star_s = s;
			continue;
		}
		if (!*p && !*s) {
			return true;
		}
		const char *next = match_one(p, *s);
		if (next) {
			p = next;
			s++;
		} else if (star && *star_s && *star_s != '/') {
			s = ++star_s;
			p = star;
		} else if (deep && *deep_s) {
			deep_s++;
			while (deep_slash && *deep_s && deep_s[-1] != '/') {
				deep_s++;
			}
			if (deep_slash && !*deep_s) {
				return false;
			}
			s = deep_s;
			p = deep;
			star = NULL;
		} else {
			return false;
		}
	}
}

/* The pattern itself, or one of the path's parents. */
static bool matches_or_parent(const char *pattern, const char *path)
{
	if (ignore_pattern_match(pattern, path)) {
		return true;
	}
	scoped(free) char *copy = xstrdup(path);
	char *slash;
	while ((slash = strrchr(copy, '/'))) {
		*slash = '\0';
		if (ignore_pattern_match(pattern, copy)) {
			return true;
		}
	}
	return false;
}

/* The pattern that hides path, or NULL. */
static const struct pattern *last_match(const struct ignore *g, const char *path)
{
	const struct pattern *hidden = NULL;
	for (size_t i = 0; g && i < g->n; i++) {
		if (g->v[i].keep == (hidden != NULL) && matches_or_parent(g->v[i].text, path)) {
			hidden = g->v[i].keep ? NULL : &g->v[i];
		}
	}
	return hidden;
}

int ignore_line(const struct ignore *g, const char *path)
{
	const struct pattern *p = last_match(g, path);
	return p ? p->line : 0;
}

void ignore_patterns(const struct ignore *g, struct strv *ret)
{
	for (size_t i = 0; g && i < g->n; i++) {
		strv_addf(ret, "%s%s", g->v[i].keep ? "!" : "", g->v[i].text);
	}
}

bool ignore_match(const struct ignore *g, const char *path)
{
	return last_match(g, path) != NULL;
}

const char *ignore_name(const struct ignore *g)
{
	return g->name;
}

bool ignore_keeps_some(const struct ignore *g)
{
	return g && g->any_keep;
}

bool ignore_hides_all(const struct ignore *g)
{
	for (size_t i = 0; g && i < g->n; i++) {
		const char *p = g->v[i].text;
		if (!g->v[i].keep &&
			(strcmp(p, "*") == 0 || strcmp(p, "**") == 0 || strcmp(p, "**/*") == 0)) {
			return true;
		}
	}
	return false;
}

/* Whether the first components of the pattern could be dir. */
static bool may_be_below(const char *pattern, const char *dir)
{
	scoped(strv) struct strv want = STRV_INIT;
	scoped(strv) struct strv have = STRV_INIT;
	strv_split(&want, pattern, '/');
	strv_split(&have, dir, '/');
	for (size_t i = 0; i < have.n && i < want.n; i++) {
		if (strstr(want.v[i], "**")) {
			return true;
		}
		if (!ignore_pattern_match(want.v[i], have.v[i])) {
			return false;
		}
	}
	return true;
}

bool ignore_may_hold_kept(const struct ignore *g, const char *dir)
{
	if (!g || !g->any_keep) {
		return false;
	}
	for (size_t i = 0; i < g->n; i++) {
		if (g->v[i].keep && may_be_below(g->v[i].text, dir)) {
			return true;
		}
	}
	return false;
}

/* A line without blanks around it, "!" noted, cleaned as Go's filepath.Clean does. NULL: nothing
 * stands there. */
static char *clean_line(const char *begin, const char *end, bool *ret_keep)
{
	while (begin < end && isspace((unsigned char)*begin)) {
		begin++;
	}
	while (end > begin && isspace((unsigned char)end[-1])) {
		end--;
	}
	*ret_keep = begin < end && *begin == '!';
	begin += *ret_keep;
	while (begin < end && isspace((unsigned char)*begin)) {
		begin++;
	}
	if (begin == end) {
		return NULL;
	}
	scoped(free) char *raw = xstrndup(begin, (size_t)(end - begin));
	scoped(free) char *clean = path_clean(raw);
	const char *p = clean;
	while (*p == '/') {
		p++;
	}
	return *p && strcmp(p, ".") != 0 ? xstrdup(p) : NULL;
}

/* line: 0 for none. */
static int add_pattern(
	struct ignore *g, const char *begin, const char *end, int line, struct err *e)
{
	bool keep;
	char place[16] = "";
	char *text = clean_line(begin, end, &keep);
	if (!text) {
		return 0;
	}
	if (line) {
		snprintf(place, sizeof(place), ":%d", line);
	}
	if (!ignore_pattern_valid(text) || g->n >= IGNORE_PATTERNS_MAX) {
		(void)(g->n >= IGNORE_PATTERNS_MAX
				? err_set(e, ERR_INVALID, "%.80s%s: more than %d patterns", g->name,
					  place, IGNORE_PATTERNS_MAX)
				: err_set(e, ERR_INVALID,
					  "%.80s%s: '%.100s' is not a valid pattern", g->name,
					  place, text));
		free(text);
		return -1;
	}
	g->v = xrealloc(g->v, g->n + 1, sizeof(*g->v));
	g->v[g->n++] = (struct pattern){text, keep, line};
	g->any_keep = g->any_keep || keep;
	return 0;
}

struct ignore *ignore_parse(const char *text, size_t n, const char *name, struct err *e)
{
	scoped(ignore_free) struct ignore *g = xnew(struct ignore);
	g->name = xstrdup(name);
	const char *end = text + n;
	if (n > IGNORE_TEXT_MAX || memchr(text, '\0', n)) {
		(void)err_set(e, ERR_INVALID, "%.80s:1: not a text of at most %u KiB", name,
			IGNORE_TEXT_MAX >> 10);
		return NULL;
	}
	const char *p = n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? text + 3 : text;
	for (int line = 1; p < end; line++) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		const char *stop = newline ? newline : end;
		bool comment = p < stop && *p == '#';
		if (!comment && add_pattern(g, p, stop, line, e) < 0) {
			return NULL;
		}
		p = newline ? newline + 1 : end;
	}
	return TAKE(g);
}

struct ignore *ignore_from_list(const struct strv *patterns, struct err *e)
{
	scoped(ignore_free) struct ignore *g = xnew(struct ignore);
	g->name = xstrdup("--exclude");
	for (size_t k = 0; k < patterns->n; k++) {
		const char *text = patterns->v[k];
		if (strcmp(text, "!") == 0) {
			(void)err_set(e, ERR_INVALID, "illegal exclusion pattern: \"!\"");
			return NULL;
		}
		if (add_pattern(g, text, text + strlen(text), 0, e) < 0) {
			return NULL;
		}
	}
	return TAKE(g);
}
