/* wherry/globals.h - what stands before the command (-H, --context ...), the environment, and which
 * engine is meant. */
#pragma once
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/strv.h"
#include "wherry/command.h"

struct globals {
	struct strv hosts;
	const char *config, *context, *log_level, *tls_ca, *tls_cert, *tls_key;
	bool debug, version, help, tls, tls_verify;
};

/* Reads the flags; argv then begins with the command, *argc words. -1, or the exit status. */
int globals_read(struct globals *g, int *argc, char ***argv);
void globals_deinit(struct globals *g);
/* Their help. */
void globals_list(size_t width, struct buf *ret);
/* For completion, as flags_describe. */
void globals_describe(struct buf *ret);

/* --config, DOCKER_CONFIG, ~/.docker. The caller's. */
char *globals_config_dir(const struct globals *g);
/* Fills cli->host, cli->context and the headers of config.json; cli->config_dir and cli->config are
 * there already. */
int globals_choose_engine(const struct globals *g, struct cli *cli, struct err *e);
/* "host:2375", "tcp://host" (2376 with TLS), "unix://" and such as docker -H takes them. The
 * caller's. */
char *globals_host(const char *text, bool tls);
