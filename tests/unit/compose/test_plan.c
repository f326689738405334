/* The planner, with a state that the test writes down; and the requests. */
#include "files.h"

#include <errno.h>

#include "base/json.h"
#include "base/mem.h"
#include "compose/content.h"
#include "compose/emit.h"
#include "compose/plan.h"
#include "compose/request.h"
#include "compose/resource_hash.h"

static const char *const three =
	"services:\n"
	"  web: {image: w, depends_on: {db: {condition: service_healthy}}}\n"
	"  db: {image: d, volumes: ['data:/d']}\n"
	"  side: {image: s, network_mode: 'service:web'}\n"
	"volumes: {data: }\n";

static void print_steps(const struct plan *plan, struct buf *ret)
{
	static const char *const words[] = {
		[STEP_NETWORK_CREATE] = "net+",
		[STEP_NETWORK_REMOVE] = "net-",
		[STEP_VOLUME_CREATE] = "vol+",
		[STEP_VOLUME_REMOVE] = "vol-",
		[STEP_CREATE] = "create",
		[STEP_RECREATE] = "recreate",
		[STEP_KEEP] = "keep",
		[STEP_RENAME] = "rename",
		[STEP_ROLL] = "roll",
		[STEP_FINISH] = "finish",
		[STEP_WAIT] = "wait",
		[STEP_START] = "start",
		[STEP_STOP] = "stop",
		[STEP_REMOVE] = "remove",
	};
	for (size_t i = 0; i < plan->n; i++) {
		buf_printf(ret, "%s%s %s", i ? ", " : "", words[plan->steps[i].kind],
			plan->steps[i].name);
		if (plan->steps[i].successor) {
			buf_printf(ret, " by %s", plan->steps[i].successor->name);
		}
		if (plan->steps[i].reason) {
			buf_printf(ret, " (%s)", plan->steps[i].reason);
		}
	}
}

/* Containers as `up` would have left them. */
struct made {
	struct state s;
	struct state_container containers[8];
	struct state_network networks[4];
	struct state_volume volumes[4];
	char hashes[8][EMIT_HASH_MAX], network_hash[EMIT_HASH_MAX];
};

static void add_container(struct made *m, const struct project *p, const char *service, int number,
	const char *status)
{
	size_t i = m->s.n_containers++;
	const struct service *s = project_service(p, service);
	m->s.containers = m->containers;
	m->s.n_containers = i; /* itself is not there yet */
	emit_service_hash(s, state_container_of, &m->s, m->hashes[i]);
	m->s.n_containers = i + 1;
	m->containers[i] = (struct state_container){.id = "0123456789abcdef",
		.service = service,
		.number = number,
		.hash = m->hashes[i],
		.image_id = "sha256:1",
		.depends = "",
		.status = status,
		.name = request_container_name(p, s, number)};
	for (size_t k = 0; k < s->n_endpoints; k++) {
		strv_add(&m->containers[i].networks,
			project_network(p, s->endpoints[k].network)->name);
	}
	for (size_t k = 0; k < s->n_mounts; k++) {
		const struct volume *v =
			s->mounts[k].source ? project_volume(p, s->mounts[k].source) : NULL;
		if (v) {
			strv_add(&m->containers[i].volumes, v->name);
		}
	}
}

static void add_resources(struct made *m, const struct project *p)
{
	const struct network *n = &p->networks[0];
	resource_hash_network(n, m->network_hash);
	m->networks[0] = (struct state_network){"n1", n->name, p->name, n->key, m->network_hash};
	m->volumes[0] = (struct state_volume){"p_data", p->name, "data", NULL};
	m->s.networks = m->networks;
	m->s.n_networks = 1;
	m->s.volumes = m->volumes;
	m->s.n_volumes = 1;
}

static void make_all(struct made *m, const struct project *p)
{
	add_resources(m, p);
	add_container(m, p, "db", 1, "running");
	add_container(m, p, "web", 1, "running");
	add_container(m, p, "side", 1, "running");
}

static void made_deinit(struct made *m)
{
	for (size_t i = 0; i < m->s.n_containers; i++) {
		strv_deinit(&m->containers[i].networks);
		strv_deinit(&m->containers[i].volumes);
		free((char *)m->containers[i].name);
	}
}

static void plan_is(const struct project *p, struct made *m, struct plan_up o, const char *expected)
{
	const struct strv none = STRV_INIT;
	scoped(plan) struct plan plan = {0};
	scoped(buf) struct buf text = BUF_INIT;
	struct err e = {0};
	o.services = o.services ? o.services : &none;
	int r = plan_up(p, &m->s, &o, &plan, &e);
	assert_int_equal(r, 0);
	print_steps(&plan, &text);
	assert_string_equal(buf_str(&text), expected);
}

static void everything_is_made_in_order(void **state)
{
	scoped(project_free) struct project *p = load_good(three);
	struct made m = {0};
	plan_is(p, &m, (struct plan_up){0},
		"net+ p_default, vol+ p_data, create p-db-1, create p-web-1, create p-side-1, start p-db-1, wait db, start p-web-1, "
		"start p-side-1");
	plan_is(p, &m, (struct plan_up){.no_start = true},
		"net+ p_default, vol+ p_data, create p-db-1, create p-web-1, create p-side-1");
}

