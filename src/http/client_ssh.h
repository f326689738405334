/* http/client_ssh.h - an engine behind ssh, as docker's ssh:// hosts: the remote command connects
 * its stdio to the engine.
 */
#pragma once
#include "base/err.h"
#include "base/strv.h"

/* ssh's words for "ssh://[USER@]HOST[:PORT][/SOCKET]". ERR_INVALID for another text. */
int ssh_words(const char *url, struct strv *ret, struct err *e);
/* Starts ssh; returns a socket to the engine, or -1. ssh ends when the socket is closed. */
int ssh_connect(const char *url, struct err *e);
