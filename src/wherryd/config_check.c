#include "wherryd/config_check.h"

#include <stdint.h>
#include <string.h>

#include "base/json.h"
#include "base/parse.h"
#include "base/strv.h"
#include "base/text.h"

#define PEERS_MAX 16

/* Types of values in the file. */
enum type { BOOLEAN, NUMBER, TEXT, TEXTS, OBJECT, SIZE };

/* Which values are possible. */
enum rule {
	ANY,      /* no effect, or one that is read elsewhere */
	UNSET,    /* only false, 0, "" and empty ones: it is refused */
	ONE_OF,   /* the words of accepted, separated by '|' */
	POSITIVE, /* a number over 0 */
	NATURAL,  /* a number from 0 */
	LABELS,   /* KEY=VALUE, no key twice */
	ULIMITS,  /* {"nofile": {"Name", "Hard", "Soft"}}, or of a flag nofile=SOFT:HARD */
	PEERS,    /* a few http:// or https:// addresses */
	PROXIES,  /* {"http-proxy", "https-proxy", "no-proxy"} */
};

static const struct known {
	const char *key;
	enum type type;
	enum rule rule;
	const char *accepted; /* of ONE_OF */
	const char *reason;   /* why nothing else */
} known[] = {
	/* what has an effect */
	{"log-level", TEXT, ONE_OF, "trace|debug|info|warn|error|fatal|panic",
		"it is debug, info, warn, error or fatal"},
	{"labels", TEXTS, LABELS, NULL, NULL},
	{"default-ulimits", OBJECT, ULIMITS, NULL, NULL},
	{"default-shm-size", SIZE, ANY, NULL, NULL},
	{"default-ipc-mode", TEXT, ONE_OF, "private|shareable", "it is private or shareable"},
	{"default-cgroupns-mode", TEXT, ONE_OF, "private|host", "it is private or host"},
	{"image-peers", TEXTS, PEERS, NULL, NULL},
	{"runtimes", OBJECT, ANY, NULL, NULL},
	{"default-runtime", TEXT, ANY, NULL, NULL},
	{"wherry.unhealthy", TEXT, ONE_OF, "restart|ignore", "it is restart or ignore"},
	{"ingress", OBJECT, ANY, NULL, NULL}, /* config_ingress.h */
	{"init", BOOLEAN, ANY, NULL, NULL},
	{"no-new-privileges", BOOLEAN, ANY, NULL, NULL},
	{"dns-opts", TEXTS, ANY, NULL, NULL},
	{"dns-search", TEXTS, ANY, NULL, NULL},
	{"host-gateway-ip", TEXT, ANY, NULL, NULL},
	{"http-proxy", TEXT, ANY, NULL, NULL},
	{"https-proxy", TEXT, ANY, NULL, NULL},
	{"no-proxy", TEXT, ANY, NULL, NULL},
	{"proxies", OBJECT, PROXIES, NULL, NULL},
	/* what is always so, or of no use here */
	{"live-restore", BOOLEAN, ANY, NULL, NULL},
	{"userland-proxy", BOOLEAN, ANY, NULL, NULL},
	{"userland-proxy-path", TEXT, ANY, NULL, NULL},
	{"storage-driver", TEXT, ONE_OF, "overlay2|overlay|overlayfs",
		"images and containers are kept with overlayfs"},
	{"storage-opts", TEXTS, ONE_OF, "overlay2.override_kernel_check=true",
		"the storage has no options"},
	{"exec-opts", TEXTS, ONE_OF, "native.cgroupdriver=cgroupfs",
		"control groups are made by wherry itself: native.cgroupdriver=cgroupfs"},
	{"features", OBJECT, ANY, NULL, NULL},
	{"experimental", BOOLEAN, ANY, NULL, NULL},
	{"shutdown-timeout", NUMBER, NATURAL, NULL, NULL},
	{"max-concurrent-downloads", NUMBER, POSITIVE, NULL, NULL},
	{"max-concurrent-uploads", NUMBER, POSITIVE, NULL, NULL},
	{"max-download-attempts", NUMBER, POSITIVE, NULL, NULL},
	{"allow-nondistributable-artifacts", TEXTS, ANY, NULL, NULL},
	{"containerd", TEXT, ANY, NULL, NULL},
	{"containerd-namespace", TEXT, ANY, NULL, NULL},
	{"containerd-plugin-namespace", TEXT, ANY, NULL, NULL},
	{"containerd-plugins-namespace", TEXT, ANY, NULL, NULL},
	{"raw-logs", BOOLEAN, ANY, NULL, NULL},
	{"log-format", TEXT, ONE_OF, "text", "the daemon logs text"},
	{"builder", OBJECT, ANY, NULL, NULL},
	{"network-control-plane-mtu", NUMBER, ANY, NULL, NULL},
	{"swarm-default-advertise-addr", TEXT, ANY, NULL, NULL},
	{"swarm-raft-heartbeat-tick", NUMBER, ANY, NULL, NULL},
	{"swarm-raft-election-tick", NUMBER, ANY, NULL, NULL},
	{"tls", BOOLEAN, UNSET, NULL,
		"the daemon listens on unix sockets only; use ssh:// or a TLS server in front"},
	{"tlsverify", BOOLEAN, UNSET, NULL,
		"the daemon listens on unix sockets only; use ssh:// or a TLS server in front"},
	{"tlscacert", TEXT, ANY, NULL, NULL},
	{"tlscert", TEXT, ANY, NULL, NULL},
	{"tlskey", TEXT, ANY, NULL, NULL},
	/* what there is not */
	{"userns-remap", TEXT, UNSET, NULL,
		"user namespaces are not supported: containers' root is the machine's"},
	{"rootless", BOOLEAN, UNSET, NULL, "wherryd runs as root"},
	{"selinux-enabled", BOOLEAN, UNSET, NULL, "SELinux labels are not supported"},
	{"authorization-plugins", TEXTS, UNSET, NULL, "there are no plugins"},
	{"api-cors-header", TEXT, UNSET, NULL, "browsers get no access to the API"},
	{"cri-containerd", BOOLEAN, UNSET, NULL, "there is no containerd"},
	{"cpu-rt-period", NUMBER, UNSET, NULL, "real-time scheduling is not given to containers"},
	{"cpu-rt-runtime", NUMBER, UNSET, NULL, "real-time scheduling is not given to containers"},
	{"cdi-spec-dirs", TEXTS, UNSET, NULL, "CDI devices are not supported"},
	{"init-path", TEXT, UNSET, NULL, "--init uses Debian's tini"},
	{"default-init", TEXT, UNSET, NULL, "--init uses Debian's tini"},
	{"network-diagnostic-port", NUMBER, UNSET, NULL, "there is no diagnostic server"},
	{"node-generic-resources", TEXTS, UNSET, NULL, "there is no swarm"},
	{"cluster-store", TEXT, UNSET, NULL, "there is no cluster"},
	{"cluster-advertise", TEXT, UNSET, NULL, "there is no cluster"},
	{"cluster-store-opts", OBJECT, UNSET, NULL, "there is no cluster"},
};