/* What may run at once, round by round, when every step of a round is done at the same time. */
static void rounds_are(const struct plan *plan, const char *expected)
{
	scoped(buf) struct buf text = BUF_INIT;
	bool done[64] = {false};
	bool ready[64] = {false};
	for (size_t n_done = 0; n_done < plan->n;) {
		for (size_t i = 0; i < plan->n; i++) {
			ready[i] = !done[i] && plan_is_ready(plan, i, done);
		}
		size_t before = n_done;
		for (size_t i = 0; i < plan->n; i++) {
			if (ready[i]) {
				buf_printf(&text, "%s%s", n_done == before ? "" : " ",
					plan->steps[i].name);
				done[i] = true;
				n_done++;
			}
		}
		assert_true(n_done > before);
		buf_puts(&text, "; ");
	}
	assert_string_equal(buf_str(&text), expected);
}

static void what_does_not_depend_on_each_other_is_done_at_once(void **state)
{
	scoped(project_free) struct project *p = load_good(
		"services:\n"
		"  web: {image: w, depends_on: {api: {condition: service_started}}}\n"
		"  api: {image: w, depends_on: {db: {condition: service_healthy}, queue: {condition: service_started}}}\n"
		"  db: {image: d, volumes: ['data:/d']}\n"
		"  queue: {image: d}\n"
		"volumes: {data: }\n");
	const struct strv none = STRV_INIT;
	const struct plan_up o = {.services = &none};
	const struct state empty = {0};
	scoped(plan) struct plan plan = {0};
	struct err e;
	assert_int_equal(plan_up(p, &empty, &o, &plan, &e), 0);
	rounds_are(&plan,
		"p_default p_data; p-db-1 p-queue-1; p-api-1; p-web-1; p-db-1 p-queue-1; db; p-api-1; p-web-1; ");

	struct made m = {0};
	add_resources(&m, p);
	add_container(&m, p, "db", 1, "running");
	add_container(&m, p, "queue", 1, "running");
	add_container(&m, p, "web", 1, "running");
	m.containers[2].depends = "db:service_healthy:false,queue:service_started:false";
	const struct plan_down down = {.volumes = true};
	scoped(plan) struct plan goes = {0};
	assert_int_equal(plan_down(p, "p", &m.s, &down, &goes), 0);
	rounds_are(
		&goes, "p-web-1; p-web-1; p-db-1 p-queue-1; p-db-1 p-queue-1; p_default p_data; ");
	made_deinit(&m);
}

static void nothing_is_done_twice(void **state)
{
	scoped(project_free) struct project *p = load_good(three);
	struct made m = {0};
	make_all(&m, p);
	plan_is(p, &m, (struct plan_up){0}, "keep p-db-1, keep p-web-1, keep p-side-1, wait db");
	made_deinit(&m);
}

static void what_ended_is_started_again(void **state)
{
	scoped(project_free) struct project *p = load_good(three);
	struct made m = {0};
	make_all(&m, p);
	m.containers[1].status = "exited";
	plan_is(p, &m, (struct plan_up){0}, "keep p-db-1, keep p-side-1, wait db, start p-web-1");
	made_deinit(&m);
}

static void a_changed_service_is_recreated_with_who_shares_its_namespace(void **state)
{
	scoped(project_free) struct project *p = load_good(three);
	struct made m = {0};
	make_all(&m, p);
	m.containers[1].hash = "other";
	plan_is(p, &m, (struct plan_up){0},
		"keep p-db-1, stop p-side-1, recreate p-web-1, recreate p-side-1, wait db, start p-web-1, start p-side-1");
	plan_is(p, &m, (struct plan_up){.no_recreate = true},
		"keep p-db-1, keep p-web-1, keep p-side-1, wait db");
	made_deinit(&m);
}

static void a_new_image_recreates(void **state)
{
	scoped(project_free) struct project *p = load_good(three);
	struct made m = {0};
	make_all(&m, p);
	const struct state_image images[] = {{"db", "sha256:2"}, {"web", "sha256:1"}};
	m.s.images = images;
	m.s.n_images = 2;
	plan_is(p, &m, (struct plan_up){0},
		"recreate p-db-1, keep p-web-1, keep p-side-1, start p-db-1, wait db");
	made_deinit(&m);
}

static int read_file(void *owner, const char *path, size_t max, struct buf *ret)
{
	const char *const *files = owner;
	for (size_t i = 0; files[i]; i += 2) {
		if (strcmp(files[i], path) == 0 && strlen(files[i + 1]) <= max) {
			buf_puts(ret, files[i + 1]);
			return 0;
		}
	}
	return -ENOENT;
}

/* What the service's label would be with these files: path, text, path, text, NULL. */
static char *label_of(const struct project *p, const char *service, const char *const *files)
{
	return content_label(project_service(p, service), read_file, (void *)files);
}

static const char *const reads_files =
	"services:\n"
	"  web:\n"
	"    image: w\n"
	"    configs: [nginx]\n"
	"    secrets: [{source: key, target: /key}]\n"
	"    volumes: ['./one.conf:/one.conf', './dir:/dir', 'v:/v']\n"
	"  own: {image: w, volumes: ['./one.conf:/x'], labels: {wherry.compose.files: 'off'}}\n"
	"  none: {image: w}\n"
	"configs: {nginx: {file: ./nginx.conf}}\n"
	"secrets: {key: {file: ./key}}\n"
	"volumes: {v: }\n";

