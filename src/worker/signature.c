#include "worker/signature.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "codec/sha256.h"
#include "tree/stream.h"
#include "worker/registry.h"
#include "worker/signature_text.h"

struct search {
	const json_t *keys;
	const char *identity, *tag;
	const char *digest; /* of what must be signed */
	struct registry *registry;
	size_t n_seen;
	struct err why; /* the nearest miss, or no text */
};

static int read_payload(
	struct search *s, const struct signature *want, struct buf *ret, struct err *e)
{
	char chunk[4096], digest[STREAM_DIGEST_LEN + 1];
	scoped(stream_free) struct stream *blob =
		registry_blob(s->registry, want->digest, want->size);
	ssize_t n;
	while ((n = stream_read(blob, chunk, sizeof(chunk), e)) > 0) {
		if (buf_append_limited(ret, chunk, (size_t)n, SIGNATURE_PAYLOAD_MAX) < 0) {
			return err_set(e, ERR_INVALID, "the signed payload is too long");
		}
	}
	if (n < 0) {
		return -1;
	}
	sha256_digest(buf_str(ret), ret->len, digest);
	return strcmp(digest, want->digest) == 0
		       ? 0
		       : err_set(e, ERR_INVALID, "signature verification failed for digest %s",
				 want->digest);
}

/* The key that made the signature, or NULL; a key that cannot be used is said in s->why. */
static const json_t *find_maker(
	struct search *s, const struct signature *one, const struct buf *payload)
{
	size_t i;
	json_t *key;
	json_array_foreach (s->keys, i, key) {
		struct err e;
		bool good = false;
		if (signature_verify(json_str(key, "pem"), one, buf_str(payload), payload->len,
			    &good, &e) < 0) {
			(void)err_set(&s->why, ERR_DENIED, "the key %.150s cannot be used: %.200s",
				json_str(key, "path"), e.msg);
		} else if (good) {
			return key;
		}
	}
	return NULL;
}

/* The id of the key that signed this image, or NULL. The payload is read as what it claims only
 * after its signature was good. */
static const char *try_one(struct search *s, const struct signature *one)
{
	struct err e;
	struct signature_claim claim;
	scoped(buf) struct buf payload = BUF_INIT;
	s->n_seen++;
	if (read_payload(s, one, &payload, &e) < 0) {
		s->why = e;
		return NULL;
	}
	const json_t *key = find_maker(s, one, &payload);
	if (!key) {
		return NULL;
	}
	const char *path = json_str(key, "path");
	if (signature_payload(buf_str(&payload), payload.len, &claim, &e) < 0) {
		(void)err_set(&s->why, ERR_DENIED, "the signature by the key %.150s: %.250s", path,
			e.msg);
		return NULL;
	}
	if (signature_claim_check(&claim, s->digest, s->identity, s->tag, &e) < 0) {
		(void)err_set(
			&s->why, ERR_DENIED, "the signature by the key %.150s %.250s", path, e.msg);
		return NULL;
	}
	return json_str(key, "id");
}

static const char *try_all(struct search *s, const struct buf *manifest)
{
	struct err e;
	scoped(free) struct signature *list = NULL;
	size_t n = 0;
	const char *found = NULL;
	if (signature_list(buf_str(manifest), manifest->len, &list, &n, &e) < 0) {
		s->why = e;
		return NULL;
	}
	for (size_t i = 0; i < n && !found; i++) {
		found = try_one(s, &list[i]);
	}
	return found;
}

/* Every endpoint is asked: a mirror need not have what the registry has, and whoever gives a good
 * signature cannot lie. */
static const char *search(struct search *s, const json_t *request, const struct ref *ref)
{
	struct ref at = *ref;
	char type[REGISTRY_TYPE_MAX];
	struct err e;
	const char *found = NULL;
	snprintf(at.tag, sizeof(at.tag), "sha256-%.64s.sig", s->digest + strlen("sha256:"));
	*at.digest = '\0';
	s->registry = registry_new(
		json_object_get(request, "registry"), &at, json_object_get(request, "auth"));
	do {
		scoped(buf) struct buf manifest = BUF_INIT;
		if (registry_resolve(s->registry, &manifest, type, &e) == 0) {
			found = try_all(s, &manifest);
		} else if (e.kind != ERR_NOT_FOUND) {
			s->why = e;
		}
	} while (!found && registry_next(s->registry));
	registry_free(s->registry);
	return found;
}

static char *key_names(const json_t *keys)
{
	struct buf text = BUF_INIT;
	size_t i;
	json_t *key;
	json_array_foreach (keys, i, key) {
		buf_printf(&text, "%s%.100s", i ? ", " : "", json_str(key, "path"));
	}
	return buf_take_str(&text);
}

static void say_refused(const struct search *s, const struct ref *ref, struct err *e)
{
	char familiar[REF_TEXT_MAX];
	scoped(free) char *names = key_names(s->keys);
	const char *keys = json_array_size(s->keys) == 1 ? "the key" : "one of the keys";
	scoped(free) char *found = *s->why.msg ? xstrdup(s->why.msg)
				   : s->n_seen ? xasprintf("it has %zu signature%s of others",
							 s->n_seen, s->n_seen > 1 ? "s" : "")
					       : xstrdup("it has no signature");
	(void)err_set(e, ERR_DENIED,
		"image %.120s is refused by the signature policy: it must be signed by %s %.150s, but %.200s",
		ref_familiar(ref, familiar), keys, names, found);
}

const char *signature_find(const json_t *request, const struct ref *ref, const char *digest,
	const char *image_digest, struct err *e)
{
	const json_t *rule = json_object_get(request, "signature");
	struct search s = {.keys = json_object_get(rule, "keys"),
		.identity = json_str(rule, "identity"),
		.tag = ref->tag,
		.digest = digest};
	const char *found = search(&s, request, ref);
	if (!found && strcmp(digest, image_digest) != 0) {
		s.digest = image_digest;
		found = search(&s, request, ref);
	}
	if (!found) {
		say_refused(&s, ref, e);
	}
	return found;
}
