#include "nginx_text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

struct reader {
	const char *p;
	int depth;
	struct nginx_text *to;
	struct strv args; /* of the directive that is being read */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool read_quoted(struct reader *r)
{
	scoped(buf) struct buf b = BUF_INIT;
	char quote = *r->p++;
	for (; *r->p && *r->p != quote; r->p++) {
		if (*r->p == '\\' && r->p[1]) {
			static const char from[] = "\"'\\trn";
			static const char to[] = "\"'\\\t\r\n";
			const char *at = strchr(from, r->p[1]);
			if (at) {
				buf_putc(&b, to[at - from]);
			} else {
				buf_append(&b, r->p, 2);
			}
			r->p++;
			continue;
		}
		buf_putc(&b, *r->p);
	}
	strv_add(&r->args, buf_str(&b));
	/* what follows a closing quote is a blank, ';', '{' or ')' */
	return *r->p++ == quote && (is_blank(*r->p) || strchr(";{)", *r->p));
}

static bool read_plain(struct reader *r)
{
	scoped(buf) struct buf b = BUF_INIT;
	for (; *r->p && !is_blank(*r->p) && *r->p != ';' && *r->p != '{'; r->p++) {
		if (*r->p == '$' && r->p[1] == '{') { /* a variable's name */
			buf_append(&b, r->p++, 1);
		} else if (*r->p == '\\' && r->p[1]) {
			if (!strchr("\"'\\", r->p[1])) {
				buf_putc(&b, '\\');
			}
			r->p++;
		}
		buf_putc(&b, *r->p);
	}
	strv_add(&r->args, buf_str(&b));
	return *r->p != '\0';
}

static void end_directive(struct reader *r, bool block)
{
	struct nginx_text *t = r->to;
	t->v = xrealloc(t->v, t->n + 1, sizeof(*t->v));
	t->v[t->n++] = (struct directive){r->args, r->depth, block};
	r->args = (struct strv)STRV_INIT;
	r->depth += block;
}

static bool read_token(struct reader *r)
{
	switch (*r->p) {
	case ' ':
	case '\t':
	case '\r':
	case '\n':
		r->p++;
		return true;
	case '#':
		r->p += strcspn(r->p, "\n");
		return true;
	case ';':
	case '{':
		if (r->args.n == 0) {
			return false;
		}
		end_directive(r, *r->p++ == '{');
		return true;
	case '}':
		r->p++;
		return r->args.n == 0 && --r->depth >= 0;
	case '"':
	case '\'':
		return read_quoted(r);
	default:
		return read_plain(r);
	}
}

bool nginx_text_read(const char *text, struct nginx_text *ret)
{
	struct reader r = {.p = text, .to = ret};
	*ret = (struct nginx_text){0};
	bool fine = true;
	while (*r.p && fine) {
		fine = read_token(&r);
	}
	fine = fine && r.depth == 0 && r.args.n == 0;
	strv_deinit(&r.args);
	return fine;
}

void nginx_text_deinit(struct nginx_text *t)
{
	for (size_t i = 0; i < t->n; i++) {
		strv_deinit(&t->v[i].args);
	}
	free(t->v);
}

char *nginx_text_shape(const struct nginx_text *t)
{
	struct buf b = BUF_INIT;
	for (size_t i = 0; i < t->n; i++) {
		const struct directive *d = &t->v[i];
		buf_printf(&b, "%d %s %zu%s\n", d->depth, d->args.v[0], d->args.n,
			d->block ? " {" : "");
	}
	return buf_take_str(&b);
}

size_t nginx_text_count(const struct nginx_text *t, const char *name)
{
	size_t n = 0;
	for (size_t i = 0; i < t->n; i++) {
		n += strcmp(t->v[i].args.v[0], name) == 0;
	}
	return n;
}

bool nginx_text_has(const struct nginx_text *t, const char *name, ...)
{
	scoped(strv) struct strv wanted = STRV_INIT;
	va_list args;
	va_start(args, name);
	for (const char *a = name; a; a = va_arg(args, const char *)) {
		strv_add(&wanted, a);
	}
	va_end(args);
	for (size_t i = 0; i < t->n; i++) {
		const struct strv *have = &t->v[i].args;
		size_t k = 0;
		while (k < wanted.n && k < have->n && strcmp(have->v[k], wanted.v[k]) == 0) {
			k++;
		}
		if (k == wanted.n && k == have->n) {
			return true;
		}
	}
	return false;
}

char *nginx_text_dollars(const char *value)
{
	struct buf b = BUF_INIT;
	for (const char *p = value; *p; p++) {
		buf_puts(&b, *p == '$' ? "${wherry_dollar}" : (const char[]){*p, '\0'});
	}
	return buf_take_str(&b);
}
