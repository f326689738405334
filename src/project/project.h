/* project/project.h - compose projects that a client keeps here, so that its commands need no file
 * any more.
 *
 * A project is a JSON document of the client's: DATA/projects/NAME.json, 0600 because environments
 * hold passwords, replaced by a rename. In memory there is a line of each, what a list shows; it is
 * in NAME.line, too. Nothing here starts or stops containers: those are found by their labels.
 */
#pragma once
#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

#define PROJECT_BYTES_MAX (4u << 20)
#define PROJECTS_MAX 1000

struct project_store;

/* Reads what is kept below data_root; a file that is no project is passed over with a warning. NULL
 * with *e. Other files in there stay. */
struct project_store *project_store_new(const char *data_root, struct err *e);
void project_store_free(struct project_store *s); /* NULL is fine */

/* doc: {"name", "config": {}, "working_dir", "config_files": [], "environment_files": [],
 * "profiles": []}, the first two at least. "updated" is set here (RFC 3339). *ret_new: there was
 * none of that name. ERR_INVALID: another shape, or a name that compose would not give. ERR_DENIED:
 * PROJECTS_MAX are kept. All but the config is at most 64 KiB. */
int project_store_put(
	struct project_store *s, const char *name, const json_t *doc, bool *ret_new, struct err *e);
/* Appends the document as text. ERR_NOT_FOUND "no such project: x". */
int project_store_get(
	const struct project_store *s, const char *name, struct buf *ret, struct err *e);
int project_store_remove(struct project_store *s, const char *name, struct err *e);
json_t *project_store_list(const struct project_store *s); /* new: all, each without "config" */
