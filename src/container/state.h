/* container/state.h - which step of a container's life is legal from where. Pure. */
#pragma once
#include "container/container.h"

enum container_input {
	INPUT_START,   /* somebody or the restart policy starts it */
	INPUT_STARTED, /* crun has started its init */
	INPUT_FAILED,  /* it could not be started */
	INPUT_STOP,    /* a stop was asked for */
	INPUT_DIED,    /* its init has ended */
	INPUT_RETRY,   /* it has ended and will be restarted after a pause */
	INPUT_PAUSE,
	INPUT_UNPAUSE,
	INPUT_REMOVE,
	INPUT_MAX
};

/* The next state, or CONTAINER_STATE_MAX when the step is refused. */
enum container_state container_next_state(enum container_state from, enum container_input input);
const char *container_state_word(enum container_state s); /* as State.Status in the API */
