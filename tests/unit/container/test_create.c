/* POST /containers/create: what the image gives under what the user says, and what is refused. */
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
#include "fixture.h"
#include "store/store.h"
#include "volume/volume.h"

/* The member as compact JSON, in a buffer that the next call takes. */
static const char *shown(const struct container *c, const char *key)
{
	static char text[4096];
	scoped(free) char *whole = json_dumps(
		json_object_get(c->config, key), JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
	snprintf(text, sizeof(text), "%s", whole ? whole : "");
	return text;
}

static int count_row(void *owner, const char *id, json_t *doc, struct err *e)
{
	++*(int *)owner;
	return 0;
}

static int rows(struct fixture *f, enum store_table t)
{
	int n = 0;
	assert_int_equal(store_each(f->set.d.store, t, count_row, &n, &f->e), 0);
	return n;
}

static void assert_refused(
	struct fixture *f, json_t *take_config, json_t *take_host, const char *words)
{
	int volumes = rows(f, STORE_VOLUMES);
	int containers = rows(f, STORE_CONTAINERS);
	f->e = (struct err){0};
	assert_null(fixture_create(f, "refused", take_config, take_host));
	assert_int_equal(f->e.kind, ERR_INVALID);
	if (!strstr(f->e.msg, words)) {
		fail_msg("'%s' does not say '%s'", f->e.msg, words);
	}
	assert_int_equal(rows(f, STORE_CONTAINERS), containers);
	assert_int_equal(rows(f, STORE_VOLUMES), volumes);
	assert_null(map_get(f->set.by_name, "refused"));
}

/* --- command: moby merge() --- */

static void nothing_said_is_the_images_command(void **state)
{
	struct fixture *f = *state;
	fixture_image(f, json_pack("{s[s] s[s]}", "Entrypoint", "/init", "Cmd", "serve"));

	const struct container *c = fixture_create(f, "web", NULL, NULL);

	assert_non_null(c);
	assert_string_equal(shown(c, "Entrypoint"), "[\"/init\"]");
	assert_string_equal(shown(c, "Cmd"), "[\"serve\"]");
}

static void a_command_keeps_the_images_entrypoint(void **state)
{
	struct fixture *f = *state;
	fixture_image(f, json_pack("{s[s] s[s]}", "Entrypoint", "/init", "Cmd", "serve"));

	const struct container *c =
		fixture_create(f, "web", json_pack("{s[s]}", "Cmd", "debug"), NULL);

	assert_string_equal(shown(c, "Entrypoint"), "[\"/init\"]");
	assert_string_equal(shown(c, "Cmd"), "[\"debug\"]");
}

static void an_entrypoint_drops_the_images_command(void **state)
{
	struct fixture *f = *state;
	fixture_image(f, json_pack("{s[s] s[s]}", "Entrypoint", "/init", "Cmd", "serve"));

	const struct container *c =
		fixture_create(f, "web", json_pack("{s[s]}", "Entrypoint", "sh"), NULL);

	assert_string_equal(shown(c, "Entrypoint"), "[\"sh\"]");
	assert_string_equal(shown(c, "Cmd"), "null");
}

/* docker run --entrypoint "" IMAGE ls */
static void an_empty_entrypoint_means_none(void **state)
{
	struct fixture *f = *state;
	fixture_image(f, json_pack("{s[s] s[s]}", "Entrypoint", "/init", "Cmd", "serve"));

	const struct container *c = fixture_create(
		f, "web", json_pack("{s[s] s[s]}", "Entrypoint", "", "Cmd", "ls"), NULL);

	assert_string_equal(shown(c, "Entrypoint"), "null");
	assert_string_equal(shown(c, "Cmd"), "[\"ls\"]");
	assert_refused(f, json_pack("{s[s]}", "Entrypoint", ""), NULL, "no command specified");
}

static void an_image_without_a_command_needs_one(void **state)
{
	struct fixture *f = *state;
	fixture_image(f, json_pack("{ss}", "User", "bob"));

	assert_refused(f, NULL, NULL, "no command specified");
	assert_non_null(fixture_create(f, "web", json_pack("{ss}", "Cmd", "ls"), NULL));
}

/* --- environment --- */

static void the_users_variables_win_and_come_first(void **state)
{
	struct fixture *f = *state;
	fixture_image(f,
		json_pack("{s[s] s[sss]}", "Cmd", "sh", "Env", "PATH=/bin", "A=image", "B=image"));

	const struct container *c =
		fixture_create(f, "web", json_pack("{s[ss]}", "Env", "A=mine", "C=mine"), NULL);

	assert_string_equal(shown(c, "Env"), "[\"A=mine\",\"C=mine\",\"PATH=/bin\",\"B=image\"]");
}

/* docker run -e NAME with NAME unset takes the image's variable away: the CLI sends "NAME". */
static void a_bare_name_takes_the_images_variable_away(void **state)
{
	struct fixture *f = *state;
	fixture_image(f, json_pack("{s[s] s[ss]}", "Cmd", "sh", "Env", "A=image", "AB=image"));

	const struct container *c = fixture_create(f, "web", json_pack("{s[s]}", "Env", "A"), NULL);

	assert_string_equal(shown(c, "Env"), "[\"A\",\"AB=image\"]");
}

static void a_variable_without_a_name_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_refused(
		f, json_pack("{s[s]}", "Env", "=x"), NULL, "invalid environment variable: =x");
	assert_refused(f, json_pack("{s[s]}", "Env", ""), NULL, "invalid environment variable");
}

