/* Subcommands on one container of a service: attach, commit, exec, export, port. They choose the
 * container and hand over to the plain commands of the CLI. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "wherry/commit.h"
#include "wherry/compose.h"
#include "wherry/download.h"
#include "wherry/engine.h"

/* The lowest number that runs; one-off containers only when there is nothing else. */
static const struct state_container *choose(
	const struct compose_state *s, const char *service, int64_t index)
{
	const struct state_container *one_off = NULL;
	for (size_t i = 0; i < s->s.n_containers; i++) {
		const struct state_container *c = &s->s.containers[i];
		if (strcmp(c->service, service) != 0 || !compose_is_running(c) ||
			(index > 0 && c->number != index)) {
			continue;
		}
		if (!c->one_off) {
			return c;
		}
		one_off = one_off ? one_off : c;
	}
	return one_off;
}

int compose_one(struct compose *c, const char *service, int64_t index, struct compose_state *state,
	const struct state_container **ret, struct err *e)
{
	const char *project;
	if (compose_load_or_name(c, NULL, 0, &project, e) < 0 ||
		compose_state_fetch(c, project, state, e) < 0) {
		return -1;
	}
	*ret = choose(state, service, index);
	if (!*ret && index > 0) {
		return err_set(e, ERR_NOT_FOUND, "service \"%s\" is not running container #%lld",
			service, (long long)index);
	}
	return *ret ? 0 : err_set(e, ERR_NOT_FOUND, "service \"%s\" is not running", service);
}

static void add_option(struct strv *argv, const char *flag, const char *value)
{
	if (value) {
		strv_add(argv, flag);
		strv_add(argv, value);
	}
}

static int hand_over(struct compose *c, command_fn *command, struct strv *argv)
{
	scoped(free) char **copy = xnew_array(char *, argv->n + 1);
	memcpy(copy, argv->v, argv->n * sizeof(*copy));
	return command(c->cli, (int)argv->n, copy);
}

/* ---- attach ---- */

