/* Pages for the statuses that nginx makes itself; an app's own pages pass. */
#include <string.h>

#include "base/mem.h"
#include "ingress/conf_parts.h"

/* All that nginx makes; 497, plain HTTP at the TLS port, is a redirect: conf_server.c. */
#define STATUSES                                                                                          \
	"error_page 400 401 402 403 404 405 406 408 409 410 411 412 413 414 415 416 421 429 494 495 496 " \
	"500 501 502 504 505 507"

static void put_page(struct writing *w, const char *directive, const char *page)
{
	conf_name(&w->c, directive);
	conf_raw(&w->c, "/.wherry/pages/%s.html", page);
	conf_end(&w->c);
}

static const char *page_503(const struct served_route *r)
{
	bool proxied = r && !r->route->redirect && !r->route->root_path;
	if (!proxied || r->n_servers > 0) {
		return "error";
	}
	return r->life == ROUTE_STOPPED ? "stopped" : "starting";
}

void conf_error_pages(struct writing *w, const struct served_route *r)
{
	const char *own = r ? r->route->error_page : NULL;
	if (own && strcmp(own, "none") == 0) {
		conf_line(&w->c, "error_page 418 /.wherry/pages/error.html"); /* so that nothing is
										 inherited */
		return;
	}
	bool has_own = own && w->m->own_pages && strv_has(w->m->own_pages, r->key);
	scoped(free) char *page = has_own ? xasprintf("own/%s", r->key) : xstrdup("error");
	put_page(w, STATUSES, page);
	const char *at_503 = page_503(r);
	put_page(w, "error_page 503", has_own && strcmp(at_503, "starting") != 0 ? page : at_503);
}

void conf_page_locations(struct writing *w)
{
	static const char *const files[] = {"^~ /.wherry/pages/", "= /.wherry/pages/starting.html"};
	for (size_t i = 0; i < 2; i++) {
		conf_name(&w->c, "location ");
		buf_puts(&w->c.text, files[i]);
		conf_open(&w->c);
		conf_line(&w->c, "internal");
		conf_name(&w->c, "alias");
		conf_path(&w->c, w->m->data_dir, i == 0 ? "/pages/" : "/pages/starting.html");
		conf_end(&w->c);
		conf_line(&w->c, "default_type text/html");
		conf_line(&w->c, "charset utf-8");
		conf_block(&w->c, "types");
		conf_close(&w->c);
		conf_line(&w->c, "ssi on");
		conf_line(&w->c, "ssi_types *"); /* the charset is part of the type */
		conf_line(&w->c, "add_header Cache-Control no-store always");
		if (i == 1) {
			conf_line(&w->c, "add_header Retry-After 2 always");
		}
		conf_close(&w->c);
	}
}
