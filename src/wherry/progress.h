/* wherry/progress.h - the progress of pull, load, import and build on the screen (moby
 * jsonmessage).
 *
 * On a terminal each id keeps its line and redraws it with a bar; in a pipe bars are left out and
 * each new status is a line.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"
#include "http/client.h"

#define PROGRESS_BAR_MAX 160

/* Is handed {"aux": x}'s x. */
typedef void progress_aux_fn(void *owner, const json_t *aux);

/* Is handed each message that is neither an error nor aux. */
typedef void progress_message_fn(void *owner, const json_t *message);

/* Where messages go: onto a screen or to somebody. */
struct progress_sink {
	FILE *out;                 /* NULL */
	progress_message_fn *take; /* NULL */
	void *owner;
};

/* As progress_show; to NULL: shows nothing. */
int progress_into(struct http_client *http, const struct progress_sink *to, struct err *e);

/* Shows the messages that the present response consists of. -1 with *e for {"error": ...} too;
 * *ret_code, when not NULL, gets errorDetail.code or 0. aux may be NULL. out NULL: shows nothing.
 */
int progress_show(struct http_client *http, FILE *out, progress_aux_fn *aux, void *owner,
	int *ret_code, struct err *e);

/* "[====>      ]  12.3MB/45.6MB"; "" when nothing is known. width: columns of the terminal. Returns
 * text. */
const char *progress_bar(
	int64_t current, int64_t total, int width, char text[static PROGRESS_BAR_MAX]);
