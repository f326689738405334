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

static void print_end(struct buf *ret, int first, int last)
{
	if (first == last) {
		buf_printf(ret, "%d", first);
	} else {
		buf_printf(ret, "%d-%d", first, last);
	}
}

static void print_range(struct buf *ret, const struct port *first, const struct port *last)
{
	buf_puts(ret, ret->len ? ", " : "");
	if (*first->ip) {
		bool v6 = strchr(first->ip, ':');
		buf_printf(ret, v6 ? "[%s]:" : "%s:", first->ip);
		print_end(ret, first->outer, last->outer);
		buf_puts(ret, "->");
	}
	print_end(ret, first->inner, last->inner);
	buf_printf(ret, "/%s", first->proto);
}

/* docker/cli formatter.DisplayablePorts: sequences are joined per address and protocol, but a
 * published one only when inner and outer numbers go up together from the same start. */
static bool continues(const struct port *p, const struct port *q)
{
	return strcmp(p->ip, q->ip) == 0 && strcmp(p->proto, q->proto) == 0 &&
	       q->inner == p->inner + 1 &&
	       (!*p->ip || (q->outer == p->outer + 1 && p->inner == p->outer));
}

void human_ports(const json_t *ports, struct buf *ret)
{
	size_t n = json_array_size(ports);
	if (n == 0) {
		return;
	}
	scoped(free) struct port *list = xnew_array(struct port, n);
	scoped(free) bool *done = xnew_array(bool, n);
	for (size_t i = 0; i < n; i++) {
		const json_t *p = json_array_get(ports, i);
		list[i] = (struct port){.ip = json_str(p, "IP"),
			.inner = (int)json_i64(p, "PrivatePort", 0),
			.outer = (int)json_i64(p, "PublicPort", 0),
			.proto = json_str(p, "Type")};
	}
	qsort(list, n, sizeof(*list), by_inner);
	for (size_t i = 0; i < n; i++) {
		if (done[i]) {
			continue;
		}
		struct port *last = &list[i];
		for (size_t j = i + 1; j < n; j++) {
			if (!done[j] && continues(last, &list[j])) {
				last = &list[j];
				done[j] = true;
			}
		}
		print_range(ret, &list[i], last);
	}
}
