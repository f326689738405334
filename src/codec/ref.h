/* codec/ref.h - image references: "nginx", "127.0.0.1:5000/a/b:1.2", "x@sha256:...".
 *
 * Grammar, limits and words of github.com/distribution/reference (ParseNormalizedNamed); the only
 * digest is sha256. The canonical form names everything ("docker.io/library/nginx:latest"), the
 * familiar one is what users type.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define REF_NAME_MAX \
	255 /* domain and path together, as distribution/reference NameTotalLengthMax */
#define REF_TAG_MAX 128
#define REF_DIGEST_LEN 71 /* "sha256:" and 64 hex digits */
#define REF_TEXT_MAX (REF_NAME_MAX + 1 + REF_TAG_MAX + 1 + REF_DIGEST_LEN + 1)
#define REF_DEFAULT_DOMAIN "docker.io"

struct ref {
	char domain[REF_NAME_MAX + 1]; /* "docker.io", "localhost:5000", "[::1]:5000" */
	char path[REF_NAME_MAX + 1];   /* "library/nginx" */
	char tag[REF_TAG_MAX + 1];     /* "" when there is none */
	char digest[REF_DIGEST_LEN + 1];
};

/* ERR_INVALID "invalid reference format" and its relatives. No tag is added: see ref_default_tag.
 */
int ref_parse(const char *text, struct ref *ret, struct err *e);
void ref_default_tag(struct ref *r); /* "latest" when there is neither tag nor digest */

/* These return ret. Name forms leave tag and digest out. */
const char *ref_name(const struct ref *r, char ret[static REF_TEXT_MAX]);
const char *ref_canonical(const struct ref *r, char ret[static REF_TEXT_MAX]);
const char *ref_familiar_name(const struct ref *r, char ret[static REF_TEXT_MAX]);
const char *ref_familiar(const struct ref *r, char ret[static REF_TEXT_MAX]);

/* "sha256:" and exactly 64 lower-case hex digits: the only form that may become a path or a key. */
bool ref_is_digest(const char *text);