static void the_label_has_what_a_service_reads(void **state)
{
	scoped(project_free) struct project *p = load_good(reads_files);
	const char *const files[] = {"/p/one.conf", "1", "/p/nginx.conf", "2", "/p/key", "3", NULL};
	scoped(free) char *label = label_of(p, "web", files);
	assert_string_equal(label,
		"{\"/key\":\"4e07408562bedb8b\",\"/nginx\":\"d4735e3a265e16ee\",\"/one.conf\":\"6b86b273ff34fce1\"}");
	assert_null(label_of(p, "own", files));
	assert_null(label_of(p, "none", files));
}

static void what_changed_is_said(void **state)
{
	scoped(free) char *one = content_changes(
		"{\"/a\":\"1\",\"/b\":\"1\"}", "{\"/a\":\"2\",\"/b\":\"1\",\"/c\":\"1\"}");
	assert_string_equal(one, "the content of /a changed");
	scoped(free) char *two =
		content_changes("{\"/a\":\"1\",\"/b\":\"1\"}", "{\"/a\":\"2\",\"/b\":\"2\"}");
	assert_string_equal(two, "the content of /a, /b changed");
	assert_null(content_changes("", "{\"/a\":\"2\"}"));
	assert_null(content_changes("off", "{\"/a\":\"2\"}"));
	assert_null(content_changes("{\"/a\":\"2\"}", ""));
}

static void a_changed_file_recreates_who_reads_it(void **state)
{
	scoped(project_free) struct project *p = load_good(
		"services: {a: {image: x, configs: [c]}, b: {image: x}}\nconfigs: {c: {file: ./c}}");
	struct made m = {0};
	add_resources(&m, p);
	add_container(&m, p, "a", 1, "running");
	add_container(&m, p, "b", 1, "running");
	const char *const before[] = {"/p/c", "1", NULL};
	const char *const after[] = {"/p/c", "2", NULL};
	scoped(free) char *old = label_of(p, "a", before);
	scoped(free) char *new = label_of(p, "a", after);
	const struct plan_content contents[] = {{"a", new}};
	const struct plan_content same[] = {{"a", old}};
	m.containers[0].files = old;
	plan_is(p, &m, (struct plan_up){.contents = contents, .n_contents = 1},
		"recreate p-a-1 (the content of /c changed), keep p-b-1, start p-a-1");
	plan_is(p, &m, (struct plan_up){.contents = same, .n_contents = 1},
		"keep p-a-1, keep p-b-1");
	plan_is(p, &m, (struct plan_up){.contents = contents, .n_contents = 1, .no_recreate = true},
		"keep p-a-1, keep p-b-1");
	m.containers[0].files = ""; /* made by docker compose, or before there was such a label */
	plan_is(p, &m, (struct plan_up){.contents = contents, .n_contents = 1},
		"keep p-a-1, keep p-b-1");
	made_deinit(&m);
}

static void force_means_the_named_ones(void **state)
{
	scoped(project_free) struct project *p = load_good(three);
	struct made m = {0};
	scoped(strv) struct strv names = STRV_INIT;
	make_all(&m, p);
	strv_add(&names, "web");
	plan_is(p, &m, (struct plan_up){.services = &names, .force_recreate = true},
		"keep p-db-1, recreate p-web-1, wait db, start p-web-1");
	plan_is(p, &m,
		(struct plan_up){.services = &names, .force_recreate = true, .no_deps = true},
		"recreate p-web-1, start p-web-1");
	made_deinit(&m);
}

static void dependents_restart_when_asked(void **state)
{
	scoped(project_free) struct project *p = load_good(
		"services: {a: {image: x}, b: {image: x, depends_on: {a: {condition: service_started, restart: true}}}}");
	struct made m = {0};
	add_resources(&m, p);
	add_container(&m, p, "a", 1, "running");
	add_container(&m, p, "b", 1, "running");
	m.containers[0].hash = "other";
	plan_is(p, &m, (struct plan_up){0}, "stop p-b-1, recreate p-a-1, start p-a-1, start p-b-1");
	made_deinit(&m);
}

static void scaling_adds_behind_and_removes_the_obsolete_first(void **state)
{
	scoped(project_free) struct project *p = load_good("services: {a: {image: x}}");
	struct made m = {0};
	const struct plan_scale two = {"a", 2};
	const struct plan_scale none = {"a", 0};
	add_resources(&m, p);
	add_container(&m, p, "a", 3, "running");
	plan_is(p, &m, (struct plan_up){.scales = &two, .n_scales = 1},
		"keep p-a-3, create p-a-4, start p-a-4");
	add_container(&m, p, "a", 5, "running");
	m.containers[0].hash = "old";
	plan_is(p, &m, (struct plan_up){0}, "stop p-a-3, remove p-a-3, keep p-a-5");
	plan_is(p, &m, (struct plan_up){.scales = &none, .n_scales = 1},
		"stop p-a-3, stop p-a-5, remove p-a-3, remove p-a-5");
	made_deinit(&m);
}

static void a_replacement_that_never_got_its_name_is_replaced(void **state)
{
	scoped(project_free) struct project *p = load_good("services: {a: {image: x}}");
	struct made m = {0};
	add_resources(&m, p);
	add_container(&m, p, "a", 1, "running");
	add_container(&m, p, "a", 1, "created");
	m.containers[0].hash = "old";
	free((char *)m.containers[1].name);
	m.containers[1].name = xstrdup("0123456789ab_p-a-1");
	plan_is(p, &m, (struct plan_up){0},
		"remove 0123456789ab_p-a-1, recreate p-a-1, start p-a-1");
	made_deinit(&m);
}

