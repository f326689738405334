/* A container in memory and as a row of table containers: one JSON document with everything that
 * must survive. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "container/internal.h"
#include "container/plug.h"
#include "container/storage.h"
#include "store/store.h"

struct container *container_new(struct container_set *s, const char *id)
{
	struct container *c = xnew(struct container);
	c->set = s;
	snprintf(c->id, sizeof(c->id), "%s", id);
	c->dir = xasprintf("%s/containers/%s", s->d.data_root, id);
	/* half the id: console.sock below it must fit sun_path */
	c->run_dir = xasprintf("%s/containers/%.32s", s->d.exec_root, id);
	c->pidfd = -1;
	attach_point_init(&c->attaches);
	list_init(&c->waits);
	list_init(&c->starting);
	list_init(&c->stopping);
	list_init(&c->removing);
	list_init(&c->file_works);
	return c;
}

void container_free(struct container *c)
{
	if (!c) {
		return;
	}
	for (size_t i = 0; i < c->n_endpoints; i++) {
		free(c->endpoints[i].network);
		json_decref(c->endpoints[i].config);
	}
	scoped_close(&c->pidfd);
	mounts_deinit(&c->mounts);
	strv_deinit(&c->layers);
	strv_deinit(&c->made_groups);
	strv_deinit(&c->image_labels);
	json_decref(c->config);
	json_decref(c->host_config);
	json_decref(c->warnings);
	json_decref(c->ports);
	free(c->name);
	free(c->image_id);
	free(c->image_ref);
	free(c->dir);
	free(c->run_dir);
	free(c->cgroup);
	free(c->error);
	free(c->waits_for);
	free(c->route_error);
	json_decref(c->without);
	plug_free(c->plug);
	storage_free(c->storage);
	free(c);
}

static json_t *state_record(const struct container *c)
{
	return json_pack("{ss sb si sb sI sI sI sb si sI ss}", "State",
		container_state_word(c->state), "Stopping", c->state == CONTAINER_STOPPING,
		"ExitCode", c->exit_code, "OOMKilled", c->oom_killed, "Pid", (json_int_t)c->pid,
		"StartedAt", (json_int_t)c->started_ns, "FinishedAt", (json_int_t)c->finished_ns,
		"StoppedByUser", c->stopped_by_user, "RestartCount", c->restart_count, "LastWaitMs",
		(json_int_t)c->last_wait_ms, "Error", c->error ? c->error : "");
}

int container_record_save(struct container *c, struct err *e)
{
	scoped(json) json_t *doc = json_object();
	json_put_str(doc, "Name", c->name);
	json_put(doc, "Created", json_integer(c->created_ns));
	json_put_str(doc, "Image", c->image_id);
	json_put_str(doc, "ImageRef", c->image_ref);
	json_put(doc, "Layers", json_strv(&c->layers));
	json_put(doc, "State", state_record(c));
	json_put(doc, "Config", json_incref(c->config));
	json_put(doc, "HostConfig", json_incref(c->host_config));
	json_put(doc, "Mounts", mounts_record(&c->mounts));
	json_put(doc, "Endpoints", endpoints_record(c));
	if (c->made_groups.n > 0) {
		json_put(doc, "MadeGroups", json_strv(&c->made_groups));
	}
	if (c->image_labels.n > 0) {
		json_put(doc, "ImageLabels", json_strv(&c->image_labels));
	}
	if (c->plug && json_object_size(c->plug->identities) > 0) {
		json_put(doc, "DeviceIdentities", json_incref(c->plug->identities));
	}
	return store_put(c->set->d.store, STORE_CONTAINERS, c->id, doc, e);
}

void container_record_note(struct container *c)
{
	struct err e;
	if (container_record_save(c, &e) < 0) {
		log_error("container", "not_recorded", "id", c->id, "reason", e.msg, NULL);
	}
}

static enum container_state state_of(const char *word)
{
	for (int s = 0; s < CONTAINER_STATE_MAX; s++) {
		if (strcmp(container_state_word((enum container_state)s), word) == 0) {
			return (enum container_state)s;
		}
	}
	return CONTAINER_EXITED;
}

