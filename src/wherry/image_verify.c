/* image verify: our own */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/auth.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/human.h"
#include "wherry/progress.h"

struct verify {
	bool deep, quiet, repair;
	bool left; /* some damage */
	bool told; /* the result came */
};

static const char *name_of(const json_t *image, char id[static 13])
{
	const char *name = json_string_value(json_array_get(json_object_get(image, "Names"), 0));
	return name ? name : human_short_id(json_str(image, "Id"), id);
}

static void print_damage(const json_t *list)
{
	size_t i;
	json_t *layer;
	json_array_foreach (list, i, layer) {
		char id[13];
		printf("  layer %s: %s\n", human_short_id(json_str(layer, "Layer"), id),
			json_str(layer, "Reason"));
	}
}

static void print_image(const struct verify *v, const json_t *image)
{
	char id[13];
	const json_t *damage = json_object_get(image, "Damage");
	if (json_array_size(damage) > 0) {
		printf("%s: damaged\n", name_of(image, id));
		print_damage(damage);
		printf("  %s\n", json_str(image, "Remedy"));
	} else if (!v->quiet || json_bool(image, "Repaired")) {
		printf("%s: %s\n", name_of(image, id),
			json_bool(image, "Repaired") ? "repaired" : "whole");
	}
}

/* A progress_aux_fn. */
static void take_result(void *owner, const json_t *result)
{
	struct verify *v = owner;
	size_t i;
	json_t *image;
	json_array_foreach (json_object_get(result, "Images"), i, image) {
		print_image(v, image);
	}
	const json_t *lone = json_object_get(result, "LoneLayers");
	if (json_array_size(lone) > 0) {
		printf("layers of no image: damaged\n");
		print_damage(lone);
	}
	v->told = true;
	v->left = json_i64(result, "Damaged", 0) > 0;
}

static int verify(struct cli *cli, struct verify *v, int argc, char **argv, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	scoped(buf) struct buf headers = BUF_INIT;
	bool show = !v->quiet && isatty(STDERR_FILENO);
	buf_puts(&path, "/wherry/v1/images/verify");
	path_query(&path, "deep", v->deep ? "1" : NULL);
	path_query(&path, "repair", v->repair ? "1" : NULL);
	for (int i = 1; i < argc; i++) {
		path_query(&path, "name", argv[i]);
	}
	if (v->repair) {
		auth_header_for_build(cli, &headers);
	}
	const struct http_call call = {.method = "POST",
		.path = buf_str(&path),
		.headers = headers.len ? buf_str(&headers) : NULL};
	if (engine_send(cli->http, &call, NULL, e) < 0 ||
		progress_show(cli->http, show ? stderr : NULL, take_result, v, NULL, e) < 0) {
		return -1;
	}
	return v->told ? 0 : err_set(e, ERR_SYSTEM, "the engine ended without a result");
}

int command_image_verify(struct cli *cli, int argc, char **argv)
{
	struct verify v = {0};
	const struct flag flags[] = {
		{"deep", 0, FLAG_BOOL, &v.deep, NULL,
			"Read every file: compare contents with the layer's digest"},
		{"quiet", 'q', FLAG_BOOL, &v.quiet, NULL, "Only show what is, or was, damaged"},
		{"repair", 0, FLAG_BOOL, &v.repair, NULL,
			"Fetch damaged layers again from the registry they came from"},
		{0},
	};
	const struct syntax s = {"image verify", "[OPTIONS] [IMAGE...]",
		"Look for damaged or missing layer files", 0, -1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	struct err e;
	if (status >= 0) {
		return status;
	}
	return verify(cli, &v, argc, argv, &e) < 0 ? cli_fail(&e) : v.left;
}
