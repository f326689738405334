#include "wherry/build_classic.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "wherry/auth.h"
#include "wherry/context.h"
#include "wherry/engine.h"
#include "wherry/human.h"
#include "wherry/progress.h"
#include "wherry/specs.h"

#define FILE_MAX (1u << 20)
#define SHOW_EVERY_MS 100

/* Where the context comes from. */
struct input {
	struct context *context; /* or NULL: standard input as it is */
	const struct buf *early; /* of standard input, read to find out what it is */
	size_t early_sent;
	char *dockerfile; /* its name inside the context */
	int64_t shown_ms;
	bool show;
};

static void input_deinit(struct input *in)
{
	context_free(in->context);
	free(in->dockerfile);
}

/* --- which Dockerfile, which .dockerignore --- */

/* The ignore rules of a context. The Dockerfile and .dockerignore themselves are always sent: the
 * builder needs them. */
static int load_ignore(const char *dir, const char *dockerfile, struct ignore **ret, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(free) char *own = xasprintf("%s/%s.dockerignore", dir, dockerfile);
	scoped(free) char *common = xasprintf("%s/.dockerignore", dir);
	int r = path_read(AT_FDCWD, own, FILE_MAX, &text);
	bool is_own = r == 0;
	if (r == -ENOENT || r == -ENOTDIR) {
		r = path_read(AT_FDCWD, common, FILE_MAX, &text);
	}
	*ret = NULL;
	if (r == -ENOENT || r == -ENOTDIR) {
		return 0;
	}
	if (r < 0) {
		return err_sys(e, -r, "failed to read .dockerignore");
	}
	const char *name = is_own ? own : common;
	struct ignore *g = ignore_parse(buf_str(&text), text.len, name, e);
	if (!g) {
		return -1;
	}
	bool hides = ignore_match(g, dockerfile) || ignore_match(g, ".dockerignore");
	if (hides) {
		ignore_free(g);
		buf_printf(&text, "\n!%s\n!.dockerignore\n", dockerfile);
		g = ignore_parse(buf_str(&text), text.len, name, e);
	}
	*ret = g;
	return g ? 0 : -1;
}

/* The Dockerfile's path relative to the context, or NULL when it lies outside. */
static char *inside(const char *dir, const char *file)
{
	scoped(free) char *root = realpath(dir, NULL);
	scoped(free) char *parent = xstrdup(file);
	char *slash = strrchr(parent, '/');
	scoped(free) char *name = xstrdup(slash ? slash + 1 : parent);
	if (slash) {
		*(slash == parent ? slash + 1 : slash) = '\0';
	}
	scoped(free) char *real_parent = realpath(slash ? parent : ".", NULL);
	if (!root || !real_parent) {
		return NULL;
	}
	size_t n = strlen(root);
	if (strcmp(root, real_parent) == 0) {
		return xstrdup(name);
	}
	n = strcmp(root, "/") == 0 ? 0 : n;
	if (strncmp(root, real_parent, n) != 0 || real_parent[n] != '/') {
		return NULL;
	}
	return xasprintf("%s/%s", real_parent + n + 1, name);
}

/* A Dockerfile that is not in the directory joins the context, under a name that no file has. */
static int add_foreign(
	struct input *in, const char *dir, const char *file, bool empty, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	char id[ID_LEN + 1];
	struct ignore *ignore;
	int got = path_read(AT_FDCWD, file, FILE_MAX, &text);
	if (got < 0) {
		return err_sys(
			e, -got, "unable to prepare context: unable to open Dockerfile %s", file);
	}
	id_new(id);
	in->dockerfile = empty ? xstrdup("Dockerfile") : xasprintf(".dockerfile.%.20s", id);
	if (load_ignore(dir, in->dockerfile, &ignore, e) < 0) {
		return -1;
	}
	in->context = context_new(dir, ignore, e);
	if (in->context) {
		context_add(in->context, in->dockerfile, buf_str(&text), text.len);
	}
	return in->context ? 0 : -1;
}

static const char *local_of(const struct build_request *r, const char *name)
{
	for (size_t i = 0; i < r->n_locals; i++) {
		if (strcmp(r->locals[i].name, name) == 0) {
			return r->locals[i].path;
		}
	}
	return NULL;
}

