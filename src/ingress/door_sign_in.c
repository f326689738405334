/* From a form to a session.
 *
 * Invariants
 * 1. A form is read only when it repeats the value of the cookie DOOR_FORM_COOKIE, which no other
 * host can set (RFC 6265bis "__Host-"), and its Origin, where there is one, is this host: a page
 * elsewhere signs nobody in or out, not in another's name either.
 * 2. An attempt is counted before its password is looked at. Who must wait is told so before
 * anything is computed.
 * 3. A sign-in makes a new token and ends the one that was sent: a session that somebody else chose
 * is never used.
 * 4. What is answered does not depend on whether there is such a user, how long it takes neither.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "ingress/door_parts.h"
#include "user/password.h"
#include "user/user.h"

#define FORM_TYPE "application/x-www-form-urlencoded"
#define WRONG "That name and password do not go together."
#define WRONG_CODE "That code is not right, or it was used already."
#define TOO_OLD "The page was open for too long. Please try again."

/* One form on its way; lives as long as its request. */
struct sign_in {
	struct door *door;
	struct http_request *r;
	struct password_ask *ask;
	struct visitor visitor;
	char user[USER_NAME_MAX + 1]; /* "" when the name is none */
	char *typed;                  /* as it was typed, for the page */
	char *next;
	char form[SESSION_TOKEN_LEN + 1];
	char step[SESSION_TOKEN_LEN + 1];
};

/* --- the value that forms repeat --- */

/* That of the cookie, or a new one. */
static void form_value(struct http_request *r, char ret[static SESSION_TOKEN_LEN + 1])
{
	char value[COOKIE_VALUE_MAX + 1];
	if (cookie_find(http_header(r, "Cookie"), DOOR_FORM_COOKIE, value) == 1 &&
		text_is_hex(value, SESSION_TOKEN_LEN)) {
		memcpy(ret, value, SESSION_TOKEN_LEN + 1);
		return;
	}
	id_new(ret);
	scoped(free) char *cookie =
		xasprintf(DOOR_FORM_COOKIE "=%s; Path=/; Secure; HttpOnly; SameSite=Lax", ret);
	http_set_header(r, "Set-Cookie", cookie);
}

static bool form_is_ours(
	const struct http_request *r, const struct visitor *v, const struct strv *form)
{
	char value[COOKIE_VALUE_MAX + 1];
	const char *origin = http_header(r, "Origin");
	const char *site = http_header(r, "Sec-Fetch-Site");
	return *v->host && (!origin || origin_is_of(origin, v->host)) &&
	       (!site || strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0) &&
	       cookie_find(http_header(r, "Cookie"), DOOR_FORM_COOKIE, value) == 1 &&
	       text_is_hex(value, SESSION_TOKEN_LEN) &&
	       text_equal_slowly(value, form_field(form, "form"));
}

/* --- answers --- */

static void reply_form(struct sign_in *s, int status, const char *message)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (!*s->form) {
		form_value(s->r, s->form);
	}
	const struct page p = {.host = s->visitor.host,
		.user = s->typed,
		.message = message,
		.next = s->next,
		.form = s->form,
		.step = s->step};
	(*s->step ? page_code : page_sign_in)(&p, &text);
	scoped(free) char *to = door_ticket_origin(s->door, s->next);
	page_reply(s->r, status, &text, to);
}

static void reply_wait(struct sign_in *s, int64_t seconds)
{
	char number[24];
	scoped(free) char *text =
		xasprintf("There were too many attempts. Please try again in %lld second%s.",
			(long long)seconds, seconds == 1 ? "" : "s");
	snprintf(number, sizeof(number), "%lld", (long long)seconds);
	http_set_header(s->r, "Retry-After", number);
	reply_form(s, 429, text);
}

static void reply_failure(struct sign_in *s, const struct err *e)
{
	log_warning("door", "not_checked", "error", e->msg, NULL);
	http_set_header(s->r, "Retry-After", "5");
	reply_form(s, 503, "The device is busy. Please try again in a moment.");
}

