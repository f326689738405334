/* wherry/tls_choice.h - TLS to the engine: whether, and with which certificates.
 *
 * From --tls, --tlsverify, --tlscacert ..., DOCKER_TLS, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH as
 * docker/cli cli/flags/options.go, or the files that docker keeps for a context.
 */
#pragma once
#include <stdbool.h>

#include "http/client_tls.h"
#include "wherry/globals.h"

/* Fills *ret, the caller's, when TLS is wanted. */
bool tls_choose(const struct globals *g, const char *config_dir, struct tls_files *ret);
/* The same of a context; skip_verify as its meta.json says. */
bool tls_of_context(
	const char *config_dir, const char *name, bool skip_verify, struct tls_files *ret);
