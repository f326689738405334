/* login, logout */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "codec/ref.h"
#include "wherry/auth.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/prompt.h"

struct login {
	const char *user, *password;
	bool password_stdin;
};

/* What is sent to the registry and kept; strings are the struct's. */
struct credentials {
	char *server, *user, *password;
};

static void credentials_deinit(struct credentials *c)
{
	free(c->server);
	free(c->user);
	free(c->password);
}

/* Fills in what the flags left open. kept: the user of stored credentials that did not do. */
static int complete(const struct login *l, const char *kept, struct credentials *c, struct err *e)
{
	c->user = xstrdup(l->user);
	if (l->password) {
		c->password = xstrdup(l->password);
	}
	if (c->user && c->password && *c->password) {
		return 0;
	}
	if (!isatty(STDIN_FILENO)) {
		return err_set(e, ERR_INVALID,
			"Error: Cannot perform an interactive login from a non TTY device");
	}
	if (!c->user) {
		scoped(free) char *prompt =
			*kept ? xasprintf("Username (%s)", kept) : xstrdup("Username");
		c->user = prompt_ask(prompt, false);
	}
	if (c->user && !*c->user && *kept) {
		free(c->user);
		c->user = xstrdup(kept);
	}
	if (!c->user || !*c->user) {
		return err_set(e, ERR_INVALID, "Error: Non-null Username Required");
	}
	if (!c->password || !*c->password) {
		free(c->password);
		c->password = prompt_ask("Password", true);
	}
	return c->password && *c->password ? 0
					   : err_set(e, ERR_INVALID, "Error: Password Required");
}

static int keep(struct cli *cli, const json_t *auth, struct err *e)
{
	bool in_clear;
	if (auth_store(cli, auth, &in_clear, e) < 0) {
		return -1;
	}
	if (in_clear) {
		fprintf(stderr,
			"\nWARNING! Your credentials are stored unencrypted in '%s/config.json'.\n"
			"Configure a credential helper to remove this warning. See\n"
			"https://docs.docker.com/go/credential-store/\n\n",
			cli->config_dir);
	}
	return 0;
}

/* Asks the registry, through the engine; a token that it gives is kept instead of the password. */
static int log_in(struct cli *cli, const struct credentials *c, struct err *e)
{
	scoped(json) json_t *answer = NULL;
	scoped(json) json_t *auth = json_pack("{ss ss ss}", "username", c->user, "password",
		c->password, "serveraddress", c->server);
	if (!auth) {
		return err_set(e, ERR_INVALID, "username and password must be UTF-8");
	}
	if (engine_json(cli, "POST", "/auth", auth, &answer, e) < 0) {
		return -1;
	}
	if (*json_str(answer, "IdentityToken")) {
		json_put_str(auth, "password", "");
		json_put_str(auth, "identitytoken", json_str(answer, "IdentityToken"));
	}
	if (keep(cli, auth, e) < 0) {
		return -1;
	}
	printf("%s\n",
		*json_str(answer, "Status") ? json_str(answer, "Status") : "Login Succeeded");
	return 0;
}

/* Whether what is kept already does; *ret_user: whose it is, the caller's. */
static bool log_in_as_before(struct cli *cli, const char *server, char **ret_user)
{
	struct err e;
	scoped(json) json_t *known = auth_find(cli, server);
	struct credentials c = {.server = xstrdup(server),
		.user = xstrdup(json_str(known, "username")),
		.password = xstrdup(json_str(known, "password"))};
	bool done = false;
	*ret_user = xstrdup(c.user);
	if (*c.user && *c.password) {
		fprintf(stderr,
			"Authenticating with existing credentials... [Username: %s]\n\n"
			" Info -> To login with a different account, run 'wherry logout' followed by 'wherry login'\n\n\n",
			c.user);
		done = log_in(cli, &c, &e) == 0;
		if (!done && e.kind == ERR_UNAUTHORIZED) {
			fprintf(stderr, "Stored credentials invalid or expired\n");
		} else if (!done) {
			fprintf(stderr, "Login did not succeed, error: %s\n", e.msg);
		}
	}
	credentials_deinit(&c);
	return done;
}

