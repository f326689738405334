/* What we ask of an engine is what docker compose asks of it: requests/FILE.json, which
 * record_requests.py recorded from docker compose 2.40.3. */
#include "files.h"

#include <fcntl.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "compose/emit.h"
#include "compose/request.h"

#define PLACE "/tmp/requests" /* where record_requests.py has it */

static const struct file beside[] = {
	{PLACE "/label.txt", "FROM_FILE=yes\n"},
	{PLACE "/env.txt", "FROM_ENV_FILE=1\n"},
	{PLACE "/seccomp.json", "{\"defaultAction\":  \"SCMP_ACT_ALLOW\"}\n"},
	{0},
};

/* owner: the compose file, on the disk. */
static int read_beside(void *owner, const char *path, size_t limit, struct buf *ret)
{
	return strcmp(path, PLACE "/compose.yaml") == 0
		       ? path_read(AT_FDCWD, owner, limit, ret)
		       : read_made_up((void *)beside, path, limit, ret);
}

static struct project *load_file(char *path)
{
	char *const environment[] = {"HOME=" PLACE, "GIVEN=given", NULL};
	static const struct strv none = STRV_INIT;
	const struct load_options o = {.files = &none,
		.env_files = &none,
		.profiles = &none,
		.services = &none,
		.project_name = "g",
		.cwd = PLACE,
		.environment = environment,
		.read = read_beside,
		.owner = path};
	struct err e = {0};
	struct project *p = project_load(&o, &e);
	if (!p) {
		print_error("%s: %s\n", path, e.msg);
	}
	assert_non_null(p);
	return p;
}

/* ---- comparing ---- */

/* Go writes empty members where others leave them out. */
static bool is_nothing(const json_t *v)
{
	return !v || json_is_null(v) || json_is_false(v) ||
	       (json_is_string(v) && json_string_length(v) == 0) ||
	       (json_is_integer(v) && json_integer_value(v) == 0) ||
	       (json_is_array(v) && json_array_size(v) == 0) ||
	       (json_is_object(v) && json_object_size(v) == 0);
}

static bool means_something_empty(const char *key)
{
	return strcmp(key, "Cmd") == 0 || strcmp(key, "Entrypoint") == 0 ||
	       strcmp(key, "Init") == 0 || strcmp(key, "EnableIPv4") == 0;
}

static bool is_left_out(const char *key)
{
	return strcmp(key, LABEL "version") == 0 || strcmp(key, LABEL "image") == 0;
}

static bool same(const char *key, const json_t *a, const json_t *b);

static bool same_members(const json_t *a, const json_t *b)
{
	const char *key;
	json_t *value;
	json_object_foreach ((json_t *)a, key, value) {
		if (!is_left_out(key) && !same(key, value, json_object_get(b, key))) {
			return false;
		}
	}
	return true;
}

/* Lists of what has no order are sorted in the recorded ones. */
static bool same_lists(const json_t *a, const json_t *b)
{
	size_t i;
	json_t *value;
	bool all = json_array_size(a) == json_array_size(b);
	json_array_foreach (a, i, value) {
		bool found = false;
		for (size_t k = 0; k < json_array_size(b); k++) {
			const json_t *other = json_array_get(b, k);
			found = found || same("", value, other);
		}
		all = all && found;
	}
	return all;
}

static bool same_depends(const json_t *a, const json_t *b)
{
	struct strv words[2] = {{0}};
	strv_split(&words[0], json_string_value(a), ',');
	strv_split(&words[1], json_string_value(b), ',');
	bool all = words[0].n == words[1].n;
	for (size_t i = 0; i < words[0].n; i++) {
		all = all && strv_has(&words[1], words[0].v[i]);
	}
	strv_deinit(&words[0]);
	strv_deinit(&words[1]);
	return all;
}

static bool same(const char *key, const json_t *a, const json_t *b)
{
	if (is_nothing(a) && is_nothing(b) && !means_something_empty(key)) {
		return true;
	}
	if (strcmp(key, LABEL "depends_on") == 0 && a && b) {
		return same_depends(a, b);
	}
	if (json_is_object(a) && json_is_object(b)) {
		return same_members(a, b) && same_members(b, a);
	}
	if (json_is_array(a) && json_is_array(b) && strcmp(key, "Cmd") != 0) {
		return same_lists(a, b);
	}
	if (json_is_null(a) || json_is_null(b)) {
		return !a || !b || json_equal(a, b);
	}
	return a && b && json_equal(a, b);
}

/* ---- making ---- */

static const char *container_of(void *owner, const char *service)
{
	char *text = owner;
	snprintf(text, 64, "id-of-g-%.40s-1", service);
	return text;
}

static char *read_text(void *owner, const char *path, struct err *e)
{
	struct buf text = BUF_INIT;
	assert_int_equal(read_made_up((void *)beside, path, 1000, &text), 0);
	return buf_take_str(&text);
}

