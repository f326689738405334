#include "buildkit/solve.h"

#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "base/text.h"

#define UPLOAD_PREFIX "http://buildkit-session/"

/* --- the frontend --- */

bool solve_is_dockerfile_image(const char *image)
{
	static const char *const prefixes[] = {"docker.io/", "index.docker.io/"};
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		if (text_starts(image, prefixes[i])) {
			image += strlen(prefixes[i]);
		}
	}
	size_t n = strcspn(image, ":@");
	return (n == strlen("docker/dockerfile") && strncmp(image, "docker/dockerfile", n) == 0) ||
	       (n == strlen("docker/dockerfile-upstream") &&
		       strncmp(image, "docker/dockerfile-upstream", n) == 0);
}

static int check_image(const char *image, struct err *e)
{
	return !*image || solve_is_dockerfile_image(image)
		       ? 0
		       : err_set(e, ERR_NOT_IMPLEMENTED,
				 "the frontend image %.200s cannot be run: this engine builds Dockerfiles by itself and knows no other language",
				 image);
}

static int check_frontend(const struct solve_request *r, struct err *e)
{
	const char *f = r->frontend;
	if (*f && strcmp(f, "dockerfile.v0") != 0 && strcmp(f, "gateway.v0") != 0) {
		return err_set(e, ERR_NOT_IMPLEMENTED,
			"the frontend %.64s is not known: this engine builds Dockerfiles (dockerfile.v0)",
			f);
	}
	if (strcmp(f, "gateway.v0") == 0 && check_image(json_str(r->attrs, "source"), e) < 0) {
		return -1;
	}
	return check_image(json_str(r->attrs, "build-arg:BUILDKIT_SYNTAX"), e);
}

/* --- what is built from --- */

/* moby/buildkit util/gitutil: what its frontend takes for a repository. */
static bool is_git(const char *url)
{
	scoped(free) char *bare = xstrndup(url, strcspn(url, "#?"));
	return text_starts(url, "git://") || text_starts(url, "git@") ||
	       text_starts(url, "ssh://") || text_starts(url, "github.com/") ||
	       (text_starts(url, "http") && text_ends(bare, ".git"));
}

static json_t *source(const char *url)
{
	if (text_starts(url, UPLOAD_PREFIX)) {
		return json_pack("{ss ss}", "kind", "upload", "path",
			url + strlen(UPLOAD_PREFIX) - 1); /* with its slash */
	}
	return json_pack("{ss ss}", "kind", is_git(url) ? "git" : "http", "url", url);
}

static json_t *local(const json_t *attrs, const char *key, const char *name)
{
	const char *own = json_str(attrs, key);
	own = *own ? own : name;
	scoped(free) char *session_key = xasprintf("local-sessionid:%s", own);
	return json_pack("{ss ss ss}", "kind", "session", "name", own, "session",
		json_str(attrs, session_key));
}

static void put_sources(json_t *options, const json_t *attrs)
{
	const char *context = json_str(attrs, "context");
	bool remote = strstr(context, "://") != NULL || is_git(context);
	json_put(options, "context",
		remote ? source(context) : local(attrs, "contextkey", "context"));
	if (!remote || json_object_get(attrs, "dockerfilekey")) {
		json_put(options, "dockerfile_source", local(attrs, "dockerfilekey", "dockerfile"));
	}
	json_put_str(options, "context_subdir", json_str(attrs, "contextsubdir"));
	const char *file = json_str(attrs, "filename");
	json_put_str(options, "dockerfile", *file ? file : "Dockerfile");
}

/* --- values --- */

static void put_list(json_t *options, const char *key, const char *text)
{
	scoped(strv) struct strv parts = STRV_INIT;
	strv_split(&parts, text, ',');
	if (parts.n > 0) {
		json_put(options, key, json_strv(&parts));
	}
}

/* "name=1.2.3.4,other=::1" to ["name:1.2.3.4", "other:::1"] */
static int put_hosts(json_t *options, const char *text, struct err *e)
{
	scoped(strv) struct strv parts = STRV_INIT;
	strv_split(&parts, text, ',');
	for (size_t i = 0; i < parts.n; i++) {
		char *equals = strchr(parts.v[i], '=');
		if (!equals || equals == parts.v[i]) {
			return err_set(e, ERR_INVALID,
				"failed to parse additional hosts: invalid key-value pair %.200s",
				parts.v[i]);
		}
		*equals = ':';
	}
	json_put(options, "extrahosts", json_strv(&parts));
	return 0;
}

