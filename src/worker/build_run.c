/* RUN: crun in the foreground, on the merged root. */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "oci/passwd.h"
#include "oci/platform.h"
#include "oci/spec.h"
#include "sys/cgroup.h"
#include "worker/build.h"
#include "worker/build_exec.h"
#include "worker/build_filter.h"
#include "worker/build_mounts.h"
#include "worker/rpc.h"

#define COMMAND_SHOWN_MAX 300 /* bytes of a command in its error */
#define PIDS_MAX 2048         /* processes of a step that no option limits: fork bombs */
#define SCRIPT_NAME "script"

struct run_step {
	const struct build_step *t;
	struct build_layer layer;
	struct build_mounts mounts;
	struct strv argv, env;
	struct oci_user user;
	struct build_net net;
	struct build_filter filter;
	const char *network; /* "default", "none", "host", or a network's name */
	char *script; /* a here-document with #!: it is a file to run; its content, or NULL */
	char id[ID_LEN + 1];
};

static void scoped_run_step(struct run_step *r)
{
	build_mounts_deinit(&r->mounts);
	build_layer_abort(&r->layer);
	build_net_close(&r->net);
	build_filter_close(&r->filter);
	strv_deinit(&r->argv);
	strv_deinit(&r->env);
	free(r->script);
}

/* --- what is run --- */

/* The whole command is one here-document: its text is the script. Otherwise the shell reads them as
 * they stand. */
static void read_command(struct run_step *r)
{
	const struct df_instruction *i = r->t->i;
	const struct build_config *c = &r->t->s->c;
	if (i->json || i->n_heredocs == 0) {
		build_config_argv(c, i->json, &i->words, i->args, &r->argv);
		return;
	}
	if (i->n_heredocs == 1 && strcmp(i->args, i->heredocs[0].word) == 0) {
		scoped(free) char *text = df_heredoc_text(&i->heredocs[0]);
		if (text_starts(text, "#!")) {
			r->script = TAKE(text);
			strv_addf(&r->argv, "/dev/pipes/%s", i->heredocs[0].name);
			return;
		}
		build_config_argv(c, false, NULL, text, &r->argv);
		return;
	}
	struct buf text = BUF_INIT;
	buf_printf(&text, "%s\n", i->args);
	for (size_t k = 0; k < i->n_heredocs; k++) {
		buf_printf(&text, "%s%s\n", i->heredocs[k].data, i->heredocs[k].name);
	}
	scoped(free) char *whole = buf_take_str(&text);
	build_config_argv(c, false, NULL, whole, &r->argv);
}

static bool is_proxy(const char *assignment)
{
	static const char *const names[] = {
		"http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"};
	size_t n = strcspn(assignment, "=");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strlen(names[i]) == n && strncasecmp(assignment, names[i], n) == 0) {
			return true;
		}
	}
	return false;
}

/* A Dockerfile gets the host's network only when whoever builds it has said so. */
static bool may_use_host(const struct build *b)
{
	size_t i;
	json_t *granted;
	bool may = strcmp(json_str(b->options, "networkmode"), "host") == 0;
	json_array_foreach (json_object_get(b->options, "entitlements"), i, granted) {
		may = may || strcmp(json_string_value(granted), "network.host") == 0;
	}
	return may;
}

static int read_network(struct run_step *r, struct err *e)
{
	const char *flag = df_flag(r->t->i, "network");
	const char *asked = json_str(r->t->b->options, "networkmode");
	r->network = *asked && strcmp(asked, "bridge") != 0 ? asked : "default";
	if (!flag || strcmp(flag, "default") == 0) {
		return 0;
	}
	if (strcmp(flag, "none") != 0 && strcmp(flag, "host") != 0) {
		return err_set(e, ERR_INVALID,
			"--network must be default, none or host, not '%.60s'", flag);
	}
	if (strcmp(flag, "host") == 0 && !may_use_host(r->t->b)) {
		return err_set(e, ERR_DENIED,
			"network.host is not allowed: RUN --network=host needs --allow network.host, or --network host for the whole build");
	}
	r->network = flag;
	return 0;
}

static int read_flags(struct run_step *r, struct err *e)
{
	static const char *const allowed[] = {"mount", "network", "security", NULL};
	const struct build_step *t = r->t;
	if (df_check_flags(t->d, t->i, allowed, e) < 0) {
		return -1;
	}
	const char *security = df_flag(t->i, "security");
	if (security && strcmp(security, "sandbox") != 0) {
		(void)err_set(e, ERR_INVALID, "--security=%.40s is not supported", security);
		return build_fail(t, e);
	}
	return read_network(r, e) < 0 ? build_fail(t, e) : 0;
}

