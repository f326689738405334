/* wherry/progress_view.h - what the terminal shows of steps that go on at the same time, as docker
 * compose 2.40 shows it. Pure: nothing is written here.
 *
 *   [+] Running 1/2
 *    ✔ Network p_default  Created                                0.1s
 *    ⠙ Container p-db-1   Starting                               1.2s
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum progress_status { PROGRESS_WORKING, PROGRESS_DONE, PROGRESS_WARNING, PROGRESS_ERROR };

/* By docker compose's words: "Creating" goes on, "Created", "Running", "Healthy" is an end. */
enum progress_status progress_status_of(const char *word);

struct progress_item {
	char *label; /* "Container x-1" */
	char *verb;
	int64_t begun_ms, ended_ms; /* ended_ms: of what does not work any more */
	enum progress_status status;
};

struct progress_view {
	const char *title;  /* "Running" */
	const char *prefix; /* of each item; "" */
	const struct progress_item *items;
	size_t n;
	int columns, rows; /* of the terminal */
	bool color;
	int64_t now_ms;
};

/* Lines with their ends, none wider than the terminal; and never more of them than fit: those that
 * work come before those that have ended. Returns how many. */
size_t progress_view_draw(const struct progress_view *v, struct buf *ret);
