#include "compose/decode_parts.h"

#include <stdlib.h>
#include <string.h>

#define FIELD(structure, key, kind, member)                   \
	{                                                     \
		key, kind, offsetof(struct structure, member) \
	}

size_t decode_count(const struct node *n)
{
	return n ? n->n : 0;
}

bool decode_is_optional(const struct node *n)
{
	const char *required = node_text(n, "x-required");
	return required && strcmp(required, "false") == 0;
}

static void decode_devices(struct decoder *d, const struct node *n, struct service *s)
{
	const struct node *list = node_get(n, "devices");
	s->devices = tree_new_array(d->t, struct device, decode_count(list) + 1);
	node_each (m, list) {
		const char *source = node_text(m->value, "source");
		const char *target = node_text(m->value, "target");
		const char *permissions = node_text(m->value, "permissions");
		s->devices[s->n_devices++] = (struct device){.source = source,
			.target = target ? target : source,
			.permissions = permissions ? permissions : "rwm",
			.optional = decode_is_optional(m->value),
			.node = m->value};
	}
}

static void decode_request(struct decoder *d, const struct node *n, struct device_request *ret)
{
	static const struct field fields[] = {
		FIELD(device_request, "capabilities", F_WORDS, capabilities),
		FIELD(device_request, "device_ids", F_WORDS, device_ids),
		FIELD(device_request, "driver", F_TEXT, driver),
		FIELD(device_request, "options", F_PAIRS, options),
		FIELD(device_request, "count", F_INT, count),
		{0},
	};
	decode_fields(d->t, n, fields, ret);
	ret->node = n;
}

static void decode_device_requests(struct decoder *d, const struct node *n, struct service *s)
{
	const struct node *resources = node_get(node_get(n, "deploy"), "resources");
	const struct node *lists[] = {
		node_get(n, "gpus"), node_get(node_get(resources, "reservations"), "devices")};
	size_t room = decode_count(lists[0]) + decode_count(lists[1]) + 1;
	s->device_requests = tree_new_array(d->t, struct device_request, room);
	for (size_t i = 0; i < 2; i++) {
		node_each (m, lists[i]) {
			struct device_request *r = &s->device_requests[s->n_device_requests++];
			decode_request(d, m->value, r);
			r->gpu = i == 0;
		}
	}
}

static void decode_hook(struct decoder *d, const struct node *n, struct hook *ret)
{
	static const struct field fields[] = {
		FIELD(hook, "command", F_WORDS, command),
		FIELD(hook, "user", F_TEXT, user),
		FIELD(hook, "working_dir", F_TEXT, working_dir),
		FIELD(hook, "privileged", F_BOOL, privileged),
		FIELD(hook, "environment", F_PAIRS, environment),
		{0},
	};
	decode_fields(d->t, n, fields, ret);
	ret->node = n;
}

static void decode_hooks(
	struct decoder *d, const struct node *list, struct hook **ret, size_t *ret_n)
{
	*ret = tree_new_array(d->t, struct hook, decode_count(list) + 1);
	node_each (m, list) {
		decode_hook(d, m->value, &(*ret)[(*ret_n)++]);
	}
}

static enum watch_action watch_action(const char *text)
{
	static const char *const actions[] = {[WATCH_SYNC] = "sync",
		[WATCH_REBUILD] = "rebuild",
		[WATCH_RESTART] = "restart",
		[WATCH_SYNC_RESTART] = "sync+restart",
		[WATCH_SYNC_EXEC] = "sync+exec"};
	size_t i = sizeof(actions) / sizeof(*actions);
	while (--i > 0 && strcmp(actions[i], text) != 0) {
	}
	return (enum watch_action)i;
}

static void decode_watches(struct decoder *d, const struct node *n, struct service *s)
{
	static const struct field fields[] = {
		FIELD(watch, "path", F_TEXT, path),
		FIELD(watch, "target", F_TEXT, target),
		FIELD(watch, "include", F_WORDS, include),
		FIELD(watch, "ignore", F_WORDS, ignore),
		FIELD(watch, "initial_sync", F_BOOL, initial_sync),
		{0},
	};
	const struct node *list = node_get(node_get(n, "develop"), "watch");
	s->watches = tree_new_array(d->t, struct watch, decode_count(list) + 1);
	node_each (m, list) {
		struct watch *watch = &s->watches[s->n_watches++];
		decode_fields(d->t, m->value, fields, watch);
		decode_hook(d, node_get(m->value, "exec"), &watch->exec);
		watch->action = watch_action(node_text(m->value, "action"));
		watch->node = m->value;
	}
}