static const char *const rolling =
	"services:\n"
	"  web:\n"
	"    image: w\n"
	"    scale: 3\n"
	"    deploy: {update_config: {order: start-first, parallelism: 2}}\n"
	"  after: {image: w, depends_on: [web]}\n";

static void start_first_goes_in_batches(void **state)
{
	scoped(project_free) struct project *p = load_good(rolling);
	struct made m = {0};
	add_resources(&m, p);
	add_container(&m, p, "after", 1, "exited");
	for (int i = 1; i <= 3; i++) {
		add_container(&m, p, "web", i, "running");
		m.containers[i].hash = "old";
	}
	const struct strv none = STRV_INIT;
	const struct plan_up o = {.services = &none};
	scoped(plan) struct plan plan = {0};
	scoped(buf) struct buf text = BUF_INIT;
	struct err e;
	assert_int_equal(plan_up(p, &m.s, &o, &plan, &e), 0);
	print_steps(&plan, &text);
	assert_string_equal(
		buf_str(&text), "roll p-web-1, roll p-web-2, roll p-web-3, start p-after-1");
	rounds_are(&plan, "p-web-1 p-web-2; p-web-3; p-after-1; ");
	plan_is(p, &m, (struct plan_up){.no_start = true},
		"recreate p-web-1, recreate p-web-2, recreate p-web-3");
	m.containers[1].status = "exited"; /* nothing to keep up */
	plan_is(p, &m, (struct plan_up){0},
		"recreate p-web-1, start p-web-1, roll p-web-2, roll p-web-3, start p-after-1");
	made_deinit(&m);
}

static void rollback_keeps_the_old_ones_until_all_are_well(void **state)
{
	scoped(project_free) struct project *p = load_good(
		"services: {a: {image: x, scale: 2, deploy: {update_config: {order: start-first, failure_action: rollback}}}}");
	struct made m = {0};
	add_resources(&m, p);
	add_container(&m, p, "a", 1, "running");
	add_container(&m, p, "a", 2, "running");
	m.containers[0].hash = m.containers[1].hash = "old";
	plan_is(p, &m, (struct plan_up){0}, "roll p-a-1, roll p-a-2, finish p-a-1, finish p-a-2");
	made_deinit(&m);
}

static void a_share_of_the_rolls_may_fail(void **state)
{
	static const struct {
		const char *ratio;
		size_t n;
	} cases[] = {{"0", 0}, {"0.3", 0}, {"0.34", 1}, {"0.99", 2}, {"1", 3}, {"7", 3}, {"-1", 0}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(free) char *text = xasprintf(
			"services: {a: {image: x, scale: 3, deploy: {update_config: {order: start-first, max_failure_ratio: %s}}}}",
			cases[i].ratio);
		scoped(project_free) struct project *p = load_good(text);
		struct made m = {0};
		add_resources(&m, p);
		for (int k = 0; k < 3; k++) {
			add_container(&m, p, "a", k + 1, "running");
			m.containers[k].hash = "old";
		}
		const struct strv none = STRV_INIT;
		const struct plan_up o = {.services = &none};
		scoped(plan) struct plan plan = {0};
		struct err e;
		assert_int_equal(plan_up(p, &m.s, &o, &plan, &e), 0);
		assert_int_equal(plan.n, 3);
		assert_int_equal(plan.steps[2].n_tolerated, cases[i].n);
		made_deinit(&m);
	}
}

