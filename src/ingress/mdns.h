/* ingress/mdns.h - names of the local network, published while there are any.
 *
 * wherry-mdns (worker/mdns.c) does it with avahi-daemon; it runs while a name is wanted, and is
 * started again when it ends. The addresses are those of ingress/lan.h, followed live.
 *
 * Events: type "ingress", action "name-collision" (id: the name), "mdns-missing" and "mdns-failed".
 */
#pragma once
#include <jansson.h>

#include "base/strv.h"

typedef struct uv_loop_s uv_loop_t;
struct event_bus;
struct mdns;

/* program: the path of wherry-mdns, copied; NULL: none is there, which is said when one is wanted.
 */
struct mdns *mdns_new(uv_loop_t *l, const char *program, struct event_bus *bus);
void mdns_free(struct mdns *m); /* NULL is fine */

/* hosts: what is not one name below .local is passed over; listen: the only addresses to tell,
 * empty: all of the machine. Both are copied. */
void mdns_want(struct mdns *m, const struct strv *hosts, const struct strv *listen);
/* {"State": "off" | "starting" | "running" | "missing", "Error", "Names": [{"Name", "State",
 * "Error"}]}; new. */
json_t *mdns_json(const struct mdns *m);
