/* config.json: what each container gets and, above all, what none may get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "oci/spec.h"

struct fixture {
	struct strv args, env;
	struct oci_spec spec;
	struct err e;
};

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);
	strv_add(&f->args, "sh");
	strv_add(&f->env, "A=b");
	f->spec = (struct oci_spec){.rootfs = "/r",
		.hostname = "h",
		.args = &f->args,
		.env = &f->env,
		.cgroup = "/wherry/x",
		.netns_inherited = true};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	strv_deinit(&f->args);
	strv_deinit(&f->env);
	free(f);
	return 0;
}

static json_t *written(struct fixture *f)
{
	scoped(free) char *text = NULL;
	assert_int_equal(oci_spec_text(&f->spec, &text, &f->e), 0);
	json_t *doc = json_parse(text, strlen(text), "config.json", &f->e);
	assert_non_null(doc);
	return doc;
}

/* "process.user.uid" */
static const json_t *at(const json_t *doc, const char *path)
{
	scoped(strv) struct strv keys = STRV_INIT;
	strv_split(&keys, path, '.');
	for (size_t i = 0; i < keys.n; i++) {
		doc = json_object_get(doc, keys.v[i]);
	}
	return doc;
}

static bool has(const json_t *list, const char *text)
{
	size_t i;
	json_t *item;
	json_array_foreach (list, i, item) {
		if (strcmp(json_string_value(item), text) == 0) {
			return true;
		}
	}
	return false;
}

static const json_t *mount_at(const json_t *doc, const char *target, size_t *ret_n)
{
	const json_t *found = NULL;
	size_t i;
	json_t *m;
	*ret_n = 0;
	json_array_foreach (json_object_get(doc, "mounts"), i, m) {
		if (strcmp(json_str(m, "destination"), target) == 0) {
			found = m;
			(*ret_n)++;
		}
	}
	return found;
}

static const json_t *namespace_of(const json_t *doc, const char *type)
{
	size_t i;
	json_t *n;
	json_array_foreach (at(doc, "linux.namespaces"), i, n) {
		if (strcmp(json_str(n, "type"), type) == 0) {
			return n;
		}
	}
	return NULL;
}

static void kernel_secrets_are_masked(void **state)
{
	struct fixture *f = *state;
	static const char *const masked[] = {"/proc/kcore", "/proc/keys", "/proc/timer_list",
		"/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/proc/acpi", "/proc/asound",
		"/sys/devices/virtual/powercap", "/proc/latency_stats"};
	static const char *const readonly[] = {
		"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs"};

	scoped(json) json_t *doc = written(f);

	for (size_t i = 0; i < sizeof(masked) / sizeof(*masked); i++) {
		assert_true(has(at(doc, "linux.maskedPaths"), masked[i]));
	}
	for (size_t i = 0; i < sizeof(readonly) / sizeof(*readonly); i++) {
		assert_true(has(at(doc, "linux.readonlyPaths"), readonly[i]));
	}
}

static void masks_fall_only_when_they_are_asked_to(void **state)
{
	struct fixture *f = *state;
	f->spec.unmasked = true;
	scoped(json) json_t *unmasked = written(f);
	f->spec.unmasked = false;
	f->spec.privileged = true;
	scoped(json) json_t *privileged = written(f);

	assert_null(at(unmasked, "linux.maskedPaths"));
	assert_null(at(privileged, "linux.maskedPaths"));
}

/* CVE-2026-47766: with an image's own /dev the runtime makes device nodes wherever a link in it
 * leads. */
static void dev_is_always_a_tmpfs(void **state)
{
	struct fixture *f = *state;
	size_t n;
	for (int privileged = 0; privileged < 2; privileged++) {
		f->spec.privileged = privileged;
		scoped(json) json_t *doc = written(f);

		const json_t *dev = mount_at(doc, "/dev", &n);

		assert_int_equal(n, 1);
		assert_string_equal(json_str(dev, "type"), "tmpfs");
		assert_string_equal(json_str(dev, "source"), "tmpfs");
		assert_true(has(json_object_get(dev, "options"), "nosuid"));
	}
}

static void what_the_user_mounts_takes_a_defaults_place(void **state)
{
	struct fixture *f = *state;
	const struct oci_mount own[] = {{"/host/shm", "/dev/shm", "bind", "rbind,rprivate"}};
	f->spec.mounts = own;
	f->spec.n_mounts = 1;
	size_t n;

	scoped(json) json_t *doc = written(f);

	const json_t *shm = mount_at(doc, "/dev/shm", &n);
	assert_int_equal(n, 1);
	assert_string_equal(json_str(shm, "type"), "bind");
}

