#include "ingress/conf_text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ingress/route_text.h"

#define OURS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:[]*@=~^$,"

static void fail(struct conf *c, const char *what, const char *text)
{
	if (!c->failed) {
		c->failed = true;
		(void)err_set(c->e, ERR_SYSTEM, "nginx's configuration cannot have %s: '%.100s'",
			what, text);
	}
}

void conf_name(struct conf *c, const char *name)
{
	for (int i = 0; i < c->depth; i++) {
		buf_putc(&c->text, '\t');
	}
	buf_puts(&c->text, name);
}

void conf_raw(struct conf *c, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	scoped(free) char *text = xvasprintf(fmt, args);
	va_end(args);
	if (!*text || strspn(text, OURS) != strlen(text)) {
		fail(c, "this as a word", text);
		return;
	}
	buf_printf(&c->text, " %s", text);
}

static void put_quoted(struct conf *c, const char *text, bool variables)
{
	if (!route_text_is_plain(text)) {
		fail(c, "control characters", text);
		return;
	}
	for (const char *p = text; *p; p++) {
		if (*p == '$' && variables) {
			buf_puts(&c->text, "${wherry_dollar}");
			continue;
		}
		if (*p == '"' || *p == '\\') {
			buf_putc(&c->text, '\\');
		}
		buf_putc(&c->text, *p);
	}
}

void conf_plain(struct conf *c, const char *text)
{
	buf_puts(&c->text, " \"");
	put_quoted(c, text, false);
	buf_putc(&c->text, '"');
}

void conf_value(struct conf *c, const char *text)
{
	buf_puts(&c->text, " \"");
	put_quoted(c, text, true);
	buf_putc(&c->text, '"');
}

void conf_mixed(struct conf *c, const char *ours, const char *theirs, ...)
{
	va_list args;
	va_start(args, theirs);
	buf_puts(&c->text, " \"");
	buf_puts(&c->text, ours);
	while (theirs) {
		put_quoted(c, theirs, true);
		ours = va_arg(args, const char *);
		if (!ours) {
			break;
		}
		buf_puts(&c->text, ours);
		theirs = va_arg(args, const char *);
	}
	buf_putc(&c->text, '"');
	va_end(args);
}

void conf_path(struct conf *c, const char *a, const char *b)
{
	scoped(free) char *path = xasprintf("%s%s", a, b);
	if (*path != '/' || strchr(path, '$')) {
		fail(c, "this as a path", path);
		return;
	}
	conf_plain(c, path);
}

void conf_end(struct conf *c)
{
	buf_puts(&c->text, ";\n");
}

void conf_open(struct conf *c)
{
	buf_puts(&c->text, " {\n");
	c->depth++;
}

void conf_close(struct conf *c)
{
	c->depth--;
	conf_name(c, "}\n");
}

void conf_line(struct conf *c, const char *literal)
{
	conf_name(c, literal);
	conf_end(c);
}

void conf_block(struct conf *c, const char *literal)
{
	conf_name(c, literal);
	conf_open(c);
}
