/* One request for each named container: stop, kill, restart, pause, unpause, wait, rm, rename,
 * port. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wherry/engine.h"
#include "wherry/flags.h"

#define UNSET INT64_MIN
#define ONE_OR_MORE "CONTAINER [CONTAINER...]"
#define OPTIONS_ONE_OR_MORE "[OPTIONS] " ONE_OR_MORE

/* POST /containers/NAME/verb?query; query is the text after the '?', or "". */
struct post {
	const char *verb;
	const char *query;
};

static int post_one(struct cli *cli, const char *name, void *owner, struct err *e)
{
	const struct post *p = owner;
	scoped(free) char *suffix = xasprintf("/%s%s%s", p->verb, *p->query ? "?" : "", p->query);
	return engine_on(cli, "POST", "/containers/", name, suffix, NULL, e);
}

static int post_each(struct cli *cli, int argc, char **argv, const char *verb, const char *query)
{
	struct post p = {verb, query};
	return engine_each(cli, argc, argv, post_one, &p);
}

/* "t=10&signal=SIGTERM" of stop and restart; the caller's. */
static char *stop_query(int64_t timeout_s, const char *signal)
{
	struct buf path = BUF_INIT;
	char number[24];
	snprintf(number, sizeof(number), "%" PRId64, timeout_s);
	path_query(&path, "t", timeout_s == UNSET ? NULL : number);
	path_query(&path, "signal", signal);
	buf_consume(&path, path.len ? 1 : 0);
	return buf_take_str(&path);
}

