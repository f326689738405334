#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "event/event.h"
#include "fixture.h"
#include "image/image.h"
#include "job/job.h"
#include "store/store.h"
#include "volume/volume.h"

/* A kernel that can limit everything, two CPUs. */
const struct cgroup_features fixture_cgroups = {.memory = true,
	.swap = true,
	.reservation = true,
	.oom_kill_disable = true,
	.swappiness = true,
	.cpu_shares = true,
	.cpu_quota = true,
	.cpuset = true,
	.pids = true,
	.io_weight = true,
	.io_weight_device = true,
	.io_read_bps = true,
	.io_write_bps = true,
	.io_read_iops = true,
	.io_write_iops = true,
	.cpus = "0-1",
	.mems = "0",
	.n_cpus = 2};

int fixture_setup(void **state)
{
	struct fixture *f = xnew(struct fixture);
	struct container_deps *d = &f->set.d;
	log_set_level(LOG_WARNING);
	signal(SIGPIPE, SIG_IGN); /* as the daemon: /bin/false is gone before it is spoken to */
	strcpy(f->folder, "/tmp/wherry-container-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	f->loop = xnew(uv_loop_t);
	uv_loop_init(f->loop);
	d->loop = f->loop;
	d->store = store_open(":memory:", &f->e);
	d->bus = event_bus_new();
	d->jobs = job_pool_new(f->loop, "/bin/false");
	d->images = image_store_new(
		f->loop, d->store, d->jobs, d->bus, f->folder, json_object(), &f->e);
	assert_non_null(d->images);
	d->volumes = volume_set_new(d->store, d->bus, NULL, f->folder, &f->e);
	assert_non_null(d->volumes);
	d->data_root = f->folder;
	d->exec_root = f->folder;
	d->cgroup_parent = "wherry-unit";
	d->cgroups = &fixture_cgroups;
	f->set.by_id = map_new();
	f->set.by_name = map_new();
	f->set.execs = map_new();
	list_init(&f->set.readers);
	list_init(&f->set.volume_jobs);
	fixture_image(f, json_pack("{s[s]}", "Cmd", "sh"));
	f->anchor = container_new(
		&f->set, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	f->anchor->name = xstrdup("anchor");
	map_put(f->set.by_id, f->anchor->id, f->anchor);
	map_put(f->set.by_name, f->anchor->name, f->anchor);
	*state = f;
	return 0;
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;
	struct container_deps *d = &f->set.d;
	stats_free(&f->set);
	map_each (f->set.by_id, struct container, c) {
		container_free(c);
	}
	map_free(f->set.by_id);
	map_free(f->set.by_name);
	map_free(f->set.execs);
	volume_set_free(d->volumes);
	image_store_free(d->images);
	job_pool_free(d->jobs);
	event_bus_free(d->bus);
	store_close(d->store);
	uv_run(f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(f->loop), 0); /* no handle is left */
	free(f->loop);
	path_remove_tree(AT_FDCWD, f->folder);
	free(f);
	return 0;
}

void fixture_image(struct fixture *f, json_t *take_config)
{
	scoped(json) json_t *doc = json_pack("{ss ss so s{ss s[]}}", "os", "linux", "architecture",
		"amd64", "config", take_config, "rootfs", "type", "layers", "diff_ids");
	assert_non_null(doc);
	scoped(free) char *text = json_text(doc);
	struct image *img = image_add(f->set.d.images, text, strlen(text), &f->e);
	assert_non_null(img);
	assert_int_equal(image_tag(f->set.d.images, img, "test:1", &f->e), 0);
}

struct container *fixture_create(
	struct fixture *f, const char *name, json_t *take_config, json_t *take_host)
{
	scoped(json) json_t *body = take_config ? take_config : json_object();
	scoped(json) json_t *warnings = NULL;
	struct container *c = NULL;
	json_t *host = take_host ? take_host : json_object();
	json_put_str(host, "NetworkMode", "container:anchor");
	json_put(body, "HostConfig", host);
	json_put_str(body, "Image", "test:1");
	return container_create(&f->set, name, body, &c, &warnings, &f->e) < 0 ? NULL : c;
}
