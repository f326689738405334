/* Invariants
 * 1. isa-l's crc_flag stays 0 (raw deflate); see gunzip.h.
 * 2. What isa-l read beyond the end of a member (at most 8 bytes, the trailer's length) is given to
 *    the trailer before any other input.
 * 3. What was refused stays refused, however often the caller asks again.
 */
#include "tree/gunzip.h"

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"

#define HEAD_BYTES 10
#define TRAILER_BYTES 8

enum part { HEAD, EXTRA_LEN, EXTRA, NAME, COMMENT, HEAD_CRC, BODY, TRAILER, REFUSED };

enum flag {
	FLAG_HEAD_CRC = 1u << 1,
	FLAG_EXTRA = 1u << 2,
	FLAG_NAME = 1u << 3,
	FLAG_COMMENT = 1u << 4,
	FLAGS_RESERVED = 7u << 5
};

struct gunzip {
	enum part part;
	size_t at;         /* bytes of this part that were read */
	uint64_t number;   /* the part's bytes as a little-endian number */
	uint8_t flags;     /* of the member */
	uint32_t head_crc; /* of its head so far */
	size_t extra_left;
	uint32_t crc, length; /* of its plain bytes so far */
	bool any;             /* a member was read to its end */
	struct inflate_state z;
};

struct gunzip *gunzip_new(void)
{
	return xnew(struct gunzip);
}

void gunzip_free(struct gunzip *g)
{
	free(g);
}

bool gunzip_is_over(const struct gunzip *g)
{
	return g->any && g->part == HEAD && g->at == 0;
}

static int refuse(struct err *e, const char *why)
{
	return err_set(e, ERR_INVALID, "invalid gzip data: %s", why);
}

static void enter(struct gunzip *g, enum part part)
{
	g->part = part;
	g->at = 0;
	g->number = 0;
	if (part == HEAD) {
		g->flags = 0;
		g->head_crc = 0;
	}
	if (part == BODY) {
		g->crc = g->length = 0;
		isal_inflate_init(&g->z);
	}
}

/* The next part of the head that its flags announce. */
static void enter_after(struct gunzip *g, enum part part)
{
	static const uint8_t wanted_by[] = {[EXTRA_LEN] = FLAG_EXTRA,
		[EXTRA] = FLAG_EXTRA,
		[NAME] = FLAG_NAME,
		[COMMENT] = FLAG_COMMENT,
		[HEAD_CRC] = FLAG_HEAD_CRC};
	do {
		part++;
	} while (part < BODY &&
		 (!(g->flags & wanted_by[part]) || (part == EXTRA && g->extra_left == 0)));
	enter(g, part);
}

static int fixed_byte(struct gunzip *g, uint8_t c, struct err *e)
{
	static const uint8_t begin[] = {0x1f, 0x8b, 8};
	if (g->at < sizeof(begin) && c != begin[g->at]) {
		return refuse(
			e, g->at < 2 ? "incorrect header check" : "unknown compression method");
	}
	if (g->at == sizeof(begin)) {
		g->flags = c;
		if (c & FLAGS_RESERVED) { /* RFC 1952 2.3.1.2: must be refused */
			return refuse(e, "unknown header flags set");
		}
	}
	if (++g->at == HEAD_BYTES) {
		enter_after(g, HEAD);
	}
	return 0;
}

/* One byte of the head. */
static int head_byte(struct gunzip *g, uint8_t c, struct err *e)
{
	uint32_t crc_before = g->head_crc;
	g->head_crc = crc32_gzip_refl(g->head_crc, &c, 1);
	switch (g->part) {
	case HEAD:
		return fixed_byte(g, c, e);
	case EXTRA_LEN:
		g->number |= (uint64_t)c << 8 * g->at++;
		if (g->at == 2) {
			g->extra_left = g->number;
			enter_after(g, EXTRA_LEN);
		}
		return 0;
	case EXTRA:
		if (--g->extra_left == 0) {
			enter_after(g, EXTRA);
		}
		return 0;
	case NAME:
	case COMMENT:
		if (c == 0) {
			enter_after(g, g->part);
		}
		return 0;
	default: /* HEAD_CRC, which does not cover itself */
		g->head_crc = crc_before;
		g->number |= (uint64_t)c << 8 * g->at++;
		if (g->at == 2 && g->number != (crc_before & 0xffff)) {
			return refuse(e, "header crc mismatch");
		}
		if (g->at == 2) {
			enter_after(g, HEAD_CRC);
		}
		return 0;
	}
}

static int trailer_byte(struct gunzip *g, uint8_t c, struct err *e)
{
	g->number |= (uint64_t)c << 8 * g->at++;
	if (g->at < TRAILER_BYTES) {
		return 0;
	}
	if ((uint32_t)g->number != g->crc) {
		return refuse(e, "incorrect data check");
	}
	if (g->number >> 32 != g->length) {
		return refuse(e, "incorrect length check");
	}
	g->any = true;
	enter(g, HEAD);
	return 0;
}

/* Invariant 2. */
static int end_body(struct gunzip *g, struct err *e)
{
	unsigned bits = (unsigned)g->z.read_in_length;
	uint64_t ahead = g->z.read_in >> bits % 8;
	enter(g, TRAILER);
	for (; bits >= 8; bits -= 8, ahead >>= 8) {
		if (trailer_byte(g, (uint8_t)ahead, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int body_step(struct gunzip *g, const uint8_t *in, size_t n, size_t *ret_used, void *out,
	size_t room, size_t *ret_out, struct err *e)
{
	struct inflate_state *z = &g->z;
	z->next_in = (uint8_t *)in; /* isa-l does not write to it */
	z->avail_in = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
	uint32_t offered = z->avail_in;
	z->next_out = out;
	z->avail_out = room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
	uint32_t had_room = z->avail_out;
	int r = isal_inflate(z);
	if (r < 0) {
		return refuse(e, r == ISAL_INVALID_LOOKBACK ? "invalid distance too far back"
				 : r == ISAL_INVALID_SYMBOL ? "invalid code"
							    : "invalid block");
	}
	*ret_used = offered - z->avail_in;
	*ret_out = had_room - z->avail_out;
	g->crc = crc32_gzip_refl(g->crc, out, *ret_out);
	g->length += (uint32_t)*ret_out;
	return z->block_state == ISAL_BLOCK_FINISH ? end_body(g, e) : 0;
}

static int step(struct gunzip *g, const void *in, size_t n, size_t *ret_used, void *out,
	size_t room, size_t *ret_out, struct err *e)
{
	const uint8_t *p = in;
	size_t used = 0;
	*ret_used = *ret_out = 0;
	for (; used < n && g->part != BODY; used++) {
		int r = g->part == TRAILER ? trailer_byte(g, p[used], e) : head_byte(g, p[used], e);
		if (r < 0) {
			return -1;
		}
	}
	size_t body = 0;
	if (g->part == BODY && body_step(g, p + used, n - used, &body, out, room, ret_out, e) < 0) {
		return -1;
	}
	*ret_used = used + body;
	return 0;
}

int gunzip_step(struct gunzip *g, const void *in, size_t n, size_t *ret_used, void *out,
	size_t room, size_t *ret_out, struct err *e)
{
	if (g->part == REFUSED) {
		return refuse(e, "it was refused before");
	}
	if (step(g, in, n, ret_used, out, room, ret_out, e) < 0) {
		g->part = REFUSED;
		return -1;
	}
	return 0;
}