static void what_cannot_be_start_first_is_said(void **state)
{
	static const struct {
		const char *more, *why;
	} cases[] = {
		{"ports: ['80:80']",
			"its published ports are fixed and this engine does not hand them over"},
		{"network_mode: host", "its network is not its own"},
		{"networks: {default: {ipv4_address: 172.4.11.2}}", "its address is fixed"},
		{"mac_address: '02:42:ac:11:00:02'", "its address is fixed"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(free) char *text = xasprintf(
			"services: {a: {image: x, %s, deploy: {update_config: {order: start-first}}}}",
			cases[i].more);
		scoped(project_free) struct project *p = load_good(text);
		struct made m = {0};
		add_container(&m, p, "a", 1, "running");
		m.containers[0].hash = "old";
		const struct strv none = STRV_INIT;
		struct plan_up o = {.services = &none};
		scoped(plan) struct plan plan = {0};
		struct err e;
		assert_int_equal(plan_up(p, &m.s, &o, &plan, &e), 0);
		assert_int_equal(plan.warnings.n, 1);
		assert_non_null(strstr(plan.warnings.v[0], cases[i].why));
		assert_int_equal(plan.steps[plan.n - 1].kind, STEP_START);
		if (i == 0) {
			o.hands_over = true;
			plan_is(p, &m, o, "net+ p_default, roll p-a-1");
		}
		made_deinit(&m);
	}
}

/* What an `up` leaves when it is killed between any two requests of a replacement. */
static void an_interrupted_replacement_is_completed(void **state)
{
	static const struct {
		const char *old, *new; /* status; NULL: not there (any more) */
		bool stale;            /* the file has changed again meanwhile */
		const char *first;     /* stop, create beside, stop old, remove, rename, start */
		const char *rolls;     /* start-first */
	} cases[] = {
		{"running", "created", false,
			"remove 0123456789ab_p-a-1, recreate p-a-1, start p-a-1",
			"roll p-a-1 by 0123456789ab_p-a-1"},
		{"exited", "created", false,
			"remove 0123456789ab_p-a-1, recreate p-a-1, start p-a-1",
			"roll p-a-1 by 0123456789ab_p-a-1"},
		{NULL, "created", false, "rename p-a-1, start p-a-1", "rename p-a-1, start p-a-1"},
		{"running", "running", false,
			"stop 0123456789ab_p-a-1, remove 0123456789ab_p-a-1, recreate p-a-1, start p-a-1",
			"roll p-a-1 by 0123456789ab_p-a-1"},
		{"exited", "running", false,
			"stop 0123456789ab_p-a-1, remove 0123456789ab_p-a-1, recreate p-a-1, start p-a-1",
			"roll p-a-1 by 0123456789ab_p-a-1"},
		{NULL, "running", false, "rename p-a-1", "rename p-a-1"},
		{"running", "exited", false,
			"remove 0123456789ab_p-a-1, recreate p-a-1, start p-a-1",
			"remove 0123456789ab_p-a-1, roll p-a-1"},
		{"running", "running", true,
			"stop 0123456789ab_p-a-1, remove 0123456789ab_p-a-1, recreate p-a-1, start p-a-1",
			"stop 0123456789ab_p-a-1, remove 0123456789ab_p-a-1, roll p-a-1"},
		{NULL, "running", true, "recreate p-a-1, start p-a-1", "roll p-a-1"},
	};
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(*cases); i++) {
		bool rolls = i % 2;
		scoped(project_free) struct project *p = load_good(
			rolls ? "services: {a: {image: x, deploy: {update_config: {order: start-first}}}}"
			      : "services: {a: {image: x}}");
		struct made m = {0};
		add_resources(&m, p);
		if (cases[i / 2].old) {
			add_container(&m, p, "a", 1, cases[i / 2].old);
			m.containers[0].hash = "old";
		}
		add_container(&m, p, "a", 1, cases[i / 2].new);
		struct state_container *temporary = &m.containers[m.s.n_containers - 1];
		temporary->hash = cases[i / 2].stale ? "stale" : temporary->hash;
		free((char *)temporary->name);
		temporary->name = xstrdup("0123456789ab_p-a-1");
		plan_is(p, &m, (struct plan_up){0},
			rolls ? cases[i / 2].rolls : cases[i / 2].first);
		made_deinit(&m);
	}
}

/* The one that is made next has the same temporary name. */
static void a_leftover_gives_its_name_back_first(void **state)
{
	scoped(project_free) struct project *p = load_good("services: {a: {image: x}}");
	struct made m = {0};
	add_resources(&m, p);
	add_container(&m, p, "a", 1, "exited");
	m.containers[0].hash = "old";
	add_container(&m, p, "a", 1, "created");
	m.containers[1].hash = "stale";
	free((char *)m.containers[1].name);
	m.containers[1].name = xstrdup("0123456789ab_p-a-1");
	const struct strv none = STRV_INIT;
	const struct plan_up o = {.services = &none};
	scoped(plan) struct plan plan = {0};
	struct err e;
	assert_int_equal(plan_up(p, &m.s, &o, &plan, &e), 0);
	rounds_are(&plan, "0123456789ab_p-a-1; p-a-1; p-a-1; ");
	made_deinit(&m);
}

static void a_changed_network_is_made_anew(void **state)
{
	scoped(project_free) struct project *p = load_good(three);
	struct made m = {0};
	make_all(&m, p);
	m.networks[0].hash = "other";
	plan_is(p, &m, (struct plan_up){0},
		"stop p-db-1, stop p-web-1, net- p_default, net+ p_default, recreate p-db-1, stop p-side-1, recreate p-web-1, recreate p-side-1, "
		"start p-db-1, wait db, start p-web-1, start p-side-1");
	made_deinit(&m);
}

/* Recorded from docker compose 2.40.3: the labels config-hash of what it made of this file. */
static void networks_and_volumes_have_docker_composes_hashes(void **state)
{
	scoped(project_free) struct project *p = load_good(
		"name: hash\n"
		"services: {a: {image: bb, networks: [default, n], volumes: ['vol:/v', 'wol:/w']}}\n"
		"networks:\n"
		"  n:\n"
		"    driver: bridge\n"
		"    driver_opts: {com.docker.network.driver.mtu: 1400}\n"
		"    internal: true\n"
		"    attachable: true\n"
		"    enable_ipv6: false\n"
		"    labels: {x: 'a<b&c', y: '1'}\n"
		"    x-foo: bar\n"
		"    ipam: {config: [{subnet: 10.213.7.0/24, gateway: 10.213.7.1, aux_addresses: {h: 10.213.7.9}}]}\n"
		"volumes:\n"
		"  vol:\n"
		"  wol: {driver: local, driver_opts: {o: 'size=1m<'}, labels: {k: v}}\n");
	char hash[RESOURCE_HASH_MAX];
	resource_hash_network(project_network(p, "default"), hash);
	assert_string_equal(
		hash, "a78ee1135acd03fb80dd744394765715b2d17d13c4bf28d9856dab484dc687ae");
	resource_hash_network(project_network(p, "n"), hash);
	assert_string_equal(
		hash, "248c40ae4f0866bdb35148e89d4edfe0572e475a359cce1a17aefd734facd0d9");
	resource_hash_volume(project_volume(p, "vol"), hash);
	assert_string_equal(
		hash, "ba28e1014d40e2d0a027a095e0d586165c7dbb5cb2e7b949c6add0ede1695ad3");
	resource_hash_volume(project_volume(p, "wol"), hash);
	assert_string_equal(
		hash, "ed508ac37613e5c9bc54aa11da9d39f587309f5c85af9d511dbcafa4fd80edbc");
}

