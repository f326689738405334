/* The daemon starts: what the store says is brought together with what is there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "container/internal.h"
#include "container/patience.h"
#include "container/plug.h"
#include "container/shim.h"
#include "container/storage.h"
#include "store/store.h"
#include "sys/cgroup.h"

/* Directories of containers that were never recorded: the daemon died inside a create. */
static void remove_strangers(const struct container_set *s)
{
	scoped(free) char *path = xasprintf("%s/containers", s->d.data_root);
	scoped(closedir) DIR *dir = opendir(path);
	if (!dir) {
		return;
	}
	for (struct dirent *d; (d = readdir(dir));) {
		if (d->d_name[0] != '.' && !map_get(s->by_id, d->d_name)) {
			int r = path_remove_tree(dirfd(dir), d->d_name);
			log_info("container", "stray_directory_removed", "name", d->d_name,
				"reason", r < 0 ? strerror(-r) : NULL, NULL);
		}
	}
}

static bool knows_run_dir(const struct container_set *s, const char *name)
{
	map_each (s->by_id, const struct container, c) {
		if (strncmp(c->id, name, strlen(name)) == 0) {
			return true;
		}
	}
	return false;
}

static void remove_stray_run_dirs(const struct container_set *s)
{
	scoped(free) char *path = xasprintf("%s/containers", s->d.exec_root);
	scoped(closedir) DIR *dir = opendir(path);
	if (!dir) {
		return;
	}
	for (struct dirent *d; (d = readdir(dir));) {
		if (d->d_name[0] != '.' && !knows_run_dir(s, d->d_name)) {
			path_remove_tree(dirfd(dir), d->d_name);
		}
	}
}

static bool recorded_as_running(const struct container *c)
{
	return container_is_running(c);
}

/* Nobody answers: its end is recorded, or it is ended now. */
static void record_end(struct container *c)
{
	int code = 137;
	int64_t at_ns = clock_real_ns();
	bool oom = false;
	int r = shim_read_exit(c->run_dir, &code, &at_ns, &oom);
	if (r < 0 && cgroup_kill(c->cgroup) == 0 && recorded_as_running(c)) {
		log_warning("container", "killed_without_shim", "id", c->id, NULL);
	}
	if (recorded_as_running(c) || r == 0) {
		c->was_running = true;
		container_died(c, code, at_ns, oom);
	} else {
		container_clean_run(c); /* it never came to run */
	}
}

static void reconcile(struct container *c)
{
	if (c->state == CONTAINER_REMOVING || c->state == CONTAINER_DEAD) {
		container_remove_now(c, false);
		return;
	}
	bool was_restarting = c->state == CONTAINER_RESTARTING;
	if (was_restarting) {
		c->state = CONTAINER_EXITED;
		c->was_running = true;
		c->resumes_waiting = waiting_is_patient(c);
	}
	c->shim = shim_reconnect(c->set->d.loop, c->run_dir, container_shim_handlers(), c);
	if (!c->shim) {
		record_end(c);
		return;
	}
	if (!recorded_as_running(c)) { /* it was just being started: the shim's first word says how
					  far it came */
		c->state = CONTAINER_STARTING;
		return;
	}
	container_opened_pid(c, c->pid);
}

struct container_set *container_set_new(const struct container_deps *d, struct err *e)
{
	struct container_set *s = xnew(struct container_set);
	s->d = *d;
	s->by_id = map_new();
	s->by_name = map_new();
	s->execs = map_new();
	list_init(&s->readers);
	list_init(&s->volume_jobs);
	list_init(&s->volume_looks);
	s->patience = patience_new();
	if (store_each(d->store, STORE_CONTAINERS, container_record_load, s, e) < 0) {
		container_set_free(s);
		return NULL;
	}
	remove_strangers(s);
	remove_stray_run_dirs(s);
	execs_clean(s);
	scoped(strv) struct strv ids = STRV_INIT;
	map_each (s->by_id, struct container, each) {
		strv_add(&ids, each->id);
	}
	for (size_t i = 0; i < ids.n; i++) {
		struct container *c = map_get(s->by_id, ids.v[i]);
		if (c) {
			reconcile(c);
		}
	}
	container_volumes_reconcile(s);
	plug_listen(s);
	storage_listen(s);
	s->policies = delay_start(d->loop, 0, boot_apply_policies, s);
	return s;
}
