/* The job "ingress": nginx serves what the daemon wants to be served.
 *
 * {"dir": DATA/ingress, "run": RUN/ingress, "generation", "config": text of nginx.conf,
 *  "files": {name below dir: text}, "ports": [{"address", "port", "udp"}],
 *  "program": of nginx, or absent: the machine's,
 *  "archive": logs of before are kept apart when nginx starts,
 *  or "stop": true: nothing is to be served, or "turn": bytes: logs of that size are turned}
 * The result is {"pid", "generation", "ms_test", "ms_reload", "taken": [{"port", "udp", "by"}]}.
 * With a port that somebody else has nothing is done: the daemon asks again without it.
 *
 * In this order: write, test, let `current` lead to it, start or reload, wait until all who accept
 * requests have it. When a step fails `current` leads where it did, and what runs goes on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "worker/ingress_files.h"
#include "worker/ingress_logs.h"
#include "worker/jobs.h"
#include "worker/nginx_control.h"
#include "worker/port_owner.h"

struct ingress_job {
	const json_t *request;
	const char *dir;
	uint64_t generation;
	struct nginx_control nginx;
	uint64_t serving; /* the generation that runs, 0: none */
	int64_t ms_test, ms_reload;
};

/* Its programs are not told what the daemon's environment has. */
static void use_own_environment(void)
{
	clearenv();
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
}

/* --- ports --- */

static json_t *taken_ports(const struct ingress_job *j)
{
	json_t *taken = json_array();
	size_t i;
	json_t *port;
	json_array_foreach (json_object_get(j->request, "ports"), i, port) {
		scoped(free) char *owner = NULL;
		if (port_can_be_had(port) || port_find_owner(port, j->nginx.master.pid, &owner)) {
			continue;
		}
		json_array_append_new(taken,
			json_pack("{sO so ss}", "port", json_object_get(port, "port"), "udp",
				json_boolean(json_bool(port, "udp")), "by", owner ? owner : ""));
	}
	return taken;
}

/* --- from one generation to the next --- */

static int apply(struct ingress_job *j, struct err *e)
{
	struct nginx_control *n = &j->nginx;
	if (j->serving == 0) {
		if (json_bool(j->request, "archive")) {
			ingress_logs_archive(j->dir);
		}
		return nginx_start(n, j->generation, e);
	}
	return n->master.replaced ? nginx_upgrade(n, j->generation, e)
				  : nginx_reload(n, j->generation, e);
}

static int test(struct ingress_job *j, struct err *e)
{
	scoped(free) char *conf = NULL;
	int64_t begin = clock_mono_ms();
	int r = ingress_write_conf(j->dir, j->generation, json_str(j->request, "config"), &conf, e);
	if (r == 0) {
		r = nginx_test(&j->nginx, conf, e);
	}
	j->ms_test = clock_mono_ms() - begin;
	return r;
}

static int change(struct ingress_job *j, struct err *e)
{
	struct err ignored;
	const json_t *files = json_object_get(j->request, "files");
	uint64_t before = ingress_current(j->dir);
	int64_t begin = clock_mono_ms();
	int r = ingress_write_pages(j->dir, e) < 0 || ingress_write_files(j->dir, files, e) < 0 ||
				ingress_set_current(j->dir, j->generation, e) < 0
			? -1
			: apply(j, e);
	j->ms_reload = clock_mono_ms() - begin;
	if (r < 0) {
		(void)ingress_set_current(j->dir, before, &ignored);
	} else {
		ingress_remove_files(j->dir, files);
	}
	return r;
}

/* Better than nothing: what could be served before. */
static void serve_last_good(struct ingress_job *j)
{
	struct err ignored;
	uint64_t last = ingress_current(j->dir);
	if (last > 0) {
		(void)nginx_start(&j->nginx, last, &ignored);
	}
}

static json_t *result_of(const struct ingress_job *j, json_t *take_taken)
{
	return json_pack("{si sI sI sI so}", "pid", (int)j->nginx.master.pid, "generation",
		(json_int_t)j->generation, "ms_test", (json_int_t)j->ms_test, "ms_reload",
		(json_int_t)j->ms_reload, "taken", take_taken);
}

static json_t *serve(struct ingress_job *j, struct err *e)
{
	if (j->nginx.master.pid == 0) {
		nginx_end_orphans(&j->nginx);
	} else {
		j->serving = nginx_generation(&j->nginx);
	}
	scoped(json) json_t *taken = taken_ports(j);
	bool is_served = j->serving == j->generation && !j->nginx.master.replaced &&
			 ingress_current(j->dir) == j->generation;
	if (json_array_size(taken) > 0 || is_served) {
		return result_of(j, TAKE(taken));
	}
	int r = test(j, e) < 0 ? -1 : change(j, e);
	if (r < 0 && j->serving == 0) {
		serve_last_good(j);
	}
	ingress_remove_others(j->dir);
	return r < 0 ? NULL : result_of(j, TAKE(taken));
}

json_t *worker_ingress(struct rpc *r, const json_t *request, struct err *e)
{
	struct ingress_job j = {.request = request,
		.dir = json_str(request, "dir"),
		.generation = (uint64_t)json_i64(request, "generation", 0)};
	const char *run = json_str(request, "run");
	json_t *result = NULL;
	use_own_environment();
	if (ingress_directories(j.dir, run, e) == 0 &&
		nginx_control_init(&j.nginx, j.dir, run, json_str(request, "program"), e) == 0) {
		int64_t turn = json_i64(request, "turn", 0);
		if (turn > 0) {
			ingress_logs_turn(j.dir, turn);
			nginx_reopen(&j.nginx);
			result = result_of(&j, json_array());
		} else if (json_bool(request, "stop")) {
			nginx_stop(&j.nginx);
			result = result_of(&j, json_array());
		} else {
			result = serve(&j, e);
		}
	}
	nginx_control_deinit(&j.nginx);
	return result;
}
