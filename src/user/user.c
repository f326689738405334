/* Invariants
 * 1. A user's document is what the store has: a change is made in a copy, which takes its place
 * once it was stored.
 * 2. Listeners are told after that, one at a time; one may unlisten itself.
 */
#include "user/user.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "store/store.h"

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789_"

struct user {
	char *name;
	json_t *doc; /* {"role", "hash", "totp", "totp_step", "disabled", "created",
			"certificates": [{"id", "created", "not_after"}]} */
};

struct user_set {
	struct store *store;
	struct map *users;
	struct list listeners;
};

struct user_listener {
	struct list node;
	user_change_fn *fn;
	void *owner;
};

static const char *const role_words[] = {
	[ROLE_NONE] = "", [ROLE_READ] = "read", [ROLE_OPERATE] = "operate", [ROLE_ADMIN] = "admin"};

const char *role_word(enum user_role role)
{
	return role_words[role];
}

int role_parse(const char *word, enum user_role *ret)
{
	for (int r = ROLE_READ; r <= ROLE_ADMIN; r++) {
		if (strcmp(word, role_words[r]) == 0) {
			*ret = (enum user_role)r;
			return 0;
		}
	}
	return -EINVAL;
}

bool user_name_is_valid(const char *name)
{
	size_t n = strlen(name);
	return n > 0 && n <= USER_NAME_MAX && strchr(NAME_LETTERS, *name) &&
	       strspn(name, NAME_LETTERS ".-") == n;
}

/* --- the set --- */

static struct user *user_new(const char *name, json_t *take_doc)
{
	struct user *u = xnew(struct user);
	u->name = xstrdup(name);
	u->doc = take_doc;
	return u;
}

static void user_free(struct user *u)
{
	if (u) {
		free(u->name);
		json_decref(u->doc);
		free(u);
	}
}

static int load(void *owner, const char *id, json_t *doc, struct err *e)
{
	struct user_set *s = owner;
	enum user_role role;
	if (!user_name_is_valid(id) || role_parse(json_str(doc, "role"), &role) < 0) {
		return err_set(e, ERR_SYSTEM, "the state file has a user that is none: %.64s", id);
	}
	user_free(map_put(s->users, id, user_new(id, json_incref(doc))));
	return 0;
}

struct user_set *user_set_new(struct store *store, struct err *e)
{
	struct user_set *s = xnew(struct user_set);
	s->store = store;
	s->users = map_new();
	list_init(&s->listeners);
	if (store_each(store, STORE_USERS, load, s, e) < 0) {
		user_set_free(s);
		return NULL;
	}
	return s;
}

void user_set_free(struct user_set *s)
{
	if (!s) {
		return;
	}
	map_each (s->users, struct user, u) {
		user_free(u);
	}
	map_free(s->users);
	list_each_safe (pos, &s->listeners) {
		list_remove(pos); /* who is freed later still may unlisten */
	}
	free(s);
}

struct user *user_find(const struct user_set *s, const char *name)
{
	return map_get(s->users, name);
}

struct user *user_next(const struct user_set *s, size_t *pos)
{
	return map_next(s->users, pos, NULL);
}

size_t user_count(const struct user_set *s)
{
	return map_count(s->users);
}

struct user_listener *user_listen(struct user_set *s, user_change_fn *fn, void *owner)
{
	struct user_listener *l = xnew(struct user_listener);
	l->fn = fn;
	l->owner = owner;
	list_append(&s->listeners, &l->node);
	return l;
}

void user_unlisten(struct user_listener *l)
{
	if (l) {
		list_remove(&l->node);
		free(l);
	}
}

static void tell(struct user_set *s, const char *name, enum user_change change)
{
	list_each_safe (pos, &s->listeners) {
		struct user_listener *l = container_of(pos, struct user_listener, node);
		l->fn(l->owner, name, change);
	}
}

/* --- one user --- */

const char *user_name(const struct user *u)
{
	return u->name;
}

enum user_role user_role(const struct user *u)
{
	enum user_role role = ROLE_NONE;
	(void)role_parse(json_str(u->doc, "role"), &role);
	return role;
}

bool user_is_disabled(const struct user *u)
{
	return json_bool(u->doc, "disabled");
}

const char *user_hash(const struct user *u)
{
	return json_str(u->doc, "hash");
}

const char *user_totp(const struct user *u)
{
	return json_str(u->doc, "totp");
}

json_t *user_json(const struct user *u)
{
	json_t *certificates = json_object_get(u->doc, "certificates");
	json_t *o = json_object();
	json_put_str(o, "name", u->name);
	json_put_str(o, "role", json_str(u->doc, "role"));
	json_put(o, "disabled", json_boolean(user_is_disabled(u)));
	json_put(o, "totp", json_boolean(*user_totp(u)));
	json_put_str(o, "created", json_str(u->doc, "created"));
	json_put(o, "certificates", certificates ? json_deep_copy(certificates) : json_array());
	return o;
}

int user_check_new(const struct user_set *s, const char *name, struct err *e)
{
	if (!user_name_is_valid(name)) {
		return err_set(e, ERR_INVALID,
			"invalid user name \"%.64s\": at most %d lower case letters, digits, '_', '.' and '-', none of the last two first",
			name, USER_NAME_MAX);
	}
	if (user_find(s, name)) {
		return err_set(e, ERR_CONFLICT, "there is a user %s already", name);
	}
	if (user_count(s) >= USERS_MAX) {
		return err_set(e, ERR_DENIED, "there are %d users already", USERS_MAX);
	}
	return 0;
}

