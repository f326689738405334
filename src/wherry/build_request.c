#include "wherry/build_request.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "wherry/build_url.h"
#include "wherry/specs.h"

#define SECRET_MAX (500u << 10) /* BuildKit's own limit */

void build_options_deinit(struct build_options *o)
{
	struct strv *const lists[] = {&o->tags, &o->build_args, &o->labels, &o->add_hosts,
		&o->ulimits, &o->security_opts, &o->platforms, &o->cache_from, &o->cache_to,
		&o->outputs, &o->secrets, &o->ssh, &o->contexts, &o->no_cache_filter,
		&o->annotations, &o->attests, &o->allow, NULL};
	for (size_t i = 0; lists[i]; i++) {
		strv_deinit(lists[i]);
	}
}

void build_request_init(struct build_request *r)
{
	*r = (struct build_request){.attrs = json_object(),
		.exports = json_array(),
		.cache_to = json_array(),
		.cache_from = json_array()};
}

void build_request_deinit(struct build_request *r)
{
	json_decref(r->attrs);
	json_decref(r->exports);
	json_decref(r->cache_to);
	json_decref(r->cache_from);
	strv_deinit(&r->entitlements);
	strv_deinit(&r->push_names);
	for (size_t i = 0; i < r->n_locals; i++) {
		free(r->locals[i].name);
		free(r->locals[i].path);
	}
	for (size_t i = 0; i < r->n_secrets; i++) {
		free(r->secrets[i].id);
		free(r->secrets[i].path);
		free(r->secrets[i].env);
		free(r->secrets[i].text);
	}
	for (size_t i = 0; i < r->n_agents; i++) {
		free(r->agents[i].id);
		free(r->agents[i].socket);
		build_keys_free(r->agents[i].keys);
	}
	for (size_t i = 0; i < r->n_dests; i++) {
		free(r->dests[i].path);
	}
	for (size_t i = 0; i < r->n_stores; i++) {
		free(r->stores[i].id);
		free(r->stores[i].path);
		free(r->stores[i].tag);
	}
	free(r->stores);
	free(r->locals);
	free(r->secrets);
	free(r->agents);
	free(r->dests);
	free(r->upload_id);
	buf_deinit(&r->early);
	if (r->temporary) {
		path_remove_tree(AT_FDCWD, r->temporary);
	}
	free(r->temporary);
}

void build_request_local(struct build_request *r, const char *name, const char *path)
{
	r->locals = xrealloc(r->locals, r->n_locals + 1, sizeof(*r->locals));
	r->locals[r->n_locals++] = (struct build_local){xstrdup(name), xstrdup(path)};
}

void build_request_secret(struct build_request *r, const char *id, const char *text)
{
	r->secrets = xrealloc(r->secrets, r->n_secrets + 1, sizeof(*r->secrets));
	r->secrets[r->n_secrets++] =
		(struct build_secret){.id = xstrdup(id), .text = xstrdup(text)};
}

static void put(struct build_request *r, const char *name, const char *value)
{
	if (value && *value) {
		json_put_str(r->attrs, name, value);
	}
}

static void put_number(struct build_request *r, const char *name, int64_t value)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRId64, value);
	put(r, name, value ? text : NULL);
}

static void put_joined(struct build_request *r, const char *name, const struct strv *list)
{
	scoped(buf) struct buf text = BUF_INIT;
	for (size_t i = 0; i < list->n; i++) {
		buf_printf(&text, "%s%s", i > 0 ? "," : "", list->v[i]);
	}
	put(r, name, buf_str(&text));
}

/* --- what the steps are like --- */

/* "A=b", or "A": our own value, or none at all. */
static void put_args(struct build_request *r, const struct strv *list)
{
	for (size_t i = 0; i < list->n; i++) {
		const char *equal = strchr(list->v[i], '=');
		const char *value = equal ? equal + 1 : getenv(list->v[i]);
		scoped(free) char *name = xasprintf("build-arg:%.*s",
			(int)(equal ? equal - list->v[i] : (long)strlen(list->v[i])), list->v[i]);
		if (value) {
			json_put_str(r->attrs, name, value);
		}
	}
}

static int put_labels(struct build_request *r, const struct strv *list, struct err *e)
{
	scoped(json) json_t *labels = json_object();
	const char *key;
	json_t *v;
	for (size_t i = 0; i < list->n; i++) {
		if (spec_label(list->v[i], labels, e) < 0) {
			return -1;
		}
	}
	json_object_foreach (labels, key, v) {
		scoped(free) char *name = xasprintf("label:%s", key);
		json_put_str(r->attrs, name, json_string_value(v));
	}
	return 0;
}

