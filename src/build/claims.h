/* build/claims.h - steps that builds are running right now, by their cache keys: a build that wants
 * to run an equal one waits for its result.
 *
 * Who has a claim gives it back when the step has ended, however, or is gone; then the longest
 * waiting one has it, and looks into the cache before it runs the step itself. Nobody who has one
 * waits for another (worker/build_claim.c), but its client may be one that stopped reading: so that
 * nobody waits longer than wait_ms.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct uv_loop_s uv_loop_t;
struct claims;

/* The question, which waited, is answered: owner has the claim now, or it has waited too long and
 * goes on without one. Never called from inside claims_take; must not call us. */
typedef void claims_granted_fn(void *owner, json_int_t question, bool taken);

struct claims *claims_new(uv_loop_t *l, uint64_t wait_ms, claims_granted_fn *granted);
void claims_free(struct claims *c); /* NULL is fine; nobody is told anything */

/* Whether owner has it now. Otherwise another one does, and unless question is negative granted
 * follows. */
bool claims_take(struct claims *c, void *owner, const char *key, json_int_t question);
/* What a step's log says goes to those who wait for its end, too, from the beginning (of the first
 * CLAIMS_LOG_MAX bytes). vertex: by which owner's client knows the step. Owners without one take no
 * part. tell may be called from inside; must not call us. */
#define CLAIMS_LOG_MAX (64u << 10)
typedef void claims_tell_fn(void *owner, int vertex, const json_t *log);
void claims_note(struct claims *c, const void *owner, const char *key, int vertex,
	claims_tell_fn *tell); /* after claims_take */
void claims_log(struct claims *c, const void *owner, const json_t *log, claims_tell_fn *tell);
void claims_drop(struct claims *c, const void *owner, const char *key);
void claims_drop_all(struct claims *c, const void *owner); /* also what it waits for */
