/* The display for pipes: a block of lines for each step; one that is interrupted by another goes on
 * later under the same number. */
#include <string.h>

#include "base/clock.h"
#include "wherry/build_display.h"

#define QUIET_NS (5 * NS_PER_SEC)   /* a step that says nothing makes place for others */
#define HIDDEN_NS (10 * NS_PER_SEC) /* nobody waits longer than that */
#define STATUS_NS (5 * NS_PER_SEC)  /* an amount is said again after this time, */
#define STATUS_SHARE 20             /* or when it grew by a 20th of the total */

/* "#3 WORD TEXT": a step's name, what went wrong and the like are a Dockerfile's words, and steer
 * no terminal. What a step prints is shown as it is, as by `docker build`. */
static void put_words(
	const struct trace_vertex *v, const char *word, const char *text, struct buf *ret)
{
	buf_printf(ret, "#%u %s", v->index, word);
	screen_text(text, ret);
}

static void leave_line(struct trace_vertex *v, struct buf *ret)
{
	if (v->mid_show) {
		buf_putc(ret, '\n');
		v->mid_show = false;
	}
}

/* Makes v the one whose block is open. */
static void enter(struct build_display *d, struct trace_vertex *v, int64_t now_ns, struct buf *ret)
{
	if (d->current == v) {
		return;
	}
	if (d->current) {
		leave_line(d->current, ret);
		buf_printf(ret, "#%u ...\n", d->current->index);
	}
	if (!d->any && d->o.title) {
		buf_printf(ret, "#0 %s\n", d->o.title);
	}
	buf_puts(ret, d->any || d->o.title ? "\n" : "");
	d->any = true;
	v->index = v->index ? v->index : ++d->next_index;
	buf_printf(ret, "#%u ", v->index);
	screen_clip(v->name, SIZE_MAX, ret);
	buf_putc(ret, '\n');
	d->current = v;
	d->opened_ns = now_ns;
}

static bool is_worth_saying(const struct trace_status *s)
{
	if (!s->shown || s->completed_ns) {
		return true;
	}
	bool grew = s->total > 0 && s->current - s->shown_current >= s->total / STATUS_SHARE;
	return grew || s->time_ns - s->shown_ns >= STATUS_NS;
}

static void put_status(struct trace_vertex *v, struct trace_status *s, struct buf *ret)
{
	scoped(buf) struct buf amount = BUF_INIT;
	trace_amount(s, &amount);
	put_words(v, "", s->id, ret);
	buf_printf(ret, "%s%s", amount.len ? " " : "", buf_str(&amount));
	int64_t end = s->completed_ns ? s->completed_ns : s->time_ns;
	if (s->started_ns && end - s->started_ns > NS_PER_SEC / 100) {
		buf_printf(ret, " %.1fs", (double)(end - s->started_ns) / (double)NS_PER_SEC);
	}
	buf_puts(ret, s->completed_ns ? " done\n" : "\n");
	s->shown = true;
	s->shown_current = s->current;
	s->shown_ns = s->time_ns;
}

static void put_output(struct trace_vertex *v, struct buf *ret)
{
	const char *p = buf_str(&v->pending);
	for (const char *end = p + v->pending.len; p < end;) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((newline ? newline + 1 : end) - p);
		if (!v->mid_show) {
			buf_printf(ret, "#%u ", v->index);
		}
		buf_append(ret, p, n);
		v->mid_show = !newline;
		p += n;
	}
	buf_clear(&v->pending);
}

static void put_end(struct build_display *d, struct trace_vertex *v, struct buf *ret)
{
	leave_line(v, ret);
	if (v->error && trace_is_cancelled(v)) {
		buf_printf(ret, "#%u CANCELED\n", v->index);
	} else if (v->error) {
		put_words(v, "ERROR: ", v->error, ret);
		buf_putc(ret, '\n');
	} else if (v->cached) {
		buf_printf(ret, "#%u CACHED\n", v->index);
	} else {
		buf_printf(ret, "#%u DONE %.1fs\n", v->index,
			(double)trace_duration_ns(v, 0) / (double)NS_PER_SEC);
	}
	d->current = NULL;
}

/* All that is new of a step. */
static void put_vertex(
	struct build_display *d, struct trace_vertex *v, int64_t now_ns, struct buf *ret)
{
	bool open = false;
	enter(d, v, now_ns, ret);
	for (size_t i = 0; i < v->n_statuses; i++) {
		struct trace_status *s = &v->statuses[i];
		open = open || (s->changed && !s->completed_ns);
		if (s->changed && is_worth_saying(s)) {
			leave_line(v, ret);
			put_status(v, s, ret);
		}
		s->changed = false;
	}
	for (; v->warnings_shown < v->n_warnings; v->warnings_shown++) {
		leave_line(v, ret);
		put_words(v, "WARN: ", v->warnings[v->warnings_shown].brief, ret);
		buf_putc(ret, '\n');
	}
	put_output(v, ret);
	v->changed = false;
	v->waiting_ns = 0;
	if (trace_is_done(v) && !open) {
		put_end(d, v, ret);
	}
}

static int64_t done_ns(const struct trace_vertex *v)
{
	return v->spans[v->n_spans - 1].to_ns;
}

/* The changed step that is done and was so first; NULL. */
static struct trace_vertex *next_done(const struct build_display *d)
{
	struct trace_vertex *best = NULL;
	for (size_t i = 0; i < d->trace.n_started; i++) {
		struct trace_vertex *v = d->trace.started[i];
		if (v->changed && trace_is_done(v) && (!best || done_ns(v) < done_ns(best))) {
			best = v;
		}
	}
	return best;
}

/* The running step, other than the open one, that has waited longest to say something; NULL. */
static struct trace_vertex *next_waiting(const struct build_display *d)
{
	struct trace_vertex *best = NULL;
	for (size_t i = 0; i < d->trace.n_started; i++) {
		struct trace_vertex *v = d->trace.started[i];
		bool waits = v != d->current && v->changed && !trace_is_done(v);
		if (waits && (!best || v->waiting_ns < best->waiting_ns)) {
			best = v;
		}
	}
	return best;
}

void build_plain_refresh(struct build_display *d, int64_t now_ns, struct buf *ret)
{
	if (d->current && d->current->changed) {
		put_vertex(d, d->current, now_ns, ret);
	}
	for (struct trace_vertex *v; (v = next_done(d));) {
		put_vertex(d, v, now_ns, ret);
	}
	struct trace_vertex *v = next_waiting(d);
	bool is_its_turn = v && (!d->current || now_ns - v->waiting_ns > HIDDEN_NS ||
					v->pending.len > TRACE_PENDING_MAX / 2 ||
					(v->pending.len > 0 && now_ns - d->opened_ns > QUIET_NS));
	if (is_its_turn) {
		put_vertex(d, v, now_ns, ret);
	}
}
