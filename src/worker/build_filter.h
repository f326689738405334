/* worker/build_filter.h - the seccomp profile of RUN steps, read once in a build, and what crun
 * compiled of it (oci/filter.h). */
#pragma once
#include "base/err.h"
#include "oci/filter.h"
#include "worker/build.h"

struct build_filter {
	char *profile;  /* OCI linux.seccomp text; NULL: unconfined */
	char *compiled; /* base64, or NULL: crun compiles */
	char key[OCI_FILTER_KEY_LEN + 1];
};

/* For one step: build_filter_close. Any thread. */
int build_filter_get(struct build *b, struct build_filter *ret, struct err *e);
/* After the first step that ran without a compiled one: for the next. */
void build_filter_keep(const struct build_step *t, struct build_filter *f, const char *id);
void build_filter_close(struct build_filter *f); /* also of a zero one */
