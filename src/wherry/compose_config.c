#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "compose/emit.h"
#include "compose/show.h"
#include "compose/variables.h"
#include "codec/ref.h"
#include "wherry/compose.h"
#include "wherry/engine.h"
#include "wherry/flags.h"

struct config {
	bool services, volumes, networks, images, models, quiet, profiles, environment, variables;
	bool pin, lock; /* --resolve-image-digests, --lock-image-digests */
	const char *format, *hash, *output;
	struct load_options how;
};

static void print_keys(const struct node *root, const char *section)
{
	node_each (m, node_get(root, section)) {
		printf("%s\n", m->key);
	}
}

static void print_lines(const struct strv *list)
{
	for (size_t i = 0; i < list->n; i++) {
		printf("%s\n", list->v[i]);
	}
}

static int print_hashes(const struct project *p, const char *names, struct err *e)
{
	scoped(strv) struct strv lines = STRV_INIT;
	scoped(strv) struct strv wanted = STRV_INIT;
	if (strcmp(names, "*") != 0) {
		strv_split(&wanted, names, ',');
	}
	for (size_t i = 0; i < wanted.n; i++) {
		if (!project_service(p, wanted.v[i])) {
			return err_set(e, ERR_NOT_FOUND, "no such service: %s", wanted.v[i]);
		}
	}
	for (size_t i = 0; i < p->n_services; i++) {
		char hash[EMIT_HASH_MAX];
		if (wanted.n == 0 || strv_has(&wanted, p->services[i].name)) {
			emit_service_hash(&p->services[i], NULL, NULL, hash);
			strv_addf(&lines, "%s %s", p->services[i].name, hash);
		}
	}
	strv_sort(&lines);
	print_lines(&lines);
	return 0;
}

static void print_environment(const struct project *p)
{
	for (size_t i = 0; i < p->environment.n; i++) {
		printf("%s=%s\n", p->environment.v[i].name, p->environment.v[i].value);
	}
}

/* One of the short lists: 1 when it was one. The order of the tests is docker compose's. */
static int print_part(const struct project *p, const struct config *o, struct err *e)
{
	if (o->services) {
		print_keys(p->root, "services");
	} else if (o->volumes) {
		print_keys(p->root, "volumes");
	} else if (o->networks) {
		print_keys(p->root, "networks");
	} else if (o->models) {
		for (size_t i = 0; i < p->n_models; i++) {
			printf("%s\n", p->models[i].model);
		}
	} else if (o->hash) {
		return print_hashes(p, o->hash, e) < 0 ? -1 : 1;
	} else if (o->profiles) {
		for (size_t i = 0; i < p->profiles.n; i++) {
			printf("%s\n", p->profiles.v[i]);
		}
	} else if (o->images) {
		for (size_t i = 0; i < p->n_services; i++) {
			printf("%s\n", p->services[i].image);
		}
	} else if (o->environment) {
		print_environment(p);
	} else {
		return 0;
	}
	return 1;
}

/* Writes out what is printed, to the file of --output or to standard output. */
static int print_text(const struct config *o, const struct buf *text, struct err *e)
{
	if (o->quiet) {
		return 0;
	}
	if (o->output) {
		int r = path_write(AT_FDCWD, o->output, text->data, text->len, 0644, false);
		return r < 0 ? err_sys(e, -r, "cannot write %s", o->output) : 0;
	}
	fwrite(text->data, 1, text->len, stdout);
	return 0;
}

/* "docker.io/library/nginx:latest@sha256:..." for "nginx": what the registry has now. */
static int pin_image(struct compose *c, struct node *image, struct err *e)
{
	struct ref ref;
	char name[REF_TEXT_MAX];
	scoped(json) json_t *doc = NULL;
	if (ref_parse(image->text, &ref, e) < 0) {
		return -1;
	}
	if (ref.digest[0]) {
		return 0;
	}
	ref_default_tag(&ref);
	ref_canonical(&ref, name);
	if (engine_on(c->cli, "GET", "/distribution/", name, "/json", &doc, e) < 0) {
		return -1;
	}
	const char *digest = json_str(json_object_get(doc, "Descriptor"), "digest");
	if (!digest || !ref_is_digest(digest)) {
		return err_set(e, ERR_SYSTEM, "the registry has no digest for %s", name);
	}
	image->text = tree_printf(c->project->tree, "%s@%s", name, digest);
	return 0;
}

