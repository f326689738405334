/* wherry/attached.h - what run, start -a, attach and exec share: waiting for the end, and exit
 * statuses as docker's. */
#pragma once
#include <jansson.h>

#include "base/err.h"
#include "http/client.h"
#include "wherry/command.h"
#include "wherry/stream.h"

#define STATUS_ENGINE 125 /* the engine refused */
#define STATUS_NOT_RUNNABLE 126
#define STATUS_NOT_FOUND 127

/* Asks for the end of a container on a connection of its own; returns once the engine waits, so
 * that a container that is started afterwards cannot end unseen. condition: "next-exit", "removed",
 * "not-running". NULL with *e. */
struct http_client *wait_begin(
	struct cli *cli, const char *id, const char *condition, struct err *e);
/* Blocks until then. */
int wait_end(struct http_client *http, int *ret_code, struct err *e);

/* 125, 126 or 127 for what the engine said about a command that it could not start. */
int start_status(const struct err *e);

/* Attaches to a container, without starting it. in, out, err: which streams. */
int attach_open(struct stream *s, struct cli *cli, const struct stream_options *o, bool out,
	bool err, struct err *e);
