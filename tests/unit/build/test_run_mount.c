#include "build/run_mount.h"

#include "base/scoped.h"
#include "cmocka_all.h"

static const char *lookup(void *owner, const char *name, size_t n)
{
	return n == 1 && *name == 'v' ? "val,ue" : NULL;
}

static const struct expander x = {.lookup = lookup, .escape = '\\'};

static void every_type_has_its_defaults(void **state)
{
	static const struct {
		const char *text;
		enum run_mount_type type;
		const char *target, *id;
		bool readonly;
		unsigned mode;
	} cases[] = {
		{"target=/t", RUN_MOUNT_BIND, "/t", "", true, 0},
		{"type=bind,dst=/t,rw", RUN_MOUNT_BIND, "/t", "", false, 0},
		{"type=bind,dst=/t,readonly=false", RUN_MOUNT_BIND, "/t", "", false, 0},
		{"type=bind,dst=/t,rw=0", RUN_MOUNT_BIND, "/t", "", true, 0},
		{"TYPE=Cache,destination=/c", RUN_MOUNT_CACHE, "/c", "/c", false, 0755},
		{"type=cache,target=/c,ro,id=k,mode=0711", RUN_MOUNT_CACHE, "/c", "k", true, 0711},
		{"type=tmpfs,target=t", RUN_MOUNT_TMPFS, "t", "", false, 0},
		{"type=secret,id=s", RUN_MOUNT_SECRET, NULL, "s", true, 0400},
		{"type=secret,source=a/b", RUN_MOUNT_SECRET, NULL, "a/b", true, 0400},
		{"type=secret,target=/run/x", RUN_MOUNT_SECRET, "/run/x", "x", true, 0400},
		{"type=secret,id=s,mode=0644", RUN_MOUNT_SECRET, NULL, "s", true, 0644},
		{"type=ssh", RUN_MOUNT_SSH, NULL, "default", true, 0600},
		{"type=ssh,id=", RUN_MOUNT_SSH, NULL, "default", true, 0600},
		{"type=ssh,id=k,target=/s", RUN_MOUNT_SSH, "/s", "k", true, 0600},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(run_mount) struct run_mount m = {0};
		struct err e = {0};
		if (run_mount_parse(cases[i].text, &x, &m, &e) < 0) {
			fail_msg("%s: %s", cases[i].text, e.msg);
		}
		assert_int_equal(m.type, cases[i].type);
		assert_string_equal(m.id, cases[i].id);
		assert_int_equal(m.readonly, cases[i].readonly);
		assert_int_equal(m.mode, cases[i].mode);
		if (cases[i].target) {
			assert_string_equal(m.target, cases[i].target);
		} else {
			assert_null(m.target);
		}
	}
}

static void all_fields_are_read(void **state)
{
	scoped(run_mount) struct run_mount m = {0};
	struct err e = {0};
	const char *text = "type=secret,\"id=a,b\",env=TOKEN,required,uid=4294967295,gid=7";

	assert_int_equal(run_mount_parse(text, &x, &m, &e), 0);

	assert_string_equal(m.id, "a,b");
	assert_string_equal(m.env, "TOKEN");
	assert_true(m.required);
	assert_true(m.has_owner);
	assert_int_equal(m.uid, 4294967295u);
	assert_int_equal(m.gid, 7);

	scoped(run_mount) struct run_mount c = {0};
	assert_int_equal(
		run_mount_parse("type=cache,target=/$v,from=a,src=/s,sharing=Locked", &x, &c, &e),
		0);
	assert_string_equal(c.target, "/val,ue"); /* expanded after the fields are cut */
	assert_string_equal(c.from, "a");
	assert_string_equal(c.source, "/s");
	assert_int_equal(c.sharing, RUN_MOUNT_LOCKED);

	scoped(run_mount) struct run_mount t = {0};
	assert_int_equal(run_mount_parse("type=tmpfs,target=/t,size=1.5m", &x, &t, &e), 0);
	assert_int_equal(t.size, 3 << 19);
}

static void what_makes_no_sense_is_refused(void **state)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{"type=bogus,target=/x", "unsupported mount type 'bogus'"},
		{"type=tmpfs,target=/x,bogus=1", "unexpected key 'bogus' in 'bogus=1'"},
		{"type=tmpfs,tarket=/x",
			"unexpected key 'tarket' in 'tarket=/x' (did you mean target?)"},
		{"target", "invalid field 'target' must be a key=value pair"},
		{"type=bind", "--mount=type=bind: it needs a target"},
		{"type=bind,target=", "--mount=type=bind: it needs a target"},
		{"target=/x,mode=755", "mode not allowed for \"bind\" type mounts"},
		{"type=tmpfs,target=/x,uid=1", "uid not allowed for \"tmpfs\" type mounts"},
		{"type=bind,target=/x,size=1", "unexpected key 'size' for mount type 'bind'"},
		{"type=tmpfs,target=/x,size=x", "invalid value for size: x"},
		{"target=/x,required", "unexpected key 'required' for mount type 'bind'"},
		{"target=/x,env=A", "unexpected key 'env' for mount type 'bind'"},
		{"type=secret,id=a,env=A=B", "invalid value for env: A=B"},
		{"target=/x,ro=maybe", "invalid value for ro: maybe"},
		{"type=cache,target=/x,mode=8", "invalid value 8 for mode"},
		{"type=cache,target=/x,mode=-1", "invalid value -1 for mode"},
		{"type=cache,target=/x,uid=4294967296", "invalid value 4294967296 for uid"},
		{"type=cache,target=/x,sharing=all", "unsupported sharing value 'all'"},
		{"target=/x,sharing=shared", "invalid cache sharing set for bind mount"},
		{"type=secret", "invalid secret mount. one of source, target required"},
		{"type=secret,id=a,src=b", "both source and id can't be set"},
		{"type=secret,id=a,from=b", "secret mount should not have a from"},
		{"type=ssh,src=b", "ssh does not support source"},
		{"type=secret,\"id=a", "failed to parse csv mounts: type=secret,\"id=a"},
		{"target=/${v?no}${w?is not there}", "w: is not there"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(run_mount) struct run_mount m = {0};
		struct err e = {0};
		if (run_mount_parse(cases[i].text, &x, &m, &e) == 0) {
			fail_msg("'%s' was accepted", cases[i].text);
		}
		assert_int_equal(e.kind, ERR_INVALID);
		assert_string_equal(e.msg, cases[i].words);
	}
}

static void from_is_found_before_variables_are_known(void **state)
{
	scoped(free) char *quoted = run_mount_from("type=bind,\"FROM=a,b\",target=$x");
	scoped(free) char *last = run_mount_from("from=a,from=b");
	scoped(free) char *none = run_mount_from("type=bind,from=");

	assert_string_equal(quoted, "a,b");
	assert_string_equal(last, "b");
	assert_null(none);
	assert_string_equal(run_mount_flag("--mount=x"), "x");
	assert_null(run_mount_flag("--mounts=x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_has_its_defaults),
		cmocka_unit_test(all_fields_are_read),
		cmocka_unit_test(what_makes_no_sense_is_refused),
		cmocka_unit_test(from_is_found_before_variables_are_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
