#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/path.h"
#include "compose/emit.h"
#include "compose/show.h"
#include "wherry/compose.h"
#include "wherry/flags.h"

struct config {
	bool services, volumes, networks, images, quiet, profiles;
	const char *format, *hash, *output;
};

static void print_profiles(const struct project *p)
{
	scoped(strv) struct strv seen = STRV_INIT;
	for (size_t i = 0; i < p->n_services; i++) {
		for (size_t k = 0; k < p->services[i].profiles.n; k++) {
			if (!strv_has(&seen, p->services[i].profiles.v[k])) {
				strv_add(&seen, p->services[i].profiles.v[k]);
				printf("%s\n", p->services[i].profiles.v[k]);
			}
		}
	}
}

/* One of the short lists; false when the whole document is wanted. */
static bool print_part(const struct project *p, const struct config *o)
{
	for (size_t i = 0; i < p->n_services; i++) {
		char hash[EMIT_HASH_MAX];
		emit_service_hash(p, &p->services[i], hash);
		if (o->services) {
			printf("%s\n", p->services[i].name);
		} else if (o->images) {
			printf("%s\n", p->services[i].image);
		} else if (o->hash && (strcmp(o->hash, "*") == 0 ||
					      strcmp(o->hash, p->services[i].name) == 0)) {
			printf("%s %s\n", p->services[i].name, hash);
		}
	}
	for (size_t i = 0; o->volumes && i < p->n_volumes; i++) {
		printf("%s\n", p->volumes[i].key);
	}
	for (size_t i = 0; o->networks && i < p->n_networks; i++) {
		printf("%s\n", p->networks[i].key);
	}
	if (o->profiles) {
		print_profiles(p);
	}
	return o->services || o->images || o->hash || o->volumes || o->networks || o->profiles ||
	       o->quiet;
}

static int print_config(struct compose *c, const struct config *o, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (print_part(c->project, o)) {
		return 0;
	}
	bool json = o->format && strcmp(o->format, "json") == 0;
	const struct node *root = show_project(c->project->tree, c->project->root, json);
	if (json) {
		emit_json(root, c->keep_variables, &text);
	} else if (!o->format || strcmp(o->format, "yaml") == 0) {
		emit_yaml(root, c->keep_variables, &text);
	} else {
		return err_set(e, ERR_INVALID,
			"unsupported format \"%s\": yaml or json is expected", o->format);
	}
	if (o->output) {
		int r = path_write(AT_FDCWD, o->output, text.data, text.len, 0644, false);
		return r < 0 ? err_sys(e, -r, "cannot write %s", o->output) : 0;
	}
	fputs(buf_str(&text), stdout);
	return 0;
}

int compose_config(struct compose *c, int argc, char **argv)
{
	struct config o = {0};
	bool ignored = false;
	const struct flag flags[] = {
		{"format", 0, FLAG_STRING, &o.format, NULL,
			"Format the output. Values: [yaml | json]"},
		{"hash", 0, FLAG_STRING, &o.hash, NULL,
			"Print the service config hash, one per line"},
		{"images", 0, FLAG_BOOL, &o.images, NULL, "Print the image names, one per line"},
		{"networks", 0, FLAG_BOOL, &o.networks, NULL,
			"Print the network names, one per line"},
		{"no-interpolate", 0, FLAG_BOOL, &c->keep_variables, NULL,
			"Don't interpolate environment variables"},
		{"output", 'o', FLAG_STRING, &o.output, NULL, "Save to file (default to stdout)"},
		{"profiles", 0, FLAG_BOOL, &o.profiles, NULL,
			"Print the profile names, one per line"},
		{"quiet", 'q', FLAG_BOOL, &o.quiet, NULL,
			"Only validate the configuration, don't print anything"},
		{"services", 0, FLAG_BOOL, &o.services, NULL,
			"Print the service names, one per line"},
		{"volumes", 0, FLAG_BOOL, &o.volumes, NULL, "Print the volume names, one per line"},
		{"resolve-image-digests", 0, FLAG_BOOL, &ignored, NULL, NULL},
		{0},
	};
	const struct syntax s = {"compose config", "[OPTIONS] [SERVICE...]",
		"Parse, resolve and render compose file in canonical format", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	bool failed = compose_load(c, argv + 1, argc - 1, &e) < 0 || print_config(c, &o, &e) < 0;
	return failed ? cli_fail(&e) : 0;
}
