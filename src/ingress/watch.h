/* ingress/watch.h - tells when a process that is nobody's child has ended. */
#pragma once
#include <sys/types.h>

typedef struct uv_loop_s uv_loop_t;
struct process_watch;
typedef void process_ended_fn(void *owner);

/* fn is called once, from the loop; the watch is the caller's to end all the same. NULL when the
 * loop cannot watch take_pidfd. */
struct process_watch *process_watch_start(
	uv_loop_t *l, int take_pidfd, process_ended_fn *fn, void *owner);
void process_watch_end(struct process_watch *w); /* NULL is fine; no call after this */
