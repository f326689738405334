/* Builds of services go the way of `wherry build`, so that both treat context, .dockerignore and
 * Dockerfile alike; several at the same time have one display. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/sha256.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "wherry/build_classic.h"
#include "wherry/build_run.h"
#include "wherry/build_url.h"
#include "wherry/compose.h"
#include "wherry/compose_bake.h"
#include "wherry/flags.h"

#define SERVICE "service:"

/* One service's build; the options borrow from it. */
struct service_build {
	const struct service *service;
	struct build_options options;
	char *dockerfile;
	struct build_job job;
	bool ready; /* job was initialised */
	bool done;
};

static void add_pairs(struct strv *list, const struct pairs *pairs)
{
	for (size_t i = 0; i < pairs->n; i++) {
		if (pairs->v[i].value) {
			strv_addf(list, "%s=%s", pairs->v[i].name, pairs->v[i].value);
		}
	}
}

static void add_words(struct strv *list, const struct words *words)
{
	for (size_t i = 0; i < words->n; i++) {
		strv_add(list, words->v[i]);
	}
}

/* What another service is built to is a context by its image. */
static int add_contexts(
	const struct compose *c, const struct build *b, struct strv *list, struct err *e)
{
	for (size_t i = 0; i < b->contexts.n; i++) {
		const struct pair *p = &b->contexts.v[i];
		const char *value = p->value ? p->value : "";
		const struct service *other =
			text_starts(value, SERVICE)
				? project_service(c->project, value + sizeof(SERVICE) - 1)
				: NULL;
		if (text_starts(value, SERVICE) && !other) {
			return err_set(e, ERR_INVALID,
				"additional_contexts: %s: no such service: %s", p->name,
				value + sizeof(SERVICE) - 1);
		}
		strv_addf(list, "%s=%s%s", p->name, other ? "docker-image://" : "",
			other ? other->image : value);
	}
	return 0;
}

static void add_platforms(
	const struct service *s, const struct compose_build_options *o, struct strv *list)
{
	const struct words *all = &s->build->platforms;
	if (all->n > 0 && !o->to_run) {
		add_words(list, all);
	} else if (s->platform || all->n > 0) {
		strv_add(list, s->platform ? s->platform : all->v[0]);
	}
}

static int fill_options(struct compose *c, struct service_build *sb,
	const struct compose_build_options *o, struct err *e)
{
	const struct service *s = sb->service;
	const struct build *b = s->build;
	struct build_options *to = &sb->options;
	if (b->dockerfile && *b->dockerfile != '/' && !build_url_is_remote(b->context)) {
		sb->dockerfile = path_join(b->context, b->dockerfile);
	}
	*to = (struct build_options){.operand = b->context,
		.file = sb->dockerfile ? sb->dockerfile : b->dockerfile,
		.dockerfile_text = b->dockerfile_inline,
		.no_cache = o->no_cache || b->no_cache,
		.pull = o->pull || b->pull,
		.quiet = o->quiet,
		.push = o->push,
		.call = o->check ? "check" : NULL,
		.network = b->network,
		.target = b->target,
		.shm_size_bytes = b->shm_size_bytes == UNSET ? 0 : b->shm_size_bytes,
		.memory_bytes = o->memory_bytes,
		.rm = true,
		.source = s->name};
	strv_add(&to->tags, s->image);
	add_words(&to->tags, &b->tags);
	add_pairs(&to->build_args, &b->args);
	strv_copy(&to->build_args, o->args ? o->args : &(const struct strv){0});
	add_pairs(&to->labels, &b->labels);
	strv_addf(&to->labels, LABEL "project=%s", c->project->name);
	strv_addf(&to->labels, LABEL "service=%s", s->name);
	strv_add(&to->labels, LABEL "version=2.40.3");
	add_words(&to->add_hosts, &b->extra_hosts);
	add_words(&to->cache_from, &b->cache_from);
	add_words(&to->cache_to, &b->cache_to);
	add_words(&to->no_cache_filter, &b->no_cache_filter);
	add_words(&to->allow, &b->entitlements);
	add_platforms(s, o, &to->platforms);
	for (size_t i = 0; i < b->n_ulimits; i++) {
		strv_addf(&to->ulimits, "%s=%lld:%lld", b->ulimits[i].name,
			(long long)b->ulimits[i].soft, (long long)b->ulimits[i].hard);
	}
	for (size_t i = 0; i < b->ssh.n; i++) {
		const char *value = b->ssh.v[i].value;
		strv_addf(&to->ssh, "%s%s%s", b->ssh.v[i].name, value && *value ? "=" : "",
			value ? value : "");
	}
	strv_copy(&to->ssh, o->ssh ? o->ssh : &(const struct strv){0});
	return add_contexts(c, b, &to->contexts, e);
}