static int pin_images(struct compose *c, struct err *e)
{
	node_each (service, node_get(c->project->root, "services")) {
		struct node *image = node_get(service->value, "image");
		if (image && image->kind == NODE_STR && pin_image(c, image, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* Only what --lock-image-digests leaves: the images. */
static void keep_images(const struct project *p)
{
	for (size_t i = p->root->n; i-- > 0;) {
		if (strcmp(p->root->members[i].key, "services") != 0) {
			node_remove(p->root, p->root->members[i].key);
		}
	}
	node_each (service, node_get(p->root, "services")) {
		struct node *image = node_get(service->value, "image");
		node_truncate(service->value, 0);
		if (image) {
			node_put(p->tree, service->value, "image", image);
		}
	}
}

static int print_config(struct compose *c, const struct config *o, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	bool json = o->format && strcmp(o->format, "json") == 0;
	if (!json && o->format && strcmp(o->format, "yaml") != 0) {
		return err_set(e, ERR_INVALID,
			"unsupported format \"%s\": yaml or json is expected", o->format);
	}
	int r = print_part(c->project, o, e);
	if (r != 0) {
		return r < 0 ? -1 : 0;
	}
	if (o->pin && pin_images(c, e) < 0) {
		return -1;
	}
	if (o->lock) {
		keep_images(c->project);
	}
	bool raw = o->how.keep_variables;
	const struct node *root = c->project->root;
	root = raw ? root : show_project(c->project->tree, root, json);
	(json ? emit_json : emit_yaml)(root, raw, &text);
	return print_text(o, &text, e);
}

/* ---- --variables ---- */

static json_t *variables_json(const struct variable_list *list)
{
	json_t *doc = json_object();
	for (size_t i = 0; i < list->n; i++) {
		const struct variable *v = &list->v[i];
		json_put(doc, v->name,
			json_pack("{s:s,s:s,s:s,s:b}", "Name", v->name, "DefaultValue", v->fallback,
				"PresenceValue", v->alternate, "Required", v->required));
	}
	return doc;
}

static void print_variable_table(const struct variable_list *list)
{
	int widths[3] = {20, 20, 20};
	for (size_t i = 0; i < list->n; i++) {
		int name = (int)strlen(list->v[i].name) + 3;
		int fallback = (int)strlen(list->v[i].fallback) + 3;
		widths[0] = name > widths[0] ? name : widths[0];
		widths[2] = fallback > widths[2] ? fallback : widths[2];
	}
	printf("%-*s%-*s%-*s%s\n", widths[0], "NAME", widths[1], "REQUIRED", widths[2],
		"DEFAULT VALUE", "ALTERNATE VALUE");
	for (size_t i = 0; i < list->n; i++) {
		const struct variable *v = &list->v[i];
		printf("%-*s%-*s%-*s%s\n", widths[0], v->name, widths[1],
			v->required ? "true" : "false", widths[2], v->fallback, v->alternate);
	}
}

static int print_variables(struct compose *c, const struct config *o)
{
	struct variable_list list = variables_collect(c->project->tree, c->project->root);
	if (!o->format || strcmp(o->format, "table") == 0) {
		print_variable_table(&list);
		return 0;
	}
	scoped(json) json_t *doc = variables_json(&list);
	scoped(free) char *text = json_dumps(doc, JSON_INDENT(4) | JSON_SORT_KEYS);
	printf("%s\n", text ? text : "{}");
	return 0;
}

int compose_config(struct compose *c, int argc, char **argv)
{
	struct config o = {.how = {.only_show = true}};
	bool no_env = false; /* docker compose 2.40 reads env_file all the same */
	const struct flag flags[] = {
		{"environment", 0, FLAG_BOOL, &o.environment, NULL,
			"Print environment used for interpolation."},
		{"format", 0, FLAG_STRING, &o.format, NULL,
			"Format the output. Values: [yaml | json]"},
		{"hash", 0, FLAG_STRING, &o.hash, NULL,
			"Print the service config hash, one per line."},
		{"images", 0, FLAG_BOOL, &o.images, NULL, "Print the image names, one per line."},
		{"lock-image-digests", 0, FLAG_BOOL, &o.lock, NULL,
			"Produces an override file with image digests"},
		{"models", 0, FLAG_BOOL, &o.models, NULL, "Print the model names, one per line."},
		{"networks", 0, FLAG_BOOL, &o.networks, NULL,
			"Print the network names, one per line."},
		{"no-consistency", 0, FLAG_BOOL, &o.how.no_consistency, NULL,
			"Don't check model consistency - warning: may produce invalid Compose output"},
		{"no-env-resolution", 0, FLAG_BOOL, &no_env, NULL,
			"Don't resolve service env files"},
		{"no-interpolate", 0, FLAG_BOOL, &o.how.keep_variables, NULL,
			"Don't interpolate environment variables"},
		{"no-normalize", 0, FLAG_BOOL, &o.how.no_normalise, NULL,
			"Don't normalize compose model"},
		{"no-path-resolution", 0, FLAG_BOOL, &o.how.no_paths, NULL,
			"Don't resolve file paths"},
		{"output", 'o', FLAG_STRING, &o.output, NULL, "Save to file (default to stdout)"},
		{"profiles", 0, FLAG_BOOL, &o.profiles, NULL,
			"Print the profile names, one per line."},
		{"quiet", 'q', FLAG_BOOL, &o.quiet, NULL,
			"Only validate the configuration, don't print anything"},
		{"resolve-image-digests", 0, FLAG_BOOL, &o.pin, NULL, "Pin image tags to digests"},
		{"services", 0, FLAG_BOOL, &o.services, NULL,
			"Print the service names, one per line."},
		{"variables", 0, FLAG_BOOL, &o.variables, NULL,
			"Print model variables and default values."},
		{"volumes", 0, FLAG_BOOL, &o.volumes, NULL,
			"Print the volume names, one per line."},
		{0},
	};
	const struct syntax s = {"compose config", "[OPTIONS] [SERVICE...]",
		"Parse, resolve and render compose file in canonical format", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	o.how.keep_variables = o.how.keep_variables || o.variables;
	o.pin = o.pin || o.lock;
	c->how = &o.how;
	bool failed = compose_load(c, argv + 1, argc - 1, &e) < 0 ||
		      (o.variables ? print_variables(c, &o) : print_config(c, &o, &e)) < 0;
	c->how = NULL;
	return failed ? cli_fail(&e) : 0;
}
