/* api/remote.h - the API for people with certificates: RUN/ingress/api/ID.sock for each certificate
 * of a user who is not disabled. nginx ends TLS and connects a certificate's bearer with its
 * socket, so that the socket says who asks; a certificate that is taken away takes its socket and
 * all its connections with it, at once, whatever nginx still believes.
 */
#pragma once
#include <sys/types.h>

#include "base/err.h"

typedef struct uv_loop_s uv_loop_t;
struct api;
struct api_remote;
struct user_set;

/* All borrowed; they outlive it. gid: nginx's group. NULL with *e when the directory cannot be
 * made; a socket that cannot be is logged. */
struct api_remote *api_remote_new(uv_loop_t *l, struct api *a, struct user_set *users,
	const char *exec_root, gid_t gid, struct err *e);
void api_remote_free(struct api_remote *r); /* NULL is fine; before the api and the users */
