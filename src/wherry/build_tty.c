/* The display on a terminal: a header and a line per step, drawn over the previous ones. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "wherry/build_display.h"

#define NARROW 12      /* columns that a name needs */
#define TAIL_INDENT 10 /* columns less than the screen for them */

enum look { LOOK_RUNNING, LOOK_DONE, LOOK_ERROR, LOOK_WARNING };

/* A line below the header. */
struct row {
	char *name, *amount;
	int64_t took_ns;
	enum look look;
	bool going;
	struct trace_vertex *tail; /* whose output stands below it, or NULL */
};

struct rows {
	struct row *v;
	size_t n;
};

static void rows_deinit(struct rows *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->v[i].name);
		free(r->v[i].amount);
	}
	free(r->v);
}

static void add_row(struct rows *r, struct row row)
{
	r->v = xrealloc(r->v, r->n + 1, sizeof(*r->v));
	r->v[r->n++] = row;
}

static void add_step(struct rows *r, struct trace_vertex *v, int64_t engine_ns)
{
	bool cancelled = v->error && trace_is_cancelled(v);
	bool done = trace_is_done(v);
	const char *mark = cancelled   ? "CANCELED "
			   : v->error  ? "ERROR "
			   : v->cached ? "CACHED "
				       : "";
	add_row(r, (struct row){
			   .name = xasprintf("%s%s", mark, v->name),
			   .took_ns = trace_duration_ns(v, engine_ns),
			   .look = !done       ? LOOK_RUNNING
				   : cancelled ? LOOK_WARNING
				   : v->error  ? LOOK_ERROR
					       : LOOK_DONE,
			   .going = !done,
			   .tail = !done && v->screen ? v : NULL,
		   });
	for (size_t i = 0; i < v->n_statuses; i++) {
		const struct trace_status *s = &v->statuses[i];
		struct buf amount = BUF_INIT;
		trace_amount(s, &amount);
		int64_t end = s->completed_ns ? s->completed_ns : engine_ns;
		add_row(r, (struct row){
				   .name = xasprintf("=> %s", s->id),
				   .amount = buf_take_str(&amount),
				   .took_ns = s->started_ns && end > s->started_ns
						      ? end - s->started_ns
						      : 0,
				   .look = s->completed_ns || done ? LOOK_DONE : LOOK_RUNNING,
				   .going = !s->completed_ns && !done,
			   });
	}
	for (size_t i = 0; i < v->n_warnings; i++) {
		add_row(r, (struct row){
				   .name = xasprintf("WARN: %s", v->warnings[i].brief),
				   .took_ns = trace_duration_ns(v, engine_ns),
				   .look = LOOK_WARNING,
			   });
	}
}

/* Gives the output below running steps as many lines as are free, the busiest first. Returns how
 * many lines that takes. */
static size_t place_tails(struct rows *r, size_t free_lines)
{
	size_t used = 0;
	for (;;) {
		struct row *best = NULL;
		for (size_t i = 0; i < r->n; i++) {
			struct row *row = &r->v[i];
			bool better = row->tail && row->going &&
				      (!best || row->tail->output_bytes > best->tail->output_bytes);
			best = better ? row : best;
		}
		size_t lines = best ? build_screen_used(best->tail->screen) : 0;
		if (!best || used + lines > free_lines) {
			break;
		}
		used += lines;
		best->going = false; /* placed */
	}
	for (size_t i = 0; i < r->n; i++) {
		r->v[i].tail = r->v[i].going ? NULL : r->v[i].tail;
	}
	return used;
}

/* Which rows are shown: the newest, but what still runs before what is done. */
static void choose(const struct rows *r, size_t room, bool *ret_shown)
{
	size_t left = room;
	for (size_t pass = 0; pass < 2; pass++) {
		for (size_t i = r->n; i-- > 0 && left > 0;) {
			bool wanted = pass == 0 ? r->v[i].look == LOOK_RUNNING : !ret_shown[i];
			if (wanted && !ret_shown[i]) {
				ret_shown[i] = true;
				left--;
			}
		}
	}
}

static void put_colored(
	const struct build_display *d, enum look look, const char *line, struct buf *ret)
{
	static const char *const colors[] = {[LOOK_DONE] = "34",
		[LOOK_ERROR] = "31",
		[LOOK_WARNING] = "33",
		[LOOK_RUNNING] = NULL};
	if (d->o.color && colors[look]) {
		buf_printf(ret, "\033[%sm%s\033[0m", colors[look], line);
	} else {
		buf_puts(ret, line);
	}
}

