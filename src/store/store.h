/* store/store.h - the state of every object in one SQLite file.
 *
 * Each kind of object has its own table of (id, doc): doc is the object's JSON, in the shape that
 * its module chooses. The daemon is the only writer and keeps all objects in memory; the store is
 * read once, at start. WAL with synchronous=NORMAL: a commit costs no fsync, a power cut loses at
 * most the last commits and never tears one. Nothing is written when the text did not change.
 */
#pragma once
#include <jansson.h>

#include "base/err.h"

enum store_table {
	STORE_CONTAINERS, /* id: container id */
	STORE_IMAGES,     /* id: "sha256:..." of the image config */
	STORE_REFS, /* id: canonical reference "docker.io/library/nginx:1.19" or "...@sha256:..." */
	STORE_LAYERS,      /* id: diff id "sha256:..." */
	STORE_NETWORKS,    /* id: network id */
	STORE_VOLUMES,     /* id: volume name */
	STORE_BUILD_CACHE, /* id: cache key */
	STORE_BLOBS,       /* id: diff id "sha256:..." */
	STORE_MANIFESTS,   /* id: image id "sha256:..." */
	STORE_INDEXES,     /* id: digest of an index of images, "sha256:..." */
	STORE_USERS,       /* id: name */
	STORE_SESSIONS,    /* id: SHA-256 of the token, in hex */
	STORE_MAX
};

struct store;

/* Opens or makes the file and brings its schema up to date. path ":memory:" is for tests.
 * NULL with *e: the file is damaged, newer than this program, or in use by another daemon. */
struct store *store_open(const char *path, struct err *e);
void store_close(struct store *s); /* NULL is fine */
/* The file that must reach the disk for all commits so far to last, "" when there is none. The
 * caller's string. */
char *store_journal(const struct store *s);

int store_put(
	struct store *s, enum store_table t, const char *id, const json_t *doc, struct err *e);
int store_delete(
	struct store *s, enum store_table t, const char *id, struct err *e); /* absent is fine */

/* One row: a new reference, or NULL when there is none. For what nobody keeps in memory. */
int store_get(struct store *s, enum store_table t, const char *id, json_t **ret_doc, struct err *e);

/* Calls fn for every row in order of insertion; doc is borrowed. Stops at the first -1, which it
 * returns. */
typedef int store_row_fn(void *owner, const char *id, json_t *doc, struct err *e);
int store_each(struct store *s, enum store_table t, store_row_fn *fn, void *owner, struct err *e);

/* Several puts and deletes that happen together or not at all. May nest; only the outermost counts.
 */
int store_begin(struct store *s, struct err *e);
int store_commit(struct store *s, struct err *e);
void store_rollback(struct store *s);
