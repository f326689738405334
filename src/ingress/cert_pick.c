#include "ingress/cert_pick.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "ingress/cert_name.h"

#define WARN_S (14 * INT64_C(86400))

static int source_rank(const json_t *pair)
{
	const char *source = json_str(pair, "source");
	return strcmp(source, "own") == 0 ? 2 : strcmp(source, "acme") == 0 ? 1 : 0;
}

static enum cert_match pair_match(const json_t *pair, const char *host)
{
	enum cert_match best = CERT_MATCH_NONE;
	size_t i;
	json_t *name;
	json_array_foreach (json_object_get(pair, "names"), i, name) {
		enum cert_match m = cert_name_match(json_string_value(name), host);
		best = m > best ? m : best;
	}
	return best;
}

/* The job puts the device's own pair before the others of ours; loopback is in no other. */
static bool is_device(const json_t *pair)
{
	return source_rank(pair) == 0 && pair_match(pair, "::1") == CERT_MATCH_EXACT;
}

static bool is_better(const json_t *a, enum cert_match ma, const json_t *b, enum cert_match mb)
{
	if (!b || source_rank(a) != source_rank(b)) {
		return !b || source_rank(a) > source_rank(b);
	}
	return ma != mb ? ma > mb : json_i64(a, "not_after", 0) > json_i64(b, "not_after", 0);
}

const char *cert_pick(const json_t *result, const char *host)
{
	const json_t *best = NULL;
	enum cert_match best_match = CERT_MATCH_NONE;
	bool device = !*host || strcmp(host, ".") == 0;
	size_t i;
	json_t *pair;
	json_array_foreach (json_object_get(result, "pairs"), i, pair) {
		enum cert_match m = device ? (enum cert_match)(is_device(pair) * CERT_MATCH_EXACT)
					   : pair_match(pair, host);
		if (m != CERT_MATCH_NONE && is_better(pair, m, best, best_match)) {
			best = pair;
			best_match = m;
		}
	}
	return best ? json_str(best, "stem") : NULL;
}

bool cert_expires_soon(const json_t *pair, int64_t now)
{
	return source_rank(pair) > 0 && json_i64(pair, "not_after", 0) - now <= WARN_S;
}

static void put_time(json_t *o, const char *key, int64_t seconds)
{
	char text[CLOCK_TEXT_MAX];
	json_put_str(o, key, clock_format(seconds * NS_PER_SEC, text));
}

static json_t *shown_pair(const json_t *pair)
{
	json_t *o = json_object();
	json_put(o, "Names", json_incref(json_object_get(pair, "names")));
	json_put_str(o, "Source", json_str(pair, "source"));
	json_put_str(o, "Issuer", json_str(pair, "issuer"));
	put_time(o, "NotBefore", json_i64(pair, "not_before", 0));
	put_time(o, "NotAfter", json_i64(pair, "not_after", 0));
	json_put_str(o, "File", json_str(pair, "file"));
	return o;
}

static json_t *shown_authority(const json_t *authority)
{
	json_t *o = json_object();
	json_put_str(o, "Subject", json_str(authority, "subject"));
	json_put_str(o, "Fingerprint", json_str(authority, "fingerprint"));
	put_time(o, "NotAfter", json_i64(authority, "not_after", 0));
	json_put(o, "Limited", json_boolean(json_bool(authority, "limited")));
	json_put(o, "Given", json_boolean(json_bool(authority, "given")));
	json_put_str(o, "Pem", json_str(authority, "pem"));
	return o;
}

static json_t *shown_problem(const json_t *problem)
{
	json_t *o = json_object();
	json_put_str(o, "What", json_str(problem, "what"));
	json_put_str(o, "Error", json_str(problem, "error"));
	return o;
}

json_t *cert_shown(const json_t *result)
{
	static const struct {
		const char *key, *shown;
		json_t *(*one)(const json_t *item);
	} lists[] = {{"pairs", "Certificates", shown_pair},
		{"authorities", "Authorities", shown_authority},
		{"problems", "Problems", shown_problem}};
	json_t *o = json_object();
	for (size_t k = 0; k < sizeof(lists) / sizeof(*lists); k++) {
		json_t *list = json_array();
		size_t i;
		json_t *item;
		json_array_foreach (json_object_get(result, lists[k].key), i, item) {
			json_array_append_new(list, lists[k].one(item));
		}
		json_put(o, lists[k].shown, list);
	}
	return o;
}
