/* worker/signature.h - asks a registry for an image's signatures and verifies them.
 *
 * Formats: worker/signature_text.h. Only signatures at the tag sha256-HEX.sig are looked for; those
 * that are referrers (sigstore bundles) are not.
 */
#pragma once
#include <jansson.h>

#include "base/err.h"
#include "codec/ref.h"

/* request: of a pull: "signature" {"identity", "keys"} (image/trust.h), "registry", "auth". digest:
 * of what the reference names, image_digest: of the image's own manifest, which may be the same; a
 * signature for either will do. The id of the key, borrowed from request, or NULL with *e:
 * ERR_DENIED names the keys and says what was found instead; whatever else goes wrong, there is no
 * signature. */
const char *signature_find(const json_t *request, const struct ref *ref, const char *digest,
	const char *image_digest, struct err *e);
