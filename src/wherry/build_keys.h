/* wherry/build_keys.h - an ssh agent for one build, that holds keys given as files.
 *
 * OpenSSH's own ssh-agent and ssh-add do it: they know every form of key and ask for passphrases on
 * the terminal. The agent ends with us, also when we are killed: it watches a child that reads a
 * pipe of ours.
 */
#pragma once
#include <sys/types.h>

#include "base/err.h"

struct build_keys;

/* paths: files of private keys, "," between them. NULL with *e: no ssh-agent, not a key (ssh-add
 * has said why on standard error). */
struct build_keys *build_keys_new(const char *paths, struct err *e);
void build_keys_free(struct build_keys *k); /* ends the agent; NULL is fine */
const char *build_keys_socket(const struct build_keys *k);
