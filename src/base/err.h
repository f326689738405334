/* base/err.h - one sentence about what went wrong, on the caller's stack.
 *
 * Every function outside base/ and sys/ returns 0 or -1 and fills a struct err; base/ and sys/
 * return -errno. The kind decides the HTTP status (api/) and the exit status (wherry/); msg is for
 * a person and, where Docker's clients match on it, part of the API. Nothing here allocates.
 */
#pragma once

enum err_kind {
	ERR_SYSTEM,          /* 500: the machine or we are at fault */
	ERR_INVALID,         /* 400: the request is wrong */
	ERR_DENIED,          /* 403 */
	ERR_NOT_FOUND,       /* 404 */
	ERR_CONFLICT,        /* 409 */
	ERR_UNCHANGED,       /* 304: what was asked for is already so */
	ERR_BUSY,            /* 503: try again later */
	ERR_NOT_IMPLEMENTED, /* 501: a part of the API that this engine does not have */
	ERR_UNAUTHORIZED,    /* 401: a registry does not take the credentials */
};

struct err {
	enum err_kind kind;
	int sys; /* errno, or 0 */
	char msg[512];
};

#define PRINTF(f, a) __attribute__((format(printf, f, a)))

/* All of these are -1 for the caller; as macros, so that compilers see it and know when a ret_ was
 * written. A message that does not fit is cut at the end of a UTF-8 character. */
#define err_set(...) (err_set_(__VA_ARGS__), err_failed()) /* (e, kind, fmt, ...) */
#define err_sys(...) \
	(err_sys_(__VA_ARGS__), err_failed()) /* (e, errno, fmt, ...): appends strerror */
#define err_wrap(...)                                                                            \
	(err_wrap_(__VA_ARGS__), err_failed()) /* (e, fmt, ...): "context: " in front, kind kept \
						*/

static inline int err_failed(void)
{
	return -1;
}

void err_set_(struct err *e, enum err_kind kind, const char *fmt, ...) PRINTF(3, 4);
void err_sys_(struct err *e, int errnum, const char *fmt, ...) PRINTF(3, 4);
void err_wrap_(struct err *e, const char *fmt, ...) PRINTF(2, 3);
