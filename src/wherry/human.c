#include "wherry/human.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"

const char *human_size(double bytes, int precision, char text[static HUMAN_MAX])
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
	size_t i = 0;
	while (bytes >= 1000 && i + 1 < sizeof(units) / sizeof(*units)) {
		bytes /= 1000;
		i++;
	}
	/* %g writes 1000 in three digits as 1e+03, as Go's %.3g does: docker prints "1e+03MB" too
	 */
	snprintf(text, HUMAN_MAX, "%.*g%s", precision, bytes, units[i]);
	return text;
}

void human_ago(int64_t seconds, int64_t now, struct buf *ret)
{
	char text[CLOCK_TEXT_MAX];
	buf_printf(ret, "%s ago", clock_human(now - seconds, text));
}

void human_ellipsis(const char *text, size_t n, struct buf *ret)
{
	size_t chars = 0;
	const char *cut = text;
	for (const char *p = text; *p; p++) {
		if (((unsigned char)*p & 0xc0) != 0x80) {
			cut = chars + 1 == n ? p : cut;
			chars++;
		}
	}
	if (chars <= n) {
		buf_puts(ret, text);
	} else {
		buf_append(ret, text, (size_t)(cut - text));
		buf_puts(ret, "…");
	}
}

const char *human_short_id(const char *id, char ret[static 13])
{
	id += text_starts(id, "sha256:") ? 7 : 0;
	snprintf(ret, 13, "%s", id);
	return ret;
}

struct port {
	const char *ip; /* "" when it is not published */
	int inner, outer;
	const char *proto;
};

static int by_inner(const void *a, const void *b)
{
	const struct port *p = a;
	const struct port *q = b;
	if (p->inner != q->inner) {
		return p->inner - q->inner;
	}
	int r = strcmp(p->ip, q->ip);
	if (r != 0) {
		return r;
	}
	return p->outer != q->outer ? p->outer - q->outer : strcmp(p->proto, q->proto);
}

/* A run of neighbouring ports of one address and protocol. */
struct group {
	const struct port *first;
	int last;
};

static bool shows_alone(const struct port *p)
{
	return *p->ip && p->outer != p->inner;
}

static void print_address(const struct port *p, struct buf *ret)
{
	buf_puts(ret, ret->len ? ", " : "");
	if (*p->ip) {
		buf_printf(ret, strchr(p->ip, ':') ? "[%s]:" : "%s:", p->ip);
	}
}

static void print_group(const struct group *g, struct buf *ret)
{
	const struct port *p = g->first;
	scoped(free) char *range = g->last == p->inner ? xasprintf("%d", p->inner)
						       : xasprintf("%d-%d", p->inner, g->last);
	print_address(p, ret);
	if (*p->ip) {
		buf_printf(ret, "%s->", range);
	}
	buf_printf(ret, "%s/%s", range, p->proto);
}

/* Adds p to its group, which is printed first when p does not continue it. */
static size_t add_to_group(struct group *groups, size_t n, const struct port *p, struct buf *ret)
{
	for (size_t i = 0; i < n; i++) {
		struct group *g = &groups[i];
		if (strcmp(g->first->ip, p->ip) != 0 || strcmp(g->first->proto, p->proto) != 0) {
			continue;
		}
		if (p->inner == g->last + 1) {
			g->last = p->inner;
			return n;
		}
		print_group(g, ret);
		*g = (struct group){p, p->inner};
		return n;
	}
	groups[n] = (struct group){p, p->inner};
	return n + 1;
}

/* docker/cli formatter.DisplayablePorts: runs are joined per address and protocol; what has another
 * number outside comes last, one by one. */
void human_ports(const json_t *ports, struct buf *ret)
{
	size_t n = json_array_size(ports);
	size_t n_groups = 0;
	scoped(free) struct port *list = xnew_array(struct port, n + 1);
	scoped(free) struct group *groups = xnew_array(struct group, n + 1);
	for (size_t i = 0; i < n; i++) {
		const json_t *p = json_array_get(ports, i);
		list[i] = (struct port){.ip = json_str(p, "IP"),
			.inner = (int)json_i64(p, "PrivatePort", 0),
			.outer = (int)json_i64(p, "PublicPort", 0),
			.proto = json_str(p, "Type")};
	}
	qsort(list, n, sizeof(*list), by_inner);
	for (size_t i = 0; i < n; i++) {
		n_groups = shows_alone(&list[i]) ? n_groups
						 : add_to_group(groups, n_groups, &list[i], ret);
	}
	for (size_t i = 0; i < n_groups; i++) {
		print_group(&groups[i], ret);
	}
	for (size_t i = 0; i < n; i++) {
		if (shows_alone(&list[i])) {
			print_address(&list[i], ret);
			buf_printf(ret, "%d->%d/%s", list[i].outer, list[i].inner, list[i].proto);
		}
	}
}
