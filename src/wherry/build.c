/* wherry build, also `buildx build`, `image build`, `builder build` */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wherry/build_classic.h"
#include "wherry/build_run.h"
#include "wherry/flags.h"

/* No attestation is made, which is what people ask for by false. */
static int check_attestation(const char *value, struct err *e)
{
	return strcmp(value, "false") == 0 || text_ends(value, "disabled=true")
		       ? 0
		       : err_set(e, ERR_INVALID, "attestations are not made; only false is taken");
}

static int check_progress(const char *value, struct err *e)
{
	static const char *const modes[] = {"auto", "plain", "tty", "quiet", "rawjson", "none"};
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		if (strcmp(value, modes[i]) == 0) {
			return 0;
		}
	}
	return err_set(e, ERR_INVALID, "invalid progress mode %s", value);
}

static int check_builder(const char *value, struct err *e)
{
	return strcmp(value, "default") == 0
		       ? 0
		       : err_set(e, ERR_INVALID,
				 "no builder \"%s\" found: an engine is the only builder, -H and --context choose it",
				 value);
}

static int run(struct cli *cli, const struct build_options *o)
{
	struct err e;
	struct build_job job;
	int status = 1;
	if (build_job_init(&job, o, &e) < 0 || build_request_context(&job.request, o, &e) < 0) {
		fprintf(stderr, "ERROR: %s\n", e.msg);
	} else {
		bool question = *json_str(job.request.attrs, "requestid");
		status = build_run(cli, &job, 1, question && !o->progress ? "quiet" : o->progress);
		if (status == 0 && question) {
			status = build_outcome_answer(&job);
		} else if (status < 0) {
			status = build_classic(cli, o, &job.request);
		} else if (status == 0 && build_outcome(cli, &job, &e) < 0) {
			fprintf(stderr, "ERROR: %s\n", e.msg);
			status = 1;
		}
	}
	build_job_deinit(&job);
	return status;
}

