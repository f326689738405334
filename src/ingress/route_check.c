/* Fields that do not go together, and the forms that one field has for another. */
#include <string.h>

#include "base/text.h"
#include "ingress/host.h"
#include "ingress/route_parts.h"
#include "ingress/route_text.h"

#define USER_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

/* nginx reads a line of this as crypt(3) or {SHA}, {SSHA} has it (ngx_http_auth_basic_module). */
static int check_basic_user(const char *user, struct err *e)
{
	const char *colon = strchr(user, ':');
	if (!colon || colon == user || !route_text_is_plain(user) || strchr(user, ' ') ||
		*user == '#') {
		return err_set(e, ERR_INVALID,
			"users must be name:hash with commas between, or an absolute path of such a file");
	}
	const char *hash = colon + 1;
	bool known = *hash == '$' || text_starts(hash, "{SHA}") || text_starts(hash, "{SSHA}");
	return known && !strchr(hash, ':')
		       ? 0
		       : err_set(e, ERR_INVALID,
				 "users: what follows %.*s: is not a hash as htpasswd makes it (a $ "
				 "in a compose file is written $$)",
				 (int)(colon - user < 60 ? colon - user : 60), user);
}

static int check_login_user(const char *user, struct err *e)
{
	static const char *const roles[] = {"@read", "@operate", "@admin"};
	for (size_t i = 0; i < sizeof(roles) / sizeof(*roles); i++) {
		if (strcmp(user, roles[i]) == 0) {
			return 0;
		}
	}
	return strlen(user) <= 64 && strspn(user, USER_BYTES) == strlen(user)
		       ? 0
		       : err_set(e, ERR_INVALID,
				 "users: '%.60s' is neither a user's name nor @read, @operate or @admin",
				 user);
}

static int check_users(const struct route *r, struct err *e)
{
	bool given = r->users_file || r->users.n > 0;
	if (r->auth == ROUTE_AUTH_NONE && given) {
		return err_set(
			e, ERR_INVALID, "users says nothing without auth=basic or auth=login");
	}
	if (r->auth == ROUTE_AUTH_BASIC && !given) {
		return err_set(e, ERR_INVALID, "auth=basic needs users");
	}
	if (r->auth == ROUTE_AUTH_LOGIN && r->users_file) {
		return err_set(e, ERR_INVALID, "users of auth=login are names, not a file");
	}
	size_t all = 0;
	for (size_t i = 0; i < r->users.n; i++) {
		all += strlen(r->users.v[i]) + 1;
		int ok = r->auth == ROUTE_AUTH_BASIC ? check_basic_user(r->users.v[i], e)
						     : check_login_user(r->users.v[i], e);
		if (ok < 0) {
			return -1;
		}
	}
	return r->auth == ROUTE_AUTH_LOGIN && all > ROUTE_WRITTEN_MAX
		       ? err_set(e, ERR_INVALID, "users are longer than %d bytes: name a role",
				 ROUTE_WRITTEN_MAX)
		       : 0;
}

/* The first of given that is not in taken. */
static const char *find_other(const struct strv *given, const char *const *taken)
{
	for (size_t i = 0; i < given->n; i++) {
		size_t k = 0;
		while (taken[k] && strcmp(taken[k], given->v[i]) != 0) {
			k++;
		}
		if (!taken[k]) {
			return given->v[i];
		}
	}
	return NULL;
}

static int check_passthrough(const struct route *r, const struct strv *given, struct err *e)
{
	static const char *const taken[] = {"host", "port", "tls", NULL};
	const char *other = find_other(given, taken);
	if (other) {
		return err_set(e, ERR_INVALID,
			"%s cannot be with tls=passthrough: what is in there only the container sees",
			other);
	}
	return strv_has(&r->hosts, ROUTE_HOST_OWN)
		       ? err_set(e, ERR_INVALID, "tls=passthrough needs a host of its own")
		       : 0;
}

static int check_redirect(const struct strv *given, struct err *e)
{
	static const char *const taken[] = {"host", "path", "redirect", "tls", NULL};
	const char *other = find_other(given, taken);
	return other ? err_set(e, ERR_INVALID, "%s says nothing with redirect", other) : 0;
}

static int check_root(const struct strv *given, struct err *e)
{
	static const char *const taken[] = {"host", "path", "strip_prefix", "auth", "users",
		"headers", "error_page", "tls", "rate", "root", NULL};
	const char *other = find_other(given, taken);
	return other ? err_set(e, ERR_INVALID, "%s says nothing with root", other) : 0;
}

static int check_grpc(const struct route *r, const struct strv *given, struct err *e)
{
	static const char *const refused[] = {"strip_prefix", "websocket", "buffering"};
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		if (strv_has(given, refused[i])) {
			return err_set(e, ERR_INVALID, "%s says nothing with backend=%s",
				refused[i], route_backend_word(r->backend));
		}
	}
	return r->tls == ROUTE_TLS_OFF
		       ? err_set(e, ERR_INVALID,
				 "tls=off cannot be with backend=%s: HTTP/2 is spoken over TLS only",
				 route_backend_word(r->backend))
		       : 0;
}

int route_check(const struct route *r, const struct strv *given, struct err *e)
{
	if (r->tls == ROUTE_TLS_PASSTHROUGH) {
		return check_passthrough(r, given, e);
	}
	if (r->redirect) {
		return check_redirect(given, e);
	}
	if (r->root_path && check_root(given, e) < 0) {
		return -1;
	}
	bool grpc = r->backend == ROUTE_BACKEND_GRPC || r->backend == ROUTE_BACKEND_GRPCS;
	if (grpc && check_grpc(r, given, e) < 0) {
		return -1;
	}
	return check_users(r, e);
}
