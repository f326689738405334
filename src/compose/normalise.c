/* What the specification implies, made explicit in the canonical document: defaults, names,
 * dependencies, environment. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "compose/consistency.h"
#include "compose/extension.h"
#include "compose/loader.h"

/* ---- profiles ---- */

static void active_profiles(const struct loader *l, struct strv *ret)
{
	if (l->o->profiles->n > 0) {
		strv_copy(ret, l->o->profiles);
		return;
	}
	const char *text = env_get(l->env, "COMPOSE_PROFILES");
	scoped(strv) struct strv parts = STRV_INIT;
	strv_split(&parts, text ? text : "", ',');
	for (size_t i = 0; i < parts.n; i++) {
		const char *start = parts.v[i] + strspn(parts.v[i], " ");
		size_t n = strlen(start);
		while (n > 0 && start[n - 1] == ' ') {
			n--;
		}
		strv_addn(ret, start, n);
	}
}

static bool is_active(
	const struct loader *l, const struct member *service, const struct strv *active)
{
	const struct node *profiles = node_get(service->value, "profiles");
	bool any = !profiles || profiles->n == 0 || strv_has(active, "*") ||
		   strv_has(l->o->services, service->key);
	node_each (profile, profiles) {
		any = any || strv_has(active, profile->value->text);
	}
	return any;
}

static void collect_profiles(struct loader *l, struct project *p, const struct node *services)
{
	scoped(strv) struct strv all = STRV_INIT;
	node_each (service, services) {
		node_each (profile, node_get(service->value, "profiles")) {
			if (!strv_has(&all, profile->value->text)) {
				strv_add(&all, profile->value->text);
			}
		}
	}
	strv_sort(&all);
	p->profiles.v = tree_new_array(l->t, const char *, all.n + 1);
	for (size_t i = 0; i < all.n; i++) {
		p->profiles.v[p->profiles.n++] = tree_strdup(l->t, all.v[i]);
	}
}

static void drop_inactive(struct loader *l, struct project *p, struct node *services)
{
	scoped(strv) struct strv active = STRV_INIT;
	active_profiles(l, &active);
	p->disabled.v = tree_new_array(l->t, const char *, services->n + 1);
	for (size_t i = services->n; i-- > 0;) {
		if (!is_active(l, &services->members[i], &active)) {
			p->disabled.v[p->disabled.n++] = services->members[i].key;
			node_remove(services, services->members[i].key);
		}
	}
}

/* ---- dependencies ---- */

static struct node *child(struct loader *l, struct node *map, const char *key, enum node_kind kind)
{
	struct node *n = node_get(map, key);
	if (!n || n->kind != kind) {
		n = node_new(l->t, kind, map);
		node_put(l->t, map, key, n);
	}
	return n;
}

/* at: what implies it. */
static void depend_on(struct loader *l, struct node *service, const char *name, bool restart,
	const struct node *at)
{
	struct node *all = child(l, service, "depends_on", NODE_MAP);
	if (node_get(all, name)) {
		return;
	}
	struct node *one = node_new(l->t, NODE_MAP, at);
	node_put(l->t, one, "condition", node_str(l->t, "service_started", one));
	node_put(l->t, one, "required", node_bool(l->t, true, one));
	if (restart) {
		node_put(l->t, one, "restart", node_bool(l->t, true, one));
	}
	node_put(l->t, all, name, one);
}

/* The name before a colon. */
static const char *name_before(struct loader *l, const struct node *n)
{
	return tree_strndup(l->t, n->text, strcspn(n->text, ":"));
}

static void imply_dependencies(struct loader *l, struct node *service)
{
	static const char *const namespaces[] = {"network_mode", "ipc", "pid"};
	for (size_t i = 0; i < 3; i++) {
		const char *mode = node_text(service, namespaces[i]);
		if (mode && text_starts(mode, "service:")) {
			depend_on(l, service, mode + strlen("service:"), true,
				node_get(service, namespaces[i]));
		}
	}
	node_each (link, node_get(service, "links")) {
		depend_on(l, service, name_before(l, link->value), true, link->value);
	}
	node_each (from, node_get(service, "volumes_from")) {
		if (!text_starts(from->value->text, "container:")) {
			depend_on(l, service, name_before(l, from->value), false, from->value);
		}
	}
}