static void a_changed_volume_goes_only_when_somebody_said_so(void **state)
{
	scoped(project_free) struct project *p = load_good(three);
	scoped(strv) struct strv changed = STRV_INIT;
	const bool all[] = {true, true, true};
	const bool none[] = {false, false, false};
	struct made m = {0};
	make_all(&m, p);
	strv_add(&m.containers[0].volumes, "p_data");
	plan_changed_volumes(p, &m.s, all, &changed);
	assert_int_equal(changed.n, 0); /* made before volumes had a hash */
	m.volumes[0].hash = "other";
	plan_changed_volumes(p, &m.s, none, &changed);
	assert_int_equal(changed.n, 0);
	plan_changed_volumes(p, &m.s, all, &changed);
	assert_int_equal(changed.n, 1);
	assert_string_equal(changed.v[0], "p_data");
	plan_is(p, &m, (struct plan_up){0}, "keep p-db-1, keep p-web-1, keep p-side-1, wait db");
	plan_is(p, &m, (struct plan_up){.renewed = &changed},
		"stop p-db-1, remove p-db-1, vol- p_data, vol+ p_data, create p-db-1, keep p-web-1, keep p-side-1, start p-db-1, wait db");
	made_deinit(&m);
}

static void only_what_is_used_is_made(void **state)
{
	scoped(project_free) struct project *p = load_good(
		"services: {a: {image: x, volumes: ['one:/o'], networks: [m]}, b: {image: x, volumes: ['two:/t'], networks: [n]}}\n"
		"networks: {m: , n: }\n"
		"volumes: {one: , two: }");
	scoped(strv) struct strv names = STRV_INIT;
	struct made m = {0};
	strv_add(&names, "a");
	plan_is(p, &m, (struct plan_up){.services = &names},
		"net+ p_m, vol+ p_one, create p-a-1, start p-a-1");
}

static void orphans_are_named_or_removed(void **state)
{
	scoped(project_free) struct project *old =
		load_good("services: {a: {image: x}, gone: {image: x}}");
	scoped(project_free) struct project *p = load_good("services: {a: {image: x}}");
	struct made m = {0};
	add_resources(&m, old);
	add_container(&m, old, "a", 1, "running");
	add_container(&m, old, "gone", 1, "running");
	const struct strv none = STRV_INIT;
	const struct plan_up o = {.services = &none};
	scoped(plan) struct plan plan = {0};
	struct err e;
	assert_int_equal(plan_up(p, &m.s, &o, &plan, &e), 0);
	assert_int_equal(plan.n, 1);
	assert_int_equal(plan.warnings.n, 1);
	assert_non_null(strstr(plan.warnings.v[0], "Found orphan containers ([p-gone-1])"));
	plan_is(p, &m, (struct plan_up){.remove_orphans = true},
		"stop p-gone-1, remove p-gone-1, keep p-a-1");
	made_deinit(&m);
}

static void missing_external_objects_are_an_error(void **state)
{
	scoped(project_free) struct project *p = load_good(
		"services: {a: {image: x, networks: [n]}}\nnetworks: {n: {external: true, name: there}}");
	const struct strv none = STRV_INIT;
	const struct plan_up o = {.services = &none};
	const struct state empty = {0};
	struct plan plan;
	struct err e;
	assert_int_equal(plan_up(p, &empty, &o, &plan, &e), -1);
	assert_string_equal(e.msg, "network there declared as external, but could not be found");
	const struct plan_scale nobody = {"nobody", 1};
	const struct plan_up scale = {.services = &none, .scales = &nobody, .n_scales = 1};
	assert_int_equal(plan_up(p, &empty, &scale, &plan, &e), -1);
	assert_string_equal(e.msg, "no such service: nobody");
}

static void down_takes_dependents_first_and_everything(void **state)
{
	scoped(project_free) struct project *p = load_good(three);
	struct made m = {0};
	make_all(&m, p);
	m.containers[1].depends = "db:service_healthy:false";
	m.containers[2].depends = "web:service_started:true";
	m.containers[0].status = "exited";
	scoped(plan) struct plan plan = {0};
	scoped(buf) struct buf text = BUF_INIT;
	const struct plan_down o = {.volumes = true};
	assert_int_equal(plan_down(p, "p", &m.s, &o, &plan), 0);
	print_steps(&plan, &text);
	assert_string_equal(buf_str(&text),
		"stop p-side-1, remove p-side-1, stop p-web-1, remove p-web-1, remove p-db-1, net- p_default, vol- p_data");
	made_deinit(&m);
}

static void down_is(
	const struct project *p, struct made *m, struct plan_down o, const char *expected)
{
	scoped(plan) struct plan plan = {0};
	scoped(buf) struct buf text = BUF_INIT;
	assert_int_equal(plan_down(p, "p", &m->s, &o, &plan), 0);
	print_steps(&plan, &text);
	assert_string_equal(buf_str(&text), expected);
}