void door_set_session(struct http_request *r, const char *token)
{
	scoped(free) char *cookie =
		xasprintf(DOOR_COOKIE "=%s; Path=/; Max-Age=%d; Secure; HttpOnly; SameSite=Lax",
			token, SESSION_LIFE_S);
	http_set_header(r, "Set-Cookie", cookie);
}

void door_redirect(struct http_request *r, const char *to)
{
	http_set_header(r, "Location", to);
	http_set_header(r, "Cache-Control", "no-store");
	http_reply_empty(r, 303);
}

/* The longest that any of the counts asks for. An address where this user is signed in already does
 * not wait for what others do in his name. */
static int64_t must_wait(const struct sign_in *s, enum attempt_kind kind)
{
	const struct door *d = s->door;
	const struct moment now = moment_now();
	int64_t address =
		attempts_wait(d->attempts, ATTEMPT_ADDRESS, s->visitor.address, now.mono_s);
	int64_t user = attempts_wait(d->attempts, kind, s->user, now.mono_s);
	if (kind == ATTEMPT_USER &&
		session_is_from(d->d.sessions, s->user, s->visitor.address, now)) {
		user = 0;
	}
	return address > user ? address : user;
}

static void count(const struct sign_in *s, enum attempt_kind kind)
{
	const int64_t now_s = moment_now().mono_s;
	attempts_begin(s->door->attempts, ATTEMPT_ADDRESS, s->visitor.address, now_s);
	attempts_begin(s->door->attempts, kind, s->user, now_s);
}

static void note_failure(const struct sign_in *s)
{
	bool known = user_find(s->door->d.users, s->user);
	log_warning("door", "sign_in_failed", "user", known ? s->user : "?", "address",
		s->visitor.address, "host", s->visitor.host, NULL);
}

/* --- the end of it --- */

static void signed_in(struct sign_in *s)
{
	struct err e;
	struct door *d = s->door;
	char token[COOKIE_VALUE_MAX + 1];
	if (cookie_find(http_header(s->r, "Cookie"), DOOR_COOKIE, token) == 1) {
		session_close(d->d.sessions, token);
	}
	if (session_open(d->d.sessions, s->user, s->visitor.host, s->visitor.address, NULL,
		    moment_now(), token, &e) < 0) {
		reply_failure(s, &e);
		return;
	}
	attempts_succeeded(d->attempts, ATTEMPT_ADDRESS, s->visitor.address);
	attempts_succeeded(d->attempts, ATTEMPT_USER, s->user);
	attempts_succeeded(d->attempts, ATTEMPT_CODE, s->user);
	log_info("door", "signed_in", "user", s->user, "address", s->visitor.address, "host",
		s->visitor.host, NULL);
	door_set_session(s->r, token);
	door_redirect(s->r, s->next);
}

/* --- the second step --- */

static struct door_step *step_find(struct door *d, const char *token, const char *host)
{
	const int64_t now_s = moment_now().mono_s;
	for (size_t i = 0; i < STEPS_MAX; i++) {
		struct door_step *t = &d->steps[i];
		if (*t->token && now_s < t->until_s && text_equal_slowly(t->token, token) &&
			strcmp(t->host, host) == 0) {
			return t;
		}
	}
	return NULL;
}

/* In a free place, or in that of the one that ends first. */
static void step_begin(struct sign_in *s)
{
	struct door_step *t = &s->door->steps[0];
	const int64_t now_s = moment_now().mono_s;
	for (size_t i = 0; i < STEPS_MAX && *t->token && now_s < t->until_s; i++) {
		struct door_step *other = &s->door->steps[i];
		if (!*other->token || other->until_s < t->until_s) {
			t = other;
		}
	}
	id_new(t->token);
	snprintf(t->user, sizeof(t->user), "%s", s->user);
	snprintf(t->host, sizeof(t->host), "%s", s->visitor.host);
	t->until_s = now_s + STEP_LIFE_S;
	t->tries = 0;
	memcpy(s->step, t->token, sizeof(s->step));
	reply_form(s, 200, NULL);
}