static int check_dependencies(struct loader *l, const struct project *p,
	const struct node *services, const struct member *service)
{
	struct node *all = node_get(service->value, "depends_on");
	for (size_t i = 0; all && i < all->n; i++) {
		struct member *m = &all->members[i];
		if (node_get(services, m->key)) {
			continue;
		}
		bool disabled = false;
		for (size_t d = 0; d < p->disabled.n; d++) {
			disabled = disabled || strcmp(p->disabled.v[d], m->key) == 0;
		}
		if (disabled && !node_is_true(m->value, "required")) {
			if (!l->o->only_show) {
				node_remove(all, m->key);
				i--;
			}
			continue;
		}
		return member_err(l->e, all, m, "service \"%s\" depends on %s service \"%s\"",
			service->key, disabled ? "the disabled (by its profiles)" : "the undefined",
			m->key);
	}
	return 0;
}

/* ---- environment ---- */

static int read_env_file(struct loader *l, const struct node *file, struct env *into)
{
	const char *path = node_text(file, "path");
	const char *format = node_text(file, "format");
	scoped(buf) struct buf text = BUF_INIT;
	int r = l->o->read(l->o->owner, path, DOTENV_BYTES_MAX, &text);
	if (r == -EFBIG) {
		return load_fail_size(l, path, &text);
	}
	if (r < 0 && !node_is_true(file, "required")) {
		return 0;
	}
	if (r < 0) {
		return node_err(l->e, file, "env file %s cannot be read: %s", path, strerror(-r));
	}
	return dotenv_parse(path, buf_str(&text), text.len, format && strcmp(format, "raw") == 0,
		l->env, into, l->e);
}

/* Names without a value take it from the environment; those that have none there stay null and are
 * not passed on. */
static void resolve_nulls(struct loader *l, struct node *pairs)
{
	node_each (m, pairs) {
		const char *value = m->value->kind == NODE_NULL ? env_get(l->env, m->key) : NULL;
		if (value) {
			m->value = node_str(l->t, value, m->value);
		}
	}
}

/* A build argument without a value is the Dockerfile's own. */
static void resolve_build_args(struct loader *l, struct node *build)
{
	struct node *args = node_get(build, "args");
	size_t kept = 0;
	resolve_nulls(l, args);
	for (size_t i = 0; args && i < args->n; i++) {
		if (args->members[i].value->kind != NODE_NULL) {
			args->members[kept++] = args->members[i];
		}
	}
	if (args && kept == 0) {
		node_remove(build, "args");
	} else if (args) {
		node_truncate(args, kept);
	}
}

/* With its variables a document has no values of the environment either: build arguments that would
 * take one are left out, as docker compose does it. */
static void drop_raw_args(struct node *build)
{
	struct node *args = node_get(build, "args");
	size_t kept = 0;
	node_each (m, args) {
		if (m->key ? m->value->kind != NODE_NULL : strchr(m->value->text, '=') != NULL) {
			args->members[kept++] = *m;
		}
	}
	if (args && kept < args->n) {
		node_truncate(args, kept);
	}
}

static int resolve_environment(struct loader *l, struct node *service)
{
	struct node *files = node_get(service, "env_file");
	struct node *own = node_get(service, "environment");
	resolve_nulls(l, own);
	resolve_build_args(l, node_get(service, "build"));
	if (!files) {
		return 0;
	}
	scoped(env_free) struct env *found = env_new();
	node_each (file, files) {
		if (read_env_file(l, file->value, found) < 0) {
			return -1;
		}
	}
	struct node *all = node_new(l->t, NODE_MAP, files);
	size_t pos = 0;
	const char *value;
	for (const char *name; (name = env_next(found, &pos, &value));) {
		node_put(l->t, all, name, node_str(l->t, value, files));
	}
	node_each (m, own) {
		node_put(l->t, all, m->key, m->value);
	}
	if (tree_check(l->t, files, 0, l->e) < 0) {
		return -1;
	}
	node_put(l->t, service, "environment", all);
	node_remove(service, "env_file");
	return 0;
}

static int resolve_label_files(struct loader *l, struct node *service)
{
	struct node *files = node_get(service, "label_file");
	if (!files) {
		return 0;
	}
	scoped(env_free) struct env *found = env_new();
	node_each (file, files) {
		scoped(buf) struct buf text = BUF_INIT;
		if (load_read(l, file->value->text, file->value->text, file->value, &text) < 0 ||
			dotenv_parse(file->value->text, buf_str(&text), text.len, false, l->env,
				found, l->e) < 0) {
			return -1;
		}
	}
	size_t pos = 0;
	const char *value;
	for (const char *name; (name = env_next(found, &pos, &value));) {
		struct node *labels = child(l, service, "labels", NODE_MAP);
		if (!node_get(labels, name)) {
			node_put(l->t, labels, name, node_str(l->t, value, files));
		}
	}
	node_remove(service, "label_file");
	return 0;
}