static void down_leaves_what_is_not_meant(void **state)
{
	static const char *const text = "services:\n"
					"  a: {image: x, volumes: ['data:/d']}\n"
					"  b: {image: x, networks: [other]}\n"
					"  t: {image: x, profiles: [tools]}\n"
					"networks: {other: }\nvolumes: {data: }\n";
	scoped(project_free) struct project *p = load_good(text);
	struct made m = {0};
	add_resources(&m, p);
	m.networks[0] = (struct state_network){"n1", "p_default", "p", "default", ""};
	m.networks[1] = (struct state_network){"n2", "p_other", "p", "other", ""};
	m.s.n_networks = 2;
	add_container(&m, p, "a", 1, "exited");
	add_container(&m, p, "b", 1, "exited");
	add_container(&m, p, "a", 2, "exited");
	m.containers[2].service = "t";
	strv_deinit(&m.containers[2].networks);
	free((char *)m.containers[2].name);
	m.containers[2].name = xstrdup("p-t-1");
	down_is(p, &m, (struct plan_down){.remove_orphans = true},
		"remove p-a-1, remove p-b-1, net- p_default, net- p_other");
	down_is(NULL, &m, (struct plan_down){0},
		"remove p-a-1, remove p-b-1, remove p-t-1, net- p_default, net- p_other");
	struct strv names = STRV_INIT;
	strv_add(&names, "b");
	down_is(p, &m, (struct plan_down){.services = &names, .volumes = true},
		"remove p-b-1, net- p_other");
	strv_add(&names, "a");
	down_is(p, &m, (struct plan_down){.services = &names, .volumes = true},
		"remove p-a-1, remove p-b-1, net- p_default, net- p_other, vol- p_data");
	strv_deinit(&names);
	made_deinit(&m);
}

static void down_stops_at_once_what_does_not_depend_on_each_other(void **state)
{
	scoped(project_free) struct project *p = load_good(three);
	struct made m = {0};
	make_all(&m, p);
	m.containers[1].depends = "db:service_healthy:false";
	m.containers[2].depends = "db:service_started:true";
	scoped(plan) struct plan plan = {0};
	scoped(buf) struct buf text = BUF_INIT;
	const struct plan_down o = {0};
	assert_int_equal(plan_down(p, "p", &m.s, &o, &plan), 0);
	print_steps(&plan, &text);
	assert_string_equal(buf_str(&text),
		"stop p-web-1, stop p-side-1, remove p-web-1, remove p-side-1, stop p-db-1, remove p-db-1, net- p_default");
	made_deinit(&m);
}

static void labels_that_go_in_a_circle_have_some_order(void **state)
{
	scoped(project_free) struct project *p = load_good(three);
	struct made m = {0};
	make_all(&m, p);
	m.containers[0].depends = "web:service_started:false";
	m.containers[1].depends = "side:service_started:false";
	m.containers[2].depends = "db:service_started:false,";
	size_t order[3];
	size_t levels[3];
	plan_stop_order(&m.s, order, levels);
	assert_int_equal(order[0] + order[1] + order[2], 3);
	assert_int_not_equal(levels[0], levels[1]);
	made_deinit(&m);
}

/* ---- requests ---- */

static const char *container_of(void *owner, const char *service)
{
	return strcmp(service, "web") == 0 ? "webid" : NULL;
}

static json_t *request(const struct project *p, const char *service)
{
	struct err e = {0};
	const struct request_container r = {.service = project_service(p, service),
		.number = 1,
		.image_id = "sha256:1",
		.hash = "h",
		.container_of = container_of};
	json_t *o = request_container(p, &r, &e);
	assert_non_null(o);
	return o;
}

static json_t *at(json_t *o, const char *path)
{
	scoped(strv) struct strv keys = STRV_INIT;
	strv_split(&keys, path, '/');
	for (size_t i = 0; i < keys.n; i++) {
		o = json_is_array(o) ? json_array_get(o, (size_t)atoi(keys.v[i]))
				     : json_object_get(o, keys.v[i]);
	}
	return o;
}

static void text_is(json_t *o, const char *path, const char *expected)
{
	const char *got = json_string_value(at(o, path));
	assert_non_null(got);
	assert_string_equal(got, expected);
}

static void labels_are_those_of_docker_compose(void **state)
{
	scoped(project_free) struct project *p = load_good(three);
	scoped(json) json_t *o = request(p, "web");
	json_t *labels = json_object_get(o, "Labels");
	text_is(labels, "com.docker.compose.project", "p");
	text_is(labels, "com.docker.compose.service", "web");
	text_is(labels, "com.docker.compose.container-number", "1");
	text_is(labels, "com.docker.compose.oneoff", "False");
	text_is(labels, "com.docker.compose.config-hash", "h");
	text_is(labels, "com.docker.compose.image", "sha256:1");
	text_is(labels, "com.docker.compose.depends_on", "db:service_healthy:false");
	text_is(labels, "com.docker.compose.project.working_dir", "/p");
	text_is(labels, "com.docker.compose.project.config_files", "/p/compose.yaml");
	scoped(json) json_t *network = request_network(p, &p->networks[0]);
	text_is(network, "Name", "p_default");
	text_is(network, "Labels/com.docker.compose.network", "default");
	scoped(json) json_t *volume = request_volume(p, &p->volumes[0]);
	text_is(volume, "Labels/com.docker.compose.volume", "data");
}

