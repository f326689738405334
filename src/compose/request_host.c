/* A container's HostConfig. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "compose/request.h"
#include "compose/request_parts.h"

/* "seccomp=FILE" becomes the file's text; the engine cannot read files of this machine. */
static int add_seccomp(json_t *options, const struct project *p, const struct request_container *r,
	const char *path, struct err *e)
{
	scoped(free) char *full = path_join(p->working_dir, path);
	scoped(free) char *text = r->read_file(r->owner, full, e);
	scoped(json) json_t *profile =
		text ? json_parse(text, strlen(text), "the profile", e) : NULL;
	if (!profile) {
		return err_wrap(e, "opening seccomp profile (%s) failed", path);
	}
	scoped(free) char *compact = json_text(profile);
	scoped(free) char *option = xasprintf("seccomp=%s", compact);
	json_array_append_new(options, json_string(option));
	return 0;
}

static int put_security_options(
	json_t *host, const struct project *p, const struct request_container *r, struct err *e)
{
	const struct words *given = &r->service->security_opt;
	json_t *options = json_array();
	json_put(host, "SecurityOpt", options);
	for (size_t i = 0; i < given->n; i++) {
		const char *text = given->v[i];
		const char *profile = text_starts(text, "seccomp=") || text_starts(text, "seccomp:")
					      ? text + strlen("seccomp=")
					      : NULL;
		if (strcmp(text, "systempaths=unconfined") == 0) {
			json_put(host, "MaskedPaths", json_array());
			json_put(host, "ReadonlyPaths", json_array());
		} else if (profile && strcmp(profile, "unconfined") != 0 &&
			   strcmp(profile, "builtin") != 0 && r->read_file) {
			if (add_seccomp(options, p, r, profile, e) < 0) {
				return -1;
			}
		} else {
			json_array_append_new(options, json_string(text));
		}
	}
	return 0;
}

/* As Docker's client writes them, whatever the file does: "net_admin" is CAP_NET_ADMIN; sorted,
 * each once. */
static void put_caps(json_t *host, const char *key, const struct words *given)
{
	scoped(strv) struct strv names = STRV_INIT;
	for (size_t i = 0; i < given->n; i++) {
		scoped(free) char *upper = xstrdup(given->v[i]);
		for (char *p = upper; *p; p++) {
			*p = (char)toupper((unsigned char)*p);
		}
		bool whole = strcmp(upper, "ALL") == 0 || text_starts(upper, "CAP_");
		scoped(free) char *name = xasprintf("%s%s", whole ? "" : "CAP_", upper);
		if (!strv_has(&names, name)) {
			strv_add(&names, name);
		}
	}
	strv_sort(&names);
	for (size_t i = 0; i < names.n; i++) {
		json_t *list = json_object_get(host, key);
		if (!list) {
			json_put(host, key, list = json_array());
		}
		json_array_append_new(list, json_string(names.v[i]));
	}
}

static void put_security(json_t *host, const struct service *s)
{
	request_put_true(host, "Privileged", s->privileged);
	request_put_true(host, "ReadonlyRootfs", s->read_only);
	put_caps(host, "CapAdd", &s->cap_add);
	put_caps(host, "CapDrop", &s->cap_drop);
	request_put_words(host, "GroupAdd", &s->group_add);
	if (s->sysctls.n > 0) {
		json_put(host, "Sysctls", request_pairs(&s->sysctls));
	}
	if (s->annotations.n > 0) {
		json_put(host, "Annotations", request_pairs(&s->annotations));
	}
	if (s->storage_opt.n > 0) {
		json_put(host, "StorageOpt", request_pairs(&s->storage_opt));
	}
}

static void put_dns(json_t *host, const struct service *s)
{
	request_put_words(host, "Dns", &s->dns);
	request_put_words(host, "DnsSearch", &s->dns_search);
	request_put_words(host, "DnsOptions", &s->dns_opt);
	request_put_words(host, "ExtraHosts", &s->extra_hosts);
}

static void put_restart(json_t *host, const struct service *s)
{
	const char *policy = s->restart ? s->restart : "";
	const char *colon = strchr(policy, ':');
	scoped(free) char *name = xstrndup(policy, strcspn(policy, ":"));
	if (*name) {
		json_put(host, "RestartPolicy",
			json_pack("{s:s,s:i}", "Name", name, "MaximumRetryCount",
				colon ? (int)strtol(colon + 1, NULL, 10) : 0));
	}
}