static void state_restore(struct container *c, const json_t *r)
{
	c->state = state_of(json_str(r, "State"));
	if (c->state == CONTAINER_RUNNING && json_bool(r, "Stopping")) {
		c->state = CONTAINER_STOPPING;
	}
	c->exit_code = (int)json_i64(r, "ExitCode", 0);
	c->oom_killed = json_bool(r, "OOMKilled");
	c->pid = (pid_t)json_i64(r, "Pid", 0);
	c->started_ns = json_i64(r, "StartedAt", 0);
	c->finished_ns = json_i64(r, "FinishedAt", 0);
	c->stopped_by_user = json_bool(r, "StoppedByUser");
	c->restart_count = (int)json_i64(r, "RestartCount", 0);
	c->last_wait_ms = json_i64(r, "LastWaitMs", 0);
	c->error = *json_str(r, "Error") ? xstrdup(json_str(r, "Error")) : NULL;
}

int container_record_load(void *set, const char *id, json_t *doc, struct err *e)
{
	struct container_set *s = set;
	if (!text_is_hex(id, ID_LEN)) {
		return err_set(e, ERR_SYSTEM, "table containers holds the id '%.80s'", id);
	}
	struct container *c = container_new(s, id);
	c->name = xstrdup(json_str(doc, "Name"));
	c->created_ns = json_i64(doc, "Created", 0);
	c->image_id = xstrdup(json_str(doc, "Image"));
	c->image_ref = xstrdup(json_str(doc, "ImageRef"));
	json_t *part;
	struct err wrong = {0};
	if (json_get_strv(doc, "Layers", &c->layers, &wrong) < 0 ||
		!(part = json_object_get(doc, "Config"))) {
		container_free(c);
		return err_set(e, ERR_SYSTEM, "the record of container %s is damaged", id);
	}
	c->config = json_incref(part);
	part = json_object_get(doc, "HostConfig");
	c->host_config = part ? json_incref(part) : json_object();
	container_place(c);
	const json_t *policy = json_object_get(c->host_config, "RestartPolicy");
	if (restart_policy_parse(json_str(policy, "Name"), json_i64(policy, "MaximumRetryCount", 0),
		    &c->policy, &wrong) < 0) {
		c->policy.kind = RESTART_NO;
	}
	s->has_links =
		s->has_links || json_array_size(json_object_get(c->host_config, "Links")) > 0;
	mounts_restore(json_object_get(doc, "Mounts"), &c->mounts);
	(void)json_get_strv(doc, "MadeGroups", &c->made_groups, &wrong);
	(void)json_get_strv(doc, "ImageLabels", &c->image_labels, &wrong);
	if (plug_init(c, &wrong) < 0) {
		log_warning("container", "devices_not_understood", "id", c->id, "reason", wrong.msg,
			NULL);
	}
	if (storage_init(c, &wrong) < 0) {
		log_warning("container", "storage_not_understood", "id", c->id, "reason", wrong.msg,
			NULL);
	}
	part = json_object_get(doc, "DeviceIdentities");
	if (c->plug && json_is_object(part)) {
		json_object_update(c->plug->identities, part);
	}
	endpoints_restore(c, json_object_get(doc, "Endpoints"));
	state_restore(c, json_object_get(doc, "State"));
	map_put(s->by_id, c->id, c);
	map_put(s->by_name, c->name, c);
	return 0;
}

bool container_step(struct container *c, enum container_input input)
{
	enum container_state to = container_next_state(c->state, input);
	if (to == CONTAINER_STATE_MAX) {
		return false;
	}
	if (to == CONTAINER_CREATED &&
		c->finished_ns != 0) { /* a failed start of one that has run before */
		to = CONTAINER_EXITED;
	}
	log_debug("container", "state", "id", c->id, "from", container_state_word(c->state), "to",
		container_state_word(to), NULL);
	c->state = to;
	return true;
}