/* Known to the steps by the target's name, as docker compose does. */
static int add_secrets(struct service_build *sb, struct err *e)
{
	static const char prefix[] = "/run/secrets/";
	const struct build *b = sb->service->build;
	for (size_t i = 0; i < b->n_secrets; i++) {
		const struct file_use *u = &b->secrets[i];
		const char *id =
			text_starts(u->target, prefix) ? u->target + sizeof(prefix) - 1 : u->key;
		if (u->path) {
			strv_addf(&sb->options.secrets, "id=%s,\"src=%s\"", id, u->path);
		} else if (!u->content) {
			return err_set(e, ERR_INVALID,
				"the secret %s of the build has neither a file nor a value",
				u->key);
		}
	}
	return 0;
}

static void add_secret_texts(struct service_build *sb)
{
	static const char prefix[] = "/run/secrets/";
	const struct build *b = sb->service->build;
	for (size_t i = 0; i < b->n_secrets; i++) {
		const struct file_use *u = &b->secrets[i];
		bool named = text_starts(u->target, prefix);
		if (!u->path) {
			build_request_secret(&sb->job.request,
				named ? u->target + sizeof(prefix) - 1 : u->key, u->content);
		}
	}
}

static int prepare(struct compose *c, struct service_build *sb,
	const struct compose_build_options *o, struct err *e)
{
	if (fill_options(c, sb, o, e) < 0 || add_secrets(sb, e) < 0) {
		return err_wrap(e, "service \"%s\"", sb->service->name);
	}
	sb->ready = true;
	if (build_job_init(&sb->job, &sb->options, e) < 0 ||
		build_request_context(&sb->job.request, &sb->options, e) < 0) {
		return err_wrap(e, "service \"%s\"", sb->service->name);
	}
	add_secret_texts(sb);
	return 0;
}

/* --- several --- */

static bool waits_for(const struct service_build *sb, const struct service_build *other)
{
	const struct pairs *contexts = &sb->service->build->contexts;
	for (size_t i = 0; i < contexts->n; i++) {
		const char *value = contexts->v[i].value;
		if (value && text_starts(value, SERVICE) &&
			strcmp(value + sizeof(SERVICE) - 1, other->service->name) == 0) {
			return true;
		}
	}
	return false;
}

/* Those whose contexts are built. */
static size_t choose_ready(struct service_build *all, size_t n, struct service_build **ret)
{
	size_t chosen = 0;
	for (size_t i = 0; i < n; i++) {
		bool waits = all[i].done;
		for (size_t k = 0; k < n && !waits; k++) {
			waits = !all[k].done && waits_for(&all[i], &all[k]);
		}
		if (!waits) {
			ret[chosen++] = &all[i];
		}
	}
	return chosen;
}

static void run_classic(struct compose *c, struct service_build **some, size_t n)
{
	bool ok = true;
	for (size_t i = 0; i < n && ok; i++) {
		ok = build_classic(c->cli, &some[i]->options, &some[i]->job.request) == 0;
		some[i]->job.ok = ok;
	}
}

