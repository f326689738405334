/* ingress/file_watch.h - to be told a moment after something in one of some directories changed.
 *
 * inotify(7), by libuv; what changes on the server of a network file system is not told.
 */
#pragma once
#include <jansson.h>

typedef struct uv_loop_s uv_loop_t;
struct file_watch;

#define FILE_WATCH_MAX 64

struct file_watch *file_watch_new(uv_loop_t *l, void (*changed)(void *owner), void *owner);
void file_watch_free(struct file_watch *w); /* NULL is fine; nothing is told afterwards */
/* An array of paths, borrowed; NULL: none. Those that cannot be watched are passed over. Whenever
 * one is watched that was not, changed() follows: look again. */
void file_watch_set(struct file_watch *w, const json_t *dirs);