static int check(const struct login *l, struct err *e)
{
	if (l->password && l->password_stdin) {
		return err_set(e, ERR_INVALID,
			"conflicting options: cannot specify both --password and --password-stdin");
	}
	if (l->password_stdin && !l->user) {
		return err_set(e, ERR_INVALID,
			"the --password-stdin option requires --username to be set");
	}
	if (l->user && !*l->user) {
		return err_set(e, ERR_INVALID, "username is empty");
	}
	if (l->password && !*l->password) {
		return err_set(e, ERR_INVALID, "password is empty");
	}
	if (l->password) {
		fprintf(stderr,
			"WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n");
	}
	return 0;
}

static int run_login(struct cli *cli, struct login *l, char *take_server, struct err *e)
{
	struct credentials c = {.server = take_server};
	scoped(free) char *kept = NULL;
	scoped(free) char *from_stdin = l->password_stdin ? prompt_all() : NULL;
	int r = 0;
	l->password = l->password_stdin ? from_stdin : l->password;
	if (l->user || l->password || !log_in_as_before(cli, c.server, &kept)) {
		r = complete(l, kept ? kept : "", &c, e) < 0 ? -1 : log_in(cli, &c, e);
	}
	credentials_deinit(&c);
	return r;
}

int command_login(struct cli *cli, int argc, char **argv)
{
	struct login l = {0};
	const struct flag flags[] = {
		{"password", 'p', FLAG_STRING, &l.password, NULL,
			"Password or Personal Access Token (PAT)"},
		{"password-stdin", 0, FLAG_BOOL, &l.password_stdin, NULL,
			"Take the Password or Personal Access Token (PAT) from stdin"},
		{"username", 'u', FLAG_STRING, &l.user, NULL, "Username"},
		{0},
	};
	const struct syntax s = {"login", "[OPTIONS] [SERVER]",
		"Authenticate to a registry.\nDefaults to Docker Hub if no server is specified.", 0,
		1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	if (check(&l, &e) < 0) {
		return cli_fail(&e);
	}
	char *server = argc > 1 && strcmp(argv[1], REF_DEFAULT_DOMAIN) != 0
			       ? auth_server_key(argv[1])
			       : auth_default_server(cli);
	return run_login(cli, &l, server, &e) < 0 ? cli_fail(&e) : 0;
}

/* Under all the names that a registry may have been kept; a warning only when none could go. */
static void erase_all(struct cli *cli, const char *typed, const char *host)
{
	scoped(strv) struct strv names = STRV_INIT;
	struct err e[4];
	size_t failed = 0;
	strv_add(&names, host);
	if (strcmp(typed, host) != 0) {
		strv_add(&names, typed);
	}
	if (!strstr(host, "://")) { /* the default one has only this name */
		strv_addf(&names, "http://%s", host);
		strv_addf(&names, "https://%s", host);
	}
	for (size_t i = 0; i < names.n; i++) {
		failed += auth_erase(cli, names.v[i], &e[i]) < 0;
	}
	if (failed < names.n) {
		return;
	}
	fprintf(stderr, "WARNING: could not erase credentials:\n");
	for (size_t i = 0; i < names.n; i++) {
		fprintf(stderr, "%s: %s\n", names.v[i], e[i].msg);
	}
}

int command_logout(struct cli *cli, int argc, char **argv)
{
	const struct flag flags[] = {{0}};
	const struct syntax s = {"logout", "[SERVER]",
		"Log out from a registry.\nIf no server is specified, the default is defined by the daemon.",
		0, 1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	scoped(free) char *host = argc > 1 ? auth_server_key(argv[1]) : auth_default_server(cli);
	printf("Removing login credentials for %s\n", host);
	erase_all(cli, argc > 1 ? argv[1] : host, host);
	return 0;
}
