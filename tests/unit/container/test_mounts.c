/* What is mounted, read from Binds, Mounts, Tmpfs, VolumesFrom and the image's volumes. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "container/mount_rules.h"
#include "fixture.h"
#include "volume/volume.h"

struct reading {
	struct mount_list list;
	struct strv made;
	int failed;
};

static struct reading read_all(struct fixture *f, json_t *take_host, json_t *take_config)
{
	struct reading r = {0};
	scoped(json) json_t *host = take_host ? take_host : json_object();
	scoped(json) json_t *config = take_config ? take_config : json_object();
	f->e = (struct err){0};
	r.failed = mounts_read(&f->set, config, host, f->shallow, &r.list, &r.made, &f->e);
	return r;
}

static void scoped_reading(struct reading *r)
{
	mounts_deinit(&r->list);
	strv_deinit(&r->made);
}

static const struct mount_point *at(const struct reading *r, const char *target)
{
	for (size_t i = 0; i < r->list.n; i++) {
		if (strcmp(r->list.v[i].target, target) == 0) {
			return &r->list.v[i];
		}
	}
	return NULL;
}

static void assert_refused(struct fixture *f, json_t *take_host, const char *words)
{
	scoped(reading) struct reading r = read_all(f, take_host, NULL);
	assert_int_equal(r.failed, -1);
	if (!strstr(f->e.msg, words)) {
		fail_msg("'%s' does not say '%s'", f->e.msg, words);
	}
}

static void a_bind_of_a_path(void **state)
{
	struct fixture *f = *state;

	scoped(reading) struct reading r = read_all(
		f, json_pack("{s[s+]}", "Binds", f->folder, "/x:/a/../b/:ro,rshared,z"), NULL);

	assert_int_equal(r.failed, 0);
	const struct mount_point *m = at(&r, "/b");
	assert_non_null(m);
	assert_int_equal(m->kind, MOUNT_BIND);
	assert_true(m->read_only);
	assert_string_equal(m->propagation, "rshared");
	assert_string_equal(m->mode, "ro,rshared,z");
	assert_int_equal(access(m->source, F_OK), 0); /* -v makes what is missing */
}

static void a_bind_of_a_name_is_a_volume(void **state)
{
	struct fixture *f = *state;

	scoped(reading) struct reading r =
		read_all(f, json_pack("{s[s]}", "Binds", "data:/d:nocopy"), NULL);

	const struct mount_point *m = at(&r, "/d");
	assert_int_equal(m->kind, MOUNT_VOLUME);
	assert_string_equal(m->name, "data");
	assert_true(m->no_copy);
	assert_non_null(volume_find(f->set.d.volumes, "data", &f->e));
	assert_true(strv_has(&r.made, "data"));
}

static void a_volume_that_was_there_is_not_ours_to_take_back(void **state)
{
	struct fixture *f = *state;
	assert_non_null(volume_create(f->set.d.volumes, "data", NULL, NULL, NULL, &f->e));

	scoped(reading) struct reading r =
		read_all(f, json_pack("{s[s]}", "Binds", "data:/d"), NULL);

	assert_int_equal(r.failed, 0);
	assert_int_equal(r.made.n, 0);
}

static void wrong_binds_are_refused(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *text, *words;
	} wrong[] = {{"", "invalid volume specification"}, {"/a:", "invalid volume specification"},
		{":/a", "invalid volume specification"},
		{"/tmp:/a:ro:rw", "invalid volume specification"}, {"/tmp:a", "must be absolute"},
		{"/tmp:/", "destination can't be '/'"}, {"/tmp:/a/..", "destination can't be '/'"},
		{"/tmp:/a:fast", "invalid mode: fast"}, {"../x:/a", "../x"}, {"a/b:/a", "a/b"},
		{"/tmp:/a:", "invalid volume"}};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_refused(f, json_pack("{s[s]}", "Binds", wrong[i].text), wrong[i].words);
	}
}

static void one_target_is_mounted_once(void **state)
{
	struct fixture *f = *state;

	assert_refused(f, json_pack("{s[ss]}", "Binds", "data:/d", "/tmp:/d/"),
		"Duplicate mount point: /d");
	assert_refused(f, json_pack("{s[s] s{ss}}", "Binds", "data:/d", "Tmpfs", "/d", ""),
		"Duplicate mount point: /d");
}

