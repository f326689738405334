/* container/plugged.h - the device nodes that a container has, and links to them: a list of plain
 * values. Pure. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"

#define PLUGGED_MAX 512 /* of one container */

struct plugged {
	char *key;    /* struct wanted */
	char *path;   /* in the container */
	char *node;   /* on the host */
	char *target; /* of a link: what it says; else NULL */
	char access[4];
	char type; /* 'c' or 'b'; 'l': a symbolic link to one of the others */
	unsigned major, minor;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	bool stays; /* nothing says when it goes: there as long as the container runs */
	bool gone;  /* the host has said so; it may be back as the same node already */
};

struct plugged_list {
	struct plugged *v;
	size_t n;
};

void plugged_deinit(struct plugged_list *l);
/* Copies; NULL when the path is taken or the list full: then nothing is added. */
struct plugged *plugged_add(struct plugged_list *l, const struct plugged *one);
void plugged_remove(struct plugged_list *l, const char *path);
const struct plugged *plugged_find(const struct plugged_list *l, const char *path);
bool plugged_is_link(const struct plugged *p);
/* The same node of the same device at the same place. */
bool plugged_equal(const struct plugged *a, const struct plugged *b);
/* What is in a and not in b; what of a has gone is not in b, whatever that has. Borrowed strings:
 * only *ret itself is the caller's to free. */
void plugged_missing(
	const struct plugged_list *a, const struct plugged_list *b, struct plugged_list *ret);

json_t *plugged_record(const struct plugged_list *l); /* new */
void plugged_restore(const json_t *record, struct plugged_list *ret);
/* As the job "plug" takes them (worker/plug_nodes.h); new. */
json_t *plugged_nodes(const struct plugged_list *l);
