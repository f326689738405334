#include "api/memory.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/path.h"
#include "base/scoped.h"

#define LOOK_EVERY_MS 1000
#define MORE_BYTES (8 << 20)

/* Resident, but not what malloc has given out: free chunks, code, what is the same all the time. */
static int64_t unused_bytes(void)
{
	scoped(buf) struct buf text = BUF_INIT;
	char *end;
	if (path_read(AT_FDCWD, "/proc/self/statm", 4096, &text) < 0) {
		return 0;
	}
	(void)strtoll(buf_str(&text), &end, 10); /* the size; resident pages follow, proc(5) */
	const struct mallinfo2 heap = mallinfo2();
	return strtoll(end, NULL, 10) * sysconf(_SC_PAGESIZE) - (int64_t)heap.uordblks -
	       (int64_t)heap.hblkhd;
}

void memory_give_back(struct memory_watch *m, int64_t now_ms)
{
	if (m->looked_ms > 0 && now_ms - m->looked_ms < LOOK_EVERY_MS) {
		return;
	}
	int64_t unused = unused_bytes();
	if (m->looked_ms == 0 || unused < m->least_bytes) {
		m->least_bytes = unused;
	}
	m->looked_ms = now_ms;
	if (unused > m->least_bytes + MORE_BYTES) {
		malloc_trim(0); /* glibc keeps what is free between two things in use */
		m->least_bytes = unused_bytes();
	}
}
