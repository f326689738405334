#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/attached.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/spec_check.h"
#include "wherry/specs.h"

struct exec_options {
	bool detach, interactive, tty, privileged;
	const char *user, *workdir, *detach_keys;
	struct strv env, env_files;
};

static int put_env(const struct exec_options *o, json_t *body, struct err *e)
{
	scoped(strv) struct strv env = STRV_INIT;
	for (size_t i = 0; i < o->env_files.n; i++) {
		if (spec_env_file(o->env_files.v[i], &env, e) < 0) {
			return -1;
		}
	}
	for (size_t i = 0; i < o->env.n; i++) {
		if (spec_env(o->env.v[i], &env, e) < 0) {
			return -1;
		}
	}
	if (env.n > 0) {
		json_put(body, "Env", json_strv(&env));
	}
	return 0;
}

static void put_console_size(const struct exec_options *o, json_t *body)
{
	struct winsize size;
	if (o->tty && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
		json_put(body, "ConsoleSize", json_pack("[ii]", size.ws_row, size.ws_col));
	}
}

static int create(
	struct cli *cli, const struct exec_options *o, char **words, char **ret_id, struct err *e)
{
	scoped(json) json_t *body = json_object();
	scoped(json) json_t *answer = NULL;
	scoped(buf) struct buf path = BUF_INIT;
	json_t *cmd = json_array();
	for (char **w = words + 1; *w; w++) {
		json_array_append_new(cmd, json_string(*w));
	}
	json_put(body, "Cmd", cmd);
	json_put_str(body, "User", o->user);
	json_put_str(body, "WorkingDir", o->workdir);
	json_put_str(body, "DetachKeys", o->detach_keys);
	json_put(body, "Privileged", json_boolean(o->privileged));
	json_put(body, "Tty", json_boolean(o->tty));
	json_put(body, "AttachStdin", json_boolean(o->interactive && !o->detach));
	json_put(body, "AttachStdout", json_boolean(!o->detach));
	json_put(body, "AttachStderr", json_boolean(!o->detach));
	put_console_size(o, body);
	path_add(&path, "/containers/", words[0], "/exec");
	if (put_env(o, body, e) < 0 ||
		engine_json(cli, "POST", buf_str(&path), body, &answer, e) < 0) {
		return -1;
	}
	*ret_id = xstrdup(json_str(answer, "Id"));
	return 0;
}

static int start_detached(
	struct cli *cli, const struct exec_options *o, const char *id, struct err *e)
{
	scoped(json) json_t *body = json_pack("{sb sb}", "Detach", 1, "Tty", o->tty);
	scoped(buf) struct buf path = BUF_INIT;
	path_add(&path, "/exec/", id, "/start");
	return engine_json(cli, "POST", buf_str(&path), body, NULL, e);
}

/* What the engine says about a command that cannot be run decides the status, as with run. */
static int exec_failed(const struct err *e)
{
	int status = start_status(e);
	cli_fail(e);
	return status == STATUS_ENGINE ? 1 : status;
}

static int run_attached(struct cli *cli, const struct exec_options *o, const char *id)
{
	struct err e;
	struct stream s;
	bool detached = false;
	scoped(json) json_t *body = json_pack("{sb sb}", "Detach", 0, "Tty", o->tty);
	scoped(json) json_t *info = NULL;
	scoped(buf) struct buf path = BUF_INIT;
	const struct stream_options so = {.kind = "exec",
		.id = id,
		.with_stdin = o->interactive,
		.tty = o->tty,
		.detach_keys = o->detach_keys};
	put_console_size(o, body);
	path_add(&path, "/exec/", id, "/start");
	int r = stream_open(&s, cli, &so, buf_str(&path), body, &e);
	if (r == 0) {
		stream_resize(&s);
		r = stream_relay(&s, &detached, &e);
	}
	stream_close(&s);
	if (r < 0) {
		return exec_failed(&e);
	}
	if (detached) {
		fprintf(stderr, "read escape sequence\n");
		return 1;
	}
	if (engine_on(cli, "GET", "/exec/", id, "/json", &info, &e) < 0) {
		return cli_fail(&e);
	}
	return (int)json_i64(info, "ExitCode", 0);
}

static int exec_with(struct cli *cli, const struct exec_options *o, char **words)
{
	struct err e;
	scoped(free) char *id = NULL;
	if (!o->detach && stream_check_tty(o->interactive, o->tty, &e) < 0) {
		return cli_fail(&e);
	}
	if (create(cli, o, words, &id, &e) < 0) {
		return cli_fail(&e);
	}
	if (!o->detach) {
		return run_attached(cli, o, id);
	}
	return start_detached(cli, o, id, &e) < 0 ? exec_failed(&e) : 0;
}

int command_exec(struct cli *cli, int argc, char **argv)
{
	struct exec_options o = {0};
	struct flag_checked env = {&o.env, check_env};
	const struct flag flags[] = {
		{"detach", 'd', FLAG_BOOL, &o.detach, NULL,
			"Detached mode: run command in the background"},
		{"detach-keys", 0, FLAG_STRING, &o.detach_keys, NULL,
			"Override the key sequence for detaching a container"},
		{"env", 'e', FLAG_CHECKED, &env, NULL, "Set environment variables"},
		{"env-file", 0, FLAG_LIST, &o.env_files, NULL,
			"Read in a file of environment variables"},
		{"interactive", 'i', FLAG_BOOL, &o.interactive, NULL,
			"Keep STDIN open even if not attached"},
		{"privileged", 0, FLAG_BOOL, &o.privileged, NULL,
			"Give extended privileges to the command"},
		{"tty", 't', FLAG_BOOL, &o.tty, NULL, "Allocate a pseudo-TTY"},
		{"user", 'u', FLAG_STRING, &o.user, NULL,
			"Username or UID (format: \"<name|uid>[:<group|gid>]\")"},
		{"workdir", 'w', FLAG_STRING, &o.workdir, NULL,
			"Working directory inside the container"},
		{0},
	};
	const struct syntax s = {"exec", "[OPTIONS] CONTAINER COMMAND [ARG...]",
		"Execute a command in a running container", 2, -1, true};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status < 0) {
		argv[argc] = NULL;
		status = exec_with(cli, &o, argv + 1);
	}
	strv_deinit(&o.env);
	strv_deinit(&o.env_files);
	return status;
}