static void code_checked(void *owner, const struct password_answer *a, const struct err *failed)
{
	struct sign_in *s = owner;
	struct door *d = s->door;
	struct err e;
	struct user *u = user_find(d->d.users, s->user);
	struct door_step *t = step_find(d, s->step, s->visitor.host);
	s->ask = NULL;
	if (failed) {
		reply_failure(s, failed);
	} else if (!t || !u || user_is_disabled(u)) {
		*s->step = '\0';
		reply_form(s, 403, TOO_OLD);
	} else if (a->value < 0 || user_take_totp_step(d->d.users, u, a->value, &e) < 0) {
		note_failure(s);
		if (t->tries >= STEP_TRIES_MAX) {
			*t->token = '\0';
			*s->step = '\0';
		}
		reply_form(s, 403, WRONG_CODE);
	} else {
		*t->token = '\0';
		signed_in(s);
	}
}

static void take_code(struct sign_in *s, const struct strv *form)
{
	struct err e;
	struct door *d = s->door;
	struct door_step *t = step_find(d, form_field(form, "step"), s->visitor.host);
	const struct user *u = t ? user_find(d->d.users, t->user) : NULL;
	if (!u || t->tries >= STEP_TRIES_MAX) {
		reply_form(s, 403, TOO_OLD);
		return;
	}
	snprintf(s->user, sizeof(s->user), "%s", user_name(u));
	memcpy(s->step, t->token, sizeof(s->step));
	int64_t wait_s = must_wait(s, ATTEMPT_CODE);
	if (wait_s > 0) {
		reply_wait(s, wait_s);
		return;
	}
	t->tries++;
	count(s, ATTEMPT_CODE);
	s->ask = password_check_code(
		d->d.passwords, form_field(form, "code"), user_totp(u), code_checked, s, &e);
	if (!s->ask) {
		reply_failure(s, &e);
	}
}

/* --- the first step --- */

static void password_checked(void *owner, const struct password_answer *a, const struct err *failed)
{
	struct sign_in *s = owner;
	const struct user *u = user_find(s->door->d.users, s->user);
	s->ask = NULL;
	if (failed) {
		reply_failure(s, failed);
	} else if (a->value != 1 || !u || user_is_disabled(u)) {
		note_failure(s);
		reply_form(s, 403, WRONG);
	} else if (*user_totp(u)) {
		step_begin(s);
	} else {
		signed_in(s);
	}
}

static void take_password(struct sign_in *s, const struct strv *form)
{
	struct err e;
	const struct door *d = s->door;
	const char *name = form_field(form, "user");
	free(s->typed);
	s->typed = xstrndup(name, USER_NAME_MAX);
	snprintf(s->user, sizeof(s->user), "%s", user_name_is_valid(name) ? name : "");
	int64_t wait_s = must_wait(s, ATTEMPT_USER);
	if (wait_s > 0) {
		reply_wait(s, wait_s);
		return;
	}
	count(s, ATTEMPT_USER);
	const struct user *u = user_find(d->d.users, s->user);
	s->ask = password_check(d->d.passwords, form_field(form, "password"),
		u && !user_is_disabled(u) ? user_hash(u) : NULL, password_checked, s, &e);
	if (!s->ask) {
		reply_failure(s, &e);
	}
}

