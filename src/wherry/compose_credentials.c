/* Credentials of volumes (x-wherry) are a secret of the project: given to the engine, which keeps
 * them beside the volume, and to nobody else. */
#include <string.h>

#include "base/mem.h"
#include "wherry/compose_make.h"
#include "wherry/volumes.h"

static const struct file_object *find_secret(const struct project *p, const char *key)
{
	for (size_t i = 0; i < p->n_secrets; i++) {
		if (strcmp(p->secrets[i].key, key) == 0) {
			return &p->secrets[i];
		}
	}
	return NULL;
}

/* The caller's, to be wiped. */
static char *read_secret(const struct compose *c, const struct volume *v, struct err *e)
{
	const struct file_object *o = find_secret(c->project, v->credentials);
	if (o && o->file) {
		return compose_read_text(NULL, o->file, e);
	}
	if (o && o->content) {
		return xstrdup(o->content);
	}
	(void)err_set(
		e, ERR_INVALID, "the secret %s has neither a file nor a value", v->credentials);
	return NULL;
}

int compose_put_credentials(struct compose *c, const struct volume *v, struct err *e)
{
	if (!v->credentials || c->dry_run) {
		return 0;
	}
	scoped(free) char *text = read_secret(c, v, e);
	if (!text) {
		return err_wrap(e, "credentials of volume %s", v->key);
	}
	int r = engine_put_credentials(c->cli, v->name, text, e);
	explicit_bzero(text, strlen(text));
	return r < 0 ? err_wrap(e, "the engine does not take the credentials of volume %s", v->name)
		     : 0;
}

int compose_renew_credentials(struct compose *c, const struct state *s, struct err *e)
{
	for (size_t i = 0; i < c->project->n_volumes; i++) {
		const struct volume *v = &c->project->volumes[i];
		for (size_t k = 0; k < s->n_volumes; k++) {
			if (strcmp(s->volumes[k].name, v->name) == 0 &&
				compose_put_credentials(c, v, e) < 0) {
				return -1;
			}
		}
	}
	return 0;
}