static int limit_value(const char *text, int64_t *ret)
{
	return strcmp(text, "unlimited") == 0 ? (*ret = -1, 0)
					      : parse_i64(text, -1, INT64_MAX, ret);
}

/* "nofile=1024:2048" as OCI's process.rlimits. */
static json_t *read_ulimit(const char *text, struct err *e)
{
	scoped(strv) struct strv sides = STRV_INIT;
	int64_t soft = 0, hard = 0;
	const char *values = strchr(text, '=');
	if (values) {
		strv_split(&sides, values + 1, ':');
	}
	bool bad = !values || values == text || sides.n < 1 || sides.n > 2 ||
		   limit_value(sides.v[0], &soft) < 0 ||
		   limit_value(sides.v[sides.n - 1], &hard) < 0;
	if (bad) {
		(void)err_set(e, ERR_INVALID, "failed to parse ulimit: %.200s", text);
		return NULL;
	}
	scoped(free) char *name = xstrndup(text, (size_t)(values - text));
	for (char *p = name; *p; p++) {
		*p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
	}
	scoped(free) char *type = xasprintf("RLIMIT_%s", name);
	return json_pack(
		"{ss sI sI}", "type", type, "soft", (json_int_t)soft, "hard", (json_int_t)hard);
}

static int put_ulimits(json_t *options, const char *text, struct err *e)
{
	scoped(strv) struct strv parts = STRV_INIT;
	json_t *list = json_array();
	json_put(options, "rlimits", list);
	strv_split(&parts, text, ',');
	for (size_t i = 0; i < parts.n; i++) {
		json_t *limit = read_ulimit(parts.v[i], e);
		if (!limit) {
			return -1;
		}
		json_array_append_new(list, limit);
	}
	return 0;
}

static int put_number(
	json_t *options, const char *key, const char *text, const char *what, struct err *e)
{
	int64_t value;
	if (parse_i64(text, 0, INT64_MAX, &value) < 0) {
		return err_set(e, ERR_INVALID, "failed to parse %s: %.64s", what, text);
	}
	json_put(options, key, json_integer((json_int_t)value));
	return 0;
}

static int put_network(json_t *options, const char *mode, struct err *e)
{
	if (strcmp(mode, "host") != 0 && strcmp(mode, "none") != 0 &&
		strcmp(mode, "sandbox") != 0) {
		return err_set(e, ERR_INVALID, "invalid netmode %.64s", mode);
	}
	json_put_str(options, "networkmode", strcmp(mode, "sandbox") == 0 ? "default" : mode);
	return 0;
}

static void put_no_cache(json_t *options, const char *stages)
{
	if (!*stages) {
		json_put(options, "nocache", json_true());
	} else {
		put_list(options, "no_cache_filter", stages);
	}
}

static int put_attribute(json_t *options, const char *name, const char *value, struct err *e)
{
	if (strcmp(name, "target") == 0) {
		json_put_str(options, "target", value);
	} else if (strcmp(name, "platform") == 0) {
		put_list(options, "platforms", value);
	} else if (strcmp(name, "no-cache") == 0) {
		put_no_cache(options, value);
	} else if (strcmp(name, "image-resolve-mode") == 0) {
		json_put(options, "pull", json_boolean(strcmp(value, "pull") == 0));
	} else if (strcmp(name, "add-hosts") == 0) {
		return put_hosts(options, value, e);
	} else if (strcmp(name, "shm-size") == 0) {
		return *value ? put_number(options, "shmsize", value, "shm size", e) : 0;
	} else if (strcmp(name, "ulimit") == 0) {
		return put_ulimits(options, value, e);
	} else if (strcmp(name, "force-network-mode") == 0) {
		return *value ? put_network(options, value, e) : 0;
	} else if (strcmp(name, "cgroup-parent") == 0 && *value) {
		return err_set(e, ERR_INVALID,
			"a cgroup parent for builds is not supported: steps run in a group of the builder, with the limits that the build has");
	} else {
		json_put_str(json_object_get(options, "attrs"), name, value);
	}
	return 0;
}

/* What is named by a prefix: "build-arg:NAME". True: name was one. */
static bool put_named(json_t *options, const char *name, const char *value)
{
	static const struct {
		const char *prefix, *key;
	} kinds[] = {
		{"build-arg:", "buildargs"},
		{"label:", "labels"},
		{"context:", "named_contexts"},
	};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (text_starts(name, kinds[i].prefix)) {
			json_put_str(json_object_get(options, kinds[i].key),
				name + strlen(kinds[i].prefix), value);
			return true;
		}
	}
	return text_starts(name, "attest:"); /* no attestations are made */
}

