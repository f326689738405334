#include "wherry/build_display.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "build/excerpt.h"

#define TTY_LAST_LINES 200

struct build_display *build_display_new(const struct build_display_options *o)
{
	struct build_display *d = xnew(struct build_display);
	d->o = *o;
	d->columns = 80;
	d->rows = 24;
	trace_init(&d->trace);
	if (o->mode == DISPLAY_TTY) { /* the output of a step is on the screen only while it runs */
		d->trace.screens = true;
		d->trace.last_lines = TTY_LAST_LINES;
	}
	return d;
}

void build_display_free(struct build_display *d)
{
	if (d) {
		trace_deinit(&d->trace);
		free(d);
	}
}

void build_display_size(struct build_display *d, size_t columns, size_t rows)
{
	d->columns = columns;
	d->rows = rows;
}

void build_display_update(struct build_display *d, const char *source, const struct build_update *u,
	int64_t now_ns, struct buf *ret)
{
	if (d->o.mode == DISPLAY_RAWJSON) {
		build_rawjson(u, ret);
	}
	trace_update(&d->trace, source, u, now_ns);
}

void build_display_refresh(struct build_display *d, int64_t now_ns, struct buf *ret)
{
	if (d->o.mode == DISPLAY_PLAIN) {
		build_plain_refresh(d, now_ns, ret);
	} else if (d->o.mode == DISPLAY_TTY) {
		build_tty_refresh(d, false, now_ns, ret);
	}
}

static void add_failed(const struct build_display *d, struct buf *ret)
{
	for (size_t i = 0; i < d->trace.n_started; i++) {
		const struct trace_vertex *v = d->trace.started[i];
		if (!v->error || trace_is_cancelled(v)) {
			continue;
		}
		buf_puts(ret, "------\n > ");
		screen_clip(v->name, SIZE_MAX, ret);
		buf_puts(ret, ":\n");
		buf_append(ret, buf_str(&v->last), v->last.len);
		buf_puts(ret, v->mid_line ? "\n------\n" : "------\n");
	}
}

void build_display_end(struct build_display *d, int64_t now_ns, struct buf *ret)
{
	if (d->o.mode == DISPLAY_PLAIN) {
		build_plain_refresh(d, now_ns, ret);
	} else if (d->o.mode == DISPLAY_TTY) {
		build_tty_refresh(d, true, now_ns, ret);
	}
	if (d->o.mode == DISPLAY_PLAIN || d->o.mode == DISPLAY_TTY) {
		add_failed(d, ret);
	}
}

/* --- warnings --- */

static size_t count_warnings(const struct build_display *d)
{
	size_t n = 0;
	for (size_t i = 0; i < d->trace.n_started; i++) {
		n += d->trace.started[i]->n_warnings;
	}
	return n;
}

static void add_warning(const struct trace_warning *w, struct buf *ret)
{
	buf_printf(ret, " - %s", w->brief);
	if (w->line > 0 && !strstr(w->brief, "(line ")) {
		buf_printf(ret, " (line %d)", w->line);
	}
	buf_putc(ret, '\n');
	for (const char *p = w->detail; *p;) {
		size_t n = strcspn(p, "\n");
		buf_printf(ret, "   %.*s\n", (int)n, p);
		p += n + (p[n] == '\n');
	}
	if (*w->url) {
		buf_printf(ret, "   More info: %s\n", w->url);
	}
	if (w->source && w->line > 0) {
		const struct excerpt x = {.file = *w->file ? w->file : "Dockerfile",
			.text = w->source,
			.line = w->line,
			.end_line = w->last_line};
		excerpt_print(&x, ret);
	}
}

void build_display_warnings(const struct build_display *d, struct buf *ret)
{
	size_t n = count_warnings(d);
	if (n == 0) {
		return;
	}
	scoped(buf) struct buf text = BUF_INIT;
	buf_printf(&text, "\n %zu warning%s found:\n", n, n == 1 ? "" : "s");
	for (size_t i = 0; i < d->trace.n_started; i++) {
		const struct trace_vertex *v = d->trace.started[i];
		for (size_t k = 0; k < v->n_warnings; k++) {
			add_warning(&v->warnings[k], &text);
		}
	}
	screen_text(buf_str(&text), ret);
}
