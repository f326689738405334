#include "image/trust.h"

#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "image/store.h"

/* --- rules --- */

/* The part that a trailing star stands for; NULL when the name does not match. */
static const char *match(const char *pattern, const char *name)
{
	size_t n = strlen(pattern);
	if (n > 0 && pattern[n - 1] == '*') {
		return strncmp(pattern, name, n - 1) == 0 ? name + n - 1 : NULL;
	}
	return strcmp(pattern, name) == 0 ? name + n : NULL;
}

const json_t *trust_rule(const json_t *policy, const char *repository)
{
	size_t i;
	json_t *rule;
	json_array_foreach (policy, i, rule) {
		if (match(json_str(rule, "repository"), repository)) {
			return rule;
		}
	}
	return NULL;
}

const char *trust_identity(
	const json_t *rule, const char *repository, char ret[static REF_TEXT_MAX])
{
	const char *as = json_str(rule, "signed-as");
	const char *rest = match(json_str(rule, "repository"), repository);
	size_t n = strlen(as);
	bool same = n == 0 || !rest; /* it is signed for where it is */
	bool star = n > 0 && as[n - 1] == '*';
	snprintf(ret, REF_TEXT_MAX, "%.*s%s", (int)(same ? 0 : n - star), as,
		same   ? repository
		: star ? rest
		       : "");
	return ret;
}

char *trust_key_names(const json_t *rule)
{
	struct buf text = BUF_INIT;
	json_t *keys = json_object_get(rule, "keys");
	size_t i;
	json_t *key;
	buf_puts(&text, json_array_size(keys) == 1 ? "the key " : "one of the keys ");
	json_array_foreach (keys, i, key) {
		buf_printf(&text, "%s%s", i ? ", " : "", json_str(key, "path"));
	}
	return buf_take_str(&text);
}

json_t *trust_request(const json_t *policy, const struct ref *r)
{
	char name[REF_TEXT_MAX], identity[REF_TEXT_MAX];
	const json_t *rule = trust_rule(policy, ref_name(r, name));
	if (!rule) {
		return NULL;
	}
	json_t *request = json_object();
	json_put_str(request, "identity", trust_identity(rule, name, identity));
	json_put(request, "enforce", json_boolean(json_bool(rule, "enforce")));
	json_put(request, "keys", json_incref(json_object_get(rule, "keys")));
	return request;
}

/* The key of that id, or NULL. */
static const json_t *find_key(const json_t *rule, const char *id)
{
	size_t i;
	json_t *key;
	json_array_foreach (json_object_get(rule, "keys"), i, key) {
		if (strcmp(json_str(key, "id"), id) == 0) {
			return key;
		}
	}
	return NULL;
}

/* --- which images are signed --- */

static const json_t *policy_of(const struct image_store *s)
{
	return json_object_get(s->registry_config, "image-signatures");
}

/* Calls fn for each digest reference of the image that a key has signed, until it returns true. */
typedef bool signed_fn(
	void *owner, const struct ref *r, const char *repository, const char *key_id);

static bool each_signed(
	const struct image_store *s, const struct image *i, signed_fn *fn, void *owner)
{
	size_t pos = 0;
	const char *canonical, *key_id;
	while ((key_id = map_next(s->signatures, &pos, &canonical))) {
		struct ref r;
		struct err ignored;
		char name[REF_TEXT_MAX];
		if (map_get(s->refs, canonical) == i && ref_parse(canonical, &r, &ignored) == 0 &&
			fn(owner, &r, ref_name(&r, name), key_id)) {
			return true;
		}
	}
	return false;
}

struct question {
	const json_t *rule;
	const char *repository;
};

static bool is_answer(void *owner, const struct ref *r, const char *repository, const char *key_id)
{
	const struct question *q = owner;
	return strcmp(repository, q->repository) == 0 && find_key(q->rule, key_id);
}

/* The name under which an image was asked for, or all its names for an id. */
static void names_of(
	struct image_store *s, const struct image *i, const char *typed, struct strv *ret)
{
	struct err ignored;
	struct ref r;
	char name[REF_TEXT_MAX];
	bool by_id = true;
	const struct image *named = image_find_named(s, typed, &by_id, &ignored);
	const struct image_index *x = image_index_find(s, typed);
	/* another platform's image has the name too, but no signature was seen of it */
	if ((named == i || (x && image_index_has(x, i))) && named && !by_id &&
		ref_parse(typed, &r, &ignored) == 0) {
		strv_add(ret, ref_name(&r, name));
		return;
	}
	scoped(strv) struct strv refs = STRV_INIT;
	image_refs_of(s, i, &refs);
	for (size_t k = 0; k < refs.n; k++) {
		if (ref_parse(refs.v[k], &r, &ignored) == 0 && !strv_has(ret, ref_name(&r, name))) {
			strv_add(ret, name);
		}
	}
	if (ret->n == 0) {
		strv_add(ret, "");
	}
}

int image_trust_check(
	struct image_store *s, const struct image *i, const char *typed, struct err *e)
{
	scoped(strv) struct strv names = STRV_INIT;
	const json_t *policy = policy_of(s);
	if (json_array_size(policy) == 0) {
		return 0;
	}
	names_of(s, i, typed, &names);
	for (size_t k = 0; k < names.n; k++) {
		const struct question q = {trust_rule(policy, names.v[k]), names.v[k]};
		if (!q.rule || !json_bool(q.rule, "enforce") ||
			each_signed(s, i, is_answer, (void *)&q)) {
			continue;
		}
		scoped(free) char *keys = trust_key_names(q.rule);
		return err_set(e, ERR_DENIED,
			"image %.150s is refused by the signature policy: it is not verified as signed by %.200s%s%.100s; pull it from its registry",
			typed, keys, *q.repository ? " for " : "", q.repository);
	}
	return 0;
}

int image_trust_record(struct image_store *s, const char *canonical, const char *key_id,
	struct image *i, struct err *e)
{
	struct ref r;
	char name[REF_TEXT_MAX];
	if (ref_parse(canonical, &r, e) < 0) {
		return -1;
	}
	const json_t *rule = trust_rule(policy_of(s), ref_name(&r, name));
	const json_t *key = find_key(rule, key_id);
	if (!key) { /* the policy has changed meanwhile: not signed by what counts now */
		return 0;
	}
	free(map_put(s->signatures, canonical, xstrdup(key_id)));
	if (image_ref_set(s, canonical, i, e) < 0) {
		free(map_remove(s->signatures, canonical));
		return -1;
	}
	log_info("image", "signature_verified", "image", canonical, "key", json_str(key, "path"),
		NULL);
	return 0;
}

struct shown {
	const json_t *policy;
	json_t *list;
};

static bool show(void *owner, const struct ref *r, const char *repository, const char *key_id)
{
	const struct shown *to = owner;
	char familiar[REF_TEXT_MAX];
	const json_t *key = find_key(trust_rule(to->policy, repository), key_id);
	json_t *one = json_object();
	json_put_str(one, "Reference", ref_familiar(r, familiar));
	json_put_str(one, "KeyId", key_id);
	json_put_str(one, "Key", json_str(key, "path"));
	json_array_append_new(to->list, one);
	return false;
}

json_t *image_trust_shown(const struct image_store *s, const struct image *i)
{
	const struct shown to = {policy_of(s), json_array()};
	each_signed(s, i, show, (void *)&to);
	return to.list;
}
