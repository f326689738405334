/* wherryd/daemon.h - every object of the daemon, made in dependency order and handed what it needs.
 */
#pragma once

#include "base/err.h"

/* A lock that a daemon has just died with is tried again, for two seconds in all. */
#define DAEMON_LOCK_TRIES 40
#define DAEMON_LOCK_PAUSE_US 50000

typedef struct uv_loop_s uv_loop_t;
struct config;
struct daemon;

/* Opens state, reconciles with what is there, listens. c and l are borrowed and outlive the daemon.
 * NULL with *e. */
struct daemon *daemon_new(uv_loop_t *l, const struct config *c, struct err *e);
/* Ends the API and jobs; containers, networks and their names' rules stay for the next daemon. NULL
 * is fine. */
void daemon_free(struct daemon *d);
/* Ends all containers because the machine goes down; done is called once, when none runs. */
/* The configuration was read again: tells who watches events. */
void daemon_reloaded(struct daemon *d);

void daemon_stop_containers(struct daemon *d, void (*done)(void *owner), void *owner);
/* Removes the bridges and rules of a daemon that does not run: `wherryd --purge-network`. */
int daemon_purge_network(uv_loop_t *l, const struct config *c, struct err *e);