static json_t *make(const struct project *p, const json_t *recorded)
{
	const char *kind = json_str(recorded, "create");
	const json_t *body = json_object_get(recorded, "body");
	const char *name = json_str(body, "Name");
	const char *service = json_str(json_object_get(body, "Labels"), LABEL "service");
	char id[64];
	struct err e = {0};
	for (size_t i = 0; strcmp(kind, "networks") == 0 && i < p->n_networks; i++) {
		if (strcmp(p->networks[i].name, name) == 0) {
			return request_network(p, &p->networks[i]);
		}
	}
	for (size_t i = 0; strcmp(kind, "volumes") == 0 && i < p->n_volumes; i++) {
		if (strcmp(p->volumes[i].name, name) == 0) {
			return request_volume(p, &p->volumes[i]);
		}
	}
	const char *number = json_str(json_object_get(body, "Labels"), LABEL "container-number");
	const struct service *s = project_service(p, service);
	char hash[EMIT_HASH_MAX] = "";
	/* docker compose counts the path of label_file, and what it adds for use_api_socket */
	if (s && (strcmp(service, "lists") == 0 || s->use_api_socket)) {
		snprintf(hash, sizeof(hash), "%s",
			json_str(json_object_get(body, "Labels"), LABEL "config-hash"));
	} else if (s) {
		emit_service_hash(s, container_of, id, hash);
	}
	const struct request_container r = {
		.service = s,
		.number = (int)strtol(number, NULL, 10),
		.image_id = "sha256:1",
		.hash = hash,
		.container_of = container_of,
		.read_file = read_text,
		.owner = id,
	};
	json_t *made = r.service ? request_container(p, &r, &e) : NULL;
	if (!made) {
		print_error("%s %s%s: %s\n", kind, name, service, e.msg);
	}
	return made;
}

static void compare_file(const char *name)
{
	scoped(free) char *yaml = xasprintf(REQUESTS "/%s.yaml", name);
	scoped(free) char *recorded = xasprintf(REQUESTS "/%s.json", name);
	scoped(project_free) struct project *p = load_file(yaml);
	scoped(json) json_t *all = json_load_file(recorded, 0, NULL);
	size_t i;
	json_t *one;
	assert_true(json_array_size(all) > 3);
	json_array_foreach (all, i, one) {
		scoped(json) json_t *made = make(p, one);
		if (!made || !same_members(json_object_get(one, "body"), made) ||
			!same_members(made, json_object_get(one, "body"))) {
			scoped(free) char *wanted = json_text(one);
			scoped(free) char *got = made ? json_text(made) : xstrdup("none");
			print_error("%s:\nwanted %s\n", name, wanted);
			print_error("got %s\n", got);
			fail();
		}
	}
}

static void what_a_process_is(void **state)
{
	compare_file("words");
}

static void what_it_may_use(void **state)
{
	compare_file("limits");
}

static void where_it_is(void **state)
{
	compare_file("places");
}

static void what_is_mounted(void **state)
{
	compare_file("files");
}

/* Where we do not do as docker compose does. */
static void better_than_the_recorded_ones(void **state)
{
	scoped(project_free) struct project *p = load_good(
		"services:\n"
		"  a: {image: x}\n"
		"  b: {image: x, network_mode: bridge, mac_address: '02:42:ac:11:00:09',\n"
		"      volumes_from: ['a:ro', 'container:c:ro']}\n"
		"networks: {default: {ipam: {driver: default, options: {o: p}}}}\n");
	char id[64];
	struct err e = {0};
	const struct request_container r = {.service = project_service(p, "b"),
		.number = 1,
		.image_id = "sha256:1",
		.hash = "1",
		.container_of = container_of,
		.owner = id};

	scoped(json) json_t *made = request_container(p, &r, &e);
	scoped(json) json_t *network = request_network(p, project_network(p, "default"));

	assert_non_null(made);
	scoped(free) char *text = json_text(made);
	assert_non_null(strstr(text, "\"VolumesFrom\":[\"id-of-g-a-1:ro\",\"c:ro\"]"));
	assert_non_null(strstr(
		text, "\"EndpointsConfig\":{\"bridge\":{\"MacAddress\":\"02:42:ac:11:00:09\"}}"));
	scoped(free) char *ipam = json_text(json_object_get(network, "IPAM"));
	assert_non_null(strstr(ipam, "\"Options\":{\"o\":\"p\"}"));
}

/* The engine keeps a project as `config --format json`: loaded again it makes the same containers.
 */
static void a_kept_project_is_the_same(void **state)
{
	static const char *const names[] = {"words", "limits", "places", "files"};
	for (size_t i = 0; i < 4; i++) {
		scoped(free) char *yaml = xasprintf(REQUESTS "/%s.yaml", names[i]);
		scoped(project_free) struct project *p = load_file(yaml);
		scoped(buf) struct buf text = BUF_INIT;
		emit_json(p->root, false, &text);
		const struct file files[] = {{"/p/compose.yaml", buf_str(&text)}, {0}};
		const struct setting s = {.files = files, .project_name = "g"};
		struct err e = {0};

		scoped(project_free) struct project *again = load_setting(&s, &e);

		assert_non_null(again);
		assert_int_equal(again->n_services, p->n_services);
		for (size_t k = 0; k < p->n_services; k++) {
			char hashes[2][EMIT_HASH_MAX];
			emit_service_hash(&p->services[k], NULL, NULL, hashes[0]);
			emit_service_hash(
				project_service(again, p->services[k].name), NULL, NULL, hashes[1]);
			assert_string_equal(hashes[0], hashes[1]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_process_is),
		cmocka_unit_test(what_it_may_use),
		cmocka_unit_test(where_it_is),
		cmocka_unit_test(what_is_mounted),
		cmocka_unit_test(better_than_the_recorded_ones),
		cmocka_unit_test(a_kept_project_is_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