/* The jobs are moved into an array and back, because build_run wants one. */
static int run_some(struct compose *c, struct service_build **some, size_t n, struct err *e)
{
	struct build_job *jobs = xnew_array(struct build_job, n);
	for (size_t i = 0; i < n; i++) {
		jobs[i] = some[i]->job;
	}
	bool check = some[0]->options.call != NULL;
	bool classic = build_run(c->cli, jobs, n, check ? "quiet" : c->progress_mode) < 0;
	for (size_t i = 0; i < n; i++) {
		some[i]->job = jobs[i];
		some[i]->done = true;
	}
	free(jobs);
	if (classic) {
		run_classic(c, some, n);
	}
	int result = 0;
	for (size_t i = 0; i < n; i++) {
		const struct service_build *sb = some[i];
		if (check && sb->job.ok && !classic) {
			if (build_outcome_answer(&some[i]->job) != 0) {
				result = err_set(e, ERR_INVALID, "the checks of service %s failed",
					sb->service->name);
			}
			continue;
		}
		bool ok = sb->job.ok && (classic || build_outcome(c->cli, &sb->job, e) == 0);
		compose_progress_say(
			c->progress, "Service", sb->service->name, ok ? "Built" : "Error");
		if (!ok && result == 0) {
			result = err_set(
				e, ERR_SYSTEM, "failed to build service %s", sb->service->name);
		}
	}
	return result;
}

static int run_all(struct compose *c, struct service_build *all, size_t n, struct err *e)
{
	scoped(free) struct service_build **some = xnew_array(struct service_build *, n);
	compose_progress_leave(c->progress);
	for (size_t done = 0; done < n;) {
		size_t chosen = choose_ready(all, n, some);
		if (chosen == 0) {
			return err_set(e, ERR_INVALID,
				"additional_contexts: services are contexts of each other");
		}
		if (run_some(c, some, chosen, e) < 0) {
			return -1;
		}
		done += chosen;
	}
	return 0;
}

/* What docker compose says with --dry-run. */
static void pretend_build(struct compose *c, const struct service *s)
{
	char digest[72];
	sha256_digest(s->name, strlen(s->name), digest);
	scoped(free) char *written =
		xasprintf("==> ==> writing image dryRun-%.40s", digest + strlen("sha256:"));
	scoped(free) char *named = xasprintf("==> ==> naming to %s", s->image);
	compose_progress_event(c->progress, s->name, written, "");
	compose_progress_event(c->progress, s->name, named, "");
	compose_progress_event(c->progress, s->name, "", "Built");
}

static void print_bake(const struct service_build *all, size_t n)
{
	scoped(json) json_t *bake = bake_new();
	for (size_t i = 0; i < n; i++) {
		bake_add(bake, all[i].service->name, &all[i].options);
	}
	char *text = json_dumps(bake, JSON_INDENT(2));
	printf("%s\n", text ? text : "{}");
	free(text);
}

int compose_build_services(struct compose *c, const struct service *const *services, size_t n,
	const struct compose_build_options *o, struct err *e)
{
	for (size_t i = 0; c->dry_run && i < n; i++) {
		pretend_build(c, services[i]);
	}
	if (c->dry_run) {
		return 0;
	}
	struct service_build *all = xnew_array(struct service_build, n + 1);
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		all[i].service = services[i];
		r = prepare(c, &all[i], o, e);
	}
	if (r == 0 && o->print) {
		print_bake(all, n);
	} else if (r == 0 && n > 0) {
		r = run_all(c, all, n, e);
	}
	for (size_t i = 0; i < n; i++) {
		if (all[i].ready) {
			build_job_deinit(&all[i].job);
		}
		build_options_deinit(&all[i].options);
		free(all[i].dockerfile);
	}
	free(all);
	return r;
}

/* --- the command --- */