static void a_request_says_all_that_the_service_says(void **state)
{
	scoped(project_free) struct project *p = load_good(
		"services:\n"
		"  web:\n"
		"    image: x\n"
		"    ports: ['127.0.0.1:80:81/udp']\n"
		"    expose: ['9-10', 11/udp]\n"
		"    volumes: ['./d:/d:ro,z', 'v:/v', /anon, {type: bind, source: /s, target: /t, bind: {create_host_path: false}}]\n"
		"    networks: {n: {aliases: [z], ipv4_address: 172.4.11.2}}\n"
		"    restart: on-failure:3\n"
		"    command: []\n"
		"    secrets: [s]\n"
		"    devices: [/dev/lirc0]\n"
		"    tmpfs: ['/run:size=1m']\n"
		"volumes: {v: }\n"
		"networks: {n: }\n"
		"secrets: {s: {file: s.txt}}\n");
	scoped(json) json_t *o = request(p, "web");
	json_t *host = json_object_get(o, "HostConfig");
	const json_t *binding =
		json_array_get(json_object_get(json_object_get(host, "PortBindings"), "81/udp"), 0);
	assert_string_equal(json_str(binding, "HostIp"), "127.0.0.1");
	assert_string_equal(json_str(binding, "HostPort"), "80");
	assert_int_equal(json_object_size(json_object_get(o, "ExposedPorts")), 4);
	text_is(host, "Binds/0", "/p/d:/d:ro,z");
	text_is(host, "Binds/1", "p_v:/v:rw");
	text_is(host, "Mounts/0/Target", "/anon");
	text_is(host, "Mounts/1/Source", "/s");
	text_is(host, "Mounts/2/Target", "/run/secrets/s");
	text_is(host, "Mounts/2/Source", "/p/s.txt");
	text_is(host, "RestartPolicy/Name", "on-failure");
	assert_int_equal(json_integer_value(at(host, "RestartPolicy/MaximumRetryCount")), 3);
	text_is(host, "NetworkMode", "p_n");
	text_is(o, "NetworkingConfig/EndpointsConfig/p_n/Aliases/0", "p-web-1");
	text_is(o, "NetworkingConfig/EndpointsConfig/p_n/Aliases/1", "web");
	text_is(o, "NetworkingConfig/EndpointsConfig/p_n/Aliases/2", "z");
	text_is(o, "NetworkingConfig/EndpointsConfig/p_n/IPAMConfig/IPv4Address", "172.4.11.2");
	assert_int_equal(json_array_size(json_object_get(o, "Cmd")), 0);
	assert_true(json_is_array(json_object_get(o, "Cmd")));
	assert_true(json_is_null(json_object_get(o, "Entrypoint")));
	text_is(host, "Devices/0/PathInContainer", "/dev/lirc0");
	assert_string_equal(json_str(json_object_get(host, "Tmpfs"), "/run"), "size=1m");
}

static void namespaces_of_services_become_containers(void **state)
{
	scoped(project_free) struct project *p = load_good(three);
	scoped(json) json_t *o = request(p, "side");
	text_is(o, "HostConfig/NetworkMode", "container:webid");
	assert_int_equal(json_object_size(at(o, "NetworkingConfig/EndpointsConfig")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_made_in_order),
		cmocka_unit_test(what_does_not_depend_on_each_other_is_done_at_once),
		cmocka_unit_test(nothing_is_done_twice),
		cmocka_unit_test(what_ended_is_started_again),
		cmocka_unit_test(a_changed_service_is_recreated_with_who_shares_its_namespace),
		cmocka_unit_test(a_new_image_recreates),
		cmocka_unit_test(the_label_has_what_a_service_reads),
		cmocka_unit_test(what_changed_is_said),
		cmocka_unit_test(a_changed_file_recreates_who_reads_it),
		cmocka_unit_test(force_means_the_named_ones),
		cmocka_unit_test(dependents_restart_when_asked),
		cmocka_unit_test(scaling_adds_behind_and_removes_the_obsolete_first),
		cmocka_unit_test(a_replacement_that_never_got_its_name_is_replaced),
		cmocka_unit_test(start_first_goes_in_batches),
		cmocka_unit_test(rollback_keeps_the_old_ones_until_all_are_well),
		cmocka_unit_test(a_share_of_the_rolls_may_fail),
		cmocka_unit_test(what_cannot_be_start_first_is_said),
		cmocka_unit_test(an_interrupted_replacement_is_completed),
		cmocka_unit_test(a_leftover_gives_its_name_back_first),
		cmocka_unit_test(a_changed_network_is_made_anew),
		cmocka_unit_test(networks_and_volumes_have_docker_composes_hashes),
		cmocka_unit_test(a_changed_volume_goes_only_when_somebody_said_so),
		cmocka_unit_test(only_what_is_used_is_made),
		cmocka_unit_test(orphans_are_named_or_removed),
		cmocka_unit_test(missing_external_objects_are_an_error),
		cmocka_unit_test(down_takes_dependents_first_and_everything),
		cmocka_unit_test(down_leaves_what_is_not_meant),
		cmocka_unit_test(down_stops_at_once_what_does_not_depend_on_each_other),
		cmocka_unit_test(labels_that_go_in_a_circle_have_some_order),
		cmocka_unit_test(labels_are_those_of_docker_compose),
		cmocka_unit_test(a_request_says_all_that_the_service_says),
		cmocka_unit_test(namespaces_of_services_become_containers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