static void a_mount_says_what_it_is(void **state)
{
	struct fixture *f = *state;
	scoped(json) json_t *bind = json_pack("{ss ss ss sb s{ss sb}}", "Type", "bind", "Source",
		f->folder, "Target", "/b", "ReadOnly", 1, "BindOptions", "Propagation", "rslave",
		"NonRecursive", 1);
	scoped(json) json_t *volume = json_pack("{ss ss ss s{sb s{ss} ss}}", "Type", "volume",
		"Source", "data", "Target", "/v", "VolumeOptions", "NoCopy", 1, "Labels", "a", "b",
		"Subpath", "in/side");
	scoped(json) json_t *tmpfs = json_pack("{ss ss s{si si}}", "Type", "tmpfs", "Target", "/t",
		"TmpfsOptions", "SizeBytes", 4096, "Mode", 01777);

	scoped(reading) struct reading r =
		read_all(f, json_pack("{s[OOO]}", "Mounts", bind, volume, tmpfs), NULL);

	assert_int_equal(r.failed, 0);
	assert_true(at(&r, "/b")->read_only && at(&r, "/b")->non_recursive);
	assert_string_equal(at(&r, "/b")->propagation, "rslave");
	assert_true(at(&r, "/v")->no_copy);
	assert_string_equal(at(&r, "/v")->subpath, "in/side");
	assert_string_equal(at(&r, "/t")->options, "size=4096,mode=1777");
	scoped(json) json_t *shown = volume_inspect(volume_find(f->set.d.volumes, "data", &f->e));
	assert_string_equal(json_str(json_object_get(shown, "Labels"), "a"), "b");
}

static void a_bind_mount_does_not_make_its_source(void **state)
{
	struct fixture *f = *state;
	scoped(free) char *missing = xasprintf("%s/missing", f->folder);

	assert_refused(f,
		json_pack("{s[{ss ss ss}]}", "Mounts", "Type", "bind", "Source", missing, "Target",
			"/b"),
		"bind source path does not exist");
	assert_int_equal(access(missing, F_OK), -1);
	scoped(reading) struct reading r = read_all(f,
		json_pack("{s[{ss ss ss s{sb}}]}", "Mounts", "Type", "bind", "Source", missing,
			"Target", "/b", "BindOptions", "CreateMountpoint", 1),
		NULL);
	assert_int_equal(r.failed, 0);
	assert_int_equal(access(missing, F_OK), 0);
}

static void wrong_mounts_are_refused(void **state)
{
	struct fixture *f = *state;
	assert_refused(f, json_pack("{s[{ss ss}]}", "Mounts", "Type", "bind", "Source", "/tmp"),
		"Target must not be empty");
	assert_refused(f,
		json_pack("{s[{ss ss ss}]}", "Mounts", "Type", "bind", "Source", "tmp", "Target",
			"/a"),
		"absolute");
	assert_refused(f, json_pack("{s[{ss ss}]}", "Mounts", "Type", "npipe", "Target", "/a"),
		"mount type unknown");
	assert_refused(f,
		json_pack("{s[{ss ss ss}]}", "Mounts", "Type", "tmpfs", "Source", "x", "Target",
			"/a"),
		"Source must not");
	assert_refused(f,
		json_pack("{s[{ss ss ss s{s{ss}}}]}", "Mounts", "Type", "volume", "Source", "data",
			"Target", "/a", "VolumeOptions", "DriverConfig", "Name", "nfs"),
		"nfs");
	assert_refused(f, json_pack("{ss s[s]}", "VolumeDriver", "nfs", "Binds", "data:/a"), "nfs");
	assert_refused(f, json_pack("{s{si}}", "Tmpfs", "/run", 1), "must be a string");
	assert_refused(f, json_pack("{s{ss}}", "Tmpfs", "run", ""), "must be absolute");
}

static void too_many_mounts_are_refused(void **state)
{
	struct fixture *f = *state;
	json_t *tmpfs = json_object();
	for (int i = 0; i <= CONTAINER_MOUNTS_MAX; i++) {
		scoped(free) char *target = xasprintf("/m%d", i);
		json_put_str(tmpfs, target, "");
	}

	assert_refused(f, json_pack("{so}", "Tmpfs", tmpfs), "more than 512 mounts");
}

static void a_declared_volume_is_anonymous_where_nothing_else_is(void **state)
{
	struct fixture *f = *state;

	scoped(reading) struct reading r = read_all(f, json_pack("{s[s]}", "Binds", "data:/taken"),
		json_pack("{s{s{} s{}}}", "Volumes", "/taken/", "/free"));

	assert_int_equal(r.list.n, 2);
	assert_string_equal(at(&r, "/taken")->name, "data");
	const struct volume *v = volume_find(f->set.d.volumes, at(&r, "/free")->name, &f->e);
	assert_true(volume_anonymous(v));
	assert_int_equal(r.made.n, 2);
}

