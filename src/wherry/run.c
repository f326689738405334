/* run, create */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "codec/ref.h"
#include "wherry/attached.h"
#include "wherry/engine.h"
#include "wherry/pull.h"
#include "wherry/run_options.h"
#include "wherry/spec_check.h"

static int check_pull(const struct run_options *o, struct err *e)
{
	static const char *const words[] = {"always", "missing", "never"};
	for (size_t i = 0; i < 3; i++) {
		if (strcmp(o->pull, words[i]) == 0) {
			return 0;
		}
	}
	return err_set(e, ERR_INVALID,
		"invalid pull option: '%s': must be one of \"always\", \"missing\" or \"never\"",
		o->pull);
}

static int check_cidfile(const struct run_options *o, struct err *e)
{
	if (o->cidfile && access(o->cidfile, F_OK) == 0) {
		return err_set(e, ERR_CONFLICT,
			"container ID file found, make sure the other container isn't running or delete %s",
			o->cidfile);
	}
	return 0;
}

static int write_cidfile(const struct run_options *o, const char *id, struct err *e)
{
	int r = o->cidfile ? path_write(AT_FDCWD, o->cidfile, id, strlen(id), 0644, false) : 0;
	return r < 0 ? err_sys(e, -r, "failed to write the container ID to the file %s", o->cidfile)
		     : 0;
}

static int post_create(struct cli *cli, const struct run_options *o, const json_t *body,
	json_t **ret, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	buf_puts(&path, "/containers/create");
	path_query(&path, "name", o->name);
	path_query(&path, "platform", o->platform);
	return engine_json(cli, "POST", buf_str(&path), body, ret, e);
}

/* "alpine" as "alpine:latest". */
static int say_missing(const char *image, struct err *e)
{
	struct ref ref;
	char text[REF_TEXT_MAX];
	if (ref_parse(image, &ref, e) < 0) {
		return -1;
	}
	ref_default_tag(&ref);
	fprintf(stderr, "Unable to find image '%s' locally\n", ref_familiar(&ref, text));
	return 0;
}

static int pull_for(struct cli *cli, const struct run_options *o, const char *image, struct err *e)
{
	const struct progress_sink screen = {.out = stderr};
	return pull_image(cli, image, o->platform, o->quiet ? NULL : &screen, e);
}

/* Creates, bringing the image when it is missing. *ret_id is the caller's. */
static int create(struct cli *cli, const struct run_options *o, const json_t *body, char **ret_id,
	struct err *e)
{
	const char *image = json_str(body, "Image");
	scoped(json) json_t *answer = NULL;
	struct ref checked;
	if ((o->platform && check_platform(o->platform, e) < 0) ||
		ref_parse(image, &checked, e) < 0 || check_cidfile(o, e) < 0 ||
		(strcmp(o->pull, "always") == 0 && pull_for(cli, o, image, e) < 0)) {
		return -1;
	}
	int r = post_create(cli, o, body, &answer, e);
	bool missing = r < 0 && e->kind == ERR_NOT_FOUND && strstr(e->msg, "No such image");
	if (missing && strcmp(o->pull, "missing") == 0) {
		if (say_missing(image, e) < 0 || pull_for(cli, o, image, e) < 0) {
			return -1;
		}
		r = post_create(cli, o, body, &answer, e);
	}
	if (r < 0) {
		return -1;
	}
	const json_t *warnings = json_object_get(answer, "Warnings");
	for (size_t i = 0; i < json_array_size(warnings); i++) {
		fprintf(stderr, "WARNING: %s\n", json_string_value(json_array_get(warnings, i)));
	}
	*ret_id = xstrdup(json_str(answer, "Id"));
	return write_cidfile(o, *ret_id, e);
}

/* The size that the terminal has from its first moment on; engines before API 1.42 wait for the
 * resize call. */
static void put_console_size(const struct run_options *o, json_t *body)
{
	struct winsize size;
	if (o->tty && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
		json_put(json_object_get(body, "HostConfig"), "ConsoleSize",
			json_pack("[ii]", size.ws_row, size.ws_col));
	}
}

struct foreground {
	struct stream stream;
	struct http_client *wait;
};

