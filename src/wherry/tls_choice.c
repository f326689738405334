#include "wherry/tls_choice.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/scoped.h"
#include "wherry/context_store.h"

static bool is_set(const char *variable)
{
	const char *value = getenv(variable);
	return value && *value;
}

/* The file of that name, or NULL when it is not there. */
static char *existing(const char *dir, const char *name)
{
	scoped(free) char *path = xasprintf("%s/%s", dir, name);
	return access(path, F_OK) == 0 ? TAKE(path) : NULL;
}

bool tls_choose(const struct globals *g, const char *config_dir, struct tls_files *ret)
{
	bool verify = g->tls_verify || is_set("DOCKER_TLS_VERIFY");
	if (!verify && !g->tls && !is_set("DOCKER_TLS")) {
		return false; /* certificates alone mean nothing, as with docker */
	}
	const char *dir = is_set("DOCKER_CERT_PATH") ? getenv("DOCKER_CERT_PATH") : config_dir;
	*ret = (struct tls_files){
		.verify = verify,
		.ca = g->tls_ca ? xstrdup(g->tls_ca) : xasprintf("%s/ca.pem", dir),
		.cert = g->tls_cert ? xstrdup(g->tls_cert) : existing(dir, "cert.pem"),
		.key = g->tls_key ? xstrdup(g->tls_key) : existing(dir, "key.pem"),
	};
	if (!verify) { /* nobody looks at it */
		free(TAKE(ret->ca));
	}
	return true;
}

bool tls_of_context(
	const char *config_dir, const char *name, bool skip_verify, struct tls_files *ret)
{
	scoped(free) char *meta = docker_context_dir(config_dir, name);
	scoped(free) char *dir =
		xasprintf("%s/contexts/tls/%s/docker", config_dir, strrchr(meta, '/') + 1);
	struct tls_files t = {.verify = !skip_verify,
		.ca = existing(dir, "ca.pem"),
		.cert = existing(dir, "cert.pem"),
		.key = existing(dir, "key.pem")};
	if (!t.ca && !t.cert && !t.key && !skip_verify) {
		return false;
	}
	*ret = t;
	return true;
}
