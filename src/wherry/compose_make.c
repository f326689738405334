/* Steps that make containers: new ones, and new ones in place of old ones. */
#include "wherry/compose_make.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "compose/emit.h"
#include "wherry/engine.h"

const char *compose_made(struct compose_carry *carry, const char *key)
{
	pthread_mutex_lock(&carry->lock);
	const char *id = strv_env_get(&carry->fresh, key);
	char *kept = id ? tree_strdup(carry->strings, id) : NULL;
	pthread_mutex_unlock(&carry->lock);
	return kept;
}

void compose_note_made(struct compose_carry *carry, const struct step *step, const char *id)
{
	scoped(free) char *by_service = xasprintf("%s=%s", step->service->name, id);
	scoped(free) char *by_name = xasprintf("/%s=%s", step->name, id);
	pthread_mutex_lock(&carry->lock);
	strv_env_set(&carry->fresh, by_service);
	strv_env_set(&carry->fresh, by_name);
	pthread_mutex_unlock(&carry->lock);
}

static const char *container_of(void *owner, const char *service)
{
	struct compose_carry *carry = owner;
	const char *fresh = compose_made(carry, service);
	const struct state_container *c =
		fresh ? NULL : compose_container(carry->state, service, 0);
	return c ? c->id : fresh;
}

/* Gives the request's mount at that target the old volume, or adds one. What the file names there
 * itself stays. */
static void carry_volume(json_t *host, const char *target, const char *name)
{
	size_t i;
	json_t *mount;
	json_array_foreach (json_object_get(host, "Mounts"), i, mount) {
		if (strcmp(json_str(mount, "Target"), target) == 0) {
			if (strcmp(json_str(mount, "Type"), "volume") == 0 &&
				!*json_str(mount, "Source")) {
				json_put_str(mount, "Source", name);
			}
			return;
		}
	}
	scoped(free) char *text = xasprintf("%s:%s:rw", name, target);
	json_t *binds = json_object_get(host, "Binds");
	if (!binds) {
		json_put(host, "Binds", binds = json_array());
	}
	json_array_append_new(binds, json_string(text));
}

/* Anonymous volumes of the old container go to the new one. */
static void carry_volumes(const json_t *old, const struct service *s, json_t *body)
{
	size_t i;
	json_t *mount;
	json_array_foreach (json_object_get(old, "Mounts"), i, mount) {
		const char *target = json_str(mount, "Destination");
		const char *name = json_str(mount, "Name");
		bool anonymous =
			strcmp(json_str(mount, "Type"), "volume") == 0 && text_is_hex(name, ID_LEN);
		bool taken = false;
		for (size_t k = 0; k < s->n_mounts; k++) {
			taken = taken ||
				(s->mounts[k].source && strcmp(s->mounts[k].target, target) == 0);
		}
		if (anonymous && !taken) {
			carry_volume(json_object_get(body, "HostConfig"), target, name);
		}
	}
}

/* What the service's image meant when the plan was made; asked again when that is not known. */
static int image_id_of(struct compose_carry *carry, struct compose *c, const struct service *s,
	char **ret, struct err *e)
{
	for (size_t i = 0; i < carry->state->s.n_images; i++) {
		if (strcmp(carry->state->s.images[i].service, s->name) == 0) {
			*ret = xstrdup(carry->state->s.images[i].id);
			return 0;
		}
	}
	return compose_image_find(c, s->image, ret, e) < 0 ? -1 : 0;
}

