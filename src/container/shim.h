/* container/shim.h - the daemon's end of one wherry-shim: starting it, finding it again, hearing
 * from it.
 *
 * Frames: codec/shim_frame.h. No handler is called from inside a function of this module.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/strv.h"

typedef struct uv_loop_s uv_loop_t;
struct shim;

struct shim_handlers {
	void (*ready)(void *owner); /* namespaces exist: wire, then shim_go */
	void (*started)(
		void *owner, pid_t init, int64_t at_ns); /* also the first news after a reconnect */
	void (*failed)(void *owner, const char *text);   /* crun refused; the shim is ending */
	void (*exited)(
		void *owner, int exit_code, int64_t at_ns, bool oom); /* all output was delivered */
	void (*lost)(void *owner); /* it ended without saying so */
};

/* args: what follows the program's name (shim/main.c). dir must exist; shim.sock is made in it.
 * NULL with *e. */
struct shim *shim_start(uv_loop_t *l, const char *program, const char *dir, const struct strv *args,
	const struct shim_handlers *h, void *owner, struct err *e);
/* Connects to a shim that an earlier daemon started; NULL when none answers. */
struct shim *shim_reconnect(
	uv_loop_t *l, const char *dir, const struct shim_handlers *h, void *owner);
void shim_go(struct shim *s);
void shim_resize(struct shim *s, unsigned rows, unsigned columns);
pid_t shim_pid(const struct shim *s); /* 0 after a reconnect */
void shim_kill(struct shim *s);       /* SIGKILL to the shim and the crun it runs; lost follows */
void shim_free(struct shim
		*s); /* NULL is fine; the shim goes on; no handler is called after this returns */

/* A connected socket to dir/shim.sock, non-blocking, or -errno. The path may be longer than
 * sun_path. */
int shim_connect(const char *dir);
/* Reads the record that a shim left: "exit". -ENOENT when there is none. */
int shim_read_exit(const char *dir, int *ret_code, int64_t *ret_at_ns, bool *ret_oom);