static int build_selected(struct compose *c, const struct compose_build_options *o,
	bool with_dependencies, struct err *e)
{
	scoped(free) bool *selected = xnew_array(bool, c->project->n_services + 1);
	scoped(free) const struct service **services =
		xnew_array(const struct service *, c->project->n_services + 1);
	size_t n = 0;
	if (plan_select(c->project, &c->services, !with_dependencies, selected, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < c->project->n_services; i++) {
		if (selected[i] && c->project->services[i].build) {
			services[n++] = &c->project->services[i];
		}
	}
	return compose_build_services(c, services, n, o, e);
}

/* As `wherry build` has it. */
static int check_builder(
	const char *builder, const char *provenance, const char *sbom, struct err *e)
{
	if (builder && *builder && strcmp(builder, "default") != 0) {
		return err_set(e, ERR_INVALID,
			"no builder \"%s\" found: an engine is the only builder, -H and --context choose it",
			builder);
	}
	bool attests = (provenance && strcmp(provenance, "false") != 0) ||
		       (sbom && strcmp(sbom, "false") != 0);
	return attests ? err_set(e, ERR_INVALID, "attestations are not made; only false is taken")
		       : 0;
}

int compose_build(struct compose *c, int argc, char **argv)
{
	struct compose_build_options o = {0};
	scoped(strv) struct strv args = STRV_INIT;
	scoped(strv) struct strv ssh = STRV_INIT;
	bool with_dependencies = false;
	const char *builder = getenv("BUILDX_BUILDER");
	const char *provenance = NULL;
	const char *sbom = NULL;
	const struct flag flags[] = {
		{"build-arg", 0, FLAG_LIST, &args, "stringArray",
			"Set build-time variables for services"},
		{"builder", 0, FLAG_STRING, &builder, NULL, "Set builder to use: only \"default\""},
		{"check", 0, FLAG_BOOL, &o.check, NULL, "Check build configuration"},
		{"compress", 0, FLAG_BOOL, NULL, NULL, NULL}, /* of docker-compose 1 */
		{"force-rm", 0, FLAG_BOOL, NULL, NULL, NULL},
		{"memory", 'm', FLAG_SIZE, &o.memory_bytes, NULL,
			"Set memory limit for the build container"},
		{"no-cache", 0, FLAG_BOOL, &o.no_cache, NULL,
			"Do not use cache when building the image"},
		{"no-rm", 0, FLAG_BOOL, NULL, NULL, NULL},
		{"parallel", 0, FLAG_BOOL, NULL, NULL, NULL},
		{"print", 0, FLAG_BOOL, &o.print, NULL, "Print equivalent bake file"},
		{"progress", 0, FLAG_STRING, &c->progress_mode, NULL, NULL},
		{"provenance", 0, FLAG_STRING, &provenance, NULL,
			"Attestations are not made: only \"false\""},
		{"pull", 0, FLAG_BOOL, &o.pull, NULL,
			"Always attempt to pull a newer version of the image"},
		{"push", 0, FLAG_BOOL, &o.push, NULL, "Push service images"},
		{"quiet", 'q', FLAG_BOOL, &o.quiet, NULL, "Suppress the build output"},
		{"sbom", 0, FLAG_STRING, &sbom, NULL, "Attestations are not made: only \"false\""},
		{"ssh", 0, FLAG_LIST, &ssh, "string",
			"Set SSH authentications used when building service images. (use 'default' for using your default SSH Agent)"},
		{"with-dependencies", 0, FLAG_BOOL, &with_dependencies, NULL,
			"Also build dependencies (transitively)"},
		{0},
	};
	const struct syntax s = {"compose build", "[OPTIONS] [SERVICE...]",
		"Build or rebuild services", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	o.args = &args;
	o.ssh = &ssh;
	if (check_builder(builder, provenance, sbom, &e) < 0) {
		return cli_fail(&e);
	}
	if (compose_load(c, argv + 1, argc - 1, &e) < 0) {
		return cli_fail(&e);
	}
	compose_begin(c, "Building");
	return build_selected(c, &o, with_dependencies, &e) < 0 ? cli_fail(&e) : 0;
}
