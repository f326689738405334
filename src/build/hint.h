/* build/hint.h - what a mistyped word may have meant: " (did you mean FROM?)". Pure.
 *
 *     struct hint h = hint_for("FORM");
 *     hint_offer(&h, "FROM");
 *     err_set(e, ERR_INVALID, "unknown instruction: FORM%s", hint_text(&h, room));
 */
#pragma once

#define HINT_TEXT_MAX 96

struct hint {
	const char *word;    /* borrowed */
	const char *nearest; /* borrowed from who offered it, or NULL */
	unsigned distance;
};

struct hint hint_for(const char *word);
/* Upper and lower case are the same. What equals the word takes every hint away: the word is not
 * what is wrong. */
void hint_offer(struct hint *h, const char *option);
/* "" when nothing is near; room is what is returned. */
const char *hint_text(const struct hint *h, char room[static HINT_TEXT_MAX]);