int user_add(
	struct user_set *s, const char *name, enum user_role role, const char *hash, struct err *e)
{
	char now[CLOCK_TEXT_MAX];
	if (user_check_new(s, name, e) < 0) {
		return -1;
	}
	json_t *doc = json_pack("{ss ss ss}", "role", role_word(role), "hash", hash, "created",
		clock_format(clock_real_ns(), now));
	if (store_put(s->store, STORE_USERS, name, doc, e) < 0) {
		json_decref(doc);
		return -1;
	}
	map_put(s->users, name, user_new(name, doc));
	tell(s, name, USER_ADDED);
	return 0;
}

int user_remove(struct user_set *s, const char *name, struct err *e)
{
	if (!user_find(s, name)) {
		return err_set(e, ERR_NOT_FOUND, "no such user: %.64s", name);
	}
	if (store_delete(s->store, STORE_USERS, name, e) < 0) {
		return -1;
	}
	struct user *u = map_remove(s->users, name);
	tell(s, u->name, USER_REMOVED);
	user_free(u);
	return 0;
}

/* Puts the changed copy of the document in its place. */
static int replace(struct user_set *s, struct user *u, json_t *take_doc, enum user_change change,
	struct err *e)
{
	if (store_put(s->store, STORE_USERS, u->name, take_doc, e) < 0) {
		json_decref(take_doc);
		return -1;
	}
	json_decref(u->doc);
	u->doc = take_doc;
	tell(s, u->name, change);
	return 0;
}

static int set_member(struct user_set *s, struct user *u, const char *key, json_t *take_value,
	enum user_change change, struct err *e)
{
	json_t *doc = json_deep_copy(u->doc);
	json_put(doc, key, take_value);
	return replace(s, u, doc, change, e);
}

int user_set_hash(struct user_set *s, struct user *u, const char *hash, struct err *e)
{
	return set_member(s, u, "hash", json_string(hash), USER_NEW_PASSWORD, e);
}

int user_set_role(struct user_set *s, struct user *u, enum user_role role, struct err *e)
{
	return set_member(s, u, "role", json_string(role_word(role)), USER_CHANGED, e);
}

int user_set_disabled(struct user_set *s, struct user *u, bool disabled, struct err *e)
{
	return set_member(s, u, "disabled", json_boolean(disabled), USER_CHANGED, e);
}

int user_set_totp(struct user_set *s, struct user *u, const char *secret, struct err *e)
{
	json_t *doc = json_deep_copy(u->doc);
	json_put_str(doc, "totp", secret);
	json_object_del(doc, "totp_step");
	return replace(s, u, doc, USER_CHANGED, e);
}

int user_take_totp_step(struct user_set *s, struct user *u, int64_t step, struct err *e)
{
	if (step <= json_i64(u->doc, "totp_step", -1)) {
		return err_set(e, ERR_DENIED, "this code was used already");
	}
	json_t *doc = json_deep_copy(u->doc);
	json_put(doc, "totp_step", json_integer(step));
	if (store_put(s->store, STORE_USERS, u->name, doc, e) < 0) {
		json_decref(doc);
		return -1;
	}
	json_decref(u->doc);
	u->doc = doc;
	return 0;
}

/* --- certificates --- */

int user_check_certificate(const struct user *u, struct err *e)
{
	return user_certificates(u) < USER_CERTIFICATES_MAX
		       ? 0
		       : err_set(e, ERR_DENIED,
				 "%s has %d certificates already: revoke those that are not used any more",
				 u->name, USER_CERTIFICATES_MAX);
}

int user_add_certificate(
	struct user_set *s, struct user *u, const char *id, const char *not_after, struct err *e)
{
	char now[CLOCK_TEXT_MAX];
	if (user_check_certificate(u, e) < 0) {
		return -1;
	}
	json_t *list = json_deep_copy(json_object_get(u->doc, "certificates"));
	list = list ? list : json_array();
	json_array_append_new(
		list, json_pack("{ss ss ss}", "id", id, "created",
			      clock_format(clock_real_ns(), now), "not_after", not_after));
	return set_member(s, u, "certificates", list, USER_CHANGED, e);
}

int user_remove_certificate(struct user_set *s, struct user *u, const char *id, struct err *e)
{
	json_t *rest = json_array();
	size_t n = user_certificates(u);
	for (size_t i = 0; i < n; i++) {
		json_t *one = json_array_get(json_object_get(u->doc, "certificates"), i);
		if (id && strcmp(json_str(one, "id"), id) != 0) {
			json_array_append(rest, one);
		}
	}
	if (json_array_size(rest) == n) {
		json_decref(rest);
		return err_set(e, ERR_NOT_FOUND, "%s has no such certificate: %.64s", u->name,
			id ? id : "there is none");
	}
	return set_member(s, u, "certificates", rest, USER_CHANGED, e);
}

size_t user_certificates(const struct user *u)
{
	return json_array_size(json_object_get(u->doc, "certificates"));
}

const char *user_certificate_id(const struct user *u, size_t i)
{
	return json_str(json_array_get(json_object_get(u->doc, "certificates"), i), "id");
}

bool user_has_api(const struct user *u)
{
	return !user_is_disabled(u) && user_certificates(u) > 0;
}

char *user_api_socket(const char *exec_root, const char *id)
{
	return xasprintf("%s/ingress/api/%s.sock", exec_root, id);
}

void user_api_names(const struct user_set *s, struct strv *ret)
{
	size_t pos = 0;
	for (const struct user *u; (u = user_next(s, &pos));) {
		for (size_t i = 0; user_has_api(u) && i < user_certificates(u); i++) {
			strv_addf(ret, "%s:%s", u->name, user_certificate_id(u, i));
		}
	}
}