static const struct known *find(const char *key)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (strcmp(known[i].key, key) == 0) {
			return &known[i];
		}
	}
	return NULL;
}

static bool all_strings(const json_t *list)
{
	size_t i;
	json_t *item;
	json_array_foreach (list, i, item) {
		if (!json_is_string(item)) {
			return false;
		}
	}
	return json_is_array(list);
}

/* A value of the file has the type; one of a flag is text, which the rule looks at. */
static int check_type(const struct known *k, const json_t *v, struct err *e)
{
	static const char *const wanted[] = {[BOOLEAN] = "true or false",
		[NUMBER] = "a number",
		[TEXT] = "a string",
		[TEXTS] = "a list of strings",
		[OBJECT] = "an object",
		[SIZE] = "a size"};
	int64_t number;
	bool flag = json_is_string(v) || all_strings(v);
	bool ok = false;
	switch (k->type) {
	case BOOLEAN:
		ok = json_is_boolean(v) || flag;
		break;
	case NUMBER:
		ok = json_is_integer(v) ||
		     (flag && parse_i64(json_string_value(v) ? json_string_value(v) : "", INT64_MIN,
				      INT64_MAX, &number) == 0);
		break;
	case TEXT:
		ok = json_is_string(v);
		break;
	case TEXTS:
		ok = all_strings(v);
		break;
	case OBJECT:
		ok = json_is_object(v) || flag;
		break;
	case SIZE:
		ok = (json_is_integer(v) && json_integer_value(v) >= 0) ||
		     (json_is_string(v) && parse_size(json_string_value(v), &number) == 0 &&
			     number >= 0);
		break;
	}
	return ok ? 0 : err_set(e, ERR_INVALID, "%s must be %s", k->key, wanted[k->type]);
}

static bool is_unset(const json_t *v)
{
	const char *text = json_string_value(v);
	return json_is_false(v) || json_is_null(v) ||
	       (json_is_integer(v) && json_integer_value(v) == 0) ||
	       (text && (!*text || strcmp(text, "false") == 0 || strcmp(text, "0") == 0)) ||
	       (json_is_array(v) && json_array_size(v) == 0) ||
	       (json_is_object(v) && json_object_size(v) == 0);
}

static bool is_one_of(const char *words, const char *text)
{
	scoped(strv) struct strv list = STRV_INIT;
	strv_split(&list, words, '|');
	return !*text || strv_has(&list, text);
}

static bool all_one_of(const char *words, const json_t *v)
{
	size_t i;
	json_t *item;
	if (json_is_string(v)) {
		return is_one_of(words, json_string_value(v));
	}
	json_array_foreach (v, i, item) {
		if (!is_one_of(words, json_string_value(item))) {
			return false;
		}
	}
	return true;
}

