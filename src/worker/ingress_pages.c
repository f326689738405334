#include "worker/ingress_pages.h"

#include "base/buf.h"

struct page {
	const char *name, *head, *title, *body;
};

static const char style[] =
	"<style>\n"
	":root{color-scheme:light dark;--b:#f5f6f8;--c:#fff;--t:#1d2330;--m:#5b6475;--l:#d9dde5}\n"
	"@media(prefers-color-scheme:dark){:root{--b:#14171d;--c:#1d2129;--t:#e8ebf1;--m:#9aa3b2;--l:#333a47}}\n"
	"body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--b);color:var(--t);"
	"font:1rem/1.5 system-ui,sans-serif}\n"
	"main{box-sizing:border-box;width:min(30rem,calc(100% - 2rem));margin:1rem;padding:2rem;"
	"background:var(--c);border:1px solid var(--l);border-radius:.75rem;overflow-wrap:anywhere}\n"
	"h1{margin:0 0 .5rem;font-size:1.35rem}\n"
	"p{margin:.5rem 0}\n"
	"small{display:block;margin-top:1.5rem;color:var(--m)}\n"
	".wait{width:1.5rem;height:1.5rem;margin-bottom:1rem;border:3px solid var(--l);"
	"border-top-color:var(--m);border-radius:50%;animation:turn 1s linear infinite}\n"
	"@keyframes turn{to{transform:rotate(1turn)}}\n"
	"@media(prefers-reduced-motion:reduce){.wait{animation:none}}\n"
	"</style>\n";

/* nginx's SSI has no "else if". */
#define WHEN(status, words) "<!--#if expr=\"$status = " status "\" -->" words "<!--#endif -->"

static const struct page pages[INGRESS_PAGES] = {
	{"error.html", "", "<!--#echo var=\"status\" -->",
		"<h1>Error <!--#echo var=\"status\" --></h1>\n<p>" WHEN(
			"400", "The request could not be understood.") WHEN("401",
			"This needs a name and a password.") WHEN("403",
			"You may not see this.") WHEN("404",
			"There is nothing at this address.") WHEN("405",
			"This address does not take requests of that kind.") WHEN("408",
			"The request took too long to arrive.") WHEN("413",
			"This is larger than the app takes.") WHEN("414",
			"The address is too long.") WHEN("421",
			"This connection was made for another name.") WHEN("429",
			"These were too many requests in a short time. Wait a moment.")
			WHEN("431", "The request's header is too large.") WHEN(
				"494", "The request's header is too large.") WHEN("495",
				"The certificate that was sent is not accepted.") WHEN("496",
				"A certificate is needed, and none was sent.") WHEN("497",
				"This port speaks HTTPS: the address must begin with https://.")
				WHEN("500", "Something went wrong on the device.")
					WHEN("502", "The app does not answer as it should.") WHEN(
						"503", "The app cannot answer now.") WHEN("504",
						"The app took too long to answer.") "</p>\n"},
	{"starting.html", "<noscript><meta http-equiv=\"refresh\" content=\"3\"></noscript>\n",
		"Starting",
		"<div class=\"wait\"></div>\n<h1>Starting</h1>\n"
		"<p><b><!--#echo var=\"wherry_app\" default=\"The app\" --></b> is not ready yet. "
		"This page goes on to it by itself.</p>\n"
		"<script>\n"
		"setInterval(function(){fetch(location.href,{cache:\"no-store\",redirect:\"manual\"})"
		".then(function(a){if(a.status!==503)location.replace(location.href)},function(){})},2000)\n"
		"</script>\n"},
	{"stopped.html", "", "Not running",
		"<h1>Not running</h1>\n"
		"<p><b><!--#echo var=\"wherry_app\" default=\"The app\" --></b> is stopped. "
		"It is here again when somebody starts it.</p>\n"},
	{"unknown.html", "", "No app here",
		"<h1>No app here</h1>\n"
		"<p>No app answers to <b><!--#echo var=\"host\" --></b> on this device.</p>\n"},
};

const char *ingress_page_name(size_t i)
{
	return pages[i].name;
}

char *ingress_page_text(size_t i)
{
	const struct page *p = &pages[i];
	struct buf text = BUF_INIT;
	buf_printf(&text,
		"<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		"<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
		"<meta name=\"robots\" content=\"noindex\">\n%s<title>%s</title>\n",
		p->head, p->title);
	buf_puts(&text, style);
	buf_printf(&text,
		"</head>\n<body>\n<main>\n%s<small><!--#echo var=\"host\" --> &middot; "
		"<!--#echo var=\"request_id\" --></small>\n</main>\n</body>\n</html>\n",
		p->body);
	return buf_take_str(&text);
}