static void decode_rates(struct decoder *d, const struct node *list, struct device_rates *ret)
{
	ret->v = tree_new_array(d->t, struct device_rate, decode_count(list) + 1);
	node_each (m, list) {
		ret->v[ret->n++] = (struct device_rate){node_text(m->value, "path"),
			decode_number(node_text(m->value, "rate"), F_SIZE)};
	}
}

static void decode_blkio(struct decoder *d, const struct node *n, struct service *s)
{
	if (!n) {
		return;
	}
	struct blkio *b = tree_new_array(d->t, struct blkio, 1);
	const struct node *weights = node_get(n, "weight_device");
	b->weight = decode_number(node_text(n, "weight"), F_INT);
	b->weights = tree_new_array(d->t, struct device_weight, decode_count(weights) + 1);
	node_each (m, weights) {
		b->weights[b->n_weights++] = (struct device_weight){node_text(m->value, "path"),
			decode_number(node_text(m->value, "weight"), F_INT)};
	}
	decode_rates(d, node_get(n, "device_read_bps"), &b->read_bps);
	decode_rates(d, node_get(n, "device_write_bps"), &b->write_bps);
	decode_rates(d, node_get(n, "device_read_iops"), &b->read_iops);
	decode_rates(d, node_get(n, "device_write_iops"), &b->write_iops);
	s->blkio = b;
}

static void decode_model_uses(struct decoder *d, const struct node *n, struct service *s)
{
	const struct node *uses = node_get(n, "models");
	s->models = tree_new_array(d->t, struct model_use, decode_count(uses) + 1);
	node_each (m, uses) {
		s->models[s->n_models++] = (struct model_use){.key = m->key,
			.endpoint_var = node_text(m->value, "endpoint_var"),
			.model_var = node_text(m->value, "model_var"),
			.node = m->value};
	}
}

void decode_service_parts(struct decoder *d, const struct node *n, struct service *s)
{
	decode_devices(d, n, s);
	decode_device_requests(d, n, s);
	decode_hooks(d, node_get(n, "post_start"), &s->post_start, &s->n_post_start);
	decode_hooks(d, node_get(n, "pre_stop"), &s->pre_stop, &s->n_pre_stop);
	decode_watches(d, n, s);
	decode_blkio(d, node_get(n, "blkio_config"), s);
	decode_model_uses(d, n, s);
	s->provider = node_get(n, "provider");
	s->credential_spec = node_get(n, "credential_spec");
}

static int decode_update(struct decoder *d, const struct node *n, struct update_config **ret)
{
	static const char *const actions[] = {[FAILURE_PAUSE] = "pause",
		[FAILURE_CONTINUE] = "continue",
		[FAILURE_ROLLBACK] = "rollback"};
	static const struct field fields[] = {
		FIELD(update_config, "parallelism", F_INT, parallelism),
		FIELD(update_config, "delay", F_DURATION, delay_ns),
		FIELD(update_config, "monitor", F_DURATION, monitor_ns),
		{0},
	};
	if (!n) {
		return 0;
	}
	struct update_config *u = tree_new_array(d->t, struct update_config, 1);
	const char *action = node_text(n, "failure_action");
	const char *order = node_text(n, "order");
	const char *ratio = node_text(n, "max_failure_ratio");
	decode_fields(d->t, n, fields, u);
	u->start_first = order && strcmp(order, "start-first") == 0;
	double share = ratio ? strtod(ratio, NULL) : 0;
	u->max_failure_ratio = share > 0 ? (share < 1 ? share : 1) : 0; /* nor what is no number */
	size_t i = 0;
	while (i < 3 && action && *action && strcmp(actions[i], action) != 0) {
		i++;
	}
	if (i == 3) {
		return node_err(d->l->e, node_get(n, "failure_action"),
			"failure_action: one of continue, rollback, pause is expected, not \"%s\"",
			action);
	}
	u->failure_action = (enum failure_action)i;
	*ret = u;
	return 0;
}

int decode_deploy_parts(struct decoder *d, const struct node *deploy, struct service *s)
{
	static const struct field fields[] = {
		FIELD(restart_policy, "condition", F_TEXT, condition),
		FIELD(restart_policy, "delay", F_DURATION, delay_ns),
		FIELD(restart_policy, "max_attempts", F_INT, max_attempts),
		FIELD(restart_policy, "window", F_DURATION, window_ns),
		{0},
	};
	const struct node *policy = node_get(deploy, "restart_policy");
	s->deploy_mode = node_text(deploy, "mode");
	s->deploy_labels = decode_pairs(d->t, node_get(deploy, "labels"));
	if (policy) {
		s->restart_policy = tree_new_array(d->t, struct restart_policy, 1);
		decode_fields(d->t, policy, fields, s->restart_policy);
	}
	return decode_update(d, node_get(deploy, "update_config"), &s->update) < 0 ||
			       decode_update(d, node_get(deploy, "rollback_config"), &s->rollback) <
				       0
		       ? -1
		       : 0;
}

