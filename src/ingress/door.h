/* ingress/door.h - the daemon's HTTP server for nginx: who may pass, and the pages to sign in.
 *
 * It listens on a unix socket that only nginx reaches, and believes what nginx says: X-Real-IP,
 * X-Wherry-Host and the rest are set there, never passed on from a client (ingress/conf.h names
 * them all). GET /.wherry/verify is asked for each request of a route with auth=login;
 * /.wherry/login and
 * /.wherry/logout of every host are the client's own requests.
 *
 * The pages need no script and load nothing. An app shares its origin with the pages on its host,
 * so nothing here changes an account without the password.
 */
#pragma once
#include <sys/types.h>

#include "base/err.h"
#include "ingress/conf.h"

#define DOOR_COOKIE INGRESS_COOKIE           /* the session */
#define DOOR_FORM_COOKIE INGRESS_FORM_COOKIE /* what a form must repeat */

typedef struct uv_loop_s uv_loop_t;
struct door;
struct password_desk;
struct session_set;
struct user_set;

/* All borrowed; they outlive the door. */
struct door_deps {
	uv_loop_t *loop;
	struct user_set *users;
	struct session_set *sessions;
	struct password_desk *passwords;
	const char *home; /* "box.local": one sign-in there is for all of app.box.local; NULL: each
			     host has its own; copied */
};

struct door *door_new(const struct door_deps *d);
void door_set_home(struct door *d, const char *home); /* another name from now on; copied */
/* path: RUN/ingress/door.sock; gid: nginx's group. */
int door_listen(struct door *d, const char *path, gid_t gid, struct err *e);
void door_free(struct door *d); /* NULL is fine; before the job pool */