int compose_post_container(struct compose_carry *carry, struct compose *c, const struct step *step,
	const char *name, const struct state_container *old, const json_t *inspected, char **ret_id,
	struct err *e)
{
	bool rolls = step->kind == STEP_ROLL;
	const struct service *s = step->service;
	char hash[EMIT_HASH_MAX];
	scoped(free) char *image_id = NULL;
	scoped(json) json_t *answer = NULL;
	scoped(buf) struct buf path = BUF_INIT;
	if (image_id_of(carry, c, s, &image_id, e) < 0) {
		return -1;
	}
	emit_service_hash(s, container_of, carry, hash);
	scoped(free) char *files = compose_content(s);
	const struct request_container r = {.service = s,
		.number = step->number,
		.image_id = image_id,
		.hash = hash,
		.files = files,
		.replaces = old ? old->name : NULL,
		.replaces_id = rolls ? old->id : NULL,
		.container_of = container_of,
		.read_file = compose_read_text,
		.api_socket = compose_socket(c),
		.owner = carry};
	scoped(json) json_t *body = request_container(c->project, &r, e);
	if (!body) {
		return -1;
	}
	if (inspected) {
		carry_volumes(inspected, s, body);
	}
	buf_puts(&path, "/containers/create");
	path_query(&path, "name", name);
	path_query(&path, "platform", s->platform);
	if (c->dry_run) {
		*ret_id = xstrdup(step->name);
		compose_note_made(carry, step, *ret_id);
		return 0;
	}
	if (engine_json(c->cli, "POST", buf_str(&path), body, &answer, e) < 0) {
		return -1;
	}
	size_t i;
	json_t *warning;
	json_array_foreach (json_object_get(answer, "Warnings"), i, warning) {
		compose_warn(json_string_value(warning) ? json_string_value(warning) : "");
	}
	*ret_id = xstrdup(json_str(answer, "Id"));
	if (!rolls) {
		compose_note_made(carry, step, *ret_id);
	}
	return compose_put_files(c, s, *ret_id, e);
}

int compose_make_new(
	struct compose_carry *carry, struct compose *c, const struct step *step, struct err *e)
{
	scoped(free) char *id = NULL;
	compose_say(c, step->name, "Creating");
	if (compose_post_container(carry, c, step, step->name, NULL, NULL, &id, e) < 0) {
		compose_say(c, step->name, "Error");
		return -1;
	}
	compose_say(c, step->name, "Created");
	return 0;
}

int compose_rename(struct compose *c, const char *id, const char *name, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	path_add(&path, "/containers/", id, "/rename");
	path_query(&path, "name", name);
	return compose_act_body(c, buf_str(&path), NULL, NULL, e);
}

/* The new container is made beside the old one, so that a failure leaves the old one as it was. */
int compose_make_again(
	struct compose_carry *carry, struct compose *c, const struct step *step, struct err *e)
{
	const struct state_container *old = step->existing;
	scoped(json) json_t *inspected = NULL;
	scoped(free) char *id = NULL;
	scoped(free) char *temporary = xasprintf("%.12s_%s", old->id, step->name);
	scoped(free) char *verb =
		step->reason ? xasprintf("Recreate (%s)", step->reason) : xstrdup("Recreate");
	compose_say(c, step->name, verb);
	if (!carry->renew_volumes &&
		engine_on(c->cli, "GET", "/containers/", old->id, "/json", &inspected, e) < 0) {
		return -1;
	}
	char suffix[32] = "/stop";
	if (carry->timeout_s >= 0) {
		snprintf(suffix, sizeof(suffix), "/stop?t=%d", carry->timeout_s);
	}
	bool made = compose_post_container(carry, c, step, temporary, old, inspected, &id, e) == 0;
	if (!made || compose_pre_stop(c, old->id, old->name, e) < 0) {
		struct err ignored;
		if (id) {
			(void)compose_act(c, "DELETE", "/containers/", id, "?force=1", &ignored);
		}
		compose_say(c, step->name, "Error");
		return -1;
	}
	if (compose_act(c, "POST", "/containers/", old->id, suffix, e) < 0 ||
		compose_act(c, "DELETE", "/containers/", old->id, "?force=1", e) < 0 ||
		compose_rename(c, id, step->name, e) < 0) {
		compose_say(c, step->name, "Error");
		return -1;
	}
	compose_say(c, step->name, "Recreated");
	return 0;
}
