#include "ingress/acme_plan.h"

#include <string.h>

#include "base/json.h"
#include "base/scoped.h"
#include "base/text.h"
#include "ingress/cert_name.h"

#define PAUSE_FIRST_S INT64_C(600)
#define PAUSE_MAX_S INT64_C(86400)

static bool may_ask(const char *name, bool has_dns_hook)
{
	return cert_name_is_valid(name) && !cert_name_is_private(name) &&
	       (has_dns_hook || !text_starts(name, "*."));
}

/* What of a list may be asked for; "" for nothing. */
static void add_list(const char *list, bool has_dns_hook, struct strv *ret)
{
	scoped(strv) struct strv names = STRV_INIT;
	scoped(buf) struct buf kept = BUF_INIT;
	size_t n = 0;
	strv_split(&names, list, ',');
	for (size_t i = 0; i < names.n && n < ACME_NAMES_MAX; i++) {
		const char *name = names.v[i] + strspn(names.v[i], " ");
		if (may_ask(name, has_dns_hook)) {
			buf_printf(&kept, "%s%s", n++ ? "," : "", name);
		}
	}
	if (n > 0 && ret->n < ACME_CERTS_MAX && !strv_has(ret, buf_str(&kept))) {
		strv_add(ret, buf_str(&kept));
	}
}

void acme_wanted(const struct strv *configured, const struct strv *hosts, bool has_dns_hook,
	struct strv *ret)
{
	const struct strv *from = configured->n > 0 ? configured : hosts;
	for (size_t i = 0; i < from->n; i++) {
		add_list(from->v[i], has_dns_hook, ret);
	}
}

/* FNV-1a. */
uint32_t acme_seed(const char *device, const char *names)
{
	uint32_t h = UINT32_C(2166136261);
	const char *texts[] = {device, names};
	for (size_t i = 0; i < 2; i++) {
		for (const char *c = texts[i]; *c; c++) {
			h = (h ^ (unsigned char)*c) * UINT32_C(16777619);
		}
	}
	return h;
}

int64_t acme_pause(unsigned failures, uint32_t seed)
{
	int64_t pause = PAUSE_FIRST_S;
	for (unsigned i = 1; i < failures && pause < PAUSE_MAX_S; i++) {
		pause *= 2;
	}
	pause = pause > PAUSE_MAX_S ? PAUSE_MAX_S : pause;
	return pause + (int64_t)((uint64_t)seed * (uint64_t)(pause / 4) >> 32);
}

int64_t acme_renew_at(int64_t not_before, int64_t not_after, uint32_t seed)
{
	int64_t third = (not_after - not_before) / 3;
	third = third > 0 ? third : 0;
	return not_after - third - (int64_t)((uint64_t)seed * (uint64_t)(third / 10) >> 32);
}

int64_t acme_next(const json_t *state, int64_t now, uint32_t seed)
{
	int64_t failures = json_i64(state, "failures", 0);
	int64_t tried = json_i64(state, "tried", 0);
	if (failures > 0) {
		return tried > now
			       ? now
			       : tried + acme_pause(failures > 32 ? 32 : (unsigned)failures, seed);
	}
	int64_t not_after = json_i64(state, "not_after", 0);
	return not_after > 0 ? acme_renew_at(json_i64(state, "not_before", 0), not_after, seed)
			     : now;
}
