/* http/client_tls.h - an engine behind TLS, as docker's tcp:// hosts with --tlsverify.
 *
 * OpenSSL is not in the CLI: every `ps` would load it. As for ssh, a program stands between, which
 * is the worker (worker/tls_pipe.c).
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"

/* PEM files; NULL where there is none. */
struct tls_files {
	char *ca, *cert, *key; /* ca NULL: the machine's own */
	bool verify;           /* the server's certificate, and that it is for this host */
};
void tls_files_deinit(struct tls_files *t);

/* take_fd is connected to host. Returns a socket to what is behind TLS, or -1 when there is no
 * agreement: *e says why. */
int tls_connect(const char *worker, int take_fd, const char *host, const struct tls_files *t,
	struct err *e);
