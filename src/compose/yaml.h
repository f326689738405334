/* compose/yaml.h - YAML text to nodes: aliases copied, merge keys applied, duplicate keys refused.
 *
 * libfyaml only splits the text into events; it never resolves a document, so a file cannot make it
 * expand anything. Aliases are copied by us against a budget (a "billion laughs" file meets
 * YAML_NODES_MAX), depth is limited.
 */
#pragma once
#include "compose/tree.h"

#define YAML_NODES_MAX 20000u
#define YAML_DEPTH_MAX 64
#define YAML_BYTES_MAX (1u << 20)

/* The documents of the text as the elements of a list. file names the text in errors and is copied.
 * NULL with *e. */
struct node *yaml_parse(
	struct tree *t, const char *file, const char *text, size_t n, struct err *e);
