/* wherry/compose_make.h - what the steps of a plan share; for compose_carry.c and compose_make.c.
 */
#pragma once
#include "wherry/compose.h"

/* Requests that change something: with --dry-run they are not made and succeed. */
int compose_act(struct compose *c, const char *method, const char *prefix, const char *name,
	const char *suffix, struct err *e);
int compose_act_body(
	struct compose *c, const char *path, const json_t *body, json_t **ret, struct err *e);
/* What a container is about. */
void compose_say(struct compose *c, const char *name, const char *verb);

/* The id of the container that a step made for the service, or with the name ("/NAME"); NULL. */
const char *compose_made(struct compose_carry *carry, const char *key);
/* Has the inspected container a health check? */
bool compose_is_checked(const json_t *o);
/* STEP_WAIT, whether it is required or not. */
int compose_wait_step(struct compose *c, const struct step *step, struct err *e);
/* POST /containers/create under that name; old, inspected: the one that it is made beside, or NULL.
 * With STEP_ROLL it is labelled as its successor, and does not count as made yet. */
int compose_post_container(struct compose_carry *carry, struct compose *c, const struct step *step,
	const char *name, const struct state_container *old, const json_t *inspected, char **ret_id,
	struct err *e);
/* compose_credentials.c: of a volume that there is; and of all of the project that there are. */
int compose_put_credentials(struct compose *c, const struct volume *v, struct err *e);
int compose_renew_credentials(struct compose *c, const struct state *s, struct err *e);
void compose_note_made(struct compose_carry *carry, const struct step *step, const char *id);
int compose_rename(struct compose *c, const char *id, const char *name, struct err *e);
/* Starts and tells carry->on_start. */
int compose_start_id(struct compose_carry *carry, struct compose *c, const struct step *step,
	const char *id, struct err *e);

/* compose_roll.c: STEP_ROLL and STEP_FINISH; and, after a failure, back to the old one. */
int compose_roll(
	struct compose_carry *carry, struct compose *c, const struct step *step, struct err *e);
int compose_roll_finish(
	struct compose_carry *carry, struct compose *c, const struct step *step, struct err *e);
void compose_roll_back(struct compose_carry *carry, struct compose *c, const struct step *step);

/* STEP_CREATE and STEP_RECREATE. */
int compose_make_new(
	struct compose_carry *carry, struct compose *c, const struct step *step, struct err *e);
int compose_make_again(
	struct compose_carry *carry, struct compose *c, const struct step *step, struct err *e);
