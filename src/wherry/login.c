/* login, logout */
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/auth.h"
#include "wherry/engine.h"
#include "wherry/flags.h"

#define LINE_MAX_BYTES 16384

struct login {
	const char *user, *password;
	bool password_stdin;
};

/* One line, without its end. NULL at the end of the input; the caller's. */
static char *read_line(FILE *in)
{
	scoped(free) char *line = NULL;
	size_t cap = 0;
	ssize_t n = getline(&line, &cap, in);
	if (n < 0 || n > LINE_MAX_BYTES) {
		return NULL;
	}
	line[strcspn(line, "\r\n")] = '\0';
	return TAKE(line);
}

static char *ask(const char *prompt, bool hidden)
{
	struct termios old;
	bool changed = hidden && tcgetattr(STDIN_FILENO, &old) == 0;
	printf("%s: ", prompt);
	fflush(stdout);
	if (changed) {
		struct termios quiet = old;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	}
	char *line = read_line(stdin);
	if (changed) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
		putchar('\n');
	}
	return line;
}

/* All of stdin, without the line end that echo adds. */
static char *read_password(void)
{
	struct buf text = BUF_INIT;
	char data[4096];
	size_t n;
	while ((n = fread(data, 1, sizeof(data), stdin)) > 0 && text.len < LINE_MAX_BYTES) {
		buf_append(&text, data, n);
	}
	while (text.len > 0 && strchr("\r\n", text.data[text.len - 1])) {
		text.data[--text.len] = '\0';
	}
	return buf_take_str(&text);
}

/* Fills in what the flags left open. */
static int complete(const struct login *l, char **user, char **password, struct err *e)
{
	*user = xstrdup(l->user);
	*password = l->password_stdin ? read_password() : xstrdup(l->password);
	if (*user && *password) {
		return 0;
	}
	if (!isatty(STDIN_FILENO)) {
		return err_set(e, ERR_INVALID,
			"Error: Cannot perform an interactive login from a non TTY device");
	}
	*user = *user ? *user : ask("Username", false);
	*password = *password ? *password : ask("Password", true);
	if (!*user || !**user) {
		return err_set(e, ERR_INVALID, "Error: Non-null Username Required");
	}
	return *password && **password ? 0 : err_set(e, ERR_INVALID, "Error: Password Required");
}

static int log_in(
	struct cli *cli, const char *server, const char *user, const char *password, struct err *e)
{
	scoped(json) json_t *answer = NULL;
	scoped(json) json_t *auth = json_pack(
		"{ss ss ss}", "username", user, "password", password, "serveraddress", server);
	if (!auth) {
		return err_set(e, ERR_INVALID, "username and password must be UTF-8");
	}
	if (engine_json(cli, "POST", "/auth", auth, &answer, e) < 0) {
		return -1;
	}
	const char *token = json_str(answer, "IdentityToken");
	if (*token) {
		json_put_str(auth, "password", "");
		json_put_str(auth, "identitytoken", token);
	}
	scoped(free) char *helper = NULL;
	if (auth_store(cli, auth, &helper, e) < 0) {
		return -1;
	}
	if (!helper) {
		fprintf(stderr,
			"\nWARNING! Your credentials are stored unencrypted in '%s/config.json'.\n"
			"Configure a credential helper to remove this warning. See\n"
			"https://docs.docker.com/go/credential-store/\n\n",
			cli->config_dir);
	}
	printf("%s\n",
		*json_str(answer, "Status") ? json_str(answer, "Status") : "Login Succeeded");
	return 0;
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
	if (l->password) {
		fprintf(stderr,
			"WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n");
	}
	return 0;
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
	scoped(free) char *user = NULL;
	scoped(free) char *password = NULL;
	scoped(free) char *server = argc > 1 ? auth_server_key(argv[1]) : auth_default_server(cli);
	if (check(&l, &e) < 0 || complete(&l, &user, &password, &e) < 0 ||
		log_in(cli, server, user, password, &e) < 0) {
		return cli_fail(&e);
	}
	return 0;
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
	struct err e;
	scoped(free) char *server = argc > 1 ? auth_server_key(argv[1]) : auth_default_server(cli);
	printf("Removing login credentials for %s\n", server);
	return auth_erase(cli, server, &e) < 0 ? cli_fail(&e) : 0;
}
