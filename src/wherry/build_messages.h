/* wherry/build_messages.h - between our structs and BuildKit's messages (buildkit/control.proto).
 */
#pragma once
#include <jansson.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "wherry/build_request.h"
#include "wherry/build_trace.h"

/* Control.Solve for the frontend dockerfile.v0; appended. */
void build_pack_solve(
	const struct build_request *r, const char *ref, const char *session, struct buf *ret);
/* The exporters' answers, name -> text. NULL with *e. */
json_t *build_unpack_solved(const struct buf *bytes, struct err *e);

void build_pack_status(const char *ref, struct buf *ret);
/* One StatusResponse; fn gets it while it lives. */
typedef void build_update_fn(void *owner, const struct build_update *u);
int build_unpack_status(const struct buf *bytes, build_update_fn *fn, void *owner, struct err *e);

/* Where in the Dockerfile something failed. */
struct build_place {
	char *file, *text;
	int line, last_line; /* line 0: not known */
};
void build_place_deinit(struct build_place *p);
/* From the details of a failed call (a packed google.rpc.Status); nothing is filled in when they
 * hold no place. */
void build_unpack_place(const struct buf *details, struct build_place *ret);
