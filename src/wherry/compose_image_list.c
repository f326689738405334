/* compose images: what the containers of a project were made from. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "codec/ref.h"
#include "wherry/compose.h"
#include "wherry/compose_pretty.h"
#include "wherry/engine.h"
#include "wherry/human.h"
#include "wherry/rows.h"

#define NO_TIME "0001-01-01T00:00:00Z"

static void put_platform(const json_t *image, json_t *o)
{
	const char *variant = json_str(image, "Variant");
	scoped(free) char *text = xasprintf("%s/%s%s%s", json_str(image, "Os"),
		json_str(image, "Architecture"), *variant ? "/" : "", variant);
	json_put_str(o, "Platform", text);
}

/* What the container was made of by name; an image's id is no name. */
static void put_name(const char *image, json_t *o)
{
	struct ref ref;
	struct err ignored;
	char name[REF_TEXT_MAX];
	bool named = !text_starts(image, "sha256:") && ref_parse(image, &ref, &ignored) == 0;
	json_put_str(o, "Repository", named ? ref_familiar_name(&ref, name) : "");
	json_put_str(o, "Tag", !named ? "" : *ref.tag ? ref.tag : *ref.digest ? "" : "latest");
}

/* The members of docker compose's JSON, in its order. */
static int add_image(struct compose *c, const struct compose_state *s,
	const struct state_container *container, json_t *list, struct err *e)
{
	scoped(json) json_t *image = NULL;
	const char *name = json_str(compose_listed(s, container->id), "Image");
	if (engine_on(c->cli, "GET", "/images/", name, "/json", &image, e) < 0) {
		return -1;
	}
	json_t *o = json_object();
	const char *tagged = json_str(json_object_get(image, "Metadata"), "LastTagTime");
	bool has_time = *tagged && strcmp(tagged, NO_TIME) != 0;
	json_put_str(o, "ID", json_str(image, "Id"));
	json_put_str(o, "ContainerName", container->name);
	put_name(name, o);
	put_platform(image, o);
	json_put(o, "Size", json_integer(json_i64(image, "Size", 0)));
	json_put_str(o, "LastTagTime", has_time ? tagged : json_str(image, "Created"));
	json_array_append_new(list, o);
	return 0;
}

static void print_ids(const json_t *list)
{
	scoped(strv) struct strv seen = STRV_INIT;
	size_t i;
	json_t *o;
	json_array_foreach (list, i, o) {
		const char *id = json_str(o, "ID");
		const char *colon = strchr(id, ':');
		id = colon ? colon + 1 : id;
		if (!strv_has(&seen, id)) {
			strv_add(&seen, id);
			printf("%s\n", id);
		}
	}
}

static void print_table(const json_t *list)
{
	scoped(buf) struct buf text = BUF_INIT;
	size_t i;
	json_t *o;
	int64_t now = clock_real_ns() / NS_PER_SEC;
	buf_puts(&text, "CONTAINER\tREPOSITORY\tTAG\tPLATFORM\tIMAGE ID\tSIZE\tCREATED\n");
	json_array_foreach (list, i, o) {
		char id[13];
		char size[HUMAN_MAX];
		int64_t ns = 0;
		const char *repository = json_str(o, "Repository");
		const char *tag = json_str(o, "Tag");
		timestamp_parse(json_str(o, "LastTagTime"), now * NS_PER_SEC, &ns);
		buf_printf(&text, "%s\t%s\t%s\t%s\t%s\t%s\t", json_str(o, "ContainerName"),
			*repository ? repository : "<none>", *tag ? tag : "<none>",
			json_str(o, "Platform"), human_short_id(json_str(o, "ID"), id),
			human_size((double)json_i64(o, "Size", 0), 3, size));
		human_ago(ns / NS_PER_SEC, now, &text);
		buf_putc(&text, '\n');
	}
	compose_pretty(&text);
}

static int list_images(struct compose *c, const char *project, json_t *list, struct err *e)
{
	scoped(compose_state) struct compose_state state = {0};
	if (compose_state_fetch(c, project, &state, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < state.s.n_containers; i++) {
		const struct state_container *container = &state.s.containers[i];
		if (compose_is_named(c, container->service) &&
			add_image(c, &state, container, list, e) < 0) {
			return -1;
		}
	}
	rows_sort_plain(list, "ContainerName");
	return 0;
}

int compose_images(struct compose *c, int argc, char **argv)
{
	bool quiet = false;
	bool json;
	const char *format = NULL;
	const struct flag flags[] = {
		{"format", 0, FLAG_STRING, &format, NULL,
			"Format the output. Values: [table | json] (default \"table\")"},
		{"quiet", 'q', FLAG_BOOL, &quiet, NULL, "Only display IDs"},
		{0},
	};
	const struct syntax s = {"compose images", "[OPTIONS] [SERVICE...]",
		"List images used by the created containers", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	const char *project;
	scoped(json) json_t *list = json_array();
	if (compose_format(format, &json, &e) < 0 ||
		compose_load_or_name(c, argv + 1, argc - 1, &project, &e) < 0 ||
		list_images(c, project, list, &e) < 0) {
		return cli_fail(&e);
	}
	if (quiet) {
		print_ids(list);
	} else if (json) {
		char *text = json_dumps(list, JSON_COMPACT);
		printf("%s\n\n", json_array_size(list) ? text : "null");
		free(text);
	} else {
		print_table(list);
	}
	return 0;
}
