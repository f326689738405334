/* shim/pages.h - memory for large buffers: zero, and used only where it was written.
 *
 * A shim stays as long as its container. calloc(3) clears what it takes from the heap, and so uses
 * all of it, though most containers never fill a queue.
 */
#pragma once
#include <stddef.h>
#include <sys/mman.h>

/* NULL when there is none. */
static inline void *pages_new(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static inline void pages_free(void *p, size_t n)
{
	if (p) {
		munmap(p, n);
	}
}