static size_t place_of(const json_t *doc, const char *target)
{
	size_t i;
	json_t *m;
	json_array_foreach (json_object_get(doc, "mounts"), i, m) {
		if (strcmp(json_str(m, "destination"), target) == 0) {
			return i;
		}
	}
	fail_msg("nothing is mounted at %s", target);
	return 0;
}

/* An image's link /x to /dev must not put a volume's files over /dev (the class of CVE-2025-31133).
 */
static void the_engines_mounts_cover_what_links_lead_below_them(void **state)
{
	struct fixture *f = *state;
	const struct oci_mount own[] = {{"/v", "/x", "bind", "rbind"},
		{"/f", "/dev/fuse", "bind", "rbind"}, {"/d", "/developer", "bind", "rbind"}};
	f->spec.mounts = own;
	f->spec.n_mounts = 3;

	scoped(json) json_t *doc = written(f);

	assert_true(place_of(doc, "/x") < place_of(doc, "/proc"));
	assert_true(place_of(doc, "/developer") < place_of(doc, "/dev"));
	assert_true(place_of(doc, "/dev/fuse") > place_of(doc, "/dev"));
	assert_int_equal(json_array_size(json_object_get(doc, "mounts")), 7 + 3);
}

/* docker run -v /dev:/dev */
static void a_dev_of_the_users_own_has_no_defaults_in_it(void **state)
{
	struct fixture *f = *state;
	const struct oci_mount own[] = {{"/dev", "/dev", "bind", "rbind,rprivate"}};
	f->spec.mounts = own;
	f->spec.n_mounts = 1;
	size_t n;

	scoped(json) json_t *doc = written(f);

	assert_string_equal(json_str(mount_at(doc, "/dev", &n), "type"), "bind");
	assert_int_equal(n, 1);
	assert_null(mount_at(doc, "/dev/shm", &n));
	assert_null(mount_at(doc, "/dev/pts", &n));
}

static void shared_memory_has_the_size_asked_for(void **state)
{
	struct fixture *f = *state;
	size_t n;
	scoped(json) json_t *usual = written(f);
	f->spec.shm_bytes = 1048576;
	scoped(json) json_t *small = written(f);

	assert_true(
		has(json_object_get(mount_at(usual, "/dev/shm", &n), "options"), "size=67108864"));
	assert_true(
		has(json_object_get(mount_at(small, "/dev/shm", &n), "options"), "size=1048576"));
}

/* CVE-2022-24769: inheritable capabilities come back through an executable's file capabilities. */
static void no_capability_is_inheritable_or_ambient(void **state)
{
	struct fixture *f = *state;
	for (int privileged = 0; privileged < 2; privileged++) {
		f->spec.privileged = privileged;
		scoped(json) json_t *doc = written(f);
		assert_int_equal(json_array_size(at(doc, "process.capabilities.inheritable")), 0);
		assert_int_equal(json_array_size(at(doc, "process.capabilities.ambient")), 0);
		assert_non_null(at(doc, "process.capabilities.bounding"));
	}
}

static void a_user_other_than_root_has_no_effective_capability(void **state)
{
	struct fixture *f = *state;
	scoped(json) json_t *root = written(f);
	f->spec.uid = 1000;
	scoped(json) json_t *user = written(f);

	assert_non_null(at(root, "process.capabilities.effective"));
	assert_int_equal(json_array_size(at(user, "process.capabilities.effective")), 0);
	assert_int_equal(json_array_size(at(user, "process.capabilities.permitted")), 0);
}

/* CVE-2022-36109: without it, a file that is closed to the primary group opens to the process that
 * drops it. */
static void the_primary_group_is_also_a_supplementary_one(void **state)
{
	struct fixture *f = *state;
	const gid_t groups[] = {20, 1001, 46};
	f->spec.uid = 1000;
	f->spec.gid = 1001;
	f->spec.groups = groups;
	f->spec.n_groups = 3;

	scoped(json) json_t *doc = written(f);

	scoped(free) char *list = json_text(at(doc, "process.user.additionalGids"));
	assert_string_equal(list, "[1001,20,46]");
}

