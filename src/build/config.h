/* build/config.h - what the instructions without files do to an image's configuration.
 *
 * ENV, LABEL, CMD, ENTRYPOINT, EXPOSE, VOLUME, USER, WORKDIR, HEALTHCHECK, SHELL, STOPSIGNAL,
 * ONBUILD, MAINTAINER and ARG on the OCI image-spec config.md document. Pure.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/strv.h"
#include "build/dockerfile.h"
#include "build/expand.h"
#include "build/history.h"

#define BUILD_DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct build_config {
	json_t *image;        /* the whole document; member "config" always there */
	struct strv env;      /* ENV and ARG, the later wins: what expansions and RUN see */
	struct strv args;     /* names declared by ARG in this stage or inherited */
	struct strv own_args; /* the same, of this stage alone */
	bool cmd_set;         /* by this stage: then ENTRYPOINT keeps it */
};

void build_config_deinit(struct build_config *c);
/* A copy of base (an image's document, or NULL for scratch) without its ONBUILD list, which
 * *ret_triggers gets (may be NULL). */
void build_config_from_image(struct build_config *ret, const json_t *base, const char *os,
	const char *arch, const char *variant, struct strv *ret_triggers);
/* The same for a commit or an import, which give no image a PATH. */
void build_config_for_changes(struct build_config *ret, const json_t *base);
void build_config_from_stage(
	struct build_config *ret, const struct build_config *base, struct strv *ret_triggers);

/* The variables of c for expand.h; borrowed. */
struct expander build_config_expander(struct build_config *c, char escape);

struct config_args {
	const struct strv *build_args;  /* NAME=value, of the request */
	const struct strv *global_args; /* plan.h */
	struct strv *used;              /* names of build_args that a declaration took */
	struct build_history *history;  /* gets what history says of it, or NULL */
};
/* Applies an instruction that is none of FROM, RUN, COPY, ADD. Errors are "FILE:LINE: ...". */
int build_config_apply(struct build_config *c, const struct dockerfile *d,
	const struct df_instruction *i, const struct config_args *a, struct err *e);

/* The argument vector of CMD, ENTRYPOINT or RUN: the JSON form, or the shell with text. */
void build_config_argv(const struct build_config *c, bool json, const struct strv *words,
	const char *text, struct strv *ret);
/* config.WorkingDir, "/" when unset; borrowed. */
const char *build_config_workdir(const struct build_config *c);
