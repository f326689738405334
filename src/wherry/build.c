#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "wherry/auth.h"
#include "wherry/context.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/human.h"
#include "wherry/progress.h"
#include "wherry/specs.h"

#define FILE_MAX (1u << 20)
#define SHOW_EVERY_MS 100

struct build {
	bool no_cache, pull, quiet, rm, force_rm, compress, squash, push, load;
	const char *file, *network, *target, *platform, *iidfile;
	const char *cgroup_parent, *cpuset_cpus, *cpuset_mems, *isolation;
	int64_t shm_size, memory, memory_swap, cpu_period, cpu_quota, cpu_shares;
	struct strv tags, build_args, labels, add_hosts, cache_from, ulimits, security_opts,
		buildkit;
};

/* Where the context comes from. */
struct input {
	struct context *context; /* or NULL: stdin as it is */
	struct buf early;        /* of stdin, read to find out what it is */
	size_t early_sent;
	char *dockerfile; /* its name inside the context */
	int64_t shown_ms;
	bool show;
};

static void input_deinit(struct input *in)
{
	context_free(in->context);
	buf_deinit(&in->early);
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

static int read_stdin(struct buf *ret, size_t limit, struct err *e)
{
	char data[4096];
	while (ret->len < limit) {
		ssize_t n = read(STDIN_FILENO, data,
			limit - ret->len < sizeof(data) ? limit - ret->len : sizeof(data));
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return err_sys(e, errno, "cannot read stdin");
		}
		if (n == 0) {
			break;
		}
		buf_append(ret, data, (size_t)n);
	}
	return 0;
}

/* A Dockerfile that is not in the directory joins the context under a name that no file has. */
static int add_foreign(struct input *in, const char *dir, const char *file, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	char id[ID_LEN + 1];
	struct ignore *ignore;
	int r = 0;
	if (strcmp(file, "-") == 0) {
		r = read_stdin(&text, FILE_MAX, e);
	} else {
		int got = path_read(AT_FDCWD, file, FILE_MAX, &text);
		r = got < 0 ? err_sys(e, -got,
				      "unable to prepare context: unable to open Dockerfile %s",
				      file)
			    : 0;
	}
	if (r < 0) {
		return -1;
	}
	id_new(id);
	in->dockerfile = xasprintf(".dockerfile.%.20s", id);
	if (load_ignore(dir, in->dockerfile, &ignore, e) < 0) {
		return -1;
	}
	in->context = context_new(dir, ignore, e);
	if (in->context) {
		context_add(in->context, in->dockerfile, buf_str(&text), text.len);
	}
	return in->context ? 0 : -1;
}

static int open_directory(struct input *in, const char *dir, const char *file, struct err *e)
{
	struct stat st;
	struct ignore *ignore;
	if (stat(dir, &st) < 0) {
		return err_set(
			e, ERR_INVALID, "unable to prepare context: path \"%s\" not found", dir);
	}
	if (!S_ISDIR(st.st_mode)) {
		return err_set(e, ERR_INVALID,
			"unable to prepare context: context must be a directory: %s", dir);
	}
	if (file && strcmp(file, "-") == 0) {
		return add_foreign(in, dir, file, e);
	}
	/* -f is relative to the working directory; "-f sub/Dockerfile ctx" of older habits is found
	 * in the context too */
	scoped(free) char *dflt = path_join(dir, "Dockerfile");
	scoped(free) char *below = path_join(dir, file ? file : "Dockerfile");
	const char *chosen = !file                                                ? dflt
			     : access(file, F_OK) < 0 && access(below, F_OK) == 0 ? below
										  : file;
	if (access(chosen, R_OK) < 0) {
		return err_sys(e, errno,
			"unable to prepare context: unable to evaluate symlinks in Dockerfile path: %s",
			chosen);
	}
	in->dockerfile = inside(dir, chosen);
	if (!in->dockerfile) {
		return add_foreign(in, dir, chosen, e);
	}
	if (load_ignore(dir, in->dockerfile, &ignore, e) < 0) {
		return -1;
	}
	in->context = context_new(dir, ignore, e);
	return in->context ? 0 : -1;
}

