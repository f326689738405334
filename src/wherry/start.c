/* start, attach */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/attached.h"
#include "wherry/engine.h"
#include "wherry/flags.h"

struct attach_options {
	const char *detach_keys;
	bool interactive; /* stdin too, when the container has one */
	bool sig_proxy;
	bool start;
};

/* Relays until the end. The exit status of the container. */
static int relay_and_wait(struct stream *s, struct http_client *wait, bool escape_is_error)
{
	struct err e;
	int code;
	bool detached = false;
	int r = stream_relay(s, &detached, &e);
	stream_close(s);
	if (r < 0) {
		return cli_fail(&e);
	}
	if (detached) {
		if (escape_is_error) {
			fprintf(stderr, "read escape sequence\n");
		}
		return escape_is_error;
	}
	return wait_end(wait, &code, &e) < 0 ? cli_fail(&e) : code;
}

static int open_all(struct cli *cli, const struct attach_options *o, const json_t *container,
	struct stream *s, struct http_client **wait, struct err *e)
{
	const json_t *config = json_object_get(container, "Config");
	bool auto_remove = json_bool(json_object_get(container, "HostConfig"), "AutoRemove");
	bool tty = json_bool(config, "Tty");
	const struct stream_options so = {.kind = "containers",
		.id = json_str(container, "Id"),
		.with_stdin = o->interactive && json_bool(config, "OpenStdin"),
		.tty = tty,
		.sig_proxy = o->sig_proxy && !tty,
		.detach_keys = o->detach_keys};
	const char *condition = auto_remove ? "removed" : o->start ? "next-exit" : "not-running";
	if (stream_check_tty(so.with_stdin, tty, e) < 0 ||
		attach_open(s, cli, &so, true, true, e) < 0) {
		return -1;
	}
	*wait = wait_begin(cli, so.id, condition, e);
	if (!*wait || (o->start && engine_on(cli, "POST", "/containers/", so.id, "/start", NULL,
					   e) < 0)) {
		return -1;
	}
	stream_resize(s);
	return 0;
}

static int attach_to(struct cli *cli, const struct attach_options *o, const json_t *container)
{
	struct err e;
	struct stream s = {.fd = -1, .signal_fd = -1};
	scoped(http_client_free) struct http_client *wait = NULL;
	if (open_all(cli, o, container, &s, &wait, &e) < 0) {
		stream_close(&s);
		return cli_fail(&e);
	}
	return relay_and_wait(&s, wait, !o->start);
}

static int start_each(struct cli *cli, int argc, char **argv)
{
	scoped(buf) struct buf failed = BUF_INIT;
	for (int i = 1; i < argc; i++) {
		struct err e;
		if (engine_on(cli, "POST", "/containers/", argv[i], "/start", NULL, &e) == 0) {
			printf("%s\n", argv[i]);
			fflush(stdout);
		} else {
			cli_fail(&e);
			buf_printf(&failed, "%s%s", failed.len ? ", " : "", argv[i]);
		}
	}
	if (failed.len > 0) {
		fprintf(stderr, "Error: failed to start containers: %s\n", failed.data);
	}
	return failed.len > 0;
}

int command_start(struct cli *cli, int argc, char **argv)
{
	struct attach_options o = {.sig_proxy = true, .start = true};
	bool attach = false;
	const char *checkpoint = NULL;
	const struct flag flags[] = {
		{"attach", 'a', FLAG_BOOL, &attach, NULL,
			"Attach STDOUT/STDERR and forward signals"},
		{"detach-keys", 0, FLAG_STRING, &o.detach_keys, NULL,
			"Override the key sequence for detaching a container"},
		{"interactive", 'i', FLAG_BOOL, &o.interactive, NULL, "Attach container's STDIN"},
		{"checkpoint", 0, FLAG_STRING, &checkpoint, NULL, NULL},
		{"checkpoint-dir", 0, FLAG_STRING, &checkpoint, NULL, NULL},
		{0},
	};
	const struct syntax s = {"start", "[OPTIONS] CONTAINER [CONTAINER...]",
		"Start one or more stopped containers", 1, -1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	if (checkpoint) {
		fprintf(stderr,
			"\"--checkpoint\" is only supported on a Docker daemon with experimental features enabled\n");
		return 1;
	}
	if (!attach && !o.interactive) {
		return start_each(cli, argc, argv);
	}
	struct err e;
	scoped(json) json_t *container = NULL;
	if (argc > 2) {
		err_set(&e, ERR_INVALID, "you cannot start and attach multiple containers at once");
		return cli_fail(&e);
	}
	if (engine_on(cli, "GET", "/containers/", argv[1], "/json", &container, &e) < 0) {
		return cli_fail(&e);
	}
	return attach_to(cli, &o, container);
}

static int check_attachable(const json_t *container, struct err *e)
{
	const json_t *state = json_object_get(container, "State");
	if (!json_bool(state, "Running")) {
		return err_set(e, ERR_CONFLICT,
			"You cannot attach to a stopped container, start it first");
	}
	if (json_bool(state, "Paused")) {
		return err_set(e, ERR_CONFLICT,
			"You cannot attach to a paused container, unpause it first");
	}
	if (json_bool(state, "Restarting")) {
		return err_set(e, ERR_CONFLICT,
			"You cannot attach to a restarting container, wait until it is running");
	}
	return 0;
}

int command_attach(struct cli *cli, int argc, char **argv)
{
	struct attach_options o = {.sig_proxy = true};
	bool no_stdin = false;
	const struct flag flags[] = {
		{"detach-keys", 0, FLAG_STRING, &o.detach_keys, NULL,
			"Override the key sequence for detaching a container"},
		{"no-stdin", 0, FLAG_BOOL, &no_stdin, NULL, "Do not attach STDIN"},
		{"sig-proxy", 0, FLAG_BOOL, &o.sig_proxy, NULL,
			"Proxy all received signals to the process (default true)"},
		{0},
	};
	const struct syntax s = {"attach", "[OPTIONS] CONTAINER",
		"Attach local standard input, output, and error streams to a running container", 1,
		1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	scoped(json) json_t *container = NULL;
	o.interactive = !no_stdin;
	if (engine_on(cli, "GET", "/containers/", argv[1], "/json", &container, &e) < 0 ||
		check_attachable(container, &e) < 0) {
		return cli_fail(&e);
	}
	return attach_to(cli, &o, container);
}
