#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"

static enum log_level max_level = LOG_INFO;

void log_set_level(enum log_level level)
{
	max_level = level;
}

const char *log_number(char text[static 24], long long n)
{
	snprintf(text, 24, "%lld", n);
	return text;
}

static void add_value(struct buf *line, const char *value)
{
	if (*value && !strpbrk(value, " \"\\\n\r\t=")) {
		buf_puts(line, value);
		return;
	}
	buf_putc(line, '"');
	for (const char *p = value; *p; p++) {
		if (*p == '\n') {
			buf_puts(line, "\\n");
		} else if ((unsigned char)*p < 0x20) {
			buf_putc(line, ' ');
		} else {
			if (*p == '"' || *p == '\\') {
				buf_putc(line, '\\');
			}
			buf_putc(line, *p);
		}
	}
	buf_putc(line, '"');
}

void log_event(enum log_level level, const char *module, const char *event, ...)
{
	if (level > max_level) {
		return;
	}
	static const char *const names[] = {"error", "warning", "info", "debug"};
	char now[CLOCK_TEXT_MAX];
	scoped(buf) struct buf line = BUF_INIT;
	buf_printf(&line, "%s %s %s %s", clock_format_ms(clock_real_ns(), now), names[level],
		module, event);

	va_list args;
	va_start(args, event);
	const char *key;
	while ((key = va_arg(args, const char *))) {
		const char *value = va_arg(args, const char *);
		if (value) {
			buf_printf(&line, " %s=", key);
			add_value(&line, value);
		}
	}
	va_end(args);
	buf_putc(&line, '\n');
	fwrite(line.data, 1, line.len, stderr);
	fflush(stderr);
}
