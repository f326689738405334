#include "container/state.h"

/* Rows: where we are; columns: what happened. 0 is "refused": nothing ever goes back to created but
 * a failed start of a container that never ran, which FAILED_TO_CREATED stands for. */
#define S(x) (CONTAINER_##x)
#define FAILED_TO_CREATED 100

_Static_assert(CONTAINER_CREATED == 0, "0 means refused");

static const signed char next[CONTAINER_STATE_MAX][INPUT_MAX] = {
	[S(CREATED)] = {[INPUT_START] = S(STARTING), [INPUT_REMOVE] = S(REMOVING)},
	[S(STARTING)] = {[INPUT_STARTED] = S(RUNNING),
		[INPUT_FAILED] = FAILED_TO_CREATED,
		[INPUT_DIED] = S(EXITED),
		[INPUT_RETRY] = S(RESTARTING)},
	[S(RUNNING)] = {[INPUT_STOP] = S(STOPPING),
		[INPUT_DIED] = S(EXITED),
		[INPUT_RETRY] = S(RESTARTING),
		[INPUT_PAUSE] = S(PAUSED)},
	[S(PAUSED)] = {[INPUT_UNPAUSE] = S(RUNNING),
		[INPUT_STOP] = S(STOPPING),
		[INPUT_DIED] = S(EXITED),
		[INPUT_RETRY] = S(RESTARTING)},
	[S(STOPPING)] = {[INPUT_DIED] = S(EXITED), [INPUT_STOP] = S(STOPPING)},
	[S(RESTARTING)] = {[INPUT_START] = S(STARTING),
		[INPUT_STOP] = S(EXITED),
		[INPUT_REMOVE] = S(REMOVING)},
	[S(EXITED)] = {[INPUT_START] = S(STARTING), [INPUT_REMOVE] = S(REMOVING)},
	[S(DEAD)] = {[INPUT_REMOVE] = S(REMOVING)},
};

enum container_state container_next_state(enum container_state from, enum container_input input)
{
	signed char to = next[from][input];
	if (to == FAILED_TO_CREATED) {
		return CONTAINER_CREATED;
	}
	return to == 0 ? CONTAINER_STATE_MAX : (enum container_state)to;
}

const char *container_state_word(enum container_state s)
{
	static const char *const words[CONTAINER_STATE_MAX] = {
		[S(CREATED)] = "created",
		[S(STARTING)] = "created",
		[S(RUNNING)] = "running",
		[S(PAUSED)] = "paused",
		[S(STOPPING)] = "running",
		[S(RESTARTING)] = "restarting",
		[S(EXITED)] = "exited",
		[S(DEAD)] = "dead",
		[S(REMOVING)] = "removing",
	};
	return words[s];
}
