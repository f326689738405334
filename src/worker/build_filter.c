#include "worker/build_filter.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "oci/caps.h"
#include "oci/seccomp.h"

/* NULL with *e; *ret_none without a profile. */
static char *read_profile(const struct build *b, bool *ret_none, struct err *e)
{
	const char *path = json_str(b->request, "seccomp");
	uint64_t caps;
	*ret_none = !*path;
	if (!*path) {
		return NULL;
	}
	scoped(json) json_t *profile = oci_seccomp_read(path, e);
	if (!profile || oci_caps_resolve(NULL, NULL, false, &caps, e) < 0) {
		return NULL;
	}
	scoped(json) json_t *converted = oci_seccomp_convert(profile, caps, e);
	return converted ? json_text(converted) : NULL;
}

int build_filter_get(struct build *b, struct build_filter *ret, struct err *e)
{
	bool none = false;
	*ret = (struct build_filter){0};
	pthread_mutex_lock(&b->filter_lock);
	if (!b->seccomp) {
		b->seccomp = read_profile(b, &none, e);
	}
	ret->profile = b->seccomp ? xstrdup(b->seccomp) : NULL;
	pthread_mutex_unlock(&b->filter_lock);
	if (!ret->profile) {
		return none ? 0 : -1;
	}
	oci_filter_key(ret->profile, ret->key);
	ret->compiled = oci_filter_read(json_str(b->request, "filters"), ret->key);
	return 0;
}

void build_filter_keep(const struct build_step *t, struct build_filter *f, const char *id)
{
	if (f->profile && !f->compiled) {
		scoped(free) char *root = xasprintf("%s/crun", t->s->place.dir);
		oci_filter_keep(json_str(t->b->request, "filters"), f->key, root, id);
	}
}

void build_filter_close(struct build_filter *f)
{
	free(f->profile);
	free(f->compiled);
	*f = (struct build_filter){0};
}
