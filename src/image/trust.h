/* image/trust.h - whose images must be signed, and which are.
 *
 * The policy is daemon.json's "image-signatures" as wherryd/config_signatures.c has checked it:
 * rules
 * {"repository": "registry.example/app" or a beginning with "*", "signed-as": the same or "",
 * "enforce": bool, "keys": [{"path", "id": "sha256:..." of the key, "pem"}]}; the first rule that a
 * repository's name matches counts. A pull verifies (worker/signature.h); what it found stays in
 * the references' table, as the key's id beside REPOSITORY@DIGEST. An image is signed for a
 * repository while one of its digests there has a key that the rule still names.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "codec/ref.h"
#include "image/image.h"

/* The rule for a repository ("docker.io/library/nginx"; "" for an image without a name), or NULL;
 * borrowed from policy. */
const json_t *trust_rule(const json_t *policy, const char *repository);
/* The name that a signature must give for an image of the repository. */
const char *trust_identity(
	const json_t *rule, const char *repository, char ret[static REF_TEXT_MAX]);
/* "the key /a.pub" or "one of the keys /a.pub, /b.pub"; the caller's. */
char *trust_key_names(const json_t *rule);
/* What a pull's worker needs, new; NULL when no rule is for the reference. */
json_t *trust_request(const json_t *policy, const struct ref *r);
