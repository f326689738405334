/* The job "login": {"auth": {"username", "password", "identitytoken", "serveraddress"}, "registry":
 * {...}}: asks the registry whether the credentials are good. {"identitytoken": what its token
 * server wants to see from now on, or ""} when they are. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/ref.h"
#include "worker/jobs.h"
#include "worker/registry.h"

#define HOST_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:[]"

/* "https://index.docker.io/v1/", "r.example:5000", "" for Docker's own. */
static int read_server(const char *address, char ret[static REF_NAME_MAX + 1], struct err *e)
{
	const char *host = text_starts(address, "https://")  ? address + 8
			   : text_starts(address, "http://") ? address + 7
							     : address;
	size_t n = strcspn(host, "/?#");
	if (n > REF_NAME_MAX || strspn(host, HOST_LETTERS) < n || *host == '.') {
		return err_set(e, ERR_INVALID,
			"unable to parse server address: parse \"https://%.*s\": invalid character in host name",
			n > 100 ? 100 : (int)n, host);
	}
	bool hub = n == 0 || (n == 15 && memcmp(host, "index.docker.io", n) == 0);
	snprintf(ret, REF_NAME_MAX + 1, "%.*s", hub ? (int)strlen(REF_DEFAULT_DOMAIN) : (int)n,
		hub ? REF_DEFAULT_DOMAIN : host);
	return 0;
}

json_t *worker_login(struct rpc *rpc, const json_t *request, struct err *e)
{
	const json_t *auth = json_object_get(request, "auth");
	struct ref ref = {0};
	if (read_server(json_str(auth, "serveraddress"), ref.domain, e) < 0) {
		return NULL;
	}
	struct registry *r = registry_new(json_object_get(request, "registry"), &ref, auth);
	json_t *result = NULL;
	if (registry_check_login(r, e) == 0) {
		result = json_object();
		json_put_str(result, "identitytoken", registry_identity_token(r));
	}
	registry_free(r);
	return result;
}
