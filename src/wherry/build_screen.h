/* wherry/build_screen.h - the last lines of some output as a terminal would show them.
 *
 * Carriage return, backspace, tab and "erase the rest of the line" work, because progress bars use
 * them; all other escape sequences and control characters are swallowed: what a step prints must
 * not reach the user's terminal as commands.
 */
#pragma once
#include <stddef.h>

#include "base/buf.h"
#include "base/scoped.h"

#define SCREEN_COLUMNS 400
#define SCREEN_LINES_MAX 40

struct build_screen;

struct build_screen *build_screen_new(size_t lines); /* clamped to 1..SCREEN_LINES_MAX */
void build_screen_free(struct build_screen *s);
SCOPED(struct build_screen *, build_screen_free)
void build_screen_write(struct build_screen *s, const char *data, size_t n);
size_t build_screen_used(const struct build_screen *s); /* lines that are not blank */
/* The i-th of them, oldest first, at most that many columns, UTF-8, appended. */
void build_screen_line(const struct build_screen *s, size_t i, size_t columns, struct buf *ret);

/* One line of text for a terminal: control characters become blanks; appends at most that many
 * columns and returns how many it took. Invalid UTF-8 becomes U+FFFD. */
size_t screen_clip(const char *text, size_t columns, struct buf *ret);
/* Text of several lines without sequences that steer a terminal: control characters but newline and
 * tab become blanks. */
void screen_text(const char *text, struct buf *ret);