static int open_input(struct input *in, const struct build_request *r, struct err *e)
{
	const char *dir = local_of(r, "context");
	const char *dockerfile_dir = local_of(r, "dockerfile");
	const char *name = json_str(r->attrs, "filename");
	struct ignore *ignore;
	if (r->upload_id) {
		in->early = &r->early;
		in->dockerfile = xstrdup(name);
		return 0;
	}
	if (!dir || !dockerfile_dir) {
		return err_set(e, ERR_INVALID,
			"this engine does not speak BuildKit's API: fetch %s and build the directory",
			json_str(r->attrs, "context"));
	}
	scoped(free) char *file = path_join(dockerfile_dir, name);
	in->dockerfile = inside(dir, file);
	if (!in->dockerfile) {
		bool empty = r->temporary && text_starts(dir, r->temporary);
		return add_foreign(in, dir, file, empty, e);
	}
	if (load_ignore(dir, in->dockerfile, &ignore, e) < 0) {
		return -1;
	}
	in->context = context_new(dir, ignore, e);
	return in->context ? 0 : -1;
}

/* --- sending --- */

static void show_sent(struct input *in, bool done)
{
	char size[HUMAN_MAX];
	int64_t now = clock_mono_ms();
	if (!in->show || !in->context ||
		(!done && (!isatty(STDOUT_FILENO) || now - in->shown_ms < SHOW_EVERY_MS))) {
		return;
	}
	in->shown_ms = now;
	human_size((double)context_sent_bytes(in->context), 4, size);
	printf("%sSending build context to Wherry daemon  %s%s",
		isatty(STDOUT_FILENO) ? "\r\x1b[2K" : "", size, done ? "\n" : "");
	fflush(stdout);
}

static long input_read(void *owner, char *data, size_t n)
{
	struct input *in = owner;
	if (in->context) {
		long got = context_read(in->context, data, n);
		show_sent(in, got == 0);
		return got;
	}
	if (in->early_sent < in->early->len) {
		size_t left = in->early->len - in->early_sent;
		size_t part = left < n ? left : n;
		memcpy(data, in->early->data + in->early_sent, part);
		in->early_sent += part;
		return (long)part;
	}
	ssize_t got = read(STDIN_FILENO, data, n);
	return got < 0 ? -errno : got;
}

/* {"A": "b", "C": null}: an argument without a value takes ours, or none. */
static int put_pairs(
	struct buf *path, const char *key, const struct strv *list, bool from_env, struct err *e)
{
	scoped(json) json_t *doc = json_object();
	for (size_t i = 0; i < list->n; i++) {
		const char *text = list->v[i];
		const char *own = from_env && !strchr(text, '=') ? getenv(text) : NULL;
		if (from_env && !strchr(text, '=')) {
			json_put(doc, text, json_str_or_null(own));
		} else if (spec_label(text, doc, e) < 0) {
			return -1;
		}
	}
	scoped(free) char *text = json_text(doc);
	path_query(path, key, text);
	return 0;
}

static void number_query(struct buf *path, const char *key, int64_t value)
{
	char number[24];
	snprintf(number, sizeof(number), "%" PRId64, value);
	path_query(path, key, value ? number : NULL);
}

static void list_query(struct buf *path, const char *key, json_t *take_list)
{
	scoped(json) json_t *list = take_list;
	scoped(free) char *text = json_text(list);
	path_query(path, key, json_array_size(list) > 0 ? text : NULL);
}

/* What the steps may use. */
static int put_limits(const struct build_options *o, struct buf *path, struct err *e)
{
	scoped(json) json_t *ulimits = json_array();
	for (size_t i = 0; i < o->ulimits.n; i++) {
		json_t *one = spec_ulimit(o->ulimits.v[i], e);
		if (!one) {
			return -1;
		}
		json_array_append_new(ulimits, one);
	}
	list_query(path, "ulimits", json_incref(ulimits));
	number_query(path, "shmsize", o->shm_size_bytes);
	number_query(path, "memory", o->memory_bytes);
	number_query(path, "memswap", o->memory_swap_bytes);
	number_query(path, "cpuperiod", o->cpu_period);
	number_query(path, "cpuquota", o->cpu_quota);
	number_query(path, "cpushares", o->cpu_shares);
	path_query(path, "cpusetcpus", o->cpuset_cpus);
	path_query(path, "cpusetmems", o->cpuset_mems);
	path_query(path, "cgroupparent", o->cgroup_parent);
	return 0;
}