/* VOLUME /dev in an image: its /dev/null would be a link of the image's choice (CVE-2025-31133). */
static void no_volume_replaces_what_the_kernel_shows(void **state)
{
	struct fixture *f = *state;
	static const char *const places[] = {
		"/dev", "/dev/", "/proc", "/sys", "/proc/self/attr", "/x/../dev"};
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		scoped(reading) struct reading declared =
			read_all(f, NULL, json_pack("{s{s{}}}", "Volumes", places[i]));
		assert_int_equal(declared.failed, -1);
		assert_int_equal(f->e.kind, ERR_INVALID);
		scoped(free) char *bind = xasprintf("data:%s", places[i]);
		assert_refused(f, json_pack("{s[s]}", "Binds", bind), "cannot be a volume");
	}
	scoped(reading) struct reading r = read_all(f,
		json_pack("{s[sss]}", "Binds", "/dev:/dev", "/tmp:/proc/x", "data:/devices"), NULL);
	assert_int_equal(r.failed, 0); /* the host's own is the user's to give */
}

static void parents_are_mounted_before_what_lies_below(void **state)
{
	struct fixture *f = *state;

	scoped(reading) struct reading r = read_all(f,
		json_pack("{s{ss ss} s[s]}", "Tmpfs", "/a/b/c", "", "/a", "", "Binds", "data:/a/b"),
		NULL);

	assert_string_equal(r.list.v[0].target, "/a");
	assert_string_equal(r.list.v[1].target, "/a/b");
	assert_string_equal(r.list.v[2].target, "/a/b/c");
}

static void volumes_from_copies_all_but_what_is_taken(void **state)
{
	struct fixture *f = *state;
	struct reading other = read_all(f,
		json_pack("{s[ss] s{ss}}", "Binds", "data:/d", "logs:/l:ro", "Tmpfs", "/t", ""),
		NULL);
	f->anchor->mounts = other.list;
	strv_deinit(&other.made);

	scoped(reading) struct reading r = read_all(
		f, json_pack("{s[s] s[s]}", "Binds", "mine:/l", "VolumesFrom", "anchor:ro"), NULL);

	assert_int_equal(r.failed, 0);
	assert_int_equal(r.list.n, 2);
	assert_string_equal(at(&r, "/l")->name, "mine");
	assert_string_equal(at(&r, "/d")->name, "data");
	assert_true(at(&r, "/d")->read_only);
	assert_refused(
		f, json_pack("{s[s]}", "VolumesFrom", "nobody"), "No such container: nobody");
	assert_refused(f, json_pack("{s[s]}", "VolumesFrom", "anchor:rx"), "invalid mode: ");
}

static void a_record_brings_every_mount_back(void **state)
{
	struct fixture *f = *state;
	scoped(json) json_t *volume = json_pack("{ss ss ss s{sb ss}}", "Type", "volume", "Source",
		"data", "Target", "/v", "VolumeOptions", "NoCopy", 1, "Subpath", "s");
	scoped(reading) struct reading r = read_all(f,
		json_pack("{s[s] s[O] s{ss}}", "Binds", "/etc:/b:ro,slave", "Mounts", volume,
			"Tmpfs", "/t", "size=1m"),
		NULL);
	scoped(json) json_t *record = mounts_record(&r.list);

	struct mount_list restored = {0};
	assert_int_equal(mounts_restore(record, &restored), 0);

	scoped(json) json_t *again = mounts_record(&restored);
	assert_int_equal(restored.n, 3);
	assert_true(json_equal(record, again));
	mounts_deinit(&restored);
}

/* A link in a volume, which its containers write, must not name a directory of the host. */
static void a_subpath_cannot_leave_its_volume(void **state)
{
	struct fixture *f = *state;
	const struct volume *v = volume_create(f->set.d.volumes, "data", NULL, NULL, NULL, &f->e);
	scoped(free) char *link = xasprintf("%s/evil", volume_mountpoint(v));
	scoped(free) char *inside = xasprintf("%s/inside", volume_mountpoint(v));
	assert_int_equal(symlink("/etc", link), 0);
	assert_int_equal(mkdir(inside, 0755), 0);
	struct mount_point m = {.kind = MOUNT_VOLUME, .name = "data"};
	static char *const escapes[] = {"evil", "../../../etc", "inside/../../../../etc"};

	for (size_t i = 0; i < 3; i++) {
		m.subpath = escapes[i];
		assert_null(mount_source(f->anchor, &m, &f->e));
		assert_int_equal(f->e.kind, ERR_INVALID);
	}
	m.subpath = "inside";
	scoped(free) char *good = mount_source(f->anchor, &m, &f->e);
	assert_string_equal(good, volume_mountpoint(v)); /* the shim goes on from there */
	assert_true(mount_is_pinned(&m));
}

