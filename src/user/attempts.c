#include "user/attempts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ip.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/scoped.h"

#define HOUR_S 3600
#define HOUSEHOLD_BITS 64

static const struct rule {
	const char *word;
	unsigned free;
	int64_t longest_s, forget_s;
} rules[] = {
	[ATTEMPT_ADDRESS] = {"address", 10, 300, HOUR_S},
	[ATTEMPT_USER] = {"user", 5, 30, HOUR_S},
	[ATTEMPT_CODE] = {"code", 5, 900, 24 * HOUR_S},
};

struct mark {
	enum attempt_kind kind;
	unsigned failed;
	int64_t last_s;
};

struct attempts {
	struct map *marks; /* "user alice" -> struct mark */
};

struct attempts *attempts_new(void)
{
	struct attempts *a = xnew(struct attempts);
	a->marks = map_new();
	return a;
}

void attempts_free(struct attempts *a)
{
	if (a) {
		map_each (a->marks, struct mark, m) {
			free(m);
		}
		map_free(a->marks);
		free(a);
	}
}

static char *key_of(enum attempt_kind kind, const char *name)
{
	return xasprintf("%s %.128s", rules[kind].word, name);
}

static bool is_forgotten(const struct mark *m, int64_t now_s)
{
	return now_s - m->last_s >= rules[m->kind].forget_s;
}

int64_t attempts_wait(
	const struct attempts *a, enum attempt_kind kind, const char *name, int64_t now_s)
{
	scoped(free) char *key = key_of(kind, name);
	const struct mark *m = map_get(a->marks, key);
	const struct rule *r = &rules[kind];
	if (!m || m->failed < r->free || is_forgotten(m, now_s)) {
		return 0;
	}
	unsigned doublings = m->failed - r->free;
	int64_t wait_s = doublings >= 16 ? r->longest_s : (int64_t)1 << doublings;
	wait_s = wait_s > r->longest_s ? r->longest_s : wait_s;
	int64_t left_s = m->last_s + wait_s - now_s;
	return left_s > 0 ? left_s : 0;
}

/* What is forgotten goes; when nothing is, the mark with the fewest failures: who tries most is
 * remembered. */
static void make_room(struct attempts *a, int64_t now_s)
{
	size_t pos = 0;
	const char *key;
	const char *least = NULL;
	unsigned fewest = 0;
	if (map_count(a->marks) < ATTEMPTS_KEPT) {
		return;
	}
	for (struct mark *m; (m = map_next(a->marks, &pos, &key));) {
		if (is_forgotten(m, now_s)) {
			free(map_remove(a->marks, key));
		} else if (!least || m->failed < fewest) {
			least = key;
			fewest = m->failed;
		}
	}
	if (map_count(a->marks) >= ATTEMPTS_KEPT && least) {
		free(map_remove(a->marks, least));
	}
}

void attempts_begin(struct attempts *a, enum attempt_kind kind, const char *name, int64_t now_s)
{
	scoped(free) char *key = key_of(kind, name);
	struct mark *m = map_get(a->marks, key);
	if (!m) {
		make_room(a, now_s);
		m = xnew(struct mark);
		m->kind = kind;
		map_put(a->marks, key, m);
	}
	m->failed = is_forgotten(m, now_s) ? 1 : m->failed + (m->failed < 1000);
	m->last_s = now_s;
}

void attempts_succeeded(struct attempts *a, enum attempt_kind kind, const char *name)
{
	scoped(free) char *key = key_of(kind, name);
	free(map_remove(a->marks, key));
}

void attempt_address(const char *text, char ret[static ATTEMPT_ADDRESS_MAX])
{
	struct ip a;
	char shown[IP_TEXT_MAX];
	if (ip_parse(text, &a) < 0) {
		snprintf(ret, ATTEMPT_ADDRESS_MAX, "?");
		return;
	}
	if (a.size == IP6_BYTES) {
		a = ip_range_of(a, HOUSEHOLD_BITS).base;
	}
	snprintf(ret, ATTEMPT_ADDRESS_MAX, "%s", ip_format(a, shown));
}
