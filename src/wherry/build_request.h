/* wherry/build_request.h - what BuildKit is asked for, made from what the user asked for.
 *
 * The attributes are those that `docker buildx build` sends to the frontend dockerfile.v0 and to
 * the exporters (buildx build/opt.go, moby/buildkit frontend/dockerui). What cannot be done is
 * refused here with a sentence, before anything is connected.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/strv.h"
#include "wherry/build_keys.h"
#include "wherry/build_options.h"

struct build_local {
	char *name; /* "context", "dockerfile", "named-x" */
	char *path; /* a directory of ours */
};

struct build_secret {
	char *id, *path, *env, *text; /* one of the three is set */
};

struct build_agent {
	char *id, *socket;
	struct build_keys *keys; /* whose agent it is, when keys were given; NULL */
};

/* Where the result of the export of that index goes. */
struct build_dest {
	size_t export;
	char *path; /* "-": standard output */
	bool tree;  /* a directory; else one file */
};

/* An OCI layout that the engine may read, or write, too. */
struct build_store {
	char *id;   /* "export", "local:DIR" of a cache, "oci:ID" of a context */
	char *path; /* a directory of ours */
	char *tag;  /* of a cache that is written; else NULL */
	bool write;
};

struct build_request {
	json_t *attrs;                 /* of the frontend: name -> string */
	json_t *exports;               /* [{"type", "attrs": {}}] */
	json_t *cache_to, *cache_from; /* [{"Type", "Attrs": {}}] */
	struct strv entitlements;
	struct strv push_names; /* images to push when the build is done */
	struct build_local *locals;
	size_t n_locals;
	struct build_secret *secrets;
	size_t n_secrets;
	struct build_agent *agents;
	size_t n_agents;
	struct build_dest *dests;
	size_t n_dests;
	struct build_store *stores;
	size_t n_stores;
	char *upload_id;  /* standard input is the context: an archive, under this name; or NULL */
	struct buf early; /* of standard input, read already */
	char *temporary;  /* a directory to remove; NULL */
};

void build_request_init(struct build_request *r);
void build_request_deinit(struct build_request *r); /* removes temporary */
static inline void scoped_build_request(struct build_request *r)
{
	build_request_deinit(r);
}

/* Everything but the context. */
int build_request_options(struct build_request *r, const struct build_options *o, struct err *e);
/* wherry/build_outputs.c: exports, dests and push_names. */
int build_request_outputs(struct build_request *r, const struct build_options *o, struct err *e);
/* wherry/build_source.c: finds out what operand and -f mean; reads the beginning of standard input
 * where that is needed; writes a Dockerfile from elsewhere into temporary. */
int build_request_context(struct build_request *r, const struct build_options *o, struct err *e);

/* --- wherry/build_stores.c: OCI layouts --- */
/* Where an image goes unpacked. */
int build_request_export(struct build_request *r, const char *path, struct err *e);
/* attrs of --cache-to type=local. */
int build_request_cache_to(struct build_request *r, const json_t *attrs, struct err *e);
/* attrs of --cache-from type=local; "digest" is added. 0: there is no such cache, which *ret_why
 * (the caller's) says; 1; -1 with *e. */
int build_request_cache_from(struct build_request *r, json_t *attrs, char **ret_why, struct err *e);
/* "oci-layout://PATH[:TAG][@DIGEST]", and what the engine is told instead, the caller's. */
char *build_request_layout(struct build_request *r, const char *value, struct err *e);
/* Their index.json, after a build with this response. */
int build_stores_update(const struct build_request *r, const json_t *response, struct err *e);

/* A secret of that text. */
void build_request_secret(struct build_request *r, const char *id, const char *text);
void build_request_local(struct build_request *r, const char *name, const char *path);