static const char *config_user(const struct build_step *t)
{
	return json_str(json_object_get(t->s->c.image, "config"), "User");
}

/* File system, command, environment, user, directory: what a label does not change, nor a proxy
 * that the Dockerfile does not declare. */
static int make_key(struct run_step *r, char key[static 65], struct err *e)
{
	const struct build_step *t = r->t;
	build_chain(&t->s->layers, key);
	build_mix(key, "RUN");
	for (size_t k = 0; k < r->argv.n; k++) {
		build_mix(key, r->argv.v[k]);
	}
	build_mix(key, "env");
	for (size_t k = 0; k < t->s->c.env.n; k++) {
		build_mix(key, t->s->c.env.v[k]);
	}
	build_mix(key, config_user(t));
	build_mix(key, build_config_workdir(&t->s->c));
	build_mix(key, r->script ? r->script : "");
	build_mix(key, strcmp(r->network, "none") == 0 ? "none" : "");
	build_mix(key, build_stage_platform(t->s));
	return build_mounts_key(&r->mounts, key, e);
}

/* Programs look for either name. */
static void set_proxy(struct run_step *r, const char *assignment)
{
	const struct strv *given = &r->t->b->build_args;
	size_t n = strcspn(assignment, "=");
	strv_env_set(&r->env, assignment);
	for (int upper = 0; upper < 2; upper++) {
		scoped(free) char *other = xstrdup(assignment);
		for (size_t k = 0; k < n; k++) {
			other[k] = (char)(upper ? toupper((unsigned char)other[k])
						: tolower((unsigned char)other[k]));
		}
		scoped(free) char *name = xstrndup(other, n);
		if (!strv_env_get(given, name)) {
			strv_env_set(&r->env, other);
		}
	}
}

static void make_env(struct run_step *r)
{
	const struct build_step *t = r->t;
	strv_copy(&r->env, &t->s->c.env);
	if (!strv_env_get(&r->env, "PATH")) {
		strv_env_set(&r->env, "PATH=" BUILD_DEFAULT_PATH);
	}
	if (!strv_env_get(&r->env, "HOME")) {
		scoped(free) char *home = xasprintf("HOME=%s", r->user.home);
		strv_env_set(&r->env, home);
	}
	for (size_t k = 0; k < t->b->build_args.n; k++) {
		if (is_proxy(t->b->build_args.v[k])) {
			set_proxy(r, t->b->build_args.v[k]);
		}
	}
}

/* --- what is mounted --- */

/* A file of ours that the step may write to, and that is no part of its root. */
static int mount_file(struct run_step *r, const char *name, const char *text, mode_t mode,
	const char *target, struct err *e)
{
	const struct build_place *p = &r->t->s->place;
	int failed = path_write(p->fd, name, text, strlen(text), mode, false);
	if (failed < 0) {
		return err_sys(e, -failed, "cannot write %s", name);
	}
	scoped(free) char *source = xasprintf("%s/%s", p->dir, name);
	return build_mounts_add(&r->mounts, source, target, "bind", "bind,rprivate", true, e);
}

static int mount_files(struct run_step *r, struct err *e)
{
	scoped(free) char *hosts = build_hosts_text(r->t->b, &r->net);
	if (mount_file(r, "hosts", hosts, 0644, "/etc/hosts", e) < 0) {
		return -1;
	}
	if (r->net.resolv &&
		mount_file(r, "resolv.conf", r->net.resolv, 0644, "/etc/resolv.conf", e) < 0) {
		return -1;
	}
	return r->script ? mount_file(r, SCRIPT_NAME, r->script, 0755, r->argv.v[0], e) : 0;
}

/* --- the bundle --- */

static json_t *step_resources(const struct build *b)
{
	json_t *given = json_object_get(b->options, "resources");
	json_t *all = given ? json_deep_copy(given) : json_object();
	if (!json_object_get(all, "pids")) {
		json_put(all, "pids", json_pack("{si}", "limit", PIDS_MAX));
	}
	return all;
}

