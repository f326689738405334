/* The flags of an instruction: "--from=build". */
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "build/dockerfile_parts.h"
#include "build/hint.h"

/* One --flag; quotes and escapes are taken off. Returns what follows it. */
static const char *read_flag(const char *p, char escape, struct buf *ret)
{
	char quote = 0;
	while (*p && (quote || !part_is_blank(*p))) {
		if (*p == escape && p[1]) {
			buf_putc(ret, *++p);
		} else if (quote ? *p == quote : (*p == '"' || *p == '\'')) {
			quote = quote ? 0 : *p;
		} else {
			buf_putc(ret, *p);
		}
		p++;
	}
	return p;
}

const char *part_flags(struct df_instruction *i, const char *p, char escape)
{
	while (text_starts(p, "--")) {
		struct buf flag = BUF_INIT;
		p = part_skip_blanks(read_flag(p, escape, &flag));
		scoped(free) char *text = buf_take_str(&flag);
		if (strcmp(text, "--") == 0) {
			break;
		}
		strv_add(&i->flags, text);
	}
	return p;
}

const char *df_flag(const struct df_instruction *i, const char *name)
{
	size_t n = strlen(name);
	for (size_t k = 0; k < i->flags.n; k++) {
		const char *flag = i->flags.v[k] + 2;
		if (strncmp(flag, name, n) == 0 && (flag[n] == '=' || !flag[n])) {
			return flag[n] ? flag + n + 1 : "";
		}
	}
	return NULL;
}

static bool flag_is(const char *flag, const char *name)
{
	size_t n = strcspn(flag + 2, "=");
	return strlen(name) == n && strncmp(flag + 2, name, n) == 0;
}

static int unknown_flag(const struct dockerfile *d, const struct df_instruction *i,
	const char *flag, const char *const *allowed, struct err *e)
{
	char room[HINT_TEXT_MAX];
	scoped(free) char *name = xstrndup(flag + 2, strcspn(flag + 2, "="));
	struct hint hint = hint_for(name);
	for (const char *const *a = allowed; *a; a++) {
		hint_offer(&hint, *a);
	}
	scoped(free) char *nearest = hint.nearest ? xasprintf("--%s", hint.nearest) : NULL;
	hint.nearest = nearest;
	return df_error(d, i->line, e, "unknown flag: --%.60s%s; %s %s", name,
		hint_text(&hint, room), df_keyword(i->kind),
		*allowed ? "has no such flag" : "takes no flags");
}

int df_check_flags(const struct dockerfile *d, const struct df_instruction *i,
	const char *const *allowed, struct err *e)
{
	for (size_t k = 0; k < i->flags.n; k++) {
		const char *flag = i->flags.v[k];
		const char *const *a = allowed;
		while (*a && !flag_is(flag, *a)) {
			a++;
		}
		if (!*a) {
			return unknown_flag(d, i, flag, allowed, e);
		}
		bool repeats = strcmp(*a, "mount") == 0 || strcmp(*a, "exclude") == 0;
		for (size_t before = 0; !repeats && before < k; before++) {
			if (flag_is(i->flags.v[before], *a)) {
				return df_error(d, i->line, e, "the flag --%s is given twice", *a);
			}
		}
	}
	return 0;
}

int df_flag_bool(const struct dockerfile *d, const struct df_instruction *i, const char *name,
	bool *ret, struct err *e)
{
	const char *value = df_flag(i, name);
	if (!value) {
		return 0;
	}
	if (*value && strcasecmp(value, "true") != 0 && strcasecmp(value, "false") != 0) {
		return df_error(d, i->line, e, "expecting boolean value for flag --%s, not: %.60s",
			name, value);
	}
	*ret = strcasecmp(value, "false") != 0;
	return 0;
}