int command_build(struct cli *cli, int argc, char **argv)
{
	scoped(build_options) struct build_options o = {.rm = true};
	scoped(strv) struct strv progress = STRV_INIT;
	scoped(strv) struct strv builder = STRV_INIT;
	bool check = false;
	struct flag_checked attestation = {&o.attests, check_attestation};
	struct flag_checked checked_progress = {&progress, check_progress};
	struct flag_checked checked_builder = {&builder, check_builder};
	const struct flag flags[] = {
		{"add-host", 0, FLAG_LIST, &o.add_hosts, "strings",
			"Add a custom host-to-IP mapping (format: \"host:ip\")"},
		{"allow", 0, FLAG_LIST, &o.allow, "strings",
			"Allow extra privileged entitlement (e.g., \"network.host\")"},
		{"annotation", 0, FLAG_LIST, &o.annotations, "stringArray",
			"Add annotation to the image"},
		{"attest", 0, FLAG_CHECKED, &attestation, "stringArray",
			"Attestation parameters; none are made: only \"type=...,disabled=true\""},
		{"build-arg", 0, FLAG_LIST, &o.build_args, "stringArray",
			"Set build-time variables"},
		{"build-context", 0, FLAG_LIST, &o.contexts, "stringArray",
			"Additional build contexts (e.g., name=path)"},
		{"builder", 0, FLAG_CHECKED, &checked_builder, "string",
			"Override the configured builder instance: only \"default\""},
		{"cache-from", 0, FLAG_LIST, &o.cache_from, "stringArray",
			"External cache sources (e.g., \"user/app:cache\", \"type=registry,ref=user/app\")"},
		{"cache-to", 0, FLAG_LIST, &o.cache_to, "stringArray",
			"Cache export destinations (e.g., \"type=registry,ref=user/app:cache\", \"type=inline\")"},
		{"call", 0, FLAG_STRING, &o.call, NULL,
			"Set method for evaluating build (\"build\", \"check\", \"outline\", \"targets\")"},
		{"check", 0, FLAG_BOOL, &check, NULL, "Shorthand for \"--call=check\""},
		{"cgroup-parent", 0, FLAG_STRING, &o.cgroup_parent, NULL,
			"Set the parent cgroup for the \"RUN\" instructions during build"},
		{"compress", 0, FLAG_BOOL, &o.compress, NULL, NULL},
		{"cpu-period", 0, FLAG_INT, &o.cpu_period, NULL,
			"Limit the CPU CFS (Completely Fair Scheduler) period of the steps"},
		{"cpu-quota", 0, FLAG_INT, &o.cpu_quota, NULL,
			"Limit the CPU CFS (Completely Fair Scheduler) quota of the steps"},
		{"cpu-shares", 'c', FLAG_INT, &o.cpu_shares, NULL,
			"CPU shares of the steps (relative weight)"},
		{"cpuset-cpus", 0, FLAG_STRING, &o.cpuset_cpus, NULL,
			"CPUs in which to allow the steps to run (0-3, 0,1)"},
		{"cpuset-mems", 0, FLAG_STRING, &o.cpuset_mems, NULL,
			"MEMs in which to allow the steps to run (0-3, 0,1)"},
		{"disable-content-trust", 0, FLAG_BOOL, NULL, NULL, NULL},
		{"file", 'f', FLAG_STRING, &o.file, NULL,
			"Name of the Dockerfile (default: \"PATH/Dockerfile\")"},
		{"force-rm", 0, FLAG_BOOL, &o.force_rm, NULL, NULL},
		{"iidfile", 0, FLAG_STRING, &o.iidfile, NULL, "Write the image ID to a file"},
		{"isolation", 0, FLAG_STRING, &o.isolation, NULL, NULL},
		{"label", 0, FLAG_LIST, &o.labels, "stringArray", "Set metadata for an image"},
		{"load", 0, FLAG_BOOL, &o.load, NULL, "Shorthand for \"--output=type=docker\""},
		{"memory", 'm', FLAG_SIZE, &o.memory_bytes, NULL, "Memory limit of the steps"},
		{"memory-swap", 0, FLAG_SIZE, &o.memory_swap_bytes, NULL,
			"Swap limit of the steps equal to memory plus swap: -1 to enable unlimited swap"},
		{"metadata-file", 0, FLAG_STRING, &o.metadata_file, NULL,
			"Write build result metadata to a file"},
		{"network", 0, FLAG_STRING, &o.network, NULL,
			"Set the networking mode for the \"RUN\" instructions during build"},
		{"no-cache", 0, FLAG_BOOL, &o.no_cache, NULL,
			"Do not use cache when building the image"},
		{"no-cache-filter", 0, FLAG_LIST, &o.no_cache_filter, "stringArray",
			"Do not cache specified stages"},
		{"output", 'o', FLAG_LIST, &o.outputs, "stringArray",
			"Output destination (format: \"type=local,dest=path\")"},
		{"platform", 0, FLAG_LIST, &o.platforms, "stringArray",
			"Set target platform for build"},
		{"progress", 0, FLAG_CHECKED, &checked_progress, "string",
			"Set type of progress output (\"auto\", \"none\", \"plain\", \"quiet\", \"rawjson\", \"tty\"). Use plain to show container output"},
		{"provenance", 0, FLAG_CHECKED, &attestation, "string",
			"Attestations are not made: only \"false\""},
		{"pull", 0, FLAG_BOOL, &o.pull, NULL,
			"Always attempt to pull all referenced images"},
		{"push", 0, FLAG_BOOL, &o.push, NULL, "Shorthand for \"--output=type=registry\""},
		{"quiet", 'q', FLAG_BOOL, &o.quiet, NULL,
			"Suppress the build output and print image ID on success"},
		{"rm", 0, FLAG_BOOL, &o.rm, NULL, NULL},
		{"sbom", 0, FLAG_CHECKED, &attestation, "string",
			"Attestations are not made: only \"false\""},
		{"secret", 0, FLAG_LIST, &o.secrets, "stringArray",
			"Secret to expose to the build (format: \"id=mysecret[,src=/local/secret]\")"},
		{"security-opt", 0, FLAG_LIST, &o.security_opts, NULL, NULL},
		{"shm-size", 0, FLAG_SIZE, &o.shm_size_bytes, NULL,
			"Shared memory size for build containers"},
		{"squash", 0, FLAG_BOOL, &o.squash, NULL, NULL},
		{"ssh", 0, FLAG_LIST, &o.ssh, "stringArray",
			"SSH agent socket to expose to the build (format: \"default|<id>[=<socket>|<key>[,<key>]]\")"},
		{"tag", 't', FLAG_LIST, &o.tags, "stringArray",
			"Name and optionally a tag (format: \"name:tag\")"},
		{"target", 0, FLAG_STRING, &o.target, NULL, "Set the target build stage to build"},
		{"ulimit", 0, FLAG_LIST, &o.ulimits, "ulimit", "Ulimit options (default [])"},
		{0},
	};
	const struct syntax s = {"build", "[OPTIONS] PATH | URL | -", "Start a build", 1, 1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	o.operand = argv[1];
	o.call = check ? "check" : o.call;
	o.progress = progress.n > 0 ? progress.v[progress.n - 1] : NULL;
	return run(cli, &o);
}
