/* A step that another build is running is waited for, not run again: the daemon knows who runs what
 * (build/claims.h). Who has a claim must not wait for another one: it is taken after all that a
 * step is made from is done, and right before the step runs; a classic build's output, which may
 * wait for its turn, is unbounded meanwhile.
 */
#include "base/json.h"
#include "worker/build.h"
#include "worker/rpc.h"

/* 1: we have it; 0: another build does; -1 with *e. */
static int ask(const struct build_step *t, const char *key, bool wait, struct err *e)
{
	scoped(json) json_t *answer = rpc_ask(t->b->rpc,
		json_pack("{ss ss sb si}", "ask", "claim", "key", key, "wait", wait, "vertex",
			t->s->vertex),
		e);
	return answer ? json_bool(answer, "taken") : -1;
}

static void say_that_we_wait(const struct build_step *t)
{
	static const char words[] = "waiting for another build that runs this step\n";
	build_event_log(t->b->events, t->s->turn, t->s->vertex, 1, words, sizeof(words) - 1);
}

int build_claim_among_builds(const struct build_step *t, const char *key, struct err *e)
{
	if (t->s->no_cache) {
		return 0; /* it would not take the result */
	}
	char own[65];
	key = build_times_key(t, key, own);
	build_turn_unbound(t->b->events, t->s->turn);
	int r = ask(t, key, false, e);
	if (r == 0) {
		say_that_we_wait(t);
		r = ask(t, key, true, e);
	}
	return r < 0 ? -1 : 0;
}

void build_unclaim_among_builds(const struct build_step *t, const char *key)
{
	if (t->s->no_cache) {
		return;
	}
	char own[65];
	struct err ignored;
	key = build_times_key(t, key, own);
	json_decref(
		rpc_ask(t->b->rpc, json_pack("{ss ss}", "ask", "unclaim", "key", key), &ignored));
	build_turn_bound(t->b->events, t->s->turn);
}