/* "name:ip" of docker becomes "name=ip"; host-gateway is for the engine to know. */
static int put_hosts(struct build_request *r, const struct strv *list, struct err *e)
{
	scoped(strv) struct strv hosts = STRV_INIT;
	for (size_t i = 0; i < list->n; i++) {
		scoped(free) char *host = spec_add_host(list->v[i], e);
		if (!host) {
			return -1;
		}
		char *colon = strchr(host, ':');
		if (colon) {
			*colon = '=';
		}
		strv_take(&hosts, TAKE(host));
	}
	put_joined(r, "add-hosts", &hosts);
	return 0;
}

static int put_limits(struct build_request *r, const struct build_options *o, struct err *e)
{
	scoped(strv) struct strv ulimits = STRV_INIT;
	for (size_t i = 0; i < o->ulimits.n; i++) {
		scoped(json) json_t *one = spec_ulimit(o->ulimits.v[i], e);
		if (!one) {
			return -1;
		}
		strv_addf(&ulimits, "%s=%lld:%lld", json_str(one, "Name"),
			(long long)json_i64(one, "Soft", 0), (long long)json_i64(one, "Hard", 0));
	}
	put_joined(r, "ulimit", &ulimits);
	put_number(r, "shm-size", o->shm_size_bytes);
	put(r, "cgroup-parent", o->cgroup_parent);
	put_number(r, "wherry.memory", o->memory_bytes);
	put_number(r, "wherry.memory-swap", o->memory_swap_bytes);
	put_number(r, "wherry.cpu-period", o->cpu_period);
	put_number(r, "wherry.cpu-quota", o->cpu_quota);
	put_number(r, "wherry.cpu-shares", o->cpu_shares);
	put(r, "wherry.cpuset-cpus", o->cpuset_cpus);
	put(r, "wherry.cpuset-mems", o->cpuset_mems);
	return 0;
}

static void put_network(struct build_request *r, const char *network)
{
	if (network && strcmp(network, "default") != 0) {
		put(r, "force-network-mode", network);
	}
	if (network && strcmp(network, "host") == 0) {
		strv_add(&r->entitlements, "network.host");
	}
}

/* --- caches --- */

/* A cache in a directory. 0: it is not there (yet), which is no reason not to build. */
static int open_cache(struct build_request *r, const char *flag, json_t *attrs, struct err *e)
{
	scoped(free) char *why = NULL;
	if (strcmp(flag, "cache-to") == 0) {
		return build_request_cache_to(r, attrs, e) < 0 ? -1 : 1;
	}
	int there = build_request_cache_from(r, attrs, &why, e);
	if (there == 0) {
		fprintf(stderr, "WARNING: local cache import at %s skipped: %s\n",
			json_str(attrs, "src"), why);
	}
	return there;
}

/* "type=registry,ref=x", or "x" alone for the same. */
static int put_cache(
	struct build_request *r, const char *text, const char *flag, json_t *list, struct err *e)
{
	scoped(strv) struct strv fields = STRV_INIT;
	if (spec_csv(text, &fields, e) < 0) {
		return -1;
	}
	scoped(json) json_t *attrs = json_object();
	const char *type = "";
	for (size_t i = 0; i < fields.n; i++) {
		char *equal = strchr(fields.v[i], '=');
		if (!equal && fields.n == 1) {
			json_put_str(attrs, "ref", fields.v[i]);
			type = "registry";
			break;
		}
		if (!equal) {
			return err_set(e, ERR_INVALID,
				"invalid value %s for --%s: name=value is expected", fields.v[i],
				flag);
		}
		*equal = '\0';
		if (strcmp(fields.v[i], "type") == 0) {
			type = equal + 1;
		} else {
			json_put_str(attrs, fields.v[i], equal + 1);
		}
	}
	if (!*type) {
		return err_set(e, ERR_INVALID, "type required form> \"%s\"", text);
	}
	int there = strcmp(type, "local") == 0 ? open_cache(r, flag, attrs, e) : 1;
	if (there > 0) {
		json_array_append_new(list, json_pack("{s:s,s:O}", "Type", type, "Attrs", attrs));
	}
	return there < 0 ? -1 : 0;
}

