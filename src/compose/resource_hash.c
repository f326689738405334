#include "compose/resource_hash.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/sha256.h"
#include "compose/go_json.h"

/* `omitempty` in all of these: nothing for NULL, "", false, no members. */
static void put_text(struct buf *b, const char *key, const char *text)
{
	if (text && *text) {
		go_json_key(b, key);
		go_json_string(b, text);
	}
}

static void put_true(struct buf *b, const char *key, bool value)
{
	if (value) {
		go_json_key(b, key);
		buf_puts(b, "true");
	}
}

static void put_truth(struct buf *b, const char *key, enum truth value)
{
	if (value != TRUTH_UNSET) {
		go_json_key(b, key);
		buf_puts(b, value == TRUTH_TRUE ? "true" : "false");
	}
}

static int compare_pairs(const void *a, const void *b)
{
	return strcmp(((const struct pair *)a)->name, ((const struct pair *)b)->name);
}

static void put_pairs(struct buf *b, const char *key, const struct pairs *pairs)
{
	if (pairs->n == 0) {
		return;
	}
	scoped(free) struct pair *sorted = xnew_array(struct pair, pairs->n);
	memcpy(sorted, pairs->v, pairs->n * sizeof(*sorted));
	qsort(sorted, pairs->n, sizeof(*sorted), compare_pairs);
	go_json_key(b, key);
	buf_putc(b, '{');
	for (size_t i = 0; i < pairs->n; i++) {
		go_json_key(b, sorted[i].name);
		go_json_string(b, sorted[i].value ? sorted[i].value : "");
	}
	buf_putc(b, '}');
}

/* A struct, which Go never omits. */
static void put_ipam(struct buf *b, const struct network *n)
{
	go_json_key(b, "ipam");
	buf_putc(b, '{');
	put_text(b, "driver", n->ipam_driver);
	if (n->n_pools > 0) {
		go_json_key(b, "config");
		for (size_t i = 0; i < n->n_pools; i++) {
			buf_puts(b, i == 0 ? "[{" : ",{");
			put_text(b, "subnet", n->pools[i].subnet);
			put_text(b, "gateway", n->pools[i].gateway);
			put_text(b, "ip_range", n->pools[i].ip_range);
			put_pairs(b, "aux_addresses", &n->pools[i].aux_addresses);
			buf_putc(b, '}');
		}
		buf_putc(b, ']');
	}
	buf_putc(b, '}');
}

static void finish(struct buf *b, char ret[static RESOURCE_HASH_MAX])
{
	char digest[72];
	buf_putc(b, '}');
	sha256_digest(buf_str(b), b->len, digest);
	memcpy(ret, digest + strlen("sha256:"), RESOURCE_HASH_MAX);
}

void resource_hash_network(const struct network *n, char ret[static RESOURCE_HASH_MAX])
{
	scoped(buf) struct buf b = BUF_INIT;
	buf_putc(&b, '{');
	put_text(&b, "name", n->name);
	put_text(&b, "driver", n->driver);
	put_pairs(&b, "driver_opts", &n->driver_opts);
	put_ipam(&b, n);
	put_true(&b, "external", n->external);
	put_true(&b, "internal", n->internal);
	put_true(&b, "attachable", n->attachable);
	put_pairs(&b, "labels", &n->labels);
	put_truth(&b, "enable_ipv4", n->enable_ipv4);
	put_truth(&b, "enable_ipv6", n->enable_ipv6);
	finish(&b, ret);
}

void resource_hash_volume(const struct volume *v, char ret[static RESOURCE_HASH_MAX])
{
	scoped(buf) struct buf b = BUF_INIT;
	buf_putc(&b, '{');
	put_text(&b, "name", v->name);
	put_text(&b, "driver", v->driver && *v->driver ? v->driver : "local");
	put_pairs(&b, "driver_opts", &v->driver_opts);
	put_true(&b, "external", v->external);
	put_pairs(&b, "labels", &v->labels);
	finish(&b, ret);
}
