/* user add, ls, update, passwd, rm, totp: who may sign in at the HTTPS door, and use the engine
 * from afar, by the engine's own calls (doc/own-api.md). A password is typed or read from stdin,
 * never an argument: those are in ps(1) for everybody. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/prompt.h"
#include "wherry/rows.h"
#include "wherry/table.h"

#define USERS "/wherry/v1/users/"
#define ROLE_HELP "What the user may: read, operate or admin"

static int add(struct cli *cli, const char *name, const char *role, struct err *e)
{
	scoped(free) char *password = prompt_new_password(name, e);
	if (!password) {
		return -1;
	}
	scoped(json) json_t *body =
		json_pack("{ss ss ss}", "name", name, "role", role, "password", password);
	return body ? engine_json(cli, "POST", "/wherry/v1/users", body, NULL, e)
		    : err_set(e, ERR_INVALID, "name and password must be UTF-8");
}

int command_user_add(struct cli *cli, int argc, char **argv)
{
	const char *role = "read";
	const struct flag flags[] = {
		{"role", 0, FLAG_STRING, &role, NULL, ROLE_HELP},
		{0},
	};
	const struct syntax s = {"user add", "[OPTIONS] NAME",
		"Add a user; the password is asked for, or read from stdin", 1, 1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	struct err e;
	if (status >= 0) {
		return status;
	}
	if (add(cli, argv[1], role, &e) < 0) {
		return cli_fail(&e);
	}
	printf("%s\n", argv[1]);
	return 0;
}

static int set_password(struct cli *cli, const char *name, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	scoped(free) char *password = prompt_new_password(name, e);
	if (!password) {
		return -1;
	}
	scoped(json) json_t *body = json_pack("{ss}", "password", password);
	path_add(&path, USERS, name, "/password");
	return body ? engine_json(cli, "PUT", buf_str(&path), body, NULL, e)
		    : err_set(e, ERR_INVALID, "a password must be UTF-8");
}

int command_user_passwd(struct cli *cli, int argc, char **argv)
{
	const struct flag flags[] = {{0}};
	const struct syntax s = {"user passwd", "USER",
		"Change a user's password, which is asked for or read from stdin; ends the user's sessions",
		1, 1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	struct err e;
	if (status >= 0) {
		return status;
	}
	return set_password(cli, argv[1], &e) < 0 ? cli_fail(&e) : 0;
}

static int remove_one(struct cli *cli, const char *name, void *owner, struct err *e)
{
	return engine_on(cli, "DELETE", USERS, name, "", NULL, e);
}

int command_user_rm(struct cli *cli, int argc, char **argv)
{
	const struct flag flags[] = {{0}};
	const struct syntax s = {"user rm", "USER [USER...]",
		"Remove users; their sessions and remote connections end", 1, -1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	return status >= 0 ? status : engine_each(cli, argc, argv, remove_one, NULL);
}

/* --- update --- */

static int update(struct cli *cli, const char *name, const json_t *change, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	path_add(&path, USERS, name, "");
	return engine_json(cli, "POST", buf_str(&path), change, NULL, e);
}