/* Text at the left, text at the right, all columns between them blank. */
static void put_aligned(const struct build_display *d, enum look look, const char *left,
	const char *right, struct buf *ret)
{
	scoped(buf) struct buf line = BUF_INIT;
	size_t right_n = strlen(right);
	size_t room = d->columns > right_n + 1 ? d->columns - right_n - 1 : 0;
	size_t used = screen_clip(left, room, &line);
	buf_printf(&line, "%*s%s", (int)(room - used + 1), "", right);
	put_colored(d, look, buf_str(&line), ret);
	buf_putc(ret, '\n');
}

static void put_row(const struct build_display *d, const struct row *row, struct buf *ret)
{
	char time[32];
	double took = (double)row->took_ns / (double)NS_PER_SEC;
	snprintf(time, sizeof(time), "%.1fs", took < 0.05 ? 0 : took);
	size_t room = d->columns > strlen(time) + 6 ? d->columns - strlen(time) - 6 : 0;
	const char *amount = row->amount ? row->amount : "";
	bool with_amount = *amount && room > strlen(amount) + 20;
	room -= with_amount ? strlen(amount) + 1 : 0;
	scoped(buf) struct buf left = BUF_INIT;
	buf_puts(&left, " => ");
	screen_clip(row->name, room, &left);
	buf_printf(&left, "%s%s", with_amount ? " " : "", with_amount ? amount : "");
	put_aligned(d, row->look, buf_str(&left), time, ret);
}

static size_t put_tail(const struct build_display *d, const struct trace_vertex *v, struct buf *ret)
{
	size_t n = build_screen_used(v->screen);
	for (size_t i = 0; i < n; i++) {
		buf_puts(ret, d->o.color ? "\033[2m => => # " : " => => # ");
		build_screen_line(v->screen, i, d->columns - TAIL_INDENT, ret);
		buf_puts(ret, d->o.color ? "\033[0m\033[K\n" : "\033[K\n");
	}
	return n;
}

static void put_header(struct build_display *d, bool last, int64_t now_ns, struct buf *ret)
{
	size_t total = map_count(d->trace.by_key);
	size_t done = 0;
	for (size_t i = 0; i < d->trace.n_started; i++) {
		done += trace_is_done(d->trace.started[i]);
	}
	int64_t since = d->trace.started_ns ? d->trace.started_ns + d->trace.ahead_ns : now_ns;
	scoped(free) char *left = xasprintf("[+] Building %.1fs (%zu/%zu) %s",
		(double)(now_ns - since) / (double)NS_PER_SEC, done, total,
		last && done > 0 && done == total ? "FINISHED" : "");
	put_aligned(d, LOOK_RUNNING, left, d->o.corner ? d->o.corner : "", ret);
}

void build_tty_refresh(struct build_display *d, bool last, int64_t now_ns, struct buf *ret)
{
	struct rows rows = {0};
	int64_t engine_ns = now_ns - d->trace.ahead_ns;
	for (size_t i = 0; i < d->trace.n_started; i++) {
		add_step(&rows, d->trace.started[i], engine_ns);
	}
	size_t room = d->rows > 3 ? d->rows - 2 : 1;
	size_t going = 0;
	for (size_t i = 0; i < rows.n; i++) {
		going += rows.v[i].going;
	}
	size_t tails = place_tails(&rows, !last && room > going ? room - going : 0);
	scoped(free) bool *shown = xnew_array(bool, rows.n + 1);
	choose(&rows, last ? rows.n : room - tails, shown);

	buf_puts(ret, "\033[?25l"); /* the cursor would jump about */
	if (d->drawn > 0) {
		buf_printf(ret, "\033[%zuA\r", d->drawn);
	}
	put_header(d, last, now_ns, ret);
	size_t lines = 1;
	for (size_t i = 0; i < rows.n && d->columns >= NARROW + 12; i++) {
		if (!shown[i]) {
			continue;
		}
		put_row(d, &rows.v[i], ret);
		lines++;
		if (rows.v[i].tail && !last) {
			lines += put_tail(d, rows.v[i].tail, ret);
		}
	}
	buf_puts(ret, "\033[J\033[?25h");
	d->drawn = lines;
	rows_deinit(&rows);
}
