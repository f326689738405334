#include "base/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Cuts a sentence that vsnprintf truncated so that no half UTF-8 character is left at its end. */
static void trim_utf8(char *text, size_t size)
{
	size_t n = strlen(text);
	if (n + 1 < size) {
		return;
	}
	while (n > 0 && ((unsigned char)text[n - 1] & 0xc0u) == 0x80u) {
		n--;
	}
	if (n > 0 && ((unsigned char)text[n - 1] & 0x80u)) {
		n--;
	}
	text[n] = '\0';
}

/* How many bytes the UTF-8 character at p has; 0: none begins there (RFC 3629). */
static size_t character(const unsigned char *p)
{
	size_t n = *p < 0x80   ? 1
		   : *p < 0xc2 ? 0
		   : *p < 0xe0 ? 2
		   : *p < 0xf0 ? 3
		   : *p < 0xf5 ? 4
			       : 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0u) != 0x80u) {
			return 0;
		}
	}
	bool wrong = (*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
		     (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f);
	return wrong ? 0 : n;
}

/* What "%.60s" has cut in two, or a name that is not UTF-8: JSON could not hold the sentence. */
static void repair_utf8(char *text)
{
	for (char *p = text; *p;) {
		size_t n = character((const unsigned char *)p);
		if (n == 0) {
			*p = '?';
		}
		p += n > 0 ? n : 1;
	}
}

static PRINTF(2, 0) void format(struct err *e, const char *fmt, va_list args)
{
	vsnprintf(e->msg, sizeof(e->msg), fmt, args);
	trim_utf8(e->msg, sizeof(e->msg));
	repair_utf8(e->msg);
}

void err_set_(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	e->kind = kind;
	e->sys = 0;
	va_list args;
	va_start(args, fmt);
	format(e, fmt, args);
	va_end(args);
}

void err_sys_(struct err *e, int errnum, const char *fmt, ...)
{
	e->kind = ERR_SYSTEM;
	e->sys = errnum;
	va_list args;
	va_start(args, fmt);
	format(e, fmt, args);
	va_end(args);

	size_t n = strlen(e->msg);
	snprintf(e->msg + n, sizeof(e->msg) - n, ": %s", strerror(errnum));
}

void err_wrap_(struct err *e, const char *fmt, ...)
{
	char cause[sizeof(e->msg)];
	memcpy(cause, e->msg, sizeof(cause));

	va_list args;
	va_start(args, fmt);
	format(e, fmt, args);
	va_end(args);

	size_t n = strlen(e->msg);
	snprintf(e->msg + n, sizeof(e->msg) - n, ": %s", cause);
	trim_utf8(e->msg, sizeof(e->msg));
}
