#include "wherry/progress_view.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

#define FRAME_MS 100

static const char *const spinner[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};

enum progress_status progress_status_of(const char *word)
{
	static const char *const warnings[] = {
		"Resource is still in use", "No resource found to remove", "Warning", "Skipped"};
	static const char *const working[] = {"Recreate", "Restart"};
	if (text_starts(word, "Error")) {
		return PROGRESS_ERROR;
	}
	for (size_t i = 0; i < sizeof(warnings) / sizeof(*warnings); i++) {
		if (text_starts(word, warnings[i])) {
			return PROGRESS_WARNING;
		}
	}
	for (size_t i = 0; i < sizeof(working) / sizeof(*working); i++) {
		size_t n = strlen(working[i]);
		if (text_starts(word, working[i]) && (!word[n] || word[n] == ' ')) {
			return PROGRESS_WORKING;
		}
	}
	return text_ends(word, "ing") && strcmp(word, "Running") != 0 ? PROGRESS_WORKING
								      : PROGRESS_DONE;
}

/* Characters, not bytes. */
static int width_of(const char *text)
{
	int n = 0;
	for (const char *p = text; *p; p++) {
		n += ((unsigned char)*p & 0xc0) != 0x80;
	}
	return n;
}

/* At most `columns` characters of the text. */
static void put_cut(struct buf *b, const char *text, int columns)
{
	int n = 0;
	const char *p = text;
	for (; *p && (n < columns || ((unsigned char)*p & 0xc0) == 0x80); p++) {
		n += ((unsigned char)*p & 0xc0) != 0x80;
	}
	buf_append(b, text, (size_t)(p - text));
}

static const char *color_of(enum progress_status status)
{
	static const char *const colors[] = {[PROGRESS_WORKING] = "",
		[PROGRESS_DONE] = "\033[32m",
		[PROGRESS_WARNING] = "\033[33;1m",
		[PROGRESS_ERROR] = "\033[31;1m"};
	return colors[status];
}

static void put_colored(struct buf *b, bool color, const char *code, const char *text, int columns)
{
	bool shown = color && *code;
	buf_puts(b, shown ? code : "");
	put_cut(b, text, columns);
	buf_puts(b, shown ? "\033[0m" : "");
}

static const char *sign_of(const struct progress_item *item, int64_t now_ms)
{
	static const char *const signs[] = {
		[PROGRESS_DONE] = "✔", [PROGRESS_WARNING] = "!", [PROGRESS_ERROR] = "✘"};
	size_t frame = (size_t)(now_ms / FRAME_MS) % (sizeof(spinner) / sizeof(*spinner));
	return item->status == PROGRESS_WORKING ? spinner[frame] : signs[item->status];
}

/* What does not fit is cut: the time last, for it says that something goes on. */
static void draw_item(
	const struct progress_view *v, const struct progress_item *item, int width, struct buf *ret)
{
	bool works = item->status == PROGRESS_WORKING;
	int64_t ms = (works ? v->now_ms : item->ended_ms) - item->begun_ms;
	scoped(free) char *time = xasprintf("%.1fs ", (double)ms / 1000);
	scoped(free) char *label = xasprintf("%s%s", v->prefix, item->label);
	int room = v->columns - width_of(time) - 3;
	room = room > 0 ? room : 0;
	int label_room = width < room ? width : room;
	int shown = width_of(label) < label_room ? width_of(label) : label_room;
	int verb_room = room - label_room - 2 > 0 ? room - label_room - 2 : 0;
	int verb = width_of(item->verb) < verb_room ? width_of(item->verb) : verb_room;
	buf_putc(ret, ' ');
	put_colored(ret, v->color, works ? "\033[33m" : color_of(item->status),
		sign_of(item, v->now_ms), 1);
	buf_putc(ret, ' ');
	put_cut(ret, label, label_room);
	buf_printf(ret, "%*s", label_room - shown + (verb_room > 0 ? 2 : 0), "");
	put_colored(ret, v->color, color_of(item->status), item->verb, verb_room);
	buf_printf(ret, "%*s", room - label_room - (verb_room > 0 ? 2 : 0) - verb, "");
	put_colored(ret, v->color, "\033[34m", time, v->columns > 3 ? v->columns - 3 : 0);
	buf_putc(ret, '\n');
}

/* Which ones fit: shown[i] is for v->items[i]. */
static void choose(const struct progress_view *v, bool *shown)
{
	int room = v->rows > 2 ? v->rows - 2 : 1; /* the title, and the line of the cursor */
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = v->n; i-- > 0 && room > 0;) {
			bool works = v->items[i].status == PROGRESS_WORKING;
			if (!shown[i] && works == (pass == 0)) {
				shown[i] = true;
				room--;
			}
		}
	}
}

size_t progress_view_draw(const struct progress_view *v, struct buf *ret)
{
	scoped(free) bool *shown = xnew_array(bool, v->n + 1);
	size_t done = 0;
	size_t lines = 1;
	int width = 0;
	choose(v, shown);
	for (size_t i = 0; i < v->n; i++) {
		int n = width_of(v->prefix) + width_of(v->items[i].label);
		width = n > width ? n : width;
		done += v->items[i].status != PROGRESS_WORKING;
	}
	scoped(free) char *title = xasprintf("[+] %s %zu/%zu", v->title, done, v->n);
	put_colored(ret, v->color, done == v->n ? "\033[34m" : "", title, v->columns);
	buf_putc(ret, '\n');
	for (size_t i = 0; i < v->n; i++) {
		if (shown[i]) {
			draw_item(v, &v->items[i], width, ret);
			lines++;
		}
	}
	return lines;
}