int compose_attach(struct compose *c, int argc, char **argv)
{
	const char *detach_keys = NULL;
	int64_t index = 0;
	bool no_stdin = false;
	bool sig_proxy = true;
	const struct flag flags[] = {
		{"detach-keys", 0, FLAG_STRING, &detach_keys, NULL,
			"Override the key sequence for detaching from a container."},
		{"index", 0, FLAG_INT, &index, NULL,
			"index of the container if service has multiple replicas."},
		{"no-stdin", 0, FLAG_BOOL, &no_stdin, NULL, "Do not attach STDIN"},
		{"sig-proxy", 0, FLAG_BOOL, &sig_proxy, NULL,
			"Proxy all received signals to the process (default true)"},
		{0},
	};
	const struct syntax s = {"compose attach", "[OPTIONS] SERVICE",
		"Attach local standard input, output, and error streams to a service's running container",
		1, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	scoped(compose_state) struct compose_state state = {0};
	scoped(strv) struct strv words = STRV_INIT;
	const struct state_container *container;
	if (compose_one(c, argv[1], index, &state, &container, &e) < 0) {
		return cli_fail(&e);
	}
	if (c->dry_run) {
		return 0;
	}
	strv_add(&words, "attach");
	add_option(&words, "--detach-keys", detach_keys);
	strv_add(&words, no_stdin ? "--no-stdin" : "--no-stdin=false");
	strv_add(&words, sig_proxy ? "--sig-proxy" : "--sig-proxy=false");
	strv_add(&words, container->id);
	return hand_over(c, command_attach, &words);
}

/* ---- exec ---- */

struct exec {
	bool detach, no_tty, privileged, interactive, tty;
	int64_t index;
	const char *user, *workdir;
	struct strv env;
};

static void print_dry_exec(const struct exec *o, const char *container, char **words)
{
	scoped(buf) struct buf command = BUF_INIT;
	for (char **w = words; *w; w++) {
		buf_printf(&command, "%s\"%s\"", command.len ? " " : "", *w);
	}
	printf(" DRY-RUN MODE -  Execute command [%s] in %s%s\n", buf_str(&command), container,
		o->detach ? " detached mode" : "");
}

static int run_exec(struct compose *c, const struct exec *o, char **words)
{
	struct err e;
	scoped(compose_state) struct compose_state s = {0};
	scoped(strv) struct strv argv = STRV_INIT;
	const struct state_container *container;
	if (compose_one(c, words[0], o->index, &s, &container, &e) < 0) {
		return cli_fail(&e);
	}
	if (c->dry_run) {
		print_dry_exec(o, container->name, words + 1);
		return 0;
	}
	strv_add(&argv, "exec");
	bool tty = !o->no_tty && o->tty && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	if (o->detach) {
		strv_add(&argv, "-d");
	} else if (o->interactive) {
		strv_add(&argv, tty ? "-it" : "-i");
	} else if (tty) {
		strv_add(&argv, "-t");
	}
	if (o->privileged) {
		strv_add(&argv, "--privileged");
	}
	add_option(&argv, "--user", o->user);
	add_option(&argv, "--workdir", o->workdir);
	for (size_t i = 0; i < o->env.n; i++) {
		add_option(&argv, "--env", o->env.v[i]);
	}
	strv_add(&argv, container->id);
	for (char **w = words + 1; *w; w++) {
		strv_add(&argv, *w);
	}
	return hand_over(c, command_exec, &argv);
}

int compose_exec(struct compose *c, int argc, char **argv)
{
	struct exec o = {.interactive = true, .tty = true};
	const struct flag flags[] = {
		{"detach", 'd', FLAG_BOOL, &o.detach, NULL,
			"Detached mode: Run command in the background"},
		{"env", 'e', FLAG_LIST, &o.env, "stringArray", "Set environment variables"},
		{"index", 0, FLAG_INT, &o.index, NULL,
			"Index of the container if service has multiple replicas"},
		{"interactive", 'i', FLAG_BOOL, &o.interactive, NULL, NULL},
		{"no-tty", 'T', FLAG_BOOL, &o.no_tty, NULL,
			"Disable pseudo-TTY allocation. By default 'wherry compose exec' allocates a TTY."},
		{"no-TTY", 0, FLAG_BOOL, &o.no_tty, NULL, NULL},
		{"privileged", 0, FLAG_BOOL, &o.privileged, NULL,
			"Give extended privileges to the process"},
		{"tty", 't', FLAG_BOOL, &o.tty, NULL, NULL},
		{"user", 'u', FLAG_STRING, &o.user, NULL, "Run the command as this user"},
		{"workdir", 'w', FLAG_STRING, &o.workdir, NULL,
			"Path to workdir directory for this command"},
		{0},
	};
	const struct syntax s = {"compose exec", "[OPTIONS] SERVICE COMMAND [ARGS...]",
		"Execute a command in a running container", 2, -1, true};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status < 0) {
		argv[argc] = NULL;
		status = run_exec(c, &o, argv + 1);
	}
	strv_deinit(&o.env);
	return status;
}

/* ---- commit ---- */

static int commit(struct compose *c, const struct commit_options *o, const char *service,
	int64_t index, const char *reference, struct err *e)
{
	scoped(compose_state) struct compose_state state = {0};
	scoped(free) char *id = NULL;
	const struct state_container *container;
	if (compose_one(c, service, index, &state, &container, e) < 0) {
		return -1;
	}
	compose_begin(c, "Committing");
	scoped(free) char *shown = xasprintf("Commit %s", container->name);
	compose_progress_event(c->progress, container->name, shown, "Committing");
	if (c->dry_run) {
		compose_progress_event(c->progress, container->name, shown, "Committed");
		return 0;
	}
	if (commit_container(c->cli, o, container->id, reference, &id, e) < 0) {
		return -1;
	}
	scoped(free) char *done = xasprintf("Committed as %s", id);
	compose_progress_event(c->progress, container->name, shown, done);
	return 0;
}

