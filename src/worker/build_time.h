/* worker/build_time.h - which times end up in an image.
 *
 * With SOURCE_DATE_EPOCH an image and its history have that time. In a layer that only we wrote
 * (COPY, ADD, WORKDIR) nothing has the time of the build: what we made or touched there, a parent
 * directory for instance, has SOURCE_DATE_EPOCH, else the time of the base image, so that the same
 * inputs give the same layer on any machine. What a RUN wrote keeps its times, unless an output has
 * rewrite-timestamp=true: then nothing is later than SOURCE_DATE_EPOCH. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct build;
struct build_step;

/* Reads the options: b's epoch_ns (-1: none) and rewrite. */
int build_time_read(struct build *b, struct err *e);
/* What the image's dates are: SOURCE_DATE_EPOCH or now. Any thread. */
int64_t build_now_ns(const struct build *b);
/* The clock that the kernel dates files by. */
int64_t build_file_clock_ns(void);
/* The same time for all that a step of ours touched. */
int64_t build_step_time_ns(const struct build_step *t);
/* Whatever below the directory was changed at from_ns or later gets the time to_ns. spare_linked:
 * but a file with several names, which may be a context's, too, does not. */
int build_time_set(int dir_fd, int64_t from_ns, int64_t to_ns, bool spare_linked, struct err *e);
