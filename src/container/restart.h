/* container/restart.h - whether and when a container that has ended is started again. Pure: handed
 * every time.
 *
 * moby restartmanager: 100 ms, doubled at each restart up to a minute; a run of 10 s or more starts
 * over at 100 ms.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum restart_kind { RESTART_NO, RESTART_ALWAYS, RESTART_UNLESS_STOPPED, RESTART_ON_FAILURE };

struct restart_policy {
	enum restart_kind kind;
	int max_retries; /* on-failure only; 0: no limit */
};

/* name: "", "no", "always", "unless-stopped", "on-failure". ERR_INVALID for another, or a count
 * where none may be. */
int restart_policy_parse(
	const char *name, int64_t max_retries, struct restart_policy *ret, struct err *e);

struct restart_facts {
	int exit_code;
	int count;            /* restarts so far */
	int64_t ran_ms;       /* how long this run took */
	int64_t last_wait_ms; /* the pause before this run, 0 if none */
	bool stopped_by_user;
	bool waiting; /* it did not run: something it needs is not there */
};
/* True when it is to be started again, after *ret_wait_ms. */
bool restart_decide(
	const struct restart_policy *p, const struct restart_facts *f, int64_t *ret_wait_ms);
/* Whether a container that is not running is started when the daemon starts. */
bool restart_at_boot(
	const struct restart_policy *p, int exit_code, bool was_running, bool stopped_by_user);

/* What is done about a container that has become unhealthy: label or setting wherry.unhealthy. */
#define UNHEALTHY_LABEL "wherry.unhealthy"
enum unhealthy_action { UNHEALTHY_IGNORE, UNHEALTHY_RESTART };
/* "restart", "ignore", or "" for dflt. False for another word. */
bool unhealthy_action_parse(
	const char *word, enum unhealthy_action dflt, enum unhealthy_action *ret);

/* Restarts for being unhealthy, so far; zero at first. */
struct unhealthy_history {
	int count;
	int64_t last_ms; /* when the last one was */
};
/* The pause before the next one: none at first; after each 10 s, doubled up to 10 minutes, counted
 * from it. Half an hour without any starts over. */
int64_t unhealthy_wait_ms(const struct unhealthy_history *h, int64_t now_ms);
struct unhealthy_history unhealthy_after(struct unhealthy_history h, int64_t now_ms);