static int make_path(
	const struct build_options *o, const struct input *in, struct buf *path, struct err *e)
{
	buf_puts(path, "/build?version=1");
	for (size_t i = 0; i < o->tags.n; i++) {
		path_query(path, "t", o->tags.v[i]);
	}
	for (size_t i = 0; i < o->add_hosts.n; i++) {
		scoped(free) char *host = spec_add_host(o->add_hosts.v[i], e);
		if (!host) {
			return -1;
		}
		path_query(path, "extrahosts", host);
	}
	path_query(path, "dockerfile", in->dockerfile);
	path_query(path, "nocache", o->no_cache ? "1" : NULL);
	path_query(path, "pull", o->pull ? "1" : NULL);
	path_query(path, "q", o->quiet ? "1" : NULL);
	path_query(path, "rm", o->rm ? "1" : "0");
	path_query(path, "forcerm", o->force_rm ? "1" : NULL);
	path_query(path, "target", o->target);
	path_query(path, "networkmode", o->network);
	path_query(path, "platform", o->platforms.n > 0 ? o->platforms.v[0] : NULL);
	list_query(path, "cachefrom", json_strv(&o->cache_from));
	if (put_limits(o, path, e) < 0) {
		return -1;
	}
	return put_pairs(path, "buildargs", &o->build_args, true, e) < 0
		       ? -1
		       : put_pairs(path, "labels", &o->labels, false, e);
}

static void take_id(void *owner, const json_t *aux)
{
	char **id = owner;
	if (*json_str(aux, "ID")) {
		free(*id);
		*id = xstrdup(json_str(aux, "ID"));
	}
}

static int write_iidfile(const struct build_options *o, const char *id, struct err *e)
{
	int r = o->iidfile && id ? path_write(AT_FDCWD, o->iidfile, id, strlen(id), 0644, false)
				 : 0;
	return r < 0 ? err_sys(e, -r, "cannot write %s", o->iidfile) : 0;
}

/* -q keeps the output back: it is only of interest when the build fails. */
static int show_answer(
	struct cli *cli, const struct build_options *o, int *ret_status, struct err *e)
{
	char *text = NULL;
	size_t n = 0;
	int code = 0;
	scoped(free) char *id = NULL;
	FILE *out = o->quiet ? open_memstream(&text, &n) : stdout;
	int r = progress_show(cli->http, out, take_id, &id, &code, e);
	if (o->quiet) {
		fclose(out);
		fwrite(text, 1, n, r < 0 ? stderr : stdout);
		free(text);
	}
	*ret_status = code ? code : 1;
	return r < 0 ? -1 : write_iidfile(o, id, e);
}

static int send_build(struct cli *cli, const struct build_options *o, struct input *in,
	int *ret_status, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	scoped(buf) struct buf headers = BUF_INIT;
	*ret_status = 1;
	if (make_path(o, in, &path, e) < 0) {
		return -1;
	}
	buf_puts(&headers, "Content-Type: application/x-tar\r\n");
	auth_header_for_build(cli, &headers);
	const struct http_source source = {input_read, in};
	const struct http_call call = {.method = "POST",
		.path = buf_str(&path),
		.headers = buf_str(&headers),
		.source = &source};
	if (engine_send(cli->http, &call, NULL, e) < 0) {
		if (in->context && context_error(in->context)) {
			*e = *context_error(in->context);
		}
		return -1;
	}
	return show_answer(cli, o, ret_status, e);
}

/* Flags that mean nothing to such an engine. */
static int refuse(const struct build_options *o, struct err *e)
{
	const struct {
		const char *flag;
		bool given;
	} flags[] = {{"--secret", o->secrets.n > 0}, {"--ssh", o->ssh.n > 0},
		{"--output", o->outputs.n > 0}, {"--cache-to", o->cache_to.n > 0},
		{"--call", o->call && strcmp(o->call, "build") != 0},
		{"--build-context", o->contexts.n > 0},
		{"--no-cache-filter", o->no_cache_filter.n > 0},
		{"--annotation", o->annotations.n > 0}, {"--push", o->push},
		{"--metadata-file", o->metadata_file}, {"--allow", o->allow.n > 0},
		{"--platform with several",
			o->platforms.n > 1 ||
				(o->platforms.n == 1 && strchr(o->platforms.v[0], ','))}};
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		if (flags[i].given) {
			return err_set(e, ERR_INVALID,
				"%s needs BuildKit's API, which this engine does not have",
				flags[i].flag);
		}
	}
	return 0;
}

int build_classic(struct cli *cli, const struct build_options *o, struct build_request *request)
{
	struct err e;
	struct input in = {.show = !o->quiet};
	int status = 1;
	int r = refuse(o, &e);
	if (r == 0) {
		r = open_input(&in, request, &e);
	}
	if (r == 0) {
		r = send_build(cli, o, &in, &status, &e);
	}
	input_deinit(&in);
	return r < 0 ? (cli_fail(&e), status) : 0;
}
