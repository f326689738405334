/* base/err.h - one sentence about what went wrong, on the caller's stack.
 *
 * Every function outside base/ and sys/ returns 0 or -1 and fills a struct err; base/ and sys/ return
 * -errno. The kind decides the HTTP status (api/) and the exit status (wherry/); msg is for a person
 * and, where Docker's clients match on it, part of the API. Nothing here allocates.
 */
#pragma once

enum err_kind {
	ERR_SYSTEM,    /* 500: the machine or we are at fault */
	ERR_INVALID,   /* 400: the request is wrong */
	ERR_DENIED,    /* 403 */
	ERR_NOT_FOUND, /* 404 */
	ERR_CONFLICT,  /* 409 */
	ERR_UNCHANGED, /* 304: what was asked for is already so */
	ERR_BUSY,      /* 503: try again later */
};

struct err {
	enum err_kind kind;
	int sys; /* errno, or 0 */
	char msg[512];
};

#define PRINTF(f, a) __attribute__((format(printf, f, a)))

/* All of these return -1. A message that does not fit is cut at the end of a UTF-8 character. */
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...) PRINTF(3, 4);
int err_sys(struct err *e, int errnum, const char *fmt, ...) PRINTF(3, 4); /* appends strerror */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF(2, 3); /* "context: " in front, kind kept */