static void ids_above_2_31_stay_what_they_are(void **state)
{
	struct fixture *f = *state;
	f->spec.uid = 4294967294u;
	f->spec.gid = 4294967294u;

	scoped(json) json_t *doc = written(f);

	assert_int_equal(json_i64(at(doc, "process.user"), "uid", 0), 4294967294);
	assert_int_equal(json_i64(at(doc, "process.user"), "gid", 0), 4294967294);
}

static void devices_are_denied_but_for_the_harmless_ones(void **state)
{
	struct fixture *f = *state;

	scoped(json) json_t *doc = written(f);

	const json_t *rules = at(doc, "linux.resources.devices");
	const json_t *first = json_array_get(rules, 0);
	assert_false(json_bool(first, "allow"));
	assert_null(json_object_get(first, "type"));
	size_t i;
	json_t *rule;
	json_array_foreach (rules, i, rule) {
		bool opens = json_bool(rule, "allow") && strpbrk(json_str(rule, "access"), "rw");
		assert_false(opens && strcmp(json_str(rule, "type"), "b") == 0);
		assert_false(opens && json_i64(rule, "major", -1) < 0);
	}
}

static void a_device_is_made_and_allowed_as_asked(void **state)
{
	struct fixture *f = *state;
	const struct oci_device devices[] = {{"/dev/ttyUSB0", 'c', 188, 0, "rw", 0660, 0, 20}};
	scoped(json) json_t *rules = json_pack("[s]", "c 189:* rmw");
	f->spec.devices = devices;
	f->spec.n_devices = 1;
	f->spec.device_rules = rules;

	scoped(json) json_t *doc = written(f);

	const json_t *node = json_array_get(at(doc, "linux.devices"), 0);
	assert_string_equal(json_str(node, "path"), "/dev/ttyUSB0");
	assert_int_equal(json_i64(node, "fileMode", 0), 0660);
	const json_t *all = at(doc, "linux.resources.devices");
	size_t n = json_array_size(all);
	assert_int_equal(json_i64(json_array_get(all, n - 2), "major", 0), 188);
	assert_int_equal(json_i64(json_array_get(all, n - 2), "minor", -1), 0);
	assert_int_equal(json_i64(json_array_get(all, n - 1), "major", 0), 189);
	assert_null(json_object_get(json_array_get(all, n - 1), "minor"));
}

static void a_wrong_device_rule_is_refused(void **state)
{
	struct fixture *f = *state;
	static const char *const wrong[] = {"", "c", "c 188:0", "x 188:0 rwm", "c 188 rwm",
		"c 188:0 rwx", "c 188:0 rwm more", "c 1*:0 r", "c 99999999999:0 r",
		"c 188:0 rwmrwmrwm"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		scoped(json) json_t *rules = json_pack("[s]", wrong[i]);
		scoped(free) char *text = NULL;
		f->spec.device_rules = rules;
		assert_int_equal(oci_spec_text(&f->spec, &text, &f->e), -1);
		assert_int_equal(f->e.kind, ERR_INVALID);
	}
}

static void namespaces_are_new_unless_shared_on_purpose(void **state)
{
	struct fixture *f = *state;
	scoped(json) json_t *usual = written(f);
	f->spec.pid_ns = "host";
	f->spec.ipc_ns = "/proc/7/ns/ipc";
	f->spec.uts_ns = "host";
	f->spec.netns_inherited = false;
	scoped(json) json_t *shared = written(f);

	static const char *const types[] = {"mount", "pid", "ipc", "uts", "network"};
	for (size_t i = 0; i < 5; i++) {
		assert_non_null(namespace_of(usual, types[i]));
	}
	assert_null(json_object_get(namespace_of(usual, "pid"), "path"));
	assert_non_null(namespace_of(shared, "mount"));
	assert_null(namespace_of(shared, "pid"));
	assert_null(namespace_of(shared, "network"));
	assert_string_equal(json_str(namespace_of(shared, "ipc"), "path"), "/proc/7/ns/ipc");
	assert_null(json_object_get(shared, "hostname")); /* it would be the host's */
}

static void only_the_users_sysctls_are_the_runtimes_business(void **state)
{
	struct fixture *f = *state;
	scoped(json) json_t *sysctls = json_pack("{ss}", "net.core.somaxconn", "7");
	scoped(json) json_t *none = written(f);
	f->spec.sysctls = sysctls;
	scoped(json) json_t *some = written(f);

	assert_int_equal(json_object_size(at(none, "linux.sysctl")), 0); /* runc refuses net.* */
	assert_true(json_equal(at(some, "linux.sysctl"), sysctls));
}

