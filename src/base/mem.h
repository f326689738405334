/* base/mem.h - allocation for small, bounded objects: it succeeds or the process aborts.
 *
 * The supervisor restarts the daemon and the shims keep the containers alive, so running out of
 * memory for a few hundred bytes is not an error to handle. A size that a peer chooses does not
 * come from here: it goes through a struct buf with a limit, which fails as an ordinary error.
 */
#pragma once
#include <stdarg.h>
#include <stddef.h>

#include "base/err.h"

#define xnew(T) ((T *)xcalloc(1, sizeof(T)))
#define xnew_array(T, n) ((T *)xcalloc((n), sizeof(T)))

void *xcalloc(size_t n, size_t size); /* zeroed; n * size is checked */
void *xrealloc(void *p, size_t n, size_t size);
char *xstrdup(const char *s);            /* NULL gives NULL */
char *xstrndup(const char *s, size_t n); /* at most n bytes, always terminated */
char *xasprintf(const char *fmt, ...) PRINTF(1, 2);
char *xvasprintf(const char *fmt, va_list args) PRINTF(1, 0);