void decode_ulimits(struct decoder *d, const struct node *n, struct ulimit **ret, size_t *ret_n)
{
	const struct node *limits = node_get(n, "ulimits");
	*ret = tree_new_array(d->t, struct ulimit, decode_count(limits) + 1);
	node_each (m, limits) {
		const char *one = node_is_scalar(m->value) ? m->value->text : NULL;
		const char *soft = one ? one : node_text(m->value, "soft");
		const char *hard = one ? one : node_text(m->value, "hard");
		(*ret)[(*ret_n)++] = (struct ulimit){m->key, soft ? decode_number(soft, F_INT) : 0,
			hard ? decode_number(hard, F_INT) : 0};
	}
}

static int64_t file_number(const struct node *use, const char *key, int base)
{
	const char *text = node_text(use, key);
	return text ? strtoll(text, NULL, base) : UNSET;
}

void decode_file_uses(struct decoder *d, const struct node *n, const char *section,
	struct file_use **ret, size_t *ret_n)
{
	const struct node *list = node_get(n, section);
	bool secret = strcmp(section, "secrets") == 0;
	*ret = tree_new_array(d->t, struct file_use, decode_count(list) + 1);
	node_each (m, list) {
		const char *key = node_text(m->value, "source");
		const char *target = node_text(m->value, "target");
		const struct node *file = node_get(node_get(d->root, section), key);
		const char *variable = node_text(file, "environment");
		const char *name = target ? target : key;
		(*ret)[(*ret_n)++] = (struct file_use){
			.key = key,
			.target = *name == '/' ? name
					       : tree_printf(d->t, "%s/%s",
							 secret ? "/run/secrets" : "", name),
			.path = node_text(file, "file"),
			.content = variable ? tree_strdup(d->t, env_get(d->l->env, variable))
					    : node_text(file, "content"),
			.external = node_is_true(file, "external"),
			.uid = file_number(m->value, "uid", 10),
			.gid = file_number(m->value, "gid", 10),
			.mode = file_number(m->value, "mode", 8),
			.node = m->value,
		};
	}
}

struct words decode_hosts(struct decoder *d, const struct node *list)
{
	struct words w = decode_words(d->t, list);
	for (size_t i = 0; i < w.n; i++) {
		char *text = tree_strdup(d->t, w.v[i]);
		text[strcspn(text, "=")] = ':';
		w.v[i] = text;
	}
	return w;
}

static void decode_section(
	struct decoder *d, const char *key, struct file_object **ret, size_t *ret_n)
{
	static const struct field fields[] = {
		FIELD(file_object, "name", F_TEXT, name),
		FIELD(file_object, "file", F_TEXT, file),
		FIELD(file_object, "content", F_TEXT, content),
		FIELD(file_object, "environment", F_TEXT, environment),
		FIELD(file_object, "driver", F_TEXT, driver),
		FIELD(file_object, "template_driver", F_TEXT, template_driver),
		FIELD(file_object, "external", F_BOOL, external),
		{0},
	};
	const struct node *section = node_get(d->root, key);
	*ret = tree_new_array(d->t, struct file_object, decode_count(section) + 1);
	node_each (m, section) {
		struct file_object *o = &(*ret)[(*ret_n)++];
		decode_fields(d->t, m->value, fields, o);
		o->key = m->key;
		o->node = m->value;
		if (o->environment) {
			o->content = tree_strdup(d->t, env_get(d->l->env, o->environment));
		}
	}
}

void decode_file_objects(struct decoder *d)
{
	decode_section(d, "configs", &d->p->configs, &d->p->n_configs);
	decode_section(d, "secrets", &d->p->secrets, &d->p->n_secrets);
}

void decode_models(struct decoder *d)
{
	static const struct field fields[] = {
		FIELD(model, "name", F_TEXT, name),
		FIELD(model, "model", F_TEXT, model),
		FIELD(model, "context_size", F_INT, context_size),
		FIELD(model, "runtime_flags", F_WORDS, runtime_flags),
		{0},
	};
	const struct node *section = node_get(d->root, "models");
	d->p->models = tree_new_array(d->t, struct model, decode_count(section) + 1);
	node_each (m, section) {
		struct model *model = &d->p->models[d->p->n_models++];
		decode_fields(d->t, m->value, fields, model);
		model->key = m->key;
		model->node = m->value;
	}
}