static void a_seccomp_text_is_carried_and_privileged_has_none(void **state)
{
	struct fixture *f = *state;
	f->spec.seccomp = "{\"defaultAction\":\"SCMP_ACT_ERRNO\"}";
	scoped(json) json_t *usual = written(f);
	f->spec.privileged = true;
	scoped(json) json_t *privileged = written(f);

	assert_string_equal(
		json_str(at(usual, "linux.seccomp"), "defaultAction"), "SCMP_ACT_ERRNO");
	assert_null(at(privileged, "linux.seccomp"));
}

static void a_broken_seccomp_text_is_no_container(void **state)
{
	struct fixture *f = *state;
	scoped(free) char *text = NULL;
	f->spec.seccomp = "{\"defaultAction\":";

	assert_int_equal(oci_spec_text(&f->spec, &text, &f->e), -1);
	assert_null(text);
}

static void limits_stand_beside_the_device_rules(void **state)
{
	struct fixture *f = *state;
	scoped(json) json_t *resources = json_pack("{s{si}}", "pids", "limit", 7);
	scoped(json) json_t *rlimits =
		json_pack("[{ss si si}]", "type", "RLIMIT_NOFILE", "soft", 1, "hard", 2);
	f->spec.resources = resources;
	f->spec.rlimits = rlimits;
	f->spec.oom_score_adj = -500;
	f->spec.no_new_privileges = true;

	scoped(json) json_t *doc = written(f);

	assert_int_equal(json_i64(at(doc, "linux.resources.pids"), "limit", 0), 7);
	assert_true(json_array_size(at(doc, "linux.resources.devices")) > 1);
	assert_null(
		json_object_get(resources, "devices")); /* the caller's document is not touched */
	assert_int_equal(json_array_size(at(doc, "process.rlimits")), 1);
	assert_int_equal(json_i64(at(doc, "process"), "oomScoreAdj", 0), -500);
	assert_true(json_bool(at(doc, "process"), "noNewPrivileges"));
}

static void an_exec_gets_the_same_process(void **state)
{
	struct fixture *f = *state;
	scoped(free) char *text = NULL;
	f->spec.tty = true;
	f->spec.tty_width = 80;
	f->spec.tty_height = 24;
	f->spec.cwd = "/srv";

	assert_int_equal(oci_process_text(&f->spec, &text, &f->e), 0);

	scoped(json) json_t *process = json_parse(text, strlen(text), "process.json", &f->e);
	assert_true(json_bool(process, "terminal"));
	assert_int_equal(json_i64(at(process, "consoleSize"), "width", 0), 80);
	assert_string_equal(json_str(process, "cwd"), "/srv");
	assert_null(at(process, "capabilities.inheritable"));
	assert_int_equal(json_array_size(at(process, "user.additionalGids")), 1);
}

static void an_unknown_capability_is_refused(void **state)
{
	struct fixture *f = *state;
	scoped(free) char *text = NULL;
	scoped(strv) struct strv add = STRV_INIT;
	strv_add(&add, "FLY");
	f->spec.cap_add = &add;

	assert_int_equal(oci_spec_text(&f->spec, &text, &f->e), -1);
	assert_int_equal(oci_process_text(&f->spec, &text, &f->e), -1);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(kernel_secrets_are_masked),
		WITH(masks_fall_only_when_they_are_asked_to),
		WITH(dev_is_always_a_tmpfs),
		WITH(what_the_user_mounts_takes_a_defaults_place),
		WITH(the_engines_mounts_cover_what_links_lead_below_them),
		WITH(a_dev_of_the_users_own_has_no_defaults_in_it),
		WITH(shared_memory_has_the_size_asked_for),
		WITH(no_capability_is_inheritable_or_ambient),
		WITH(a_user_other_than_root_has_no_effective_capability),
		WITH(the_primary_group_is_also_a_supplementary_one),
		WITH(ids_above_2_31_stay_what_they_are),
		WITH(devices_are_denied_but_for_the_harmless_ones),
		WITH(a_device_is_made_and_allowed_as_asked),
		WITH(a_wrong_device_rule_is_refused),
		WITH(namespaces_are_new_unless_shared_on_purpose),
		WITH(only_the_users_sysctls_are_the_runtimes_business),
		WITH(a_seccomp_text_is_carried_and_privileged_has_none),
		WITH(a_broken_seccomp_text_is_no_container),
		WITH(limits_stand_beside_the_device_rules),
		WITH(an_exec_gets_the_same_process),
		WITH(an_unknown_capability_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
