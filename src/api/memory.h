/* api/memory.h - what a large request needed goes back to the system. */
#pragma once
#include <stdint.h>

struct memory_watch {
	int64_t looked_ms;
	int64_t least_bytes; /* resident but not in use, the fewest since the last trim */
};

/* Call it before a request: what earlier ones needed is free then. Looks at most once in a second;
 * trims the heap when 8 MiB more than at best are resident without being in use. */
void memory_give_back(struct memory_watch *m, int64_t now_ms);