static int put_caches(struct build_request *r, const struct build_options *o, struct err *e)
{
	for (size_t i = 0; i < o->cache_from.n; i++) {
		if (put_cache(r, o->cache_from.v[i], "cache-from", r->cache_from, e) < 0) {
			return -1;
		}
	}
	for (size_t i = 0; i < o->cache_to.n; i++) {
		if (put_cache(r, o->cache_to.v[i], "cache-to", r->cache_to, e) < 0) {
			return -1;
		}
	}
	if (json_array_size(r->cache_from) > 0) {
		scoped(free) char *text = json_text(r->cache_from);
		put(r, "cache-imports", text);
	}
	return 0;
}

/* --- secrets, agents --- */

static int read_secret(const char *text, struct build_secret *s, struct err *e)
{
	scoped(strv) struct strv fields = STRV_INIT;
	const char *type = "";
	if (spec_csv(text, &fields, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < fields.n; i++) {
		char *equal = strchr(fields.v[i], '=');
		if (!equal) {
			return err_set(e, ERR_INVALID,
				"invalid field '%s' must be a key=value pair", fields.v[i]);
		}
		*equal = '\0';
		const char *key = fields.v[i];
		char **to = strcmp(key, "id") == 0                                  ? &s->id
			    : strcmp(key, "src") == 0 || strcmp(key, "source") == 0 ? &s->path
			    : strcmp(key, "env") == 0                               ? &s->env
										    : NULL;
		if (strcmp(key, "type") == 0) {
			type = equal + 1;
		} else if (!to) {
			return err_set(e, ERR_INVALID, "unexpected key '%s' in '%s=%s'", key, key,
				equal + 1);
		} else {
			free(*to);
			*to = xstrdup(equal + 1);
		}
	}
	if (*type && strcmp(type, "file") != 0 && strcmp(type, "env") != 0) {
		return err_set(e, ERR_INVALID, "unsupported secret type \"%s\"", type);
	}
	if (strcmp(type, "env") == 0 && !s->env) {
		s->env = TAKE(s->path);
	}
	return 0;
}

static int check_secret(struct build_secret *s, struct err *e)
{
	struct stat st;
	if (!s->id || !*s->id) {
		return err_set(e, ERR_INVALID, "secret: id is required");
	}
	if (!s->env && !s->path && getenv(s->id)) {
		s->env = xstrdup(s->id);
	}
	if (s->env) {
		free(TAKE(s->path));
		return 0;
	}
	if (!s->path) {
		s->path = xstrdup(s->id); /* a file of that name */
	}
	if (stat(s->path, &st) < 0) {
		return err_sys(e, errno, "failed to stat %s", s->path);
	}
	return st.st_size > SECRET_MAX
		       ? err_set(e, ERR_INVALID, "invalid secret %s: larger than %u KB", s->path,
				 SECRET_MAX >> 10)
		       : 0;
}

static int put_secrets(struct build_request *r, const struct strv *list, struct err *e)
{
	for (size_t i = 0; i < list->n; i++) {
		r->secrets = xrealloc(r->secrets, r->n_secrets + 1, sizeof(*r->secrets));
		struct build_secret *s = &r->secrets[r->n_secrets++];
		*s = (struct build_secret){0};
		if (read_secret(list->v[i], s, e) < 0 || check_secret(s, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* A socket is an agent's; what else is there are keys. */
static int open_agent(const char *path, struct build_agent *ret, struct err *e)
{
	struct stat st;
	scoped(free) char *first = xstrndup(path, strcspn(path, ","));
	if (stat(first, &st) < 0) {
		return err_sys(e, errno, "failed to open %s", first);
	}
	if (S_ISSOCK(st.st_mode)) {
		ret->socket = xstrdup(path);
		return 0;
	}
	ret->keys = build_keys_new(path, e);
	ret->socket = ret->keys ? xstrdup(build_keys_socket(ret->keys)) : NULL;
	return ret->keys ? 0 : -1;
}

/* "default", "id", "id=SOCKET", "id=KEY[,KEY...]". */
static int put_agents(struct build_request *r, const struct strv *list, struct err *e)
{
	for (size_t i = 0; i < list->n; i++) {
		const char *equal = strchr(list->v[i], '=');
		const char *path = equal && equal[1] ? equal + 1 : getenv("SSH_AUTH_SOCK");
		size_t n = equal ? (size_t)(equal - list->v[i]) : strlen(list->v[i]);
		struct build_agent agent = {0};
		if (!path || !*path) {
			return err_set(e, ERR_INVALID,
				"invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set");
		}
		if (open_agent(path, &agent, e) < 0) {
			return -1;
		}
		agent.id = n > 0 ? xstrndup(list->v[i], n) : xstrdup("default");
		r->agents = xrealloc(r->agents, r->n_agents + 1, sizeof(*r->agents));
		r->agents[r->n_agents++] = agent;
	}
	return 0;
}

/* --- named contexts --- */

/* "name=docker-image://x", "name=https://...", "name=DIRECTORY". */
static int put_contexts(struct build_request *r, const struct strv *list, struct err *e)
{
	for (size_t i = 0; i < list->n; i++) {
		const char *equal = strchr(list->v[i], '=');
		struct stat st;
		if (!equal || equal == list->v[i] || !equal[1]) {
			return err_set(e, ERR_INVALID,
				"invalid context value: %s, expected key=value", list->v[i]);
		}
		scoped(free) char *name = xstrndup(list->v[i], (size_t)(equal - list->v[i]));
		scoped(free) char *attr = xasprintf("context:%s", name);
		const char *value = equal + 1;
		if (strstr(value, "://") || build_url_is_remote(value)) {
			bool layout = text_starts(value, "oci-layout://");
			scoped(free) char *own = layout ? build_request_layout(r, value, e) : NULL;
			if (layout && !own) {
				return err_wrap(e, "failed to get build context %s", name);
			}
			json_put_str(r->attrs, attr, layout ? own : value);
			continue;
		}
		if (stat(value, &st) < 0) {
			return err_sys(
				e, errno, "failed to get build context %s: stat %s", name, value);
		}
		if (!S_ISDIR(st.st_mode)) {
			return err_set(e, ERR_INVALID,
				"failed to get build context %s: %s is not a directory", name,
				value);
		}
		scoped(free) char *text = xasprintf("local:%s", name);
		json_put_str(r->attrs, attr, text);
		build_request_local(r, name, value);
	}
	return 0;
}

/* --- questions --- */

/* The frontend's name of a question; "check,format=json" is "check". NULL: build. */
static int put_call(struct build_request *r, const char *call, struct err *e)
{
	static const char *const names[][2] = {{"build", NULL}, {"check", "frontend.lint"},
		{"lint", "frontend.lint"}, {"outline", "frontend.outline"},
		{"targets", "frontend.targets"}};
	size_t n = call ? strcspn(call, ",") : 0;
	for (size_t i = 0; call && i < sizeof(names) / sizeof(*names); i++) {
		if (strlen(names[i][0]) == n && strncmp(names[i][0], call, n) == 0) {
			put(r, "requestid", names[i][1]);
			put(r, "frontend.caps",
				names[i][1] ? "moby.buildkit.frontend.subrequests" : NULL);
			return 0;
		}
	}
	return call ? err_set(e, ERR_INVALID,
			      "--call=%s is not supported: only build, check, outline and targets are",
			      call)
		    : 0;
}

/* --- all --- */

static int refuse(const struct build_options *o, struct err *e)
{
	if (o->squash) {
		return err_set(e, ERR_INVALID,
			"--squash is not supported: a stage that copies what is wanted (COPY --from) keeps an image small");
	}
	if (o->security_opts.n > 0) {
		return err_set(e, ERR_INVALID, "--security-opt %s is not supported for build steps",
			o->security_opts.v[0]);
	}
	if (o->isolation && *o->isolation && strcmp(o->isolation, "default") != 0) {
		return err_set(
			e, ERR_INVALID, "--isolation %s is not supported on Linux", o->isolation);
	}
	if (o->no_cache && o->no_cache_filter.n > 0) {
		return err_set(e, ERR_INVALID,
			"--no-cache and --no-cache-filter cannot currently be used together");
	}
	return 0;
}

int build_request_options(struct build_request *r, const struct build_options *o, struct err *e)
{
	if (refuse(o, e) < 0) {
		return -1;
	}
	put(r, "target", o->target);
	put_joined(r, "platform", &o->platforms);
	if (o->no_cache) {
		json_put_str(r->attrs, "no-cache", ""); /* all stages */
	}
	put_joined(r, "no-cache", &o->no_cache_filter);
	put(r, "image-resolve-mode", o->pull ? "pull" : NULL);
	put_args(r, &o->build_args);
	put_network(r, o->network);
	strv_copy(&r->entitlements, &o->allow);
	return put_call(r, o->call, e) < 0 || put_labels(r, &o->labels, e) < 0 ||
			       put_hosts(r, &o->add_hosts, e) < 0 || put_limits(r, o, e) < 0 ||
			       put_caches(r, o, e) < 0 || put_secrets(r, &o->secrets, e) < 0 ||
			       put_agents(r, &o->ssh, e) < 0 || put_contexts(r, &o->contexts, e) < 0
		       ? -1
		       : 0;
}
