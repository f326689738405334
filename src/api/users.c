/* /wherry/v1/users: our own. Who may sign in at the HTTPS door, and who may use this API from afar.
 * doc/own-api.md. */
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "api/handlers.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "user/password.h"
#include "user/session.h"
#include "user/user.h"

static struct user *find(struct call *c)
{
	struct err e;
	struct user *u = user_find(c->api->d.users, c->args[0]);
	if (!u) {
		(void)err_set(&e, ERR_NOT_FOUND, "no such user: %.64s", c->args[0]);
		call_reply_error(c, &e);
	}
	return u;
}

static void reply_done(struct call *c, int failed, const struct err *e)
{
	if (failed < 0) {
		call_reply_error(c, e);
	} else {
		call_reply_empty(c, 204);
	}
}

void users_list(struct call *c)
{
	json_t *list = json_array();
	size_t pos = 0;
	for (const struct user *u; (u = user_next(c->api->d.users, &pos));) {
		json_array_append_new(list, user_json(u));
	}
	call_reply_json(c, 200, list);
}

void users_get(struct call *c)
{
	const struct user *u = find(c);
	if (u) {
		call_reply_json(c, 200, user_json(u));
	}
}

void users_remove(struct call *c)
{
	struct err e;
	reply_done(c, user_remove(c->api->d.users, c->args[0], &e), &e);
}

/* --- what waits for a job --- */

struct change {
	struct call *call; /* a reference */
	char *name;
	enum user_role role; /* ROLE_NONE: the password of one who is there */
	char *secret;        /* of a second factor */
};

static void change_free(struct change *w)
{
	call_unref(w->call);
	free(w->name);
	free(w->secret);
	free(w);
}

static struct change *change_new(struct call *c, const char *name)
{
	struct change *w = xnew(struct change);
	w->call = call_ref(c);
	w->name = xstrdup(name);
	return w;
}

static void hashed(void *owner, const struct password_answer *a, const struct err *failed)
{
	struct change *w = owner;
	struct err e;
	struct user_set *users = w->call->api->d.users;
	struct user *u = user_find(users, w->name);
	if (failed) {
		call_reply_error(w->call, failed);
	} else if (w->role != ROLE_NONE && user_add(users, w->name, w->role, a->hash, &e) == 0) {
		call_reply_json(w->call, 201, user_json(user_find(users, w->name)));
	} else if (w->role == ROLE_NONE && u && user_set_hash(users, u, a->hash, &e) == 0) {
		call_reply_empty(w->call, 204);
	} else {
		if (w->role == ROLE_NONE && !u) {
			(void)err_set(&e, ERR_NOT_FOUND, "no such user: %s", w->name);
		}
		call_reply_error(w->call, &e);
	}
	change_free(w);
}

static void hash(struct change *w, const char *password)
{
	struct err e;
	if (!password_hash(w->call->api->d.passwords, password, hashed, w, &e)) {
		call_reply_error(w->call, &e);
		change_free(w);
	}
}

/* Absent: dflt, which may be ROLE_NONE. */
static int read_role(const json_t *body, enum user_role dflt, enum user_role *ret, struct err *e)
{
	const char *word;
	*ret = dflt;
	if (json_get_str(body, "role", &word, e) < 0) {
		return -1;
	}
	return !word || role_parse(word, ret) == 0
		       ? 0
		       : err_set(e, ERR_INVALID,
				 "invalid role \"%.32s\": expected read, operate or admin", word);
}

static int read_password(const json_t *body, const char **ret, struct err *e)
{
	if (json_get_str(body, "password", ret, e) < 0) {
		return -1;
	}
	return *ret ? 0 : err_set(e, ERR_INVALID, "password is missing");
}

static void create_with(struct call *c, const json_t *body)
{
	struct err e;
	const char *name;
	const char *password;
	enum user_role role;
	if (json_get_str(body, "name", &name, &e) < 0 ||
		read_role(body, ROLE_READ, &role, &e) < 0 ||
		read_password(body, &password, &e) < 0 ||
		user_check_new(c->api->d.users, name ? name : "", &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	struct change *w = change_new(c, name);
	w->role = role;
	hash(w, password);
}

void users_create(struct call *c)
{
	call_body_json(c, false, create_with);
}

static void set_password(struct call *c, const json_t *body)
{
	struct err e;
	const char *password;
	if (read_password(body, &password, &e) < 0) {
		call_reply_error(c, &e);
	} else if (find(c)) {
		hash(change_new(c, c->args[0]), password);
	}
}

void users_password(struct call *c)
{
	call_body_json(c, false, set_password);
}

/* --- what changes at once --- */

static void update_with(struct call *c, const json_t *body)
{
	struct err e;
	enum user_role role;
	bool disabled;
	struct user *u = find(c);
	if (!u) {
		return;
	}
	if (read_role(body, user_role(u), &role, &e) < 0 ||
		json_get_bool(body, "disabled", user_is_disabled(u), &disabled, &e) < 0 ||
		(role != user_role(u) && user_set_role(c->api->d.users, u, role, &e) < 0) ||
		(disabled != user_is_disabled(u) &&
			user_set_disabled(c->api->d.users, u, disabled, &e) < 0)) {
		call_reply_error(c, &e);
		return;
	}
	call_reply_empty(c, 204);
}

void users_update(struct call *c)
{
	call_body_json(c, false, update_with);
}

void users_sign_out(struct call *c)
{
	if (find(c)) {
		session_close_user(c->api->d.sessions, c->args[0]);
		call_reply_empty(c, 204);
	}
}

/* --- the second factor --- */

/* A secret to be confirmed by a code: until then nothing is kept. */
void users_totp_new(struct call *c)
{
	char secret[33];
	if (find(c)) {
		totp_secret_new(secret);
		call_reply_json(c, 200, json_pack("{ss}", "secret", secret));
	}
}

static void code_checked(void *owner, const struct password_answer *a, const struct err *failed)
{
	struct change *w = owner;
	struct err e;
	struct user_set *users = w->call->api->d.users;
	struct user *u = user_find(users, w->name);
	int r = -1;
	if (failed) {
		e = *failed;
	} else if (!u) {
		(void)err_set(&e, ERR_NOT_FOUND, "no such user: %s", w->name);
	} else if (a->value < 0) {
		(void)err_set(&e, ERR_INVALID,
			"the code is not that of this secret: is the clock of both devices right?");
	} else {
		r = user_set_totp(users, u, w->secret, &e);
		r = r < 0 ? r : user_take_totp_step(users, u, a->value, &e);
	}
	reply_done(w->call, r, &e);
	change_free(w);
}

static void totp_with(struct call *c, const json_t *body)
{
	struct err e;
	const char *secret;
	const char *code;
	if (json_get_str(body, "secret", &secret, &e) < 0 ||
		json_get_str(body, "code", &code, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	if (!secret || strlen(secret) > 64 || !code) {
		(void)err_set(&e, ERR_INVALID, "secret and code are expected");
		call_reply_error(c, &e);
		return;
	}
	if (!find(c)) {
		return;
	}
	struct change *w = change_new(c, c->args[0]);
	w->secret = xstrdup(secret);
	if (!password_check_code(c->api->d.passwords, code, secret, code_checked, w, &e)) {
		call_reply_error(c, &e);
		change_free(w);
	}
}

void users_totp_set(struct call *c)
{
	call_body_json(c, false, totp_with);
}

void users_totp_remove(struct call *c)
{
	struct err e;
	struct user *u = find(c);
	if (u) {
		reply_done(c, user_set_totp(c->api->d.users, u, "", &e), &e);
	}
}
