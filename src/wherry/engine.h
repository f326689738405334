/* wherry/engine.h - requests of the CLI: paths with encoded parts, and errors in the words of the
 * docker CLI.
 *
 * What the engine refuses begins with "Error response from daemon: "; what the connection refuses
 * does not.
 */
#pragma once
#include <jansson.h>

#include "base/buf.h"
#include "base/strv.h"
#include "http/client.h"
#include "wherry/command.h"

/* prefix, then name with every byte but the unreserved ones encoded, then suffix. Image names keep
 * their slashes. */
void path_add(struct buf *path, const char *prefix, const char *name, const char *suffix);
/* "?key=value", or "&key=value" when path has a query already. A NULL value adds nothing. */
void path_query(struct buf *path, const char *key, const char *value);
/* Filters given as "key=value" become filters={"key":{"value":true}}. */
int path_filters(struct buf *path, const struct strv *filters, struct err *e);

/* JSON in, JSON out; ret may be NULL. */
int engine_json(struct cli *cli, const char *method, const char *path, const json_t *body,
	json_t **ret, struct err *e);
/* As engine_json for "prefix NAME suffix" without a body. */
int engine_on(struct cli *cli, const char *method, const char *prefix, const char *name,
	const char *suffix, json_t **ret, struct err *e);
/* Sends and reads the head; a status of 400 or more is an error. ret_status may be NULL. */
int engine_send(
	struct http_client *http, const struct http_call *call, int *ret_status, struct err *e);

/* The body of the present response as JSON documents that follow one another; calls fn for each
 * until it returns other than 0, which is then the result. -1 with *e when the connection broke or
 * the text is not JSON. */
typedef int engine_doc_fn(void *owner, const json_t *doc, struct err *e);
int engine_documents(struct http_client *http, engine_doc_fn *fn, void *owner, struct err *e);

/* Another connection to the same engine. NULL with *e. */
struct http_client *engine_connect(const struct cli *cli, struct err *e);
SCOPED(struct http_client *, http_client_free)

/* One operation on each name, printing each name that succeeded and each failure; returns the exit
 * status. */
typedef int engine_each_fn(struct cli *cli, const char *name, void *owner, struct err *e);
int engine_each(struct cli *cli, int argc, char **argv, engine_each_fn *fn, void *owner);

/* Asks on the terminal "WARNING! ... Are you sure you want to continue? [y/N]". */
bool engine_confirm(const char *warning);
