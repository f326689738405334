/* tree/recipe_format.h - what recipe_write.c, recipe_lost.c and recipe_read.c share; the format is
 * recipe.h's. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <zstd.h>

#include "base/err.h"
#include "tree/recipe.h"

#define RECIPE_MAGIC "wrecipe1"
#define RECIPE_HEAD 24
#define RECIPE_UNFINISHED UINT32_MAX
#define RECIPE_WINDOW_LOG 18 /* 256 KiB: memory of three pulls at a time, and of the reader */
#define RECIPE_NUMBER_MAX 10 /* bytes of a LEB128 */

enum recipe_op { RECIPE_KEPT = 1, RECIPE_FILE, RECIPE_RUN, RECIPE_LOST, RECIPE_END };

/* --- recipe_frame.c: one zstd frame after another in a file --- */

struct frame_writer {
	int fd;     /* borrowed */
	int64_t at; /* where the next bytes of the file go */
	int64_t unchecked_bytes;
	ZSTD_CCtx *z;
	char *out;
};

void recipe_frame_writer_init(struct frame_writer *w, int fd);
void recipe_frame_writer_deinit(struct frame_writer *w);
int recipe_frame_write(struct frame_writer *w, const void *data, size_t n, struct err *e);
int recipe_frame_write_number(struct frame_writer *w, uint64_t n, struct err *e);
int recipe_frame_end(struct frame_writer *w, struct err *e); /* all of it is in the file */

struct frame_reader {
	int fd;            /* borrowed */
	int64_t at;        /* of what was read from the file */
	const char *layer; /* for errors; borrowed */
	ZSTD_DCtx *z;
	unsigned char *in, *out;
	size_t in_begin, in_end, out_begin, out_end;
	bool over; /* the frame has ended; what it gave may still be in out */
};

void recipe_frame_reader_init(struct frame_reader *r, int fd, const char *layer);
void recipe_frame_reader_deinit(struct frame_reader *r);
/* Begins the frame at this position of the file. */
void recipe_frame_begin(struct frame_reader *r, int64_t at);
/* 1 to n bytes; a frame that ends here is damage. */
ssize_t recipe_frame_read(struct frame_reader *r, void *data, size_t n, struct err *e);
int recipe_frame_read_all(struct frame_reader *r, void *data, size_t n, struct err *e);
int recipe_frame_read_number(struct frame_reader *r, uint64_t *ret, struct err *e);
int recipe_frame_skip(struct frame_reader *r, uint64_t n, struct err *e);
/* The position behind the frame, which must be at its end. */
int recipe_frame_finish(struct frame_reader *r, int64_t *ret, struct err *e);
#define recipe_damaged(layer, e) \
	err_set(e, ERR_INVALID, "the recipe of layer %.64s is damaged", layer)
