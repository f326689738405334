/* One sign-in for all hosts NAME.local and app.NAME.local: the session is at NAME.local, and an
 * app's host gets one of its own for a code that is good once.
 *
 *   app host  /.wherry/login      a ticket, bound to the form cookie of this browser and this host
 *   NAME.local /.wherry/enter?t=  who is signed in there gets a code, others the page to sign in
 *   app host  /.wherry/code?c=    a session, for the browser that has the ticket's cookie
 *
 * A code that somebody else sees is worth nothing without that cookie; one that somebody else's
 * browser was made to bring has another cookie, so nobody is signed in as a stranger. Where it
 * leads to is the host that the ticket was made at, so nobody chooses another.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "ingress/door_parts.h"
#include "user/user.h"

static bool is_over(const struct door_ticket *t, int64_t now_s)
{
	return !t->next || now_s >= t->until_s;
}

static void ticket_clear(struct door_ticket *t)
{
	free(t->next);
	*t = (struct door_ticket){0};
}

void door_tickets_free(struct door *d)
{
	for (size_t i = 0; i < TICKETS_MAX; i++) {
		ticket_clear(&d->tickets[i]);
	}
}

/* "app.box.local" of "box.local". */
static bool is_below(const char *host, const char *home)
{
	size_t n = strlen(host);
	size_t m = strlen(home);
	return m > 0 && n > m + 1 && host[n - m - 1] == '.' && strcmp(host + n - m, home) == 0;
}

/* ":8443", or "". */
static const char *port_of(const struct http_request *r)
{
	const char *host = http_header(r, "Host");
	const char *port = host ? strrchr(host, ':') : NULL;
	return port && strspn(port + 1, "0123456789") == strlen(port + 1) && strlen(port) <= 6
		       ? port
		       : "";
}

/* A free place, or that of the one that ends first. */
static struct door_ticket *ticket_place(struct door *d, int64_t now_s)
{
	struct door_ticket *best = &d->tickets[0];
	for (size_t i = 0; i < TICKETS_MAX && !is_over(best, now_s); i++) {
		if (is_over(&d->tickets[i], now_s) || d->tickets[i].until_s < best->until_s) {
			best = &d->tickets[i];
		}
	}
	ticket_clear(best);
	return best;
}

bool door_go_home(struct door *d, struct http_request *r, const struct visitor *v, const char *form,
	const char *next)
{
	if (!is_below(v->host, d->home)) {
		return false;
	}
	const int64_t now_s = moment_now().mono_s;
	struct door_ticket *t = ticket_place(d, now_s);
	id_new(t->id);
	memcpy(t->form, form, sizeof(t->form));
	snprintf(t->host, sizeof(t->host), "%s", v->host);
	snprintf(t->port, sizeof(t->port), "%s", port_of(r));
	t->next = xstrdup(next);
	t->until_s = now_s + TICKET_LIFE_S;
	scoped(free) char *to = xasprintf("https://%s%s" DOOR_ENTER "%s", d->home, t->port, t->id);
	door_redirect(r, to);
	return true;
}

static struct door_ticket *ticket_find(struct door *d, const char *id)
{
	const int64_t now_s = moment_now().mono_s;
	for (size_t i = 0; i < TICKETS_MAX; i++) {
		struct door_ticket *t = &d->tickets[i];
		if (!is_over(t, now_s) && text_equal_slowly(t->id, id)) {
			return t;
		}
	}
	return NULL;
}

char *door_ticket_origin(struct door *d, const char *next)
{
	const struct door_ticket *t =
		text_starts(next, DOOR_ENTER) ? ticket_find(d, next + strlen(DOOR_ENTER)) : NULL;
	return t ? xasprintf("https://%s%s", t->host, t->port) : NULL;
}

/* At home. */
void door_enter(struct door *d, struct http_request *r)
{
	struct visitor v;
	char token[SESSION_TOKEN_LEN + 1];
	const char *id = http_query(r, "t");
	visitor_read(r, &v);
	struct door_ticket *t = id ? ticket_find(d, id) : NULL;
	const struct user *u = visitor_user(d, r, &v, token);
	if (!t || strcmp(v.host, d->home) != 0) {
		door_redirect(r, "/.wherry/login");
		return;
	}
	if (!u) {
		scoped(free) char *to = xasprintf("/.wherry/login?next=" DOOR_ENTER "%s", t->id);
		door_redirect(r, to);
		return;
	}
	id_new(t->code);
	snprintf(t->user, sizeof(t->user), "%s", user_name(u));
	snprintf(t->root, sizeof(t->root), "%s", session_root(d->d.sessions, token));
	t->until_s = moment_now().mono_s + CODE_LIFE_S;
	scoped(free) char *to =
		xasprintf("https://%s%s/.wherry/code?c=%s", t->host, t->port, t->code);
	door_redirect(r, to);
}

static struct door_ticket *ticket_of_code(struct door *d, const char *code, const char *host)
{
	const int64_t now_s = moment_now().mono_s;
	for (size_t i = 0; i < TICKETS_MAX; i++) {
		struct door_ticket *t = &d->tickets[i];
		if (!is_over(t, now_s) && *t->code && text_equal_slowly(t->code, code) &&
			strcmp(t->host, host) == 0) {
			return t;
		}
	}
	return NULL;
}

static bool is_same_browser(const struct http_request *r, const struct door_ticket *t)
{
	char value[COOKIE_VALUE_MAX + 1];
	return cookie_find(http_header(r, "Cookie"), DOOR_FORM_COOKIE, value) == 1 &&
	       text_equal_slowly(value, t->form);
}

/* At the app's host; used once, whatever comes of it. */
void door_code(struct door *d, struct http_request *r)
{
	struct err e;
	struct visitor v;
	char token[SESSION_TOKEN_LEN + 1];
	const char *code = http_query(r, "c");
	visitor_read(r, &v);
	struct door_ticket *t = code ? ticket_of_code(d, code, v.host) : NULL;
	if (!t) {
		door_redirect(r, DOOR_HERE "/");
		return;
	}
	struct door_ticket used = *t;
	*t = (struct door_ticket){0};
	const struct user *u = user_find(d->d.users, used.user);
	bool good = is_same_browser(r, &used) && u && !user_is_disabled(u) &&
		    session_is_root(d->d.sessions, used.root, used.user);
	if (good && session_open(d->d.sessions, used.user, v.host, v.address, used.root,
			    moment_now(), token, &e) == 0) {
		log_info("door", "signed_in", "user", used.user, "address", v.address, "host",
			v.host, NULL);
		door_set_session(r, token);
		door_redirect(r, used.next);
	} else {
		scoped(free) char *to = xasprintf(DOOR_HERE "%s", used.next);
		door_redirect(r, to);
	}
	free(used.next);
}