int command_user_update(struct cli *cli, int argc, char **argv)
{
	const char *role = NULL;
	bool disable = false;
	bool enable = false;
	const struct flag flags[] = {
		{"role", 0, FLAG_STRING, &role, NULL, ROLE_HELP},
		{"disable", 0, FLAG_BOOL, &disable, NULL,
			"End the user's sessions and connections, and let no new ones begin"},
		{"enable", 0, FLAG_BOOL, &enable, NULL, "Undo --disable"},
		{0},
	};
	const struct syntax s = {
		"user update", "[OPTIONS] USER", "Change what a user may", 1, 1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	struct err e;
	if (status >= 0) {
		return status;
	}
	scoped(json) json_t *change = json_object();
	if (role) {
		json_put_str(change, "role", role);
	}
	if (disable || enable) {
		json_put(change, "disabled", json_boolean(disable));
	}
	if ((disable && enable) || json_object_size(change) == 0) {
		(void)err_set(&e, ERR_INVALID, "expected --role, --disable or --enable");
		return flags_refuse(&s, &e);
	}
	return update(cli, argv[1], change, &e) < 0 ? cli_fail(&e) : 0;
}

/* --- ls --- */

static const struct column columns[] = {
	{"Name", "NAME"},
	{"Role", "ROLE"},
	{"State", "STATE"},
	{"TOTP", "TOTP"},
	{"Certificates", "CERTIFICATES"},
	{"Created", "CREATED"},
	{0},
};

static json_t *row_of(const json_t *u)
{
	json_t *row = json_object();
	scoped(buf) struct buf ids = BUF_INIT;
	size_t i;
	json_t *one;
	json_array_foreach (json_object_get(u, "certificates"), i, one) {
		buf_printf(&ids, "%s%s", i ? "," : "", json_str(one, "id"));
	}
	json_put_str(row, "Name", json_str(u, "name"));
	json_put_str(row, "Role", json_str(u, "role"));
	json_put_str(row, "State", json_bool(u, "disabled") ? "disabled" : "enabled");
	json_put_str(row, "TOTP", json_bool(u, "totp") ? "on" : "off");
	json_put_str(row, "Certificates", buf_str(&ids));
	json_put_str(row, "Created", json_str(u, "created"));
	return row;
}

static int list_users(struct cli *cli, bool quiet, const char *format, struct err *e)
{
	const struct table t = {.columns = columns,
		.dflt = "{{.Name}}\t{{.Role}}\t{{.State}}\t{{.TOTP}}\t{{.Certificates}}",
		.quiet_field = "Name",
		.format = format,
		.quiet = quiet,
		.type = "user"};
	scoped(json) json_t *users = NULL;
	scoped(json) json_t *rows = json_array();
	size_t i;
	json_t *u;
	if (table_check(&t, e) < 0 ||
		engine_json(cli, "GET", "/wherry/v1/users", NULL, &users, e) < 0) {
		return -1;
	}
	json_array_foreach (users, i, u) {
		json_array_append_new(rows, row_of(u));
	}
	rows_sort(rows, "Name");
	return table_print(&t, rows, e);
}

int command_user_ls(struct cli *cli, int argc, char **argv)
{
	bool quiet = false;
	const char *format = NULL;
	const struct flag flags[] = {
		{"format", 0, FLAG_STRING, &format, NULL, TABLE_FORMAT_HELP},
		{"quiet", 'q', FLAG_BOOL, &quiet, NULL, "Only display the names"},
		{0},
	};
	const struct syntax s = {"user ls", "[OPTIONS]", "List users", 0, 0, false};
	int status = flags_parse(&s, flags, &argc, argv);
	struct err e;
	if (status >= 0) {
		return status;
	}
	return list_users(cli, quiet, format, &e) < 0 ? cli_fail(&e) : 0;
}

/* --- totp --- */

static void show_secret(const char *name, const char *secret)
{
	fprintf(stderr,
		"Enter this into the authenticator, as text or as an address:\n\n    %s\n"
		"    otpauth://totp/wherry:%s?secret=%s&issuer=wherry\n\n",
		secret, name, secret);
}

/* Nothing is kept before a code has shown that the authenticator has the secret. */
static int begin_totp(struct cli *cli, const char *name, struct err *e)
{
	scoped(json) json_t *made = NULL;
	scoped(buf) struct buf path = BUF_INIT;
	path_add(&path, USERS, name, "/totp");
	if (engine_json(cli, "POST", buf_str(&path), NULL, &made, e) < 0) {
		return -1;
	}
	show_secret(name, json_str(made, "secret"));
	scoped(free) char *code =
		isatty(STDIN_FILENO) ? prompt_ask("Its code", false) : prompt_line(stdin);
	if (!code) {
		return err_set(e, ERR_INVALID, "no code: nothing was changed");
	}
	scoped(json) json_t *body =
		json_pack("{ss ss}", "secret", json_str(made, "secret"), "code", code);
	return body ? engine_json(cli, "PUT", buf_str(&path), body, NULL, e)
		    : err_set(e, ERR_INVALID, "a code has six digits");
}

int command_user_totp(struct cli *cli, int argc, char **argv)
{
	bool off = false;
	const struct flag flags[] = {
		{"off", 0, FLAG_BOOL, &off, NULL, "Ask for the password alone again"},
		{0},
	};
	const struct syntax s = {"user totp", "[OPTIONS] USER",
		"Ask for a code of an authenticator, too, when this user signs in", 1, 1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	struct err e;
	if (status >= 0) {
		return status;
	}
	int r = off ? engine_on(cli, "DELETE", USERS, argv[1], "/totp", NULL, &e)
		    : begin_totp(cli, argv[1], &e);
	return r < 0 ? cli_fail(&e) : 0;
}