static int stop_or_restart(
	struct cli *cli, int argc, char **argv, const char *verb, const char *summary)
{
	int64_t timeout_s = UNSET;
	const char *signal = NULL;
	const struct flag flags[] = {
		{"signal", 's', FLAG_STRING, &signal, NULL, "Signal to send to the container"},
		{"timeout", 't', FLAG_INT, &timeout_s, NULL,
			"Seconds to wait before killing the container"},
		{"time", 0, FLAG_INT, &timeout_s, NULL, NULL},
		{0},
	};
	const struct syntax s = {verb, OPTIONS_ONE_OR_MORE, summary, 1, -1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	scoped(free) char *query = stop_query(timeout_s, signal);
	return post_each(cli, argc, argv, verb, query);
}

int command_stop(struct cli *cli, int argc, char **argv)
{
	return stop_or_restart(cli, argc, argv, "stop", "Stop one or more running containers");
}

int command_restart(struct cli *cli, int argc, char **argv)
{
	return stop_or_restart(cli, argc, argv, "restart", "Restart one or more containers");
}

int command_kill(struct cli *cli, int argc, char **argv)
{
	const char *signal = NULL;
	const struct flag flags[] = {
		{"signal", 's', FLAG_STRING, &signal, NULL, "Signal to send to the container"},
		{0}};
	const struct syntax s = {
		"kill", OPTIONS_ONE_OR_MORE, "Kill one or more running containers", 1, -1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	scoped(free) char *query = stop_query(UNSET, signal);
	return post_each(cli, argc, argv, "kill", query);
}

static int pause_each(struct cli *cli, int argc, char **argv, const char *verb, const char *summary)
{
	const struct flag flags[] = {{0}};
	const struct syntax s = {verb, ONE_OR_MORE, summary, 1, -1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	return status >= 0 ? status : post_each(cli, argc, argv, verb, "");
}

int command_pause(struct cli *cli, int argc, char **argv)
{
	return pause_each(
		cli, argc, argv, "pause", "Pause all processes within one or more containers");
}

int command_unpause(struct cli *cli, int argc, char **argv)
{
	return pause_each(
		cli, argc, argv, "unpause", "Unpause all processes within one or more containers");
}

static int wait_one(struct cli *cli, const char *name, struct err *e)
{
	scoped(json) json_t *answer = NULL;
	if (engine_on(cli, "POST", "/containers/", name, "/wait", &answer, e) < 0) {
		return -1;
	}
	const char *message = json_str(json_object_get(answer, "Error"), "Message");
	if (*message) {
		return err_set(e, ERR_SYSTEM, "%s", message);
	}
	printf("%" PRId64 "\n", json_i64(answer, "StatusCode", 0));
	fflush(stdout);
	return 0;
}

int command_wait(struct cli *cli, int argc, char **argv)
{
	const struct flag flags[] = {{0}};
	const struct syntax s = {"wait", ONE_OR_MORE,
		"Block until one or more containers stop, then print their exit codes", 1, -1,
		false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	status = 0;
	for (int i = 1; i < argc; i++) {
		struct err e;
		if (wait_one(cli, argv[i], &e) < 0) {
			status = cli_fail(&e);
		}
	}
	return status;
}

struct removal {
	bool force, volumes, link;
};

static int remove_one(struct cli *cli, const char *name, void *owner, struct err *e)
{
	const struct removal *r = owner;
	scoped(buf) struct buf path = BUF_INIT;
	path_add(&path, "/containers/", *name == '/' ? name + 1 : name, "");
	path_query(&path, "v", r->volumes ? "1" : NULL);
	path_query(&path, "force", r->force ? "1" : NULL);
	path_query(&path, "link", r->link ? "1" : NULL);
	return engine_json(cli, "DELETE", buf_str(&path), NULL, NULL, e);
}

/* docker rm -f: a container that is gone already is said on stderr, but is no failure. */
int command_rm(struct cli *cli, int argc, char **argv)
{
	struct removal r = {0};
	const struct flag flags[] = {
		{"force", 'f', FLAG_BOOL, &r.force, NULL,
			"Force the removal of a running container (uses SIGKILL)"},
		{"link", 'l', FLAG_BOOL, &r.link, NULL, "Remove the specified link"},
		{"volumes", 'v', FLAG_BOOL, &r.volumes, NULL,
			"Remove anonymous volumes associated with the container"},
		{0},
	};
	const struct syntax s = {
		"rm", OPTIONS_ONE_OR_MORE, "Remove one or more containers", 1, -1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	status = 0;
	for (int i = 1; i < argc; i++) {
		struct err e;
		if (remove_one(cli, argv[i], &r, &e) == 0) {
			printf("%s\n", argv[i]);
		} else if (cli_fail(&e), !r.force || e.kind != ERR_NOT_FOUND) {
			status = 1;
		}
	}
	return status;
}

int command_rename(struct cli *cli, int argc, char **argv)
{
	const struct flag flags[] = {{0}};
	const struct syntax s = {"rename", "CONTAINER NEW_NAME", "Rename a container", 2, 2, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	scoped(buf) struct buf path = BUF_INIT;
	if (!*argv[1] || !*argv[2]) {
		fprintf(stderr, "Error: Neither old nor new names may be empty\n");
		return 1;
	}
	path_add(&path, "/containers/", argv[1], "/rename");
	path_query(&path, "name", argv[2]);
	if (engine_json(cli, "POST", buf_str(&path), NULL, NULL, &e) < 0) {
		fprintf(stderr, "%s\nError: failed to rename container named %s\n", e.msg, argv[1]);
		return 1;
	}
	return 0;
}

/* --- port --- */

static void print_bindings(const char *inner, const json_t *bindings)
{
	for (size_t i = 0; i < json_array_size(bindings); i++) {
		const json_t *b = json_array_get(bindings, i);
		const char *ip = json_str(b, "HostIp");
		bool v6 = strchr(ip, ':');
		printf("%s%s%s%s%s:%s\n", inner, *inner ? " -> " : "", v6 ? "[" : "", ip,
			v6 ? "]" : "", json_str(b, "HostPort"));
	}
}

/* "80" is "80/tcp". */
static int print_one_port(const json_t *ports, const char *name, const char *wanted)
{
	scoped(free) char *key =
		strchr(wanted, '/') ? xstrdup(wanted) : xasprintf("%s/tcp", wanted);
	size_t digits = strspn(key, "0123456789");
	if (digits == 0 || key[digits] != '/') {
		int n = (int)strcspn(key, "/");
		fprintf(stderr,
			"Error: invalid port (%.*s): strconv.ParseUint: parsing \"%.*s\": invalid syntax\n",
			n, key, n, key);
		return 1;
	}
	const json_t *bindings = json_object_get(ports, key);
	if (json_array_size(bindings) == 0) {
		fprintf(stderr, "Error: No public port '%s' published for %s\n", wanted, name);
		return 1;
	}
	print_bindings("", bindings);
	return 0;
}

static int by_port(const void *a, const void *b)
{
	const char *p = *(const char *const *)a;
	const char *q = *(const char *const *)b;
	long r = strtol(p, NULL, 10) - strtol(q, NULL, 10);
	return r < 0 ? -1 : r > 0 ? 1 : strcmp(p, q);
}

static void print_all_ports(json_t *ports)
{
	scoped(free) const char **keys = xnew_array(const char *, json_object_size(ports) + 1);
	size_t n = 0;
	const char *key;
	json_t *bindings;
	json_object_foreach (ports, key, bindings) {
		keys[n++] = key;
	}
	qsort(keys, n, sizeof(*keys), by_port);
	for (size_t i = 0; i < n; i++) {
		print_bindings(keys[i], json_object_get(ports, keys[i]));
	}
}

int command_port(struct cli *cli, int argc, char **argv)
{
	const struct flag flags[] = {{0}};
	const struct syntax s = {"port", "CONTAINER [PRIVATE_PORT[/PROTO]]",
		"List port mappings or a specific mapping for the container", 1, 2, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	scoped(json) json_t *doc = NULL;
	if (engine_on(cli, "GET", "/containers/", argv[1], "/json", &doc, &e) < 0) {
		return cli_fail(&e);
	}
	json_t *ports = json_object_get(json_object_get(doc, "NetworkSettings"), "Ports");
	if (argc == 3) {
		return print_one_port(ports, argv[1], argv[2]);
	}
	print_all_ports(ports);
	return 0;
}
