/* The pages: one style, light and dark as the browser wishes, no script, nothing loaded. */
#include <string.h>

#include "base/mem.h"
#include "ingress/door_parts.h"

static const char head[] =
	"<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	"<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"robots\" content=\"noindex\">\n"
	"<style>\n"
	":root{--page:#f4f5f7;--card:#fff;--text:#1c1f23;--dim:#59616b;--line:#8a929c;--act:#0b57d0;--on:#fff;"
	"--bad:#b3261e}\n"
	"@media(prefers-color-scheme:dark){:root{--page:#15181c;--card:#20242a;--text:#eceef1;--dim:#a9b1bb;"
	"--line:#7b848f;--act:#8ab4f8;--on:#10141a;--bad:#ffb4ab}}\n"
	"*{box-sizing:border-box}\n"
	"body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;background:var(--page);"
	"color:var(--text);font:1rem/1.5 system-ui,sans-serif}\n"
	"main{width:100%;max-width:22rem;padding:2rem;background:var(--card);border-radius:.75rem;"
	"box-shadow:0 1px 4px #0003}\n"
	"h1{margin:0;font-size:1.4rem}\np{margin:.25rem 0 1.25rem;color:var(--dim);overflow-wrap:anywhere}\n"
	"p[role=alert]{color:var(--bad);font-weight:600}\n"
	"label{display:block;margin:0 0 .25rem;font-weight:600}\n"
	"input{width:100%;margin:0 0 1.1rem;padding:.65rem .75rem;font:inherit;color:inherit;background:var(--page);"
	"border:1px solid var(--line);border-radius:.4rem}\n"
	"input.code{letter-spacing:.3em;font-variant-numeric:tabular-nums}\n"
	"button{width:100%;padding:.7rem;font:inherit;font-weight:600;color:var(--on);background:var(--act);border:0;"
	"border-radius:.4rem;cursor:pointer}\n"
	":focus-visible{outline:3px solid var(--act);outline-offset:2px}\na{color:var(--act)}\n"
	"</style>\n";

/* Text of strangers, as text and in attributes. */
static void put_text(struct buf *b, const char *text)
{
	for (; *text; text++) {
		static const char *const names[] = {['&'] = "&amp;",
			['<'] = "&lt;",
			['>'] = "&gt;",
			['"'] = "&quot;",
			['\''] = "&#39;"};
		unsigned char c = (unsigned char)*text;
		if (c < sizeof(names) / sizeof(*names) && names[c]) {
			buf_puts(b, names[c]);
		} else {
			buf_putc(b, *text);
		}
	}
}

static void put_hidden(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "<input type=\"hidden\" name=\"%s\" value=\"", name);
	put_text(b, value ? value : "");
	buf_puts(b, "\">\n");
}

static void begin(struct buf *b, const struct page *p, const char *title)
{
	buf_printf(b, "%s<title>%s &#8212; ", head, title);
	put_text(b, p->host);
	buf_printf(b, "</title>\n</head>\n<body>\n<main>\n<h1>%s</h1>\n<p>", title);
	put_text(b, p->host);
	buf_puts(b, "</p>\n");
	if (p->message) {
		buf_puts(b, "<p role=\"alert\" id=\"message\">");
		put_text(b, p->message);
		buf_puts(b, "</p>\n");
	}
}

static void end(struct buf *b)
{
	buf_puts(b, "</main>\n</body>\n</html>\n");
}

static void begin_form(struct buf *b, const struct page *p, const char *action)
{
	buf_printf(b, "<form method=\"post\" action=\"/.wherry/%s\">\n", action);
	put_hidden(b, "form", p->form);
	if (p->next) {
		put_hidden(b, "next", p->next);
	}
}

void page_sign_in(const struct page *p, struct buf *ret)
{
	const char *described = p->message ? " aria-describedby=\"message\"" : "";
	begin(ret, p, "Sign in");
	begin_form(ret, p, "login");
	buf_printf(ret,
		"<label for=\"user\">Name</label>\n<input id=\"user\" name=\"user\" autocomplete=\"username\" "
		"autocapitalize=\"none\" spellcheck=\"false\" maxlength=\"32\" required%s%s value=\"",
		*p->user ? "" : " autofocus", described);
	put_text(ret, p->user);
	buf_printf(ret,
		"\">\n<label for=\"password\">Password</label>\n<input id=\"password\" name=\"password\" type=\"password\" "
		"autocomplete=\"current-password\" maxlength=\"256\" required%s%s>\n<button>Sign in</button>\n</form>\n",
		*p->user ? " autofocus" : "", described);
	end(ret);
}

void page_code(const struct page *p, struct buf *ret)
{
	begin(ret, p, "One more step");
	begin_form(ret, p, "login");
	put_hidden(ret, "step", p->step);
	buf_printf(ret,
		"<label for=\"code\">Code from your authenticator</label>\n"
		"<input id=\"code\" class=\"code\" name=\"code\" inputmode=\"numeric\" autocomplete=\"one-time-code\" "
		"pattern=\"[0-9]{6}\" maxlength=\"6\" required autofocus%s>\n<button>Continue</button>\n</form>\n",
		p->message ? " aria-describedby=\"message\"" : "");
	end(ret);
}

void page_sign_out(const struct page *p, struct buf *ret)
{
	begin(ret, p, "Sign out");
	buf_puts(ret, "<p>Signed in as <strong>");
	put_text(ret, p->user);
	buf_puts(ret, "</strong>.</p>\n");
	begin_form(ret, p, "logout");
	buf_puts(ret, "<button autofocus>Sign out</button>\n</form>\n");
	end(ret);
}

void page_signed_out(const struct page *p, struct buf *ret)
{
	begin(ret, p, "Signed out");
	buf_puts(ret, "<p><a href=\"/.wherry/login\">Sign in</a></p>\n");
	end(ret);
}

void page_reply(struct http_request *r, int status, const struct buf *text, const char *to)
{
	static const char *const headers[][2] = {
		{"Cache-Control", "no-store"},
		/* not no-referrer: browsers would send "Origin: null" with the form */
		{"Referrer-Policy", "same-origin"},
		{"X-Content-Type-Options", "nosniff"},
		{"X-Frame-Options", "DENY"},
	};
	scoped(free) char *policy = xasprintf(
		"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'%s%s; base-uri 'none'; frame-ancestors 'none'",
		to ? " " : "", to ? to : "");
	http_set_header(r, "Content-Security-Policy", policy);
	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		http_set_header(r, headers[i][0], headers[i][1]);
	}
	http_reply(r, status, "text/html; charset=utf-8", text->data, text->len);
}
