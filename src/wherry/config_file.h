/* wherry/config_file.h - DOCKER_CONFIG/config.json, shared with the docker CLI: what we do not know
 * in it stays. */
#pragma once
#include <jansson.h>

#include "base/err.h"
#include "wherry/command.h"

/* A new object; empty when there is no file. NULL with *e when the file cannot be read. */
json_t *config_file_read(const struct cli *cli, struct err *e);
/* The same for readers who can go on without it: a broken file is said once on stderr. Never NULL.
 */
json_t *config_file_read_or_empty(const struct cli *cli);
/* Replaces the file, mode 0600 (it holds passwords), making the directory. */
int config_file_write(const struct cli *cli, const json_t *doc, struct err *e);