static int write_bundle(struct run_step *r, struct err *e)
{
	struct build *b = r->t->b;
	const struct build_place *p = &r->t->s->place;
	int netns_fd = r->net.fd;
	scoped(free) char *text = NULL;
	scoped(json) json_t *resources = step_resources(b);
	scoped(free) char *netns =
		netns_fd < 0 ? NULL : xasprintf("/proc/%d/fd/%d", getpid(), netns_fd);
	scoped(json) json_t *sysctls =
		netns ? json_pack("{ss ss}", "net.ipv4.ip_unprivileged_port_start", "0",
				"net.ipv4.ping_group_range", "0 2147483647")
		      : NULL;
	if (build_filter_get(b, &r->filter, e) < 0) {
		return -1;
	}
	char hostname[ID_SHORT_LEN + 1];
	snprintf(hostname, sizeof(hostname), "%.12s", r->id);
	const struct oci_spec spec = {
		.cgroup_ns = cgroup_is_v2(),
		.rootfs = r->layer.root,
		.hostname = hostname,
		.args = &r->argv,
		.env = &r->env,
		.cwd = build_config_workdir(&r->t->s->c),
		.uid = r->user.uid,
		.gid = r->user.gid,
		.groups = r->user.groups,
		.n_groups = r->user.n_groups,
		.seccomp = r->filter.profile,
		.filter = r->filter.compiled,
		.netns = netns,
		.shm_bytes = json_i64(b->options, "shmsize", 0),
		.mounts = r->mounts.v,
		.n_mounts = r->mounts.n,
		.cgroup = p->cgroup,
		.resources = resources,
		.rlimits = json_object_get(b->options, "rlimits"),
		.sysctls = sysctls,
	};
	if (oci_spec_text(&spec, &text, e) < 0) {
		return -1;
	}
	if (build_place_mkdir(p, "bundle", 0700, e) < 0) {
		return -1;
	}
	int failed = path_write(p->fd, "bundle/config.json", text, strlen(text), 0600, false);
	return failed < 0 ? err_sys(e, -failed, "cannot write the bundle") : 0;
}

/* ": it was killed: out of memory (limit 64MB)" after a code, or "". The caller's. */
static char *memory_words(const struct build *b, const struct build_exec *done)
{
	const json_t *memory = json_object_get(json_object_get(b->options, "resources"), "memory");
	int64_t limit = json_i64(memory, "limit", 0);
	if (!done->out_of_memory) {
		return xstrdup("");
	}
	scoped(free) char *shown =
		limit > 0 ? xasprintf(" (limit %lldMB)", (long long)(limit >> 20)) : xstrdup("");
	return xasprintf(": %s killed: out of memory%s",
		done->code == 128 + SIGKILL ? "it was" : "a process of it was", shown);
}

static int refuse_code(const struct run_step *r, const struct build_exec *done, struct err *e)
{
	const struct build *b = r->t->b;
	scoped(buf) struct buf command = BUF_INIT;
	scoped(free) char *memory = memory_words(b, done);
	for (size_t k = 0; k < r->argv.n; k++) {
		buf_printf(&command, "%s%s", k ? " " : "", r->argv.v[k]);
	}
	if (command.len > COMMAND_SHOWN_MAX) {
		command.len = COMMAND_SHOWN_MAX - 3;
		buf_puts(&command, "...");
	}
	rpc_send(b->rpc, json_pack("{si}", "exit_code", done->code));
	if (b->vertices) {
		return err_set(e, ERR_INVALID,
			"process \"%s\" did not complete successfully: exit code: %d%s",
			buf_str(&command), done->code, memory);
	}
	return err_set(e, ERR_INVALID, "The command '%s' returned a non-zero code: %d%s",
		buf_str(&command), done->code, memory);
}

static int prepare_root(struct run_step *r, struct err *e)
{
	const struct build_step *t = r->t;
	scoped(strv) struct strv roots = STRV_INIT;
	if (build_layer_begin(t, &r->layer, e) < 0) {
		return -1;
	}
	strv_add(&roots, r->layer.root);
	if (oci_user_find(&roots, config_user(t), NULL, &r->user, e) < 0) {
		return -1;
	}
	make_env(r);
	/* a base image may name a directory that it does not hold */
	return build_layer_mkdirs(
		&r->layer, build_config_workdir(&t->s->c), r->user.uid, r->user.gid, e);
}

