#include "ingress/door.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "base/text.h"
#include "ingress/door_parts.h"
#include "user/user.h"

#define CONNS_MAX 512
#define IDLE_MS 120000

void visitor_read(const struct http_request *r, struct visitor *ret)
{
	const char *host = http_header(r, "X-Wherry-Host");
	const char *address = http_header(r, "X-Real-IP");
	host = host ? host : http_header(r, "Host");
	if (host_normal(host ? host : "", ret->host) < 0) {
		*ret->host = '\0';
	}
	attempt_address(address ? address : "", ret->address);
}

/* Two cookies of this name are none: one of them is from somewhere else. */
struct user *visitor_user(const struct door *d, const struct http_request *r,
	const struct visitor *v, char ret_token[SESSION_TOKEN_LEN + 1])
{
	char token[COOKIE_VALUE_MAX + 1];
	if (!*v->host || cookie_find(http_header(r, "Cookie"), DOOR_COOKIE, token) != 1) {
		return NULL;
	}
	struct user *u = session_user(d->d.sessions, token, v->host, moment_now());
	if (u && ret_token) {
		memcpy(ret_token, token, SESSION_TOKEN_LEN + 1);
	}
	return u;
}

/* nginx appends the URI as it is, with its own '&' in it: all that follows belongs to it. */
char *visitor_next(const struct http_request *r)
{
	const char *query = http_query_text(r);
	query += text_starts(query, "here=1&") ? strlen("here=1&") : 0;
	const char *next = text_starts(query, "next=") ? query + strlen("next=") : "/";
	/* not from a sign-in to a sign-in */
	bool back = text_starts(next, "/.wherry/") && !text_starts(next, DOOR_ENTER);
	return xstrdup(redirect_is_local(next) && !back ? next : "/");
}

/* --- who may pass --- */

/* "alice,@operate": names, and roles with those above them. "" is everybody. */
static bool is_allowed(const struct user *u, const char *list)
{
	scoped(strv) struct strv words = STRV_INIT;
	strv_split(&words, list, ',');
	for (size_t i = 0; i < words.n; i++) {
		enum user_role role;
		const char *word = words.v[i];
		if (strcmp(word, user_name(u)) == 0 ||
			(*word == '@' && role_parse(word + 1, &role) == 0 &&
				user_role(u) >= role)) {
			return true;
		}
	}
	return words.n == 0;
}

static void put_identity(struct http_request *r, const struct user *u)
{
	scoped(buf) struct buf groups = BUF_INIT;
	for (int role = user_role(u); role > ROLE_NONE; role--) {
		buf_printf(&groups, "%s%s", groups.len ? "," : "", role_word((enum user_role)role));
	}
	http_set_header(r, "Remote-User", user_name(u));
	http_set_header(r, "Remote-Name", user_name(u));
	http_set_header(r, "Remote-Groups", buf_str(&groups));
}

static void verify(struct door *d, struct http_request *r)
{
	struct visitor v;
	const char *list = http_header(r, "X-Wherry-Allow");
	visitor_read(r, &v);
	const struct user *u = visitor_user(d, r, &v, NULL);
	if (!u) {
		http_reply_empty(r, 401);
	} else if (!is_allowed(u, list ? list : "")) { /* nginx leaves empty headers out */
		http_reply_empty(r, 403);
	} else {
		put_identity(r, u);
		http_reply_empty(r, 200);
	}
}

/* --- the server --- */

typedef void page_fn(struct door *d, struct http_request *r);

static void handle(void *owner, struct http_request *r)
{
	static const struct {
		const char *method, *path;
		page_fn *fn;
	} pages[] = {
		{"GET", "/.wherry/verify", verify},
		{"GET", "/.wherry/login", door_sign_in_page},
		{"HEAD", "/.wherry/login", door_sign_in_page},
		{"POST", "/.wherry/login", door_sign_in},
		{"GET", "/.wherry/enter", door_enter},
		{"GET", "/.wherry/code", door_code},
		{"GET", "/.wherry/logout", door_sign_out_page},
		{"HEAD", "/.wherry/logout", door_sign_out_page},
		{"POST", "/.wherry/logout", door_sign_out},
	};
	int status = 404;
	for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
		if (strcmp(pages[i].path, http_path(r)) != 0) {
			continue;
		}
		if (strcmp(pages[i].method, http_method(r)) == 0) {
			pages[i].fn(owner, r);
			return;
		}
		status = 405;
	}
	http_reply(r, status, "text/plain; charset=utf-8",
		status == 404 ? "Not found\n" : "Method not allowed\n", status == 404 ? 10 : 19);
}

void door_set_home(struct door *d, const char *home)
{
	snprintf(d->home, sizeof(d->home), "%s", home ? home : "");
}

struct door *door_new(const struct door_deps *deps)
{
	struct door *d = xnew(struct door);
	d->d = *deps;
	door_set_home(d, deps->home);
	d->attempts = attempts_new();
	d->http = http_server_new(deps->loop, handle, d);
	http_server_limit(d->http, CONNS_MAX, IDLE_MS);
	return d;
}

int door_listen(struct door *d, const char *path, gid_t gid, struct err *e)
{
	return http_server_listen_unix(d->http, path, 0660, gid, e);
}

void door_free(struct door *d)
{
	if (d) {
		http_server_free(d->http);
		door_tickets_free(d);
		attempts_free(d->attempts);
		free(d);
	}
}