static int put_attributes(json_t *options, const json_t *attrs, struct err *e)
{
	const char *name;
	json_t *value;
	json_put(options, "buildargs", json_object());
	json_put(options, "labels", json_object());
	json_put(options, "named_contexts", json_object());
	json_put(options, "attrs", json_object());
	json_object_foreach ((json_t *)attrs, name, value) {
		const char *text = json_is_string(value) ? json_string_value(value) : "";
		if (!put_named(options, name, text) && put_attribute(options, name, text, e) < 0) {
			return -1;
		}
	}
	const char *epoch = json_str(attrs, "build-arg:SOURCE_DATE_EPOCH");
	return *epoch ? put_number(options, "source_date_epoch", epoch, "SOURCE_DATE_EPOCH", e) : 0;
}

/* --- cache and results --- */

/* "cache-imports" is JSON with Go's capital names; "cache-from" names registries. */
static int put_cache(json_t *options, const struct solve_request *r, struct err *e)
{
	json_t *from = r->imports ? json_copy((json_t *)r->imports) : json_array();
	json_put(options, "cache_from", from);
	json_put(
		options, "cache_to", r->exports ? json_incref((json_t *)r->exports) : json_array());
	const char *text = json_str(r->attrs, "cache-imports");
	if (*text) {
		scoped(json) json_t *list = json_parse(text, strlen(text), "cache-imports", e);
		size_t i;
		json_t *entry;
		if (!list) {
			return -1;
		}
		json_array_foreach (list, i, entry) {
			json_t *attrs = json_object_get(entry, "Attrs");
			json_array_append_new(
				from, json_pack("{ss sO}", "type", json_str(entry, "Type"), "attrs",
					      json_is_object(attrs) ? attrs : json_null()));
		}
	}
	scoped(strv) struct strv refs = STRV_INIT;
	strv_split(&refs, json_str(r->attrs, "cache-from"), ',');
	for (size_t i = 0; i < refs.n; i++) {
		json_array_append_new(from,
			json_pack("{ss s{ss}}", "type", "registry", "attrs", "ref", refs.v[i]));
	}
	return 0;
}

/* The image's names: of exporters that keep it here. */
static void put_results(json_t *options, const json_t *exporters)
{
	scoped(strv) struct strv tags = STRV_INIT;
	size_t i;
	json_t *exporter;
	json_array_foreach (exporters, i, exporter) {
		const char *type = json_str(exporter, "type");
		if (strcmp(type, "moby") == 0 || strcmp(type, "image") == 0) {
			strv_split(
				&tags, json_str(json_object_get(exporter, "attrs"), "name"), ',');
		}
	}
	json_put(options, "tags", json_strv(&tags));
	json_put(options, "outputs", exporters ? json_incref((json_t *)exporters) : json_array());
}

/* What a client may grant to a Dockerfile. */
static int check_entitlements(const struct solve_request *r, struct err *e)
{
	size_t i;
	json_t *asked;
	json_array_foreach (r->entitlements, i, asked) {
		const char *name = json_string_value(asked);
		if (!name || strcmp(name, "network.host") != 0) {
			return err_set(e, ERR_DENIED,
				"granting entitlement %.64s is not allowed by build daemon configuration",
				name ? name : "");
		}
	}
	return 0;
}

bool solve_is_question(const char *name)
{
	return strcmp(name, "frontend.lint") == 0 || strcmp(name, "frontend.outline") == 0 ||
	       strcmp(name, "frontend.targets") == 0;
}

json_t *solve_options(const struct solve_request *r, struct err *e)
{
	scoped(json) json_t *options = json_object();
	if (check_frontend(r, e) < 0 || check_entitlements(r, e) < 0 ||
		put_attributes(options, r->attrs, e) < 0 || put_cache(options, r, e) < 0) {
		return NULL;
	}
	json_put_str(options, "progress", "vertices");
	json_put_str(options, "session", r->session);
	put_sources(options, r->attrs);
	put_results(options, r->exporters);
	json_put(options, "entitlements",
		r->entitlements ? json_incref((json_t *)r->entitlements) : json_array());
	if (!json_object_get(options, "networkmode")) {
		json_put_str(options, "networkmode", "default");
	}
	const char *question = json_str(r->attrs, "requestid");
	if (strcmp(question, "frontend.lint") == 0) {
		json_put(options, "check", json_true());
	} else if (solve_is_question(question)) {
		json_put_str(options, "question", question);
	}
	return TAKE(options);
}