/* --- health, maps, texts --- */

static void a_healthcheck_takes_missing_parts_from_the_image(void **state)
{
	struct fixture *f = *state;
	fixture_image(f, json_pack("{s[s] s{s[ss] sI si}}", "Cmd", "sh", "Healthcheck", "Test",
				 "CMD", "true", "Interval", (json_int_t)5000000000, "Retries", 7));

	const struct container *c = fixture_create(f, "web",
		json_pack("{s{si si}}", "Healthcheck", "Retries", 2, "Interval", 0), NULL);

	assert_non_null(c);
	const json_t *h = json_object_get(c->config, "Healthcheck");
	assert_int_equal(json_i64(h, "Retries", 0), 2);
	assert_int_equal(json_i64(h, "Interval", 0), 5000000000);
	assert_int_equal(json_array_size(json_object_get(h, "Test")), 2);
}

static void a_healthcheck_of_none_is_kept(void **state)
{
	struct fixture *f = *state;
	fixture_image(
		f, json_pack("{s[s] s{s[ss]}}", "Cmd", "sh", "Healthcheck", "Test", "CMD", "true"));

	const struct container *c = fixture_create(
		f, "web", json_pack("{s{s[s]}}", "Healthcheck", "Test", "NONE"), NULL);

	assert_string_equal(shown(c, "Healthcheck"), "{\"Test\":[\"NONE\"]}");
}

static void labels_ports_and_volumes_are_united(void **state)
{
	struct fixture *f = *state;
	fixture_image(f, json_pack("{s[s] s{ss ss} s{s{}} s{s{}}}", "Cmd", "sh", "Labels", "a",
				 "image", "b", "image", "ExposedPorts", "80/tcp", "Volumes", "/a"));

	const struct container *c = fixture_create(f, "web",
		json_pack("{s{ss ss} s{s{}}}", "Labels", "a", "mine", "c", "mine", "Volumes", "/b"),
		NULL);

	assert_non_null(c);

	assert_string_equal(shown(c, "Labels"), "{\"a\":\"mine\",\"b\":\"image\",\"c\":\"mine\"}");
	assert_string_equal(shown(c, "ExposedPorts"), "{\"80/tcp\":{}}");
	assert_string_equal(shown(c, "Volumes"), "{\"/a\":{},\"/b\":{}}");
}

static void texts_come_from_the_image_when_unset(void **state)
{
	struct fixture *f = *state;
	fixture_image(f, json_pack("{s[s] ss ss ss}", "Cmd", "sh", "User", "bob", "WorkingDir",
				 "/srv/./x/..", "StopSignal", "SIGQUIT"));

	const struct container *c = fixture_create(
		f, "web", json_pack("{ss ss}", "User", "eve", "WorkingDir", ""), NULL);

	assert_string_equal(json_str(c->config, "User"), "eve");
	assert_string_equal(json_str(c->config, "WorkingDir"), "/srv");
	assert_int_equal(container_stop_signal(c), 3);
}