static int execute(struct run_step *r, struct err *e)
{
	const struct build_step *t = r->t;
	struct build_exec done;
	if (build_net_open(t->b, r->network, &r->net, e) < 0 || mount_files(r, e) < 0 ||
		build_mounts_make_points(&r->mounts, &r->layer, e) < 0 || write_bundle(r, e) < 0) {
		return -1;
	}
	build_say(t->b->events, t->s->turn, " ---> Running in %.12s\n", r->id);
	if (build_exec(t, r->id, &done, e) < 0) {
		return -1;
	}
	build_filter_keep(t, &r->filter, r->id);
	build_exec_forget(t, r->id);
	build_mounts_drop_points(&r->mounts, &r->layer);
	build_say(t->b->events, t->s->turn, " ---> Removed intermediate container %.12s\n", r->id);
	return done.code ? refuse_code(r, &done, e) : 0;
}

static void add_mount_env(struct run_step *r)
{
	for (size_t k = 0; k < r->mounts.env.n; k++) {
		strv_env_set(&r->env, r->mounts.env.v[k]);
	}
	for (size_t k = 0; k < r->mounts.env_defaults.n; k++) {
		const char *text = r->mounts.env_defaults.v[k];
		scoped(free) char *name = xstrndup(text, strcspn(text, "="));
		if (!strv_env_get(&r->env, name)) {
			strv_add(&r->env, text);
		}
	}
}

/* The kernel must know how to run what is not for this machine. That an image says so and is not is
 * no error, unless the platform was asked for. */
static int emulate(const struct run_step *r, struct err *e)
{
	const struct build_stage *s = r->t->s;
	struct err why;
	struct platform host, wanted;
	platform_host(&host);
	if (platform_parse(build_stage_platform(s), &wanted, e) < 0) {
		return build_fail(r->t, e);
	}
	const char *arch = json_str(s->c.image, "architecture");
	bool asked = strcmp(wanted.arch, host.arch) != 0;
	arch = asked || !*arch ? wanted.arch : arch;
	if (strcmp(arch, host.arch) == 0) {
		return 0;
	}
	scoped(json) json_t *answer =
		rpc_ask(r->t->b->rpc, json_pack("{ss ss}", "ask", "emulate", "arch", arch), &why);
	if (!answer && asked) {
		*e = why;
		return build_fail(r->t, e);
	}
	return 0;
}

static int run_uncached(struct run_step *r, const char *key, struct err *e)
{
	if (emulate(r, e) < 0) {
		return -1;
	}
	if (prepare_root(r, e) < 0) {
		return build_fail(r->t, e);
	}
	if (build_mounts_open(&r->mounts, e) < 0) {
		return -1;
	}
	add_mount_env(r);
	scoped(strv) struct strv keys = STRV_INIT;
	strv_add(&keys, key);
	if (execute(r, e) < 0 || build_layer_end(r->t, &r->layer, &keys, e) < 0) {
		return build_fail(r->t, e);
	}
	return 0;
}

static int run_unless_cached(struct run_step *r, const char *key, struct err *e)
{
	int done = build_cache_look(r->t, key, e);
	if (done != 0) {
		return done < 0 ? -1 : 0;
	}
	build_claim(r->t->s, key);
	done = build_claim_among_builds(r->t, key, e);
	if (done == 0) {
		done = build_cache_look(r->t, key, e); /* it may just have come */
	}
	if (done == 0) {
		done = run_uncached(r, key, e);
	}
	build_unclaim_among_builds(r->t, key);
	build_unclaim(r->t->s);
	return done < 0 ? -1 : 0;
}

int build_step_run(const struct build_step *t, struct err *e)
{
	scoped(run_step) struct run_step r = {.t = t};
	char key[65];
	build_mounts_init(&r.mounts, t);
	id_new(r.id);
	if (read_flags(&r, e) < 0 || build_mounts_read(&r.mounts, e) < 0) {
		return -1;
	}
	read_command(&r);
	if (r.argv.n == 0) {
		(void)err_set(e, ERR_INVALID, "RUN: the command is empty");
		return build_fail(t, e);
	}
	if (make_key(&r, key, e) < 0) {
		return -1;
	}
	if (run_unless_cached(&r, key, e) < 0) {
		return -1;
	}
	scoped(free) char *text = history_run(&t->s->c, !t->b->vertices, &r.argv);
	build_history(t->s, text, false);
	build_mix(t->s->state, t->s->layers.v[t->s->layers.n - 1]);
	return 0;
}
