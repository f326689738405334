#include "wherry/compose_run_service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "compose/env.h"
#include "compose/port.h"
#include "compose/words.h"

void run_deinit(struct run *o)
{
	strv_deinit(&o->env);
	strv_deinit(&o->env_files);
	strv_deinit(&o->labels);
	strv_deinit(&o->volumes);
	strv_deinit(&o->publish);
	strv_deinit(&o->cap_add);
	strv_deinit(&o->cap_drop);
}

bool run_has_tty(const struct run *o)
{
	return o->tty && !o->no_tty && !o->detach && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

/* ---- the service ---- */

static void put_words(struct tree *t, const struct strv *list, struct words *ret)
{
	*ret = (struct words){.v = tree_new_array(t, const char *, list->n + 1), .set = true};
	for (size_t i = 0; i < list->n; i++) {
		ret->v[ret->n++] = tree_strdup(t, list->v[i]);
	}
}

/* What is added to one list goes from the other. */
static void move_caps(
	struct tree *t, const struct strv *names, struct words *to, struct words *from)
{
	struct words more = {
		.v = tree_new_array(t, const char *, to->n + names->n + 1), .set = true};
	struct words rest = {.v = tree_new_array(t, const char *, from->n + 1), .set = from->set};
	for (size_t i = 0; i < to->n; i++) {
		more.v[more.n++] = to->v[i];
	}
	for (size_t i = 0; i < names->n; i++) {
		more.v[more.n++] = tree_strdup(t, names->v[i]);
	}
	for (size_t i = 0; i < from->n; i++) {
		if (!strv_has(names, from->v[i])) {
			rest.v[rest.n++] = from->v[i];
		}
	}
	*to = more;
	*from = rest;
}

static int put_ports(struct tree *t, const struct strv *publish, struct service *ret, struct err *e)
{
	struct node *list = node_new(t, NODE_LIST, NULL);
	for (size_t i = 0; i < publish->n; i++) {
		const struct node *entry = node_str(t, publish->v[i], NULL);
		if (port_expand(t, entry, list, e) < 0) {
			return err_wrap(e, "invalid --publish \"%s\"", publish->v[i]);
		}
	}
	ret->ports = tree_new_array(t, struct port, list->n + 1);
	ret->n_ports = 0;
	node_each (m, list) {
		ret->ports[ret->n_ports++] =
			(struct port){.host_ip = node_text(m->value, "host_ip"),
				.published = node_text(m->value, "published"),
				.target = (int)strtol(node_text(m->value, "target"), NULL, 10),
				.protocol = node_text(m->value, "protocol")};
	}
	return 0;
}

/* Each is NAME=VALUE. */
static void put_labels(struct tree *t, const struct strv *labels, struct service *ret)
{
	struct pairs all = {.v = tree_new_array(t, struct pair, ret->labels.n + labels->n + 1)};
	for (size_t i = 0; i < ret->labels.n; i++) {
		if (!strv_env_get(labels, ret->labels.v[i].name)) {
			all.v[all.n++] = ret->labels.v[i];
		}
	}
	for (size_t i = 0; i < labels->n; i++) {
		int n = (int)strcspn(labels->v[i], "=");
		all.v[all.n++] = (struct pair){tree_printf(t, "%.*s", n, labels->v[i]),
			tree_strdup(t, labels->v[i] + n + 1)};
	}
	ret->labels = all;
}

static int put_command(
	struct tree *t, const struct run *o, char **words, struct service *ret, struct err *e)
{
	scoped(strv) struct strv list = STRV_INIT;
	scoped(strv) struct strv entrypoint = STRV_INIT;
	for (char **w = words; *w; w++) {
		strv_add(&list, *w);
	}
	if (o->entrypoint) {
		if (words_split(o->entrypoint, &entrypoint, e) < 0) {
			return -1;
		}
		put_words(t, &entrypoint, &ret->entrypoint);
	}
	if (list.n > 0 || o->entrypoint) { /* the service's command is for its own entrypoint */
		put_words(t, &list, &ret->command);
	}
	return 0;
}

int run_service(struct compose *c, const struct service *s, const struct run *o, char **words,
	struct service *ret, struct err *e)
{
	struct tree *t = c->project->tree;
	*ret = *s;
	ret->restart = NULL;
	ret->restart_policy = NULL;
	ret->container_name = NULL;
	ret->user = o->user ? o->user : s->user;
	ret->working_dir = o->workdir ? o->workdir : s->working_dir;
	if (o->cap_add.n > 0) {
		move_caps(t, &o->cap_add, &ret->cap_add, &ret->cap_drop);
	}
	if (o->cap_drop.n > 0) {
		move_caps(t, &o->cap_drop, &ret->cap_drop, &ret->cap_add);
	}
	if (!o->service_ports && put_ports(t, &o->publish, ret, e) < 0) {
		return -1;
	}
	put_labels(t, &o->labels, ret);
	return put_command(t, o, words, ret, e);
}

/* ---- the request ---- */

/* A name alone takes the value from here, and nothing when there is none. */
static char *resolve(const char *text)
{
	const char *own = strchr(text, '=') ? NULL : getenv(text);
	return own ? xasprintf("%s=%s", text, own) : strchr(text, '=') ? xstrdup(text) : NULL;
}

/* Of --env-from-file: what --env does not say. */
static int read_env_file(
	const char *path, const struct strv *given, struct strv *all, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(env_free) struct env *outer = env_new();
	scoped(env_free) struct env *found = env_new();
	int r = path_read(AT_FDCWD, path, DOTENV_BYTES_MAX, &text);
	if (r < 0) {
		return err_sys(e, -r, "open %.300s", path);
	}
	env_add_list(outer, given->v);
	if (dotenv_parse(path, buf_str(&text), text.len, false, outer, found, e) < 0) {
		return -1;
	}
	size_t pos = 0;
	const char *value;
	for (const char *name; (name = env_next(found, &pos, &value));) {
		scoped(free) char *line = xasprintf("%s=%s", name, value);
		if (!strv_env_get(given, name)) {
			strv_env_set(all, line);
		}
	}
	return 0;
}

static int add_env(json_t *body, const struct run *o, struct err *e)
{
	scoped(strv) struct strv all = STRV_INIT;
	scoped(strv) struct strv given = STRV_INIT;
	size_t i;
	json_t *value;
	json_array_foreach (json_object_get(body, "Env"), i, value) {
		strv_add(&all, json_string_value(value));
	}
	for (i = 0; i < o->env.n; i++) {
		scoped(free) char *text = resolve(o->env.v[i]);
		if (text) {
			strv_env_set(&given, text);
		}
	}
	for (i = 0; i < o->env_files.n; i++) {
		if (read_env_file(o->env_files.v[i], &given, &all, e) < 0) {
			return -1;
		}
	}
	for (i = 0; i < given.n; i++) {
		strv_env_set(&all, given.v[i]);
	}
	json_put(body, "Env", json_strv(&all));
	return 0;
}

/* A path is of this machine, a name may be a volume of the project. */
static char *bind_text(const struct compose *c, const char *text)
{
	size_t n = strcspn(text, ":");
	if (!text[n]) {
		return xstrdup(text);
	}
	const char *mode = strchr(text + n + 1, ':') ? "" : ":rw";
	scoped(free) char *source = xstrndup(text, n);
	if (*source == '.' || *source == '~') {
		const char *home = getenv("HOME");
		scoped(free) char *cwd = getcwd(NULL, 0);
		scoped(free) char *full = *source == '~'
						  ? xasprintf("%s%s", home ? home : "", source + 1)
						  : path_join(cwd ? cwd : "/", source);
		return xasprintf("%s%s%s", full, text + n, mode);
	}
	const struct volume *v = project_volume(c->project, source);
	return xasprintf("%s%s%s", v ? v->name : source, text + n, mode);
}

/* Its own name comes first; without --use-aliases nobody finds it as the service. */
static void set_aliases(json_t *body, const char *name, bool all)
{
	const char *key;
	json_t *endpoint;
	json_t *endpoints =
		json_object_get(json_object_get(body, "NetworkingConfig"), "EndpointsConfig");
	json_object_foreach (endpoints, key, endpoint) {
		json_t *aliases = json_object_get(endpoint, "Aliases");
		if (all && json_array_size(aliases) > 0) {
			json_array_set_new(aliases, 0, json_string(name));
		} else {
			json_put(endpoint, "Aliases", json_pack("[s]", name));
		}
	}
}

int run_change_body(
	const struct compose *c, const struct run *o, const char *name, json_t *body, struct err *e)
{
	json_t *host = json_object_get(body, "HostConfig");
	json_t *binds = json_object_get(host, "Binds");
	json_put(body, "Tty", json_boolean(run_has_tty(o)));
	json_put(body, "AttachStdin", json_boolean(o->interactive));
	json_put(body, "OpenStdin", json_boolean(o->interactive));
	json_put(body, "StdinOnce", json_boolean(o->interactive));
	json_put(host, "RestartPolicy", json_pack("{s:s}", "Name", "no"));
	if (o->rm) {
		json_put(host, "AutoRemove", json_true());
	}
	if (o->volumes.n > 0 && !binds) {
		binds = json_array();
		json_put(host, "Binds", binds);
	}
	for (size_t i = 0; i < o->volumes.n; i++) {
		scoped(free) char *text = bind_text(c, o->volumes.v[i]);
		json_array_append_new(binds, json_string(text));
	}
	set_aliases(body, name, o->use_aliases);
	return add_env(body, o, e);
}