static int64_t number_of(const json_t *v)
{
	int64_t n = 0;
	if (json_is_string(v)) {
		(void)parse_i64(json_string_value(v), INT64_MIN, INT64_MAX, &n);
		return n;
	}
	return json_integer_value(v);
}

static int check_labels(const char *key, const json_t *list, struct err *e)
{
	size_t i;
	json_t *item;
	scoped(strv) struct strv keys = STRV_INIT;
	json_array_foreach (list, i, item) {
		const char *text = json_string_value(item);
		size_t n = strcspn(text, "=");
		if (n == 0 || !text[n]) {
			return err_set(e, ERR_INVALID, "bad attribute format: %.100s", text);
		}
		for (size_t k = 0; k < keys.n; k++) {
			if (strncmp(keys.v[k], text, n) == 0 && !keys.v[k][n]) {
				return err_set(e, ERR_INVALID, "conflict labels for %.*s",
					(int)(n < 100 ? n : 100), text);
			}
		}
		strv_addn(&keys, text, n);
	}
	return 0;
}

static int check_ulimits(const char *key, const json_t *v, struct err *e)
{
	const char *name;
	json_t *limit;
	json_object_foreach ((json_t *)v, name, limit) {
		int64_t soft = json_i64(limit, "Soft", 0);
		int64_t hard = json_i64(limit, "Hard", 0);
		if (!json_is_object(limit) || !json_is_integer(json_object_get(limit, "Hard")) ||
			!json_is_integer(json_object_get(limit, "Soft"))) {
			return err_set(e, ERR_INVALID,
				"%s: %.32s must be {\"Name\", \"Hard\", \"Soft\"}", key, name);
		}
		if (hard >= 0 && soft > hard) {
			return err_set(e, ERR_INVALID,
				"%s: %.32s: the soft limit is over the hard limit", key, name);
		}
	}
	return 0;
}

static int check_peers(const char *key, const json_t *list, struct err *e)
{
	size_t i;
	json_t *item;
	if (json_array_size(list) > PEERS_MAX) {
		return err_set(e, ERR_INVALID, "%s: more than %d", key, PEERS_MAX);
	}
	json_array_foreach (list, i, item) {
		const char *url = json_string_value(item);
		const char *host = text_starts(url, "http://")    ? url + 7
				   : text_starts(url, "https://") ? url + 8
								  : "";
		if (!*host || *host == '/' || strpbrk(host, "?#@ ")) {
			return err_set(
				e, ERR_INVALID, "%s: \"%.100s\" is not http://HOST:PORT", key, url);
		}
	}
	return 0;
}

static int check_proxies(const char *key, const json_t *v, struct err *e)
{
	const char *name;
	json_t *value;
	json_object_foreach ((json_t *)v, name, value) {
		if ((strcmp(name, "http-proxy") != 0 && strcmp(name, "https-proxy") != 0 &&
			    strcmp(name, "no-proxy") != 0) ||
			!json_is_string(value)) {
			return err_set(e, ERR_INVALID, "%s: unknown setting \"%.64s\"", key, name);
		}
	}
	return 0;
}

static int check_rule(const struct known *k, const json_t *v, struct err *e)
{
	switch (k->rule) {
	case UNSET:
		return is_unset(v) ? 0
				   : err_set(e, ERR_INVALID, "%s cannot be used: %s", k->key,
					     k->reason);
	case ONE_OF:
		return all_one_of(k->accepted, v)
			       ? 0
			       : err_set(e, ERR_INVALID, "%s: %s", k->key, k->reason);
	case POSITIVE:
		return number_of(v) > 0 ? 0 : err_set(e, ERR_INVALID, "%s must be over 0", k->key);
	case NATURAL:
		return number_of(v) >= -1
			       ? 0
			       : err_set(e, ERR_INVALID, "%s must be -1 or more", k->key);
	case LABELS:
		return check_labels(k->key, v, e);
	case ULIMITS:
		return check_ulimits(k->key, v, e);
	case PEERS:
		return check_peers(k->key, v, e);
	case PROXIES:
		return check_proxies(k->key, v, e);
	default:
		return 0;
	}
}

int config_check(const json_t *merged, struct err *e)
{
	const char *key;
	json_t *v;
	json_object_foreach ((json_t *)merged, key, v) {
		const struct known *k = find(key);
		if (k && (check_type(k, v, e) < 0 || check_rule(k, v, e) < 0)) {
			return -1;
		}
	}
	return 0;
}

/* moby daemon/reload.go */
bool config_reloads(const char *key)
{
	static const char *const keys[] = {"debug", "log-level", "labels", "registry-mirrors",
		"insecure-registries", "image-signatures", "image-peers",
		"allow-nondistributable-artifacts", "live-restore", "max-concurrent-downloads",
		"max-concurrent-uploads", "max-download-attempts", "shutdown-timeout", "features",
		"default-runtime", "runtimes", "network-diagnostic-port", "ingress"};
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		if (strcmp(keys[i], key) == 0) {
			return true;
		}
	}
	return false;
}