/* Attaches and waits before the start; returns with the container running. */
static int start_foreground(struct cli *cli, const struct run_options *o, const json_t *body,
	const char *id, struct foreground *f, struct err *e)
{
	const struct stream_options so = {.kind = "containers",
		.id = id,
		.with_stdin = json_bool(body, "AttachStdin"),
		.tty = o->tty,
		.sig_proxy = o->sig_proxy,
		.detach_keys = o->detach_keys};
	if (attach_open(&f->stream, cli, &so, json_bool(body, "AttachStdout"),
		    json_bool(body, "AttachStderr"), e) < 0) {
		return -1;
	}
	f->wait = wait_begin(cli, id, o->rm ? "removed" : "next-exit", e);
	if (!f->wait || engine_on(cli, "POST", "/containers/", id, "/start", NULL, e) < 0) {
		return -1;
	}
	stream_resize(&f->stream);
	return 0;
}

static int refuse_run(const char *command, const struct err *e, int status)
{
	fprintf(stderr, "wherry: %s\n\nRun 'wherry %s --help' for more information\n", e->msg,
		command);
	return status;
}

static int run_foreground(
	struct cli *cli, const struct run_options *o, const json_t *body, const char *id)
{
	struct err e;
	struct foreground f = {.stream = {.fd = -1, .signal_fd = -1}};
	bool detached = false;
	int status;
	if (start_foreground(cli, o, body, id, &f, &e) < 0) {
		stream_close(&f.stream);
		status = refuse_run("run", &e, start_status(&e));
	} else if (stream_relay(&f.stream, &detached, &e) < 0) {
		stream_close(&f.stream);
		status = cli_fail(&e);
	} else {
		stream_close(&f.stream);
		status = detached                            ? 0
			 : wait_end(f.wait, &status, &e) < 0 ? (cli_fail(&e), STATUS_ENGINE)
							     : status;
	}
	http_client_free(f.wait);
	return status;
}

static int run_with(struct cli *cli, const struct run_options *o, char **words)
{
	struct err e;
	scoped(free) char *id = NULL;
	if (check_pull(o, &e) < 0) {
		return refuse_run("run", &e, STATUS_ENGINE);
	}
	scoped(json) json_t *body = run_body(o, words, &e);
	if (!body) {
		return refuse_run("run", &e, STATUS_ENGINE);
	}
	if (o->detach && o->attach.n > 0) {
		fprintf(stderr, "conflicting options: cannot specify both --attach and --detach\n");
		return 1;
	}
	if (!o->detach && stream_check_tty(json_bool(body, "AttachStdin"), o->tty, &e) < 0) {
		return cli_fail(&e);
	}
	put_console_size(o, body);
	if (create(cli, o, body, &id, &e) < 0) {
		return refuse_run("run", &e, STATUS_ENGINE);
	}
	if (!o->detach) {
		return run_foreground(cli, o, body, id);
	}
	if (engine_on(cli, "POST", "/containers/", id, "/start", NULL, &e) < 0) {
		return refuse_run("run", &e, start_status(&e));
	}
	printf("%s\n", id);
	return 0;
}

static int create_with(struct cli *cli, const struct run_options *o, char **words)
{
	struct err e;
	scoped(free) char *id = NULL;
	if (check_pull(o, &e) < 0) {
		return refuse_run("create", &e, STATUS_ENGINE);
	}
	scoped(json) json_t *body = run_body(o, words, &e);
	if (!body) {
		return refuse_run("create", &e, STATUS_ENGINE);
	}
	if (create(cli, o, body, &id, &e) < 0) {
		return cli_fail(&e);
	}
	printf("%s\n", id);
	return 0;
}

static int parse_and(struct cli *cli, int argc, char **argv, const struct syntax *s, bool is_run,
	int (*fn)(struct cli *cli, const struct run_options *o, char **words))
{
	struct run_options o;
	struct flag flags[RUN_FLAGS_MAX];
	run_options_init(&o);
	run_flags(&o, is_run, flags);
	int status = flags_parse(s, flags, &argc, argv);
	if (status < 0) {
		argv[argc] = NULL;
		status = fn(cli, &o, argv + 1);
	}
	run_options_deinit(&o);
	return status;
}

int command_run(struct cli *cli, int argc, char **argv)
{
	const struct syntax s = {"run", "[OPTIONS] IMAGE [COMMAND] [ARG...]",
		"Create and run a new container from an image", 1, -1, true};
	return parse_and(cli, argc, argv, &s, true, run_with);
}

int command_create(struct cli *cli, int argc, char **argv)
{
	const struct syntax s = {"create", "[OPTIONS] IMAGE [COMMAND] [ARG...]",
		"Create a new container", 1, -1, true};
	return parse_and(cli, argc, argv, &s, false, create_with);
}