static bool is_archive(const struct buf *b)
{
	static const struct {
		size_t at, n;
		const char *bytes;
	} magics[] = {{257, 5, "ustar"}, {0, 2, "\x1f\x8b"}, {0, 3, "BZh"},
		{0, 6,
			"\xfd"
			"7zXZ"},
		{0, 4, "\x28\xb5\x2f\xfd"}};
	for (size_t i = 0; i < sizeof(magics) / sizeof(*magics); i++) {
		if (b->len >= magics[i].at + magics[i].n &&
			memcmp(b->data + magics[i].at, magics[i].bytes, magics[i].n) == 0) {
			return true;
		}
	}
	return false;
}

/* "-": an archive is the context; anything else is a Dockerfile, and the context is empty but for
 * it. */
static int open_stdin(struct input *in, const char *file, struct err *e)
{
	if (read_stdin(&in->early, 512, e) < 0) {
		return -1;
	}
	if (is_archive(&in->early)) {
		in->dockerfile = xstrdup(file ? file : "Dockerfile");
		return 0;
	}
	if (file) {
		return err_set(e, ERR_INVALID,
			"invalid argument: can't use -f with a Dockerfile from stdin");
	}
	char template[] = "/tmp/wherry-build-XXXXXX";
	if (read_stdin(&in->early, FILE_MAX, e) < 0) {
		return -1;
	}
	if (!mkdtemp(template)) {
		return err_sys(e, errno, "cannot make a temporary directory");
	}
	in->context = context_new(template, NULL, e);
	rmdir(template); /* it is open, and stays empty */
	if (!in->context) {
		return -1;
	}
	in->dockerfile = xstrdup("Dockerfile");
	context_add(in->context, "Dockerfile", buf_str(&in->early), in->early.len);
	return 0;
}

static int open_input(struct input *in, const char *operand, const char *file, struct err *e)
{
	static const char *const remote[] = {
		"http://", "https://", "git://", "git@", "github.com/"};
	for (size_t i = 0; i < sizeof(remote) / sizeof(*remote); i++) {
		if (text_starts(operand, remote[i]) && access(operand, F_OK) < 0) {
			return err_set(e, ERR_INVALID,
				"building from a URL is not supported: fetch %s and build the directory",
				operand);
		}
	}
	return strcmp(operand, "-") == 0 ? open_stdin(in, file, e)
					 : open_directory(in, operand, file, e);
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
	if (in->early_sent < in->early.len) {
		size_t left = in->early.len - in->early_sent;
		size_t part = left < n ? left : n;
		memcpy(data, in->early.data + in->early_sent, part);
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
static int put_limits(const struct build *o, struct buf *path, struct err *e)
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
	list_query(path, "securityopt", json_strv(&o->security_opts));
	number_query(path, "shmsize", o->shm_size);
	number_query(path, "memory", o->memory);
	number_query(path, "memswap", o->memory_swap);
	number_query(path, "cpuperiod", o->cpu_period);
	number_query(path, "cpuquota", o->cpu_quota);
	number_query(path, "cpushares", o->cpu_shares);
	path_query(path, "cpusetcpus", o->cpuset_cpus);
	path_query(path, "cpusetmems", o->cpuset_mems);
	path_query(path, "cgroupparent", o->cgroup_parent);
	path_query(path, "isolation", o->isolation);
	return 0;
}

static int make_path(const struct build *o, const struct input *in, struct buf *path, struct err *e)
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
	path_query(path, "squash", o->squash ? "1" : NULL);
	path_query(path, "target", o->target);
	path_query(path, "networkmode", o->network);
	path_query(path, "platform", o->platform);
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

static int write_iidfile(const struct build *o, const char *id, struct err *e)
{
	int r = o->iidfile && id ? path_write(AT_FDCWD, o->iidfile, id, strlen(id), 0644, false)
				 : 0;
	return r < 0 ? err_sys(e, -r, "cannot write %s", o->iidfile) : 0;
}

/* -q keeps the output back: it is only of interest when the build fails. */
static int show_answer(struct cli *cli, const struct build *o, int *ret_status, struct err *e)
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

static int send_build(
	struct cli *cli, const struct build *o, struct input *in, int *ret_status, struct err *e)
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

static int build_with(struct cli *cli, const struct build *o, const char *operand)
{
	struct err e;
	struct input in = {.show = !o->quiet};
	int status = 1;
	int r = open_input(&in, operand, o->file, &e);
	if (r == 0) {
		r = send_build(cli, o, &in, &status, &e);
	}
	input_deinit(&in);
	return r < 0 ? (cli_fail(&e), status) : 0;
}

/* What `docker build` has where buildx is behind it. */
static int check_buildkit(const char *value, struct err *e)
{
	return err_set(e, ERR_INVALID, "it needs BuildKit, which this engine does not have");
}

/* No attestation is made, which is what people ask for by false. */
static int check_attestation(const char *value, struct err *e)
{
	return strcmp(value, "false") == 0
		       ? 0
		       : err_set(e, ERR_INVALID, "attestations are not made; only false is taken");
}

static int check_progress(const char *value, struct err *e)
{
	static const char *const modes[] = {"auto", "plain", "tty", "quiet", "rawjson"};
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		if (strcmp(value, modes[i]) == 0) {
			return 0;
		}
	}
	return err_set(e, ERR_INVALID, "invalid progress mode %s", value);
}

