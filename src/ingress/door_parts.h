/* ingress/door_parts.h - what the files of the door share; nobody else includes it.
 *
 * door.c       the server, who may pass         door_sign_in.c  from a form to a session
 * door_page.c  what people see                  door_enter.c    one sign-in for all hosts
 */
#pragma once
#include <stdbool.h>

#include "base/buf.h"
#include "base/text.h"
#include "codec/form.h"
#include "http/server.h"
#include "ingress/door.h"
#include "user/attempts.h"
#include "user/session.h"
#include "user/user.h"

#define STEPS_MAX 64 /* passwords that were right, whose code is still to come */
#define STEP_LIFE_S 300
#define STEP_TRIES_MAX 5

/* Between the password and the code. */
struct door_step {
	char token[SESSION_TOKEN_LEN + 1]; /* in the form; "": free */
	char user[USER_NAME_MAX + 1], host[HOST_TEXT_MAX + 1];
	int64_t until_s; /* of the monotonic clock */
	unsigned tries;
};

/* A browser that was sent to the device's own host to be known there. */
#define TICKETS_MAX 256
#define TICKET_LIFE_S 600
#define CODE_LIFE_S 60
#define DOOR_ENTER "/.wherry/enter?t="
#define DOOR_HERE "/.wherry/login?here=1&next=" /* sign in at this host, and nowhere else */

struct door_ticket {
	char id[ID_LEN + 1], code[ID_LEN + 1]; /* code: "" before there is one */
	char form[SESSION_TOKEN_LEN + 1];      /* of the cookie of that browser */
	char host[HOST_TEXT_MAX + 1], port[8]; /* where it came from */
	char user[USER_NAME_MAX + 1], root[SESSION_TOKEN_LEN + 1]; /* of the code */
	char *next;                                                /* NULL: a free place */
	int64_t until_s;                                           /* of the monotonic clock */
};

struct door {
	struct door_deps d;
	char home[HOST_TEXT_MAX + 1]; /* "box.local", or "" */
	struct door_ticket tickets[TICKETS_MAX];
	struct http_server *http;
	struct attempts *attempts;
	struct door_step steps[STEPS_MAX];
};

/* Who asks, as nginx says it. */
struct visitor {
	char host[HOST_TEXT_MAX + 1]; /* "" when it has none that is one */
	char address[ATTEMPT_ADDRESS_MAX];
};
void visitor_read(const struct http_request *r, struct visitor *ret);
/* Who is signed in, or NULL; *ret_token (may be NULL) his token. */
struct user *visitor_user(const struct door *d, const struct http_request *r,
	const struct visitor *v, char ret_token[SESSION_TOKEN_LEN + 1]);
/* The next page's address out of ?next=, "/" for none that is good. The caller's. */
char *visitor_next(const struct http_request *r);

/* --- door_sign_in.c --- */
void door_sign_in_page(struct door *d, struct http_request *r);
void door_sign_in(struct door *d, struct http_request *r);
void door_sign_out_page(struct door *d, struct http_request *r);
void door_sign_out(struct door *d, struct http_request *r);

void door_redirect(struct http_request *r, const char *to);
void door_set_session(struct http_request *r, const char *token); /* the cookie */

/* --- door_enter.c --- */
/* Answers with the way to the device's own host. False, and nothing is answered, where this host
 * has its own sign-in. form: the value of the browser's form cookie; it has been set. */
bool door_go_home(struct door *d, struct http_request *r, const struct visitor *v, const char *form,
	const char *next);
void door_enter(struct door *d, struct http_request *r);
void door_code(struct door *d, struct http_request *r);
/* "https://app.box.local", where a sign-in at home with that next page leads to; the caller's, or
 * NULL. */
char *door_ticket_origin(struct door *d, const char *next);
void door_tickets_free(struct door *d);

/* --- door_page.c --- */
struct page {
	const char *host, *user; /* user: what is in the field already */
	const char *message;     /* or NULL */
	const char *next, *form; /* hidden fields */
	const char *step;        /* the same of the second page */
};
void page_sign_in(const struct page *p, struct buf *ret);
void page_code(const struct page *p, struct buf *ret);
void page_sign_out(const struct page *p, struct buf *ret);
void page_signed_out(const struct page *p, struct buf *ret);
/* Sends it with the headers that such a page needs; to: the origin besides its own that its form
 * may lead to, or NULL. */
void page_reply(struct http_request *r, int status, const struct buf *text, const char *to);
