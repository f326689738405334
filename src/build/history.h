/* build/history.h - what `docker history` says of each instruction.
 *
 * Two forms, each equal to what dockerd 26.1 writes: BuildKit's
 * (frontend/dockerfile/dockerfile2llb, "RUN |1 A=1 /bin/sh -c make # buildkit") and the classic
 * builder's (builder/dockerfile,
 * "/bin/sh -c #(nop)  CMD [\"x\"]"). Values are shown expanded; build arguments show as declared,
 * and with their values in RUN. Pure.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/strv.h"

#define HISTORY_COMMENT "buildkit.dockerfile.v0" /* of BuildKit's form */

struct build_config;

struct build_history {
	bool classic;
	struct buf text; /* of one instruction, before history_nop; empty: it has no entry */
};
static inline void scoped_build_history(struct build_history *h)
{
	buf_deinit(&h->text);
}

/* --- the parts, appended --- */
void history_list(struct buf *ret, const struct strv *v);        /* [a b]: Go's %v */
void history_quoted_list(struct buf *ret, const struct strv *v); /* ["a" "b"]: Go's %q */
void history_health(struct buf *ret, const json_t *health);      /* of the image's configuration */
void history_ports(struct build_history *ret, const struct strv *written, const json_t *ports);

/* --- whole entries; the caller's --- */
/* An instruction that ran nothing, as its kind writes it ("ENV a=1"). one_word: COPY, ADD and
 * WORKDIR have one blank less in the classic form. */
char *history_nop(const struct build_config *c, bool classic, bool one_word, const char *text);
char *history_run(const struct build_config *c, bool classic, const struct strv *argv);
/* One more entry of the image's history; created_by is copied. */
void build_config_history(struct build_config *c, const char *created, const char *created_by,
	const char *comment, bool empty_layer);