int command_build(struct cli *cli, int argc, char **argv)
{
	struct build o = {.rm = true};
	struct flag_checked needs_buildkit = {&o.buildkit, check_buildkit};
	struct flag_checked attestation = {&o.buildkit, check_attestation};
	struct flag_checked progress = {&o.buildkit, check_progress};
	const struct flag flags[] = {
		{"add-host", 0, FLAG_LIST, &o.add_hosts, NULL,
			"Add a custom host-to-IP mapping (\"host:ip\")"},
		{"build-arg", 0, FLAG_LIST, &o.build_args, NULL, "Set build-time variables"},
		{"cache-from", 0, FLAG_LIST, &o.cache_from, "strings",
			"Images to consider as cache sources"},
		{"cgroup-parent", 0, FLAG_STRING, &o.cgroup_parent, NULL,
			"Set the parent cgroup for the \"RUN\" instructions during build"},
		{"compress", 0, FLAG_BOOL, &o.compress, NULL,
			"Compress the build context using gzip"},
		{"cpu-period", 0, FLAG_INT, &o.cpu_period, NULL,
			"Limit the CPU CFS (Completely Fair Scheduler) period"},
		{"cpu-quota", 0, FLAG_INT, &o.cpu_quota, NULL,
			"Limit the CPU CFS (Completely Fair Scheduler) quota"},
		{"cpu-shares", 'c', FLAG_INT, &o.cpu_shares, NULL, "CPU shares (relative weight)"},
		{"cpuset-cpus", 0, FLAG_STRING, &o.cpuset_cpus, NULL,
			"CPUs in which to allow execution (0-3, 0,1)"},
		{"cpuset-mems", 0, FLAG_STRING, &o.cpuset_mems, NULL,
			"MEMs in which to allow execution (0-3, 0,1)"},
		{"disable-content-trust", 0, FLAG_BOOL, NULL, NULL,
			"Skip image verification (default true)"},
		{"file", 'f', FLAG_STRING, &o.file, NULL,
			"Name of the Dockerfile (Default is \"PATH/Dockerfile\")"},
		{"force-rm", 0, FLAG_BOOL, &o.force_rm, NULL,
			"Always remove intermediate containers"},
		{"iidfile", 0, FLAG_STRING, &o.iidfile, NULL, "Write the image ID to the file"},
		{"isolation", 0, FLAG_STRING, &o.isolation, NULL, "Container isolation technology"},
		{"label", 0, FLAG_LIST, &o.labels, NULL, "Set metadata for an image"},
		{"memory", 'm', FLAG_SIZE, &o.memory, NULL, "Memory limit"},
		{"memory-swap", 0, FLAG_SIZE, &o.memory_swap, NULL,
			"Swap limit equal to memory plus swap: -1 to enable unlimited swap"},
		{"network", 0, FLAG_STRING, &o.network, NULL,
			"Set the networking mode for the RUN instructions during build"},
		{"no-cache", 0, FLAG_BOOL, &o.no_cache, NULL,
			"Do not use cache when building the image"},
		{"platform", 0, FLAG_STRING, &o.platform, NULL,
			"Set platform if server is multi-platform capable"},
		{"pull", 0, FLAG_BOOL, &o.pull, NULL,
			"Always attempt to pull a newer version of the image"},
		{"quiet", 'q', FLAG_BOOL, &o.quiet, NULL,
			"Suppress the build output and print image ID on success"},
		{"rm", 0, FLAG_BOOL, &o.rm, NULL,
			"Remove intermediate containers after a successful build (default true)"},
		{"security-opt", 0, FLAG_LIST, &o.security_opts, "strings", "Security options"},
		{"shm-size", 0, FLAG_SIZE, &o.shm_size, NULL, "Size of \"/dev/shm\""},
		{"tag", 't', FLAG_LIST, &o.tags, NULL,
			"Name and optionally a tag in the \"name:tag\" format"},
		{"load", 0, FLAG_BOOL, &o.load, NULL, NULL}, /* it always is */
		{"push", 0, FLAG_BOOL, &o.push, NULL, NULL},
		{"builder", 0, FLAG_LIST, &o.buildkit, NULL, NULL},
		{"progress", 0, FLAG_CHECKED, &progress, NULL, NULL},
		{"provenance", 0, FLAG_CHECKED, &attestation, NULL, NULL},
		{"sbom", 0, FLAG_CHECKED, &attestation, NULL, NULL},
		{"attest", 0, FLAG_CHECKED, &needs_buildkit, NULL, NULL},
		{"build-context", 0, FLAG_CHECKED, &needs_buildkit, NULL, NULL},
		{"cache-to", 0, FLAG_CHECKED, &needs_buildkit, NULL, NULL},
		{"output", 'o', FLAG_CHECKED, &needs_buildkit, NULL, NULL},
		{"secret", 0, FLAG_CHECKED, &needs_buildkit, NULL, NULL},
		{"ssh", 0, FLAG_CHECKED, &needs_buildkit, NULL, NULL},
		{"squash", 0, FLAG_BOOL, &o.squash, NULL, NULL},
		{"target", 0, FLAG_STRING, &o.target, NULL, "Set the target build stage to build."},
		{"ulimit", 0, FLAG_LIST, &o.ulimits, "ulimit", "Ulimit options (default [])"},
		{0},
	};
	const struct syntax s = {
		"build", "[OPTIONS] PATH | -", "Build an image from a Dockerfile", 1, 1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status < 0 && o.push) {
		struct err e;
		(void)err_set(&e, ERR_INVALID,
			"--push needs BuildKit, which this engine does not have: push the image afterwards");
		status = cli_fail(&e);
	} else if (status < 0) {
		status = build_with(cli, &o, argv[1]);
	}
	struct strv *const lists[] = {&o.tags, &o.build_args, &o.labels, &o.add_hosts,
		&o.cache_from, &o.ulimits, &o.security_opts, &o.buildkit, NULL};
	for (size_t i = 0; lists[i]; i++) {
		strv_deinit(lists[i]);
	}
	return status;
}
