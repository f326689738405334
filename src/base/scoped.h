/* base/scoped.h - values that clean up after themselves when their scope ends.
 *
 * scoped(free) char *text = ...;   scoped(close) int fd = ...;   scoped(json) json_t *doc = ...;
 * A module adds its own type with SCOPED(struct image *, image_unref) and then scoped(image_unref).
 * TAKE and TAKE_FD move the value out of the scope, so that nothing is cleaned up.
 */
#pragma once
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define scoped(f) __attribute__((cleanup(scoped_##f)))
#define SCOPED(T, f)                        \
	static inline void scoped_##f(T *p) \
	{                                   \
		if (*p) {                   \
			f(*p);              \
		}                           \
	}
#define TAKE(p)                                  \
	({                                       \
		__typeof__(p) take_value_ = (p); \
		(p) = NULL;                      \
		take_value_;                     \
	})
#define TAKE_FD(fd)                     \
	({                              \
		int take_value_ = (fd); \
		(fd) = -1;              \
		take_value_;            \
	})

static inline void scoped_free(void *p)
{
	free(*(void **)p);
}

/* Closes without touching errno, so that a failing call above keeps its reason. */
static inline void scoped_close(const int *fd)
{
	if (*fd >= 0) {
		int saved = errno;
		close(*fd);
		errno = saved;
	}
}

SCOPED(FILE *, fclose)
SCOPED(DIR *, closedir)