/* ---- references between sections ---- */

static bool is_container_name(const char *text)
{
	static const char first[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	size_t n =
		strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
	return *text && strchr(first, *text) && n > 1 && text[n] == '\0';
}

/* What is built for several platforms is built for the one it runs on. */
static int check_platforms(struct loader *l, const struct node *service)
{
	const char *platform = node_text(service, "platform");
	const struct node *platforms = node_get(node_get(service, "build"), "platforms");
	node_each (m, platforms) {
		if (platform && strcmp(m->value->text, platform) == 0) {
			return 0;
		}
	}
	return platform && platforms && platforms->n > 0
		       ? node_err(l->e, platforms,
				 "build.platforms: \"%s\" is expected among them, because it is the platform of the service",
				 platform)
		       : 0;
}

/* Two services cannot have one container name. */
static int check_container_name(
	struct loader *l, const struct node *services, const struct member *service)
{
	const char *name = node_text(service->value, "container_name");
	node_each (other, services) {
		const char *taken = node_text(other->value, "container_name");
		if (other->key == service->key) {
			break;
		}
		if (name && taken && strcmp(name, taken) == 0) {
			return node_err(l->e, node_get(service->value, "container_name"),
				"container_name \"%s\" is already that of service \"%s\", in line %d",
				name, other->key, node_get(other->value, "container_name")->line);
		}
	}
	return 0;
}

static int check_service(
	struct loader *l, const struct node *services, const struct member *service)
{
	const struct node *n = service->value;
	const char *name = node_text(n, "container_name");
	if (!node_text(n, "image") && !node_get(n, "build") && !node_get(n, "provider")) {
		return member_err(l->e, n, service,
			"service \"%s\" has neither an image nor a build context", service->key);
	}
	if (name && !is_container_name(name)) {
		return node_err(l->e, node_get(n, "container_name"),
			"container_name \"%s\": letters, digits, '_', '.' and '-' are expected, at least two, the first a letter or digit",
			name);
	}
	if (node_text(n, "network_mode") && node_get(n, "networks") &&
		node_get(n, "networks")->n > 0) {
		return node_err(l->e, node_get(n, "network_mode"),
			"service \"%s\" has both network_mode and networks: only one is expected",
			service->key);
	}
	return check_platforms(l, n) < 0 || check_container_name(l, services, service) < 0
		       ? -1
		       : check_service_values(l, n);
}

static void default_dockerfile(struct loader *l, struct node *service)
{
	struct node *build = node_get(service, "build");
	if (build && !l->o->no_normalise && !node_get(build, "dockerfile") &&
		!node_get(build, "dockerfile_inline")) {
		node_put(l->t, build, "dockerfile", node_str(l->t, "Dockerfile", build));
	}
}

static void default_secret_targets(struct loader *l, struct node *service)
{
	node_each (use, node_get(service, "secrets")) {
		const char *source = node_text(use->value, "source");
		if (!node_get(use->value, "target")) {
			node_put(l->t, use->value, "target",
				node_str(l->t,
					tree_printf(l->t, "/run/secrets/%s", source ? source : ""),
					use->value));
		}
	}
}

static void default_network(struct loader *l, struct node *service)
{
	struct node *networks = node_get(service, "networks");
	if (!node_text(service, "network_mode") && !node_get(service, "provider") &&
		(!networks || networks->n == 0)) {
		networks = node_new(l->t, NODE_MAP, service);
		node_put(l->t, networks, "default", node_new(l->t, NODE_NULL, service));
		node_put(l->t, service, "networks", networks);
	}
}

/* Marks what a service refers to in used; fails for what the section does not have. */
static int refer(struct loader *l, const struct node *section, const char *kind, const char *key,
	const struct node *at, const char *service, struct strv *used)
{
	if (!node_get(section, key)) {
		return node_err(l->e, at,
			"service \"%s\" refers to undefined %s \"%s\": it is expected in the top-level %ss",
			service, kind, key, kind);
	}
	if (!strv_has(used, key)) {
		strv_add(used, key);
	}
	return 0;
}

/* user: the service, or its build. */
static int refer_files(struct loader *l, const struct node *root, const struct member *service,
	const struct node *user, const char *section, const char *kind, struct strv *used)
{
	node_each (use, node_get(user, section)) {
		if (refer(l, node_get(root, section), kind, node_text(use->value, "source"),
			    use->value, service->key, used) < 0) {
			return -1;
		}
	}
	return 0;
}

struct used {
	struct strv networks, volumes, configs, secrets, models;
};

static int refer_all(
	struct loader *l, const struct node *root, const struct member *service, struct used *used)
{
	const struct node *networks = node_get(service->value, "networks");
	node_each (network, networks) {
		if (refer(l, node_get(root, "networks"), "network", network->key, network->value,
			    service->key, &used->networks) < 0) {
			return -1;
		}
	}
	node_each (mount, node_get(service->value, "volumes")) {
		const char *type = node_text(mount->value, "type");
		const char *source = node_text(mount->value, "source");
		if (source && strcmp(type, "volume") == 0 &&
			refer(l, node_get(root, "volumes"), "volume", source, mount->value,
				service->key, &used->volumes) < 0) {
			return -1;
		}
	}
	node_each (model, node_get(service->value, "models")) {
		if (refer(l, node_get(root, "models"), "model", model->key, model->value,
			    service->key, &used->models) < 0) {
			return -1;
		}
	}
	const struct node *user = service->value;
	if (refer_files(l, root, service, user, "configs", "config", &used->configs) < 0 ||
		refer_files(l, root, service, node_get(user, "build"), "secrets", "secret",
			&used->secrets) < 0) {
		return -1;
	}
	return refer_files(l, root, service, user, "secrets", "secret", &used->secrets);
}

static void keep_used(struct node *root, const char *key, const struct strv *used)
{
	struct node *section = node_get(root, key);
	for (size_t i = section ? section->n : 0; i-- > 0;) {
		if (!strv_has(used, section->members[i].key)) {
			node_remove(section, section->members[i].key);
		}
	}
	if (section && section->n == 0) {
		node_remove(root, key);
	}
}

/* PROJECT_KEY unless the file names it; an external one is called as it is. */
static void name_resources(
	struct loader *l, const struct project *p, struct node *root, const char *key)
{
	node_each (m, node_get(root, key)) {
		if (node_text(m->value, "name")) {
			continue;
		}
		const char *name = m->key;
		if (!node_is_true(m->value, "external")) {
			name = tree_printf(l->t, "%s_%s", p->name, m->key);
		}
		node_put(l->t, m->value, "name", node_str(l->t, name, m->value));
	}
}

static int resolve_file(struct loader *l, const struct node *root, const struct member *m)
{
	const char *variable = node_text(m->value, "environment");
	if (node_is_true(m->value, "external") || node_text(m->value, "driver")) {
		return 0;
	}
	if (variable) {
		if (!l->o->only_show && !env_get(l->env, variable)) {
			return node_err(l->e, node_get(m->value, "environment"),
				"variable %s of \"%s\" is not set", variable, m->key);
		}
		return 0;
	}
	if (!node_text(m->value, "file") && !node_text(m->value, "content")) {
		return member_err(
			l->e, root, m, "\"%s\" needs one of file, content, environment", m->key);
	}
	return 0;
}

static int finish_sections(
	struct loader *l, const struct project *p, struct node *root, const struct used *used)
{
	static const char *const sections[] = {"networks", "volumes", "configs", "secrets"};
	for (size_t i = 0; i < 4 && l->o->keep_variables && !l->o->no_normalise; i++) {
		name_resources(l, p, root, sections[i]);
	}
	if (l->o->no_consistency || l->o->keep_variables) {
		return 0;
	}
	keep_used(root, "networks", &used->networks);
	keep_used(root, "volumes", &used->volumes);
	keep_used(root, "configs", &used->configs);
	keep_used(root, "secrets", &used->secrets);
	keep_used(root, "models", &used->models);
	for (size_t i = 0; i < 4 && !l->o->no_normalise; i++) {
		name_resources(l, p, root, sections[i]);
	}
	for (size_t i = 2; i < 4; i++) {
		node_each (m, node_get(root, sections[i])) {
			if (resolve_file(l, root, m) < 0) {
				return -1;
			}
		}
	}
	return 0;
}

static int normalise_service(struct loader *l, const struct project *p, const struct node *services,
	struct member *service)
{
	if (service->value->kind != NODE_MAP) {
		return member_err(l->e, service->value, service, "service \"%s\" must be a mapping",
			service->key);
	}
	static const char *const commands[] = {"command", "entrypoint"};
	for (size_t i = 0; i < 2; i++) {
		const struct node *command = node_get(service->value, commands[i]);
		if (command && command->kind == NODE_NULL) {
			node_remove(service->value, commands[i]); /* null: the image's own */
		}
	}
	default_context(l, service->value, p->working_dir);
	default_dockerfile(l, service->value);
	if (!l->o->no_normalise) {
		imply_dependencies(l, service->value);
		default_network(l, service->value);
	}
	default_secret_targets(l, service->value);
	const char *policy = node_text(service->value, "pull_policy");
	if (policy && strcmp(policy, "if_not_present") == 0 && !l->o->no_normalise) {
		node_get(service->value, "pull_policy")->text = "missing";
	}
	if (!l->o->no_consistency && !l->o->keep_variables &&
		check_service(l, services, service) < 0) {
		return -1;
	}
	if (l->o->keep_variables) {
		drop_raw_args(node_get(service->value, "build"));
		return 0;
	}
	return resolve_environment(l, service->value) < 0 ||
			       resolve_label_files(l, service->value) < 0 ||
			       extension_to_labels(l, service->value, service->key) < 0
		       ? -1
		       : 0;
}

/* Checks that what the service names is there; marks what it uses. */
static int check_references(struct loader *l, const struct project *p, struct node *root,
	struct member *service, struct used *used)
{
	if (l->o->no_consistency || l->o->keep_variables) {
		return 0;
	}
	return check_dependencies(l, p, node_get(root, "services"), service) < 0 ||
			       refer_all(l, root, service, used) < 0
		       ? -1
		       : 0;
}

/* A volume's credentials are a secret, which is used then. */
static int extend_volumes(struct loader *l, struct node *root, struct used *used)
{
	for (size_t i = 0; i < used->volumes.n && !l->o->keep_variables; i++) {
		const char *name = used->volumes.v[i];
		const char *secret;
		if (extension_of_volume(l, node_get(node_get(root, "volumes"), name), name,
			    node_get(root, "secrets"), &secret) < 0) {
			return -1;
		}
		if (secret && !strv_has(&used->secrets, secret)) {
			strv_add(&used->secrets, secret);
		}
	}
	return 0;
}

static void use_all(const struct node *root, const char *section, struct strv *used)
{
	node_each (m, node_get(root, section)) {
		strv_add(used, m->key);
	}
}

/* --all-resources. What a config or secret is made of only matters to who uses it. */
static void use_everything(const struct loader *l, const struct node *root, struct used *used)
{
	use_all(root, "networks", &used->networks);
	use_all(root, "volumes", &used->volumes);
	if (l->o->only_show) {
		use_all(root, "configs", &used->configs);
		use_all(root, "secrets", &used->secrets);
	}
}

/* A document that keeps its variables keeps what nobody uses, too. */
static bool uses_default(const struct loader *l, const struct node *services)
{
	node_each (service, l->o->keep_variables ? services : NULL) {
		const struct node *networks = node_get(service->value, "networks");
		bool other = node_text(service->value, "network_mode") ||
			     node_get(service->value, "provider");
		if (!other && (!networks || networks->n == 0 || node_get(networks, "default"))) {
			return true;
		}
	}
	return !l->o->keep_variables;
}

static void drop_empty(struct node *root, const char *section)
{
	const struct node *n = node_get(root, section);
	if (n && n->n == 0) {
		node_remove(root, section);
	}
}

int normalise(struct loader *l, struct project *p)
{
	struct node *root = p->root;
	struct node *services = child(l, root, "services", NODE_MAP);
	struct node *networks = child(l, root, "networks", NODE_MAP);
	node_put(l->t, root, "name", node_str(l->t, p->name, NULL));
	collect_profiles(l, p, services);
	if (!l->o->keep_variables) {
		drop_inactive(l, p, services);
	}
	struct used used = {0};
	if (l->o->all_resources) {
		use_everything(l, root, &used);
	}
	if (!node_get(networks, "default") && !l->o->no_normalise && uses_default(l, services)) {
		node_put(l->t, networks, "default", node_new(l->t, NODE_MAP, root));
	}
	int r = 0;
	for (size_t i = 0; r == 0 && i < services->n; i++) {
		struct member *service = &services->members[i];
		r = normalise_service(l, p, services, service);
		r = r == 0 ? check_references(l, p, root, service, &used) : r;
	}
	r = r == 0 ? extend_volumes(l, root, &used) : r;
	r = r == 0 ? finish_sections(l, p, root, &used) : r;
	if (l->o->keep_variables) {
		drop_empty(root, "services");
		drop_empty(root, "networks");
	}
	strv_deinit(&used.networks);
	strv_deinit(&used.volumes);
	strv_deinit(&used.configs);
	strv_deinit(&used.secrets);
	strv_deinit(&used.models);
	return r;
}