/* --- names and what is left --- */

static void a_container_is_found_and_recorded(void **state)
{
	struct fixture *f = *state;
	struct container *c = fixture_create(f, "web", NULL, NULL);
	char prefix[13];
	snprintf(prefix, sizeof(prefix), "%.12s", c->id);

	assert_ptr_equal(container_find(&f->set, "web", &f->e), c);
	assert_ptr_equal(container_find(&f->set, "/web", &f->e), c);
	assert_ptr_equal(container_find(&f->set, prefix, &f->e), c);
	assert_int_equal(rows(f, STORE_CONTAINERS), 1);
	scoped(free) char *upper = xasprintf("%s/upper", c->dir);
	struct stat st;
	assert_int_equal(stat(upper, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755); /* it becomes the container's "/" */
}

static void a_name_is_taken_once(void **state)
{
	struct fixture *f = *state;
	const struct container *c = fixture_create(f, "web", NULL, NULL);
	assert_non_null(c);

	assert_null(fixture_create(f, "web", NULL, NULL));

	assert_int_equal(f->e.kind, ERR_CONFLICT);
	scoped(free) char *words = xasprintf(
		"Conflict. The container name \"/web\" is already in use by container \"%s\". You have "
		"to remove (or rename) that container to be able to reuse that name.",
		c->id);
	assert_string_equal(f->e.msg, words);
}

static void no_name_is_a_name_made_up(void **state)
{
	struct fixture *f = *state;

	const struct container *c = fixture_create(f, NULL, NULL, NULL);

	assert_true(container_name_is_valid(c->name));
}

static void an_unknown_image_is_not_found(void **state)
{
	struct fixture *f = *state;
	struct container *c;
	json_t *warnings;
	scoped(json) json_t *body = json_pack("{ss}", "Image", "nowhere");

	assert_int_equal(container_create(&f->set, NULL, body, &c, &warnings, &f->e), -1);

	assert_int_equal(f->e.kind, ERR_NOT_FOUND);
	assert_string_equal(f->e.msg, "No such image: nowhere:latest");
}

static void wrong_settings_are_refused_and_leave_nothing(void **state)
{
	struct fixture *f = *state;
	assert_refused(f, json_pack("{ss}", "StopSignal", "SIGNOPE"), NULL, "invalid signal");
	assert_refused(f, json_pack("{ss}", "WorkingDir", "srv"), NULL, "absolute path");
	assert_refused(f, NULL, json_pack("{s{ss}}", "RestartPolicy", "Name", "sometimes"),
		"restart policy");
	assert_refused(f, NULL,
		json_pack("{s{ss} sb}", "RestartPolicy", "Name", "always", "AutoRemove", 1),
		"AutoRemove");
	assert_refused(f, NULL, json_pack("{s{ss}}", "LogConfig", "Type", "syslog"),
		"error looking up logging plugin syslog");
	assert_refused(f, NULL,
		json_pack("{s{ss s{ss}}}", "LogConfig", "Type", "json-file", "Config", "max-sise",
			"1m"),
		"unknown log opt 'max-sise' for json-file log driver");
	assert_refused(f, NULL, json_pack("{s[s]}", "CapAdd", "FLY"), "FLY");
	assert_refused(f, NULL, json_pack("{s[s]}", "SecurityOpt", "magic=1"), "magic");
	assert_refused(f, NULL, json_pack("{ss}", "Runtime", "kata"), "kata");
	assert_refused(f, NULL, json_pack("{ss}", "UsernsMode", "keep-id"), "userns");
	assert_refused(f, NULL, json_pack("{si}", "Memory", 1), "6MB");
}

/* A later part of the request fails: the volume that the earlier part made goes again, one that was
 * there stays. */
static void volumes_of_a_failed_create_are_taken_back(void **state)
{
	struct fixture *f = *state;
	assert_non_null(volume_create(f->set.d.volumes, "older", NULL, NULL, NULL, &f->e));

	assert_refused(f, NULL,
		json_pack("{s[sss]}", "Binds", "fresh:/a", "older:/b", "other:relative"),
		"must be absolute");

	assert_null(volume_find(f->set.d.volumes, "fresh", &f->e));
	assert_non_null(volume_find(f->set.d.volumes, "older", &f->e));
}

static void the_daemons_log_options_are_the_default(void **state)
{
	struct fixture *f = *state;
	scoped(json) json_t *defaults = json_pack(
		"{ss s{ss ss}}", "Type", "json-file", "Config", "max-size", "1m", "max-file", "3");
	f->set.d.log_defaults = defaults;

	const struct container *plain = fixture_create(f, "plain", NULL, NULL);
	const struct container *own = fixture_create(f, "own", NULL,
		json_pack("{s{ss s{ss}}}", "LogConfig", "Type", "", "Config", "max-size", "5m"));

	const json_t *log = json_object_get(plain->host_config, "LogConfig");
	assert_string_equal(json_str(json_object_get(log, "Config"), "max-size"), "1m");
	log = json_object_get(own->host_config, "LogConfig");
	assert_string_equal(json_str(log, "Type"), "json-file");
	assert_string_equal(json_str(json_object_get(log, "Config"), "max-size"), "5m");
	assert_string_equal(json_str(json_object_get(log, "Config"), "max-file"), "3");
	assert_string_equal(json_str(json_object_get(defaults, "Config"), "max-size"),
		"1m"); /* not changed through it */
}

static void a_record_comes_back_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct container *c = fixture_create(f, "web", json_pack("{s[s]}", "Env", "A=b"),
		json_pack("{s[s] s{ss}}", "Binds", "data:/d:ro", "RestartPolicy", "Name",
			"unless-stopped"));
	assert_non_null(c);
	c->exit_code = 42;
	c->state = CONTAINER_EXITED;
	assert_int_equal(container_record_save(c, &f->e), 0);
	char id[ID_LEN + 1];
	memcpy(id, c->id, sizeof(id));
	map_remove(f->set.by_id, id);
	map_remove(f->set.by_name, "web");
	container_free(c);

	assert_int_equal(
		store_each(f->set.d.store, STORE_CONTAINERS, container_record_load, &f->set, &f->e),
		0);

	c = container_find(&f->set, "web", &f->e);
	assert_non_null(c);
	assert_string_equal(c->id, id);
	assert_int_equal(c->exit_code, 42);
	assert_int_equal(c->state, CONTAINER_EXITED);
	assert_int_equal(c->policy.kind, RESTART_UNLESS_STOPPED);
	assert_int_equal(c->mounts.n, 1);
	assert_string_equal(c->mounts.v[0].name, "data");
	assert_true(c->mounts.v[0].read_only);
	assert_string_equal(shown(c, "Env"), "[\"A=b\"]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(nothing_said_is_the_images_command),
		WITH(a_command_keeps_the_images_entrypoint),
		WITH(an_entrypoint_drops_the_images_command),
		WITH(an_empty_entrypoint_means_none),
		WITH(an_image_without_a_command_needs_one),
		WITH(the_users_variables_win_and_come_first),
		WITH(a_bare_name_takes_the_images_variable_away),
		WITH(a_variable_without_a_name_is_refused),
		WITH(a_healthcheck_takes_missing_parts_from_the_image),
		WITH(a_healthcheck_of_none_is_kept),
		WITH(labels_ports_and_volumes_are_united),
		WITH(texts_come_from_the_image_when_unset),
		WITH(a_container_is_found_and_recorded),
		WITH(a_name_is_taken_once),
		WITH(no_name_is_a_name_made_up),
		WITH(an_unknown_image_is_not_found),
		WITH(wrong_settings_are_refused_and_leave_nothing),
		WITH(volumes_of_a_failed_create_are_taken_back),
		WITH(the_daemons_log_options_are_the_default),
		WITH(a_record_comes_back_as_it_was),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
