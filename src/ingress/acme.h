/* ingress/acme.h - certificates of a public authority, got and renewed by the job "acme" (uacme).
 *
 * One certificate at a time is asked for, when acme_plan.h says so. What became of each is kept in
 * DATA/tls/acme/state.json, written after a try, so that a daemon that restarts does not ask anew.
 *
 * Events: type "ingress", action "certificate-renewed" (id: the names), "certificate-failed"
 * (error, next).
 */
#pragma once
#include <jansson.h>

#include "base/err.h"
#include "base/strv.h"

typedef struct uv_loop_s uv_loop_t;
struct event_bus;
struct ingress_settings;
struct job_pool;
struct acme;

struct acme_deps {
	uv_loop_t *loop;
	struct job_pool *jobs;
	struct event_bus *bus;
	const char *data_root; /* DATA; copied */
	/* There is a new certificate: acme_pairs has its files. Never from inside these calls. */
	void (*renewed)(void *owner);
	void *owner;
};

struct acme *acme_new(const struct acme_deps *d);
void acme_free(struct acme *a); /* after the pool of jobs; NULL is fine */
/* Both are copied. Without settings' directory nothing is asked for. */
void acme_want(struct acme *a, const struct ingress_settings *s, const struct strv *hosts);
void acme_served(struct acme *a); /* from now on a challenge can be answered */
void acme_rest(struct acme *a);
void acme_look(struct acme *a); /* the clock was set, or a long time has passed */

/* [{"cert", "key"}] of what is there and still wanted; new. */
json_t *acme_pairs(const struct acme *a);
/* [{"Names", "State": "waiting" | "asking" | "good" | "failed", "Next", "Error"}]; new. */
json_t *acme_json(const struct acme *a);
