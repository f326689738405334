/* worker/build_ssh.h - RUN --mount=type=ssh: a socket in the step, whose connections end at an ssh
 * agent that the client offers (moby.sshforward.v1.SSH).
 *
 * Every connection is a ForwardAgent call and has two threads, one a direction. A client that does
 * not answer keeps the connection waiting, not the end of the step.
 */
#pragma once
#include "base/err.h"

struct build;

#define SSH_CONNECTIONS_MAX 16 /* at once, of one socket; more wait */

struct ssh_relay;

/* Asks the client whether it has that agent, and listens at take_fd. *ret NULL without an error: it
 * has none. */
int ssh_relay_start(
	const struct build *b, const char *id, int take_fd, struct ssh_relay **ret, struct err *e);
void ssh_relay_stop(struct ssh_relay *s); /* ends the connections; NULL is fine */