static void take_form(
	void *owner, struct http_request *r, const char *data, size_t n, const struct err *failed)
{
	struct sign_in *s = owner;
	scoped(strv) struct strv form = STRV_INIT;
	if (failed || form_parse(data, n, &form) < 0) {
		reply_form(s, 400, "The form cannot be read. Please try again.");
		return;
	}
	const char *next = form_field(&form, "next");
	if (redirect_is_local(next)) {
		free(s->next);
		s->next = xstrdup(next);
	}
	if (!form_is_ours(r, &s->visitor, &form)) {
		reply_form(s, 403, TOO_OLD);
	} else if (*form_field(&form, "step")) {
		take_code(s, &form);
	} else {
		take_password(s, &form);
	}
}

static void sign_in_closed(void *owner, bool left)
{
	struct sign_in *s = owner;
	password_forget(s->ask);
	free(s->typed);
	free(s->next);
	free(s);
}

static bool is_form(const struct http_request *r)
{
	const char *type = http_header(r, "Content-Type");
	size_t n = strlen(FORM_TYPE);
	return type && strncasecmp(type, FORM_TYPE, n) == 0 && strchr("; \t", type[n]);
}

static struct sign_in *sign_in_new(struct door *d, struct http_request *r)
{
	struct sign_in *s = xnew(struct sign_in);
	s->door = d;
	s->r = r;
	s->typed = xstrdup("");
	s->next = xstrdup("/");
	visitor_read(r, &s->visitor);
	http_set_owner(r, s, sign_in_closed);
	return s;
}

void door_sign_in(struct door *d, struct http_request *r)
{
	struct sign_in *s = sign_in_new(d, r);
	if (is_form(r)) {
		http_body_read(r, FORM_BYTES_MAX, take_form, s);
	} else {
		reply_form(s, 415, "The form cannot be read. Please try again.");
	}
}

void door_sign_in_page(struct door *d, struct http_request *r)
{
	struct visitor v;
	scoped(free) char *next = visitor_next(r);
	visitor_read(r, &v);
	if (visitor_user(d, r, &v, NULL)) {
		door_redirect(r, next);
		return;
	}
	struct sign_in *s = sign_in_new(d, r);
	free(s->next);
	s->next = TAKE(next);
	form_value(r, s->form);
	if (http_query(r, "here") || !door_go_home(d, r, &s->visitor, s->form, s->next)) {
		reply_form(s, 200, NULL);
	}
}

/* --- out again --- */

void door_sign_out_page(struct door *d, struct http_request *r)
{
	struct visitor v;
	char form[SESSION_TOKEN_LEN + 1];
	scoped(buf) struct buf text = BUF_INIT;
	visitor_read(r, &v);
	const struct user *u = visitor_user(d, r, &v, NULL);
	form_value(r, form);
	const struct page p = {.host = v.host, .user = u ? user_name(u) : "", .form = form};
	(u ? page_sign_out : page_signed_out)(&p, &text);
	page_reply(r, 200, &text, NULL);
}

static void take_sign_out(
	void *owner, struct http_request *r, const char *data, size_t n, const struct err *failed)
{
	struct door *d = owner;
	struct visitor v;
	char token[SESSION_TOKEN_LEN + 1];
	scoped(strv) struct strv form = STRV_INIT;
	scoped(buf) struct buf text = BUF_INIT;
	visitor_read(r, &v);
	if (failed || form_parse(data, n, &form) < 0 || !form_is_ours(r, &v, &form)) {
		door_sign_out_page(d, r);
		return;
	}
	const struct user *u = visitor_user(d, r, &v, token);
	if (u) {
		log_info("door", "signed_out", "user", user_name(u), "host", v.host, NULL);
		session_close(d->d.sessions, token);
	}
	http_set_header(r, "Set-Cookie",
		DOOR_COOKIE "=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax");
	const struct page p = {.host = v.host};
	page_signed_out(&p, &text);
	page_reply(r, 200, &text, NULL);
}

void door_sign_out(struct door *d, struct http_request *r)
{
	if (is_form(r)) {
		http_body_read(r, FORM_BYTES_MAX, take_sign_out, d);
	} else {
		door_sign_out_page(d, r);
	}
}