static void put_log(json_t *host, const struct service *s)
{
	if (s->log_driver || s->log_options.n > 0) {
		json_put(host, "LogConfig",
			json_pack("{s:s,s:o}", "Type", s->log_driver ? s->log_driver : "", "Config",
				request_pairs(&s->log_options)));
	}
}

static const char *id_of(
	const struct request_container *r, const char *service, const char *why, struct err *e)
{
	const char *id = r->container_of ? r->container_of(r->owner, service) : NULL;
	if (!id) {
		(void)err_set(e, ERR_INVALID,
			"service \"%s\" has %s of \"%s\", which has no container", r->service->name,
			why, service);
	}
	return id;
}

/* "service:web" as "container:ID". Puts nothing for NULL. */
static int put_namespace(json_t *host, const char *key, const char *mode,
	const struct request_container *r, struct err *e)
{
	if (!mode || !text_starts(mode, "service:")) {
		request_put_text(host, key, mode);
		return 0;
	}
	const char *id = id_of(r, mode + strlen("service:"), "a namespace", e);
	if (!id) {
		return -1;
	}
	scoped(free) char *text = xasprintf("container:%s", id);
	json_put_str(host, key, text);
	return 0;
}

static int put_volumes_from(json_t *host, const struct request_container *r, struct err *e)
{
	json_t *list = json_array();
	json_put(host, "VolumesFrom", list);
	for (size_t i = 0; i < r->service->volumes_from.n; i++) {
		const char *from = r->service->volumes_from.v[i];
		if (text_starts(from, "container:")) {
			json_array_append_new(list, json_string(from + strlen("container:")));
			continue;
		}
		scoped(free) char *name = xstrndup(from, strcspn(from, ":"));
		const char *id = id_of(r, name, "the volumes", e);
		if (!id) {
			return -1;
		}
		scoped(free) char *text = xasprintf("%s%s", id, from + strlen(name));
		json_array_append_new(list, json_string(text));
	}
	return 0;
}

static void add_link(json_t *list, const char *container, const char *alias)
{
	scoped(free) char *text = xasprintf("%s:%s", container, alias);
	json_array_append_new(list, json_string(text));
}

/* "db:database": each container of db is called so, and DB-N, and by its name. By name: a container
 * that takes the place of another has its name, too. */
static json_t *links_json(const struct project *p, const struct service *s)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->links.n; i++) {
		const char *link = s->links.v[i];
		scoped(free) char *name = xstrndup(link, strcspn(link, ":"));
		const char *alias = link[strlen(name)] ? link + strlen(name) + 1 : name;
		const struct service *other = project_service(p, name);
		for (int k = 1; other && k <= other->replicas; k++) {
			scoped(free) char *container = request_container_name(p, other, k);
			scoped(free) char *numbered = xasprintf("%s-%d", name, k);
			add_link(list, container, alias);
			add_link(list, container, numbered);
			add_link(list, container, container);
		}
	}
	for (size_t i = 0; i < s->external_links.n; i++) {
		const char *link = s->external_links.v[i];
		scoped(free) char *name = xstrndup(link, strcspn(link, ":"));
		add_link(list, name, link[strlen(name)] ? link + strlen(name) + 1 : name);
	}
	return list;
}

json_t *request_host(const struct project *p, const struct request_container *r, struct err *e)
{
	const struct service *s = r->service;
	scoped(json) json_t *host = json_object();
	request_put_mounts(host, p, r);
	request_put_limits(host, s);
	put_security(host, s);
	put_dns(host, s);
	json_put(host, "PortBindings", request_port_bindings(s));
	put_restart(host, s);
	put_log(host, s);
	json_put(host, "Links", links_json(p, s));
	if (s->init_set != TRUTH_UNSET) {
		json_put(host, "Init", json_boolean(s->init));
	}
	request_put_text(host, "Runtime", s->runtime);
	request_put_text(host, "UTSMode", s->uts);
	request_put_text(host, "UsernsMode", s->userns_mode);
	request_put_text(host, "CgroupnsMode", s->cgroup);
	request_put_text(host, "VolumeDriver", s->volume_driver);
	if (put_security_options(host, p, r, e) < 0 ||
		put_namespace(host, "PidMode", s->pid, r, e) < 0 ||
		put_namespace(host, "IpcMode", s->ipc, r, e) < 0 ||
		put_namespace(host, "NetworkMode", s->network_mode, r, e) < 0 ||
		put_volumes_from(host, r, e) < 0) {
		return NULL;
	}
	if (s->n_endpoints > 0) {
		const struct network *primary = project_network(p, s->endpoints[0].network);
		json_put_str(
			host, "NetworkMode", primary ? primary->name : s->endpoints[0].network);
	}
	return TAKE(host);
}
