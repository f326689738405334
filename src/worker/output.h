/* worker/output.h - the bytes a job produces on fd 1, in pieces worth a system call. */
#pragma once
#include <stddef.h>

#include "base/err.h"
#include "base/scoped.h"

struct output;

struct output *output_new(int fd);  /* borrowed */
void output_free(struct output *o); /* what was not flushed is gone */
SCOPED(struct output *, output_free)

/* A pack_write_fn: owner is the struct output. */
int output_write(void *owner, const void *data, size_t n, struct err *e);
int output_flush(struct output *o, struct err *e);