int compose_commit(struct compose *c, int argc, char **argv)
{
	struct commit_options o = {.pause = true};
	int64_t index = 0;
	const struct flag flags[] = {
		{"author", 'a', FLAG_STRING, &o.author, NULL,
			"Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")"},
		{"change", 'c', FLAG_LIST, &o.changes, NULL,
			"Apply Dockerfile instruction to the created image"},
		{"index", 0, FLAG_INT, &index, NULL,
			"index of the container if service has multiple replicas."},
		{"message", 'm', FLAG_STRING, &o.message, NULL, "Commit message"},
		{"pause", 'p', FLAG_BOOL, &o.pause, NULL,
			"Pause container during commit (default true)"},
		{0},
	};
	const struct syntax s = {"compose commit", "[OPTIONS] SERVICE [REPOSITORY[:TAG]]",
		"Create a new image from a service container's changes", 1, 2, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	struct err e;
	if (status < 0) {
		status = commit(c, &o, argv[1], index, argc > 2 ? argv[2] : NULL, &e) < 0
				 ? cli_fail(&e)
				 : 0;
	}
	strv_deinit(&o.changes);
	return status;
}

/* ---- export ---- */

static int export(
	struct compose *c, const char *service, int64_t index, const char *output, struct err *e)
{
	scoped(compose_state) struct compose_state state = {0};
	scoped(buf) struct buf path = BUF_INIT;
	const struct state_container *container;
	if (compose_one(c, service, index, &state, &container, e) < 0) {
		return -1;
	}
	if (!output && isatty(STDOUT_FILENO)) {
		return err_set(
			e, ERR_INVALID, "output option is required when exporting to terminal");
	}
	compose_begin(c, "Exporting");
	scoped(free) char *shown =
		xasprintf("export %s to %s", container->name, output ? output : "");
	compose_progress_event(c->progress, container->name, shown, "Exporting");
	if (c->dry_run) {
		compose_progress_event(c->progress, container->name, shown, "Exported");
		return 0;
	}
	path_add(&path, "/containers/", container->id, "/export");
	return download(c->cli, buf_str(&path), output, "failed to export container", e);
}

int compose_export(struct compose *c, int argc, char **argv)
{
	const char *output = NULL;
	int64_t index = 0;
	const struct flag flags[] = {
		{"index", 0, FLAG_INT, &index, NULL,
			"index of the container if service has multiple replicas."},
		{"output", 'o', FLAG_STRING, &output, NULL, "Write to a file, instead of STDOUT"},
		{0},
	};
	const struct syntax s = {"compose export", "[OPTIONS] SERVICE",
		"Export a service container's filesystem as a tar archive", 1, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	struct err e;
	if (status >= 0) {
		return status;
	}
	return export(c, argv[1], index, output, &e) < 0 ? cli_fail(&e) : 0;
}

/* ---- port ---- */

static int print_port(struct compose *c, const char *service, int64_t index, int port,
	const char *protocol, struct err *e)
{
	scoped(compose_state) struct compose_state s = {0};
	scoped(buf) struct buf others = BUF_INIT;
	const struct state_container *container;
	size_t i;
	json_t *o;
	if (compose_one(c, service, index, &s, &container, e) < 0) {
		return -1;
	}
	json_array_foreach (json_object_get(compose_listed(&s, container->id), "Ports"), i, o) {
		long long published = (long long)json_i64(o, "PublicPort", 0);
		const char *type = json_str(o, "Type");
		if (json_i64(o, "PrivatePort", 0) == port && strcasecmp(type, protocol) == 0) {
			printf("%s:%lld\n", json_str(o, "IP"), published);
			return 0;
		}
		buf_printf(&others, "%s%lld/%s", others.len ? ", " : "", published, type);
	}
	return err_set(e, ERR_NOT_FOUND, "no port %d/%s for container %s: %s", port, protocol,
		container->name, buf_str(&others));
}

int compose_port(struct compose *c, int argc, char **argv)
{
	int64_t index = 0;
	const char *protocol = "tcp";
	const struct flag flags[] = {
		{"index", 0, FLAG_INT, &index, NULL,
			"Index of the container if service has multiple replicas"},
		{"protocol", 0, FLAG_STRING, &protocol, NULL, "tcp or udp (default \"tcp\")"},
		{0},
	};
	const struct syntax s = {"compose port", "[OPTIONS] SERVICE PRIVATE_PORT",
		"Print the public port for a port binding", 2, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	int port;
	int r = parse_int(argv[2], 0, 65535, &port);
	if (r < 0) {
		err_set(&e, ERR_INVALID, "strconv.ParseUint: parsing \"%s\": %s", argv[2],
			r == -ERANGE ? "value out of range" : "invalid syntax");
		return cli_fail(&e);
	}
	return print_port(c, argv[1], index, port, protocol, &e) < 0 ? cli_fail(&e) : 0;
}
