/* What a container may do: capabilities, the seccomp filter, --security-opt. */
#include "container/bundle.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "oci/caps.h"
#include "oci/filter.h"
#include "oci/seccomp.h"

int host_list(const json_t *host, const char *key, struct strv *ret, struct err *e)
{
	return json_is_null(json_object_get(host, key)) ? 0 : json_get_strv(host, key, ret, e);
}

/* SELinux and AppArmor: accepted and without effect, as by a dockerd on a kernel without them. */
static bool is_ignored(const char *o)
{
	static const char *const prefixes[] = {"label=", "label:", "apparmor=", "apparmor:"};
	for (size_t i = 0; i < 4; i++) {
		if (text_starts(o, prefixes[i])) {
			return true;
		}
	}
	return false;
}

int security_read(const json_t *host, struct security *ret, struct err *e)
{
	size_t i;
	json_t *item;
	*ret = (struct security){0};
	json_array_foreach (json_object_get(host, "SecurityOpt"), i, item) {
		const char *o = json_string_value(item);
		const char *value = o + strcspn(o, "=:");
		value += *value ? 1 : 0;
		if (strcmp(o, "no-new-privileges") == 0 ||
			strcmp(o, "no-new-privileges:true") == 0 ||
			strcmp(o, "no-new-privileges=true") == 0) {
			ret->no_new_privileges = true;
		} else if (strcmp(o, "no-new-privileges:false") == 0 ||
			   strcmp(o, "no-new-privileges=false") == 0) {
			ret->no_new_privileges = false;
		} else if (text_starts(o, "seccomp=") || text_starts(o, "seccomp:")) {
			ret->unconfined = strcmp(value, "unconfined") == 0;
			ret->profile =
				ret->unconfined || strcmp(value, "builtin") == 0 ? NULL : value;
		} else if (strcmp(o, "systempaths=unconfined") == 0) {
			ret->unmasked = true;
		} else if (!is_ignored(o)) {
			bool has_value = strpbrk(o, "=:") != NULL;
			return err_set(e, ERR_INVALID, "invalid --security-opt %d: \"%.100s\"",
				has_value ? 2 : 1, o);
		}
	}
	return 0;
}

int security_caps(
	const json_t *host, struct strv *add, struct strv *drop, uint64_t *ret, struct err *e)
{
	if (host_list(host, "CapAdd", add, e) < 0 || host_list(host, "CapDrop", drop, e) < 0) {
		return -1;
	}
	return oci_caps_resolve(add, drop, json_bool(host, "Privileged"), ret, e);
}

/* *ret NULL: no filter. */
int security_seccomp(const struct container_set *s, const json_t *host,
	const struct security *security, uint64_t caps, char **ret, struct err *e)
{
	*ret = NULL;
	if (security->unconfined || json_bool(host, "Privileged") ||
		(!security->profile && !s->d.seccomp_path)) {
		return 0;
	}
	scoped(json) json_t *profile =
		security->profile ? json_parse(security->profile, strlen(security->profile),
					    "the seccomp profile", e)
				  : oci_seccomp_read(s->d.seccomp_path, e);
	scoped(json) json_t *converted = profile ? oci_seccomp_convert(profile, caps, e) : NULL;
	if (!converted) {
		return -1;
	}
	*ret = json_text(converted);
	return 0;
}

char *security_filter(struct container *c, const char *profile)
{
	*c->filter_key = '\0';
	const json_t *annotations = json_object_get(c->host_config, "Annotations");
	/* what crun keeps of a filter that the user brings is not this profile's */
	if (!profile || !runtime_is_own(c) || json_object_get(annotations, OCI_FILTER_ANNOTATION)) {
		return NULL;
	}
	oci_filter_key(profile, c->filter_key);
	scoped(free) char *dir = xasprintf("%s/filters", c->set->d.exec_root);
	char *filter = oci_filter_read(dir, c->filter_key);
	if (filter) {
		*c->filter_key = '\0';
	}
	return filter;
}

void security_keep_filter(struct container *c)
{
	if (!*c->filter_key) {
		return;
	}
	scoped(free) char *dir = xasprintf("%s/filters", c->set->d.exec_root);
	scoped(free) char *crun_root = xasprintf("%s/crun", c->set->d.exec_root);
	oci_filter_keep(dir, c->filter_key, crun_root, c->id);
	*c->filter_key = '\0';
}