static void inspect_shows_what_docker_shows(void **state)
{
	struct fixture *f = *state;
	struct reading r =
		read_all(f, json_pack("{s[ss]}", "Binds", "/tmp:/b:ro", "data:/d"), NULL);
	f->anchor->mounts = r.list;
	strv_deinit(&r.made);

	scoped(json) json_t *list = mounts_inspect(f->anchor);

	const json_t *bind = json_array_get(list, 0);
	assert_string_equal(json_str(bind, "Type"), "bind");
	assert_string_equal(json_str(bind, "Source"), "/tmp");
	assert_string_equal(json_str(bind, "Mode"), "ro");
	assert_string_equal(json_str(bind, "Propagation"), "rprivate");
	assert_true(json_is_false(json_object_get(bind, "RW")));
	const json_t *volume = json_array_get(list, 1);
	assert_string_equal(json_str(volume, "Name"), "data");
	assert_string_equal(json_str(volume, "Driver"), "local");
	assert_string_equal(json_str(volume, "Mode"), "z");
	assert_true(json_bool(volume, "RW"));
}

/* As far as this machine's mounts let it. */
static void assert_follows(const struct mount_point *m)
{
	scoped(buf) struct buf text = BUF_INIT;
	assert_int_equal(path_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text), 0);
	scoped(free) char *refusal = mount_propagation_refusal(buf_str(&text), m->source, "rslave");
	assert_int_equal(m->propagation != NULL, refusal == NULL);
	if (m->propagation) {
		assert_string_equal(m->propagation, "rslave");
	}
}

/* What is mounted there later must not stay busy in a container: dockerd's rule. */
static void a_bind_around_our_data_follows_the_host(void **state)
{
	struct fixture *f = *state;
	scoped(free) char *inside = xasprintf("%s:/a", f->folder);
	scoped(free) char *private = xasprintf("%s:/a:private", f->folder);
	scoped(free) char *beside = xasprintf("%s-other:/b", f->folder);

	scoped(reading) struct reading r =
		read_all(f, json_pack("{s[s s s]}", "Binds", inside, "/:/host", "/etc:/c"), NULL);

	assert_int_equal(r.failed, 0);
	assert_follows(at(&r, "/a"));
	assert_follows(at(&r, "/host"));
	assert_null(at(&r, "/c")->propagation);
	assert_refused(f, json_pack("{s[s]}", "Binds", private),
		"must use either propagation mode \"rslave\" or \"rshared\"");
	scoped(reading) struct reading other =
		read_all(f, json_pack("{s[s]}", "Binds", beside), NULL);
	assert_null(at(&other, "/b")->propagation);
	rmdir(at(&other, "/b")->source);
}

static void old_clients_bind_read_only_without_what_lies_below(void **state)
{
	struct fixture *f = *state;
	f->shallow = true;

	scoped(reading) struct reading r = read_all(f,
		json_pack("{s[s] s[{ss ss ss sb}]}", "Binds", "/etc:/a:ro", "Mounts", "Type",
			"bind", "Source", "/etc", "Target", "/b", "ReadOnly", 1),
		NULL);

	f->shallow = false;
	assert_int_equal(r.failed, 0);
	assert_true(at(&r, "/a")->shallow_read_only);
	assert_true(at(&r, "/b")->shallow_read_only);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(a_bind_of_a_path),
		WITH(a_bind_of_a_name_is_a_volume),
		WITH(a_volume_that_was_there_is_not_ours_to_take_back),
		WITH(wrong_binds_are_refused),
		WITH(one_target_is_mounted_once),
		WITH(a_mount_says_what_it_is),
		WITH(a_bind_mount_does_not_make_its_source),
		WITH(wrong_mounts_are_refused),
		WITH(too_many_mounts_are_refused),
		WITH(a_declared_volume_is_anonymous_where_nothing_else_is),
		WITH(no_volume_replaces_what_the_kernel_shows),
		WITH(parents_are_mounted_before_what_lies_below),
		WITH(volumes_from_copies_all_but_what_is_taken),
		WITH(a_record_brings_every_mount_back),
		WITH(a_subpath_cannot_leave_its_volume),
		WITH(inspect_shows_what_docker_shows),
		WITH(a_bind_around_our_data_follows_the_host),
		WITH(old_clients_bind_read_only_without_what_lies_below),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
