/* container prune, image prune, network prune, volume prune, system prune */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/human.h"

struct prune {
	bool force, all, volumes;
	struct strv filters;
};

/* POST /KIND/prune; the deleted ones go to report. */
static int prune_kind(
	struct cli *cli, const char *kind, const struct strv *filters, json_t **ret, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	buf_printf(&path, "/%s/prune", kind);
	return path_filters(&path, filters, e) < 0
		       ? -1
		       : engine_json(cli, "POST", buf_str(&path), NULL, ret, e);
}

static void print_list(const char *title, const json_t *list)
{
	if (json_array_size(list) == 0) {
		return;
	}
	printf("%s\n", title);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);
		if (json_is_string(v)) {
			printf("%s\n", json_string_value(v));
		} else if (*json_str(v, "Untagged")) {
			printf("untagged: %s\n", json_str(v, "Untagged"));
		} else {
			printf("deleted: %s\n", json_str(v, "Deleted"));
		}
	}
	printf("\n");
}

static void print_total(int64_t bytes)
{
	char text[HUMAN_MAX];
	printf("Total reclaimed space: %s\n", human_size((double)bytes, 4, text));
}

static int prune_containers(
	struct cli *cli, const struct strv *filters, int64_t *bytes, struct err *e)
{
	scoped(json) json_t *answer = NULL;
	if (prune_kind(cli, "containers", filters, &answer, e) < 0) {
		return -1;
	}
	print_list("Deleted Containers:", json_object_get(answer, "ContainersDeleted"));
	*bytes += json_i64(answer, "SpaceReclaimed", 0);
	return 0;
}

static int prune_networks(struct cli *cli, const struct strv *filters, struct err *e)
{
	scoped(json) json_t *answer = NULL;
	if (prune_kind(cli, "networks", filters, &answer, e) < 0) {
		return -1;
	}
	print_list("Deleted Networks:", json_object_get(answer, "NetworksDeleted"));
	return 0;
}

/* Without all only those without a name that a person gave. */
static int prune_volumes(
	struct cli *cli, const struct strv *filters, bool all, int64_t *bytes, struct err *e)
{
	scoped(strv) struct strv list = STRV_INIT;
	scoped(json) json_t *answer = NULL;
	strv_copy(&list, filters);
	if (all) {
		strv_add(&list, "all=1");
	}
	if (prune_kind(cli, "volumes", &list, &answer, e) < 0) {
		return -1;
	}
	print_list("Deleted Volumes:", json_object_get(answer, "VolumesDeleted"));
	*bytes += json_i64(answer, "SpaceReclaimed", 0);
	return 0;
}

static int prune_images(
	struct cli *cli, const struct strv *filters, bool all, int64_t *bytes, struct err *e)
{
	scoped(strv) struct strv list = STRV_INIT;
	scoped(json) json_t *answer = NULL;
	strv_copy(&list, filters);
	strv_addf(&list, "dangling=%d", !all);
	if (prune_kind(cli, "images", &list, &answer, e) < 0) {
		return -1;
	}
	print_list("Deleted Images:", json_object_get(answer, "ImagesDeleted"));
	*bytes += json_i64(answer, "SpaceReclaimed", 0);
	return 0;
}

/* The flags that all prunes share; a NULL help leaves one out. */
static int parse(
	const struct syntax *s, struct prune *o, const char *all_help, int *argc, char **argv)
{
	struct flag flags[4] = {
		{"filter", 0, FLAG_FILTER, &o->filters, NULL,
			strcmp(s->command, "volume prune") == 0
				? "Provide filter values (e.g. \"label=<label>\")"
				: "Provide filter values (e.g. \"until=<timestamp>\")"},
		{"force", 'f', FLAG_BOOL, &o->force, NULL, "Do not prompt for confirmation"},
	};
	if (all_help) {
		flags[2] = (struct flag){"all", 'a', FLAG_BOOL, &o->all, NULL, all_help};
	}
	return flags_parse(s, flags, argc, argv);
}

int command_container_prune(struct cli *cli, int argc, char **argv)
{
	struct prune o = {0};
	const struct syntax s = {
		"container prune", "[OPTIONS]", "Remove all stopped containers", 0, 0, false};
	int status = parse(&s, &o, NULL, &argc, argv);
	if (status < 0 && !o.force && !engine_confirm("This will remove all stopped containers.")) {
		status = 0; /* "no" is no failure */
	}
	if (status < 0) {
		struct err e;
		int64_t bytes = 0;
		status = prune_containers(cli, &o.filters, &bytes, &e) < 0
				 ? cli_fail(&e)
				 : (print_total(bytes), 0);
	}
	strv_deinit(&o.filters);
	return status;
}

int command_image_prune(struct cli *cli, int argc, char **argv)
{
	struct prune o = {0};
	const struct syntax s = {"image prune", "[OPTIONS]", "Remove unused images", 0, 0, false};
	int status = parse(&s, &o, "Remove all unused images, not just dangling ones", &argc, argv);
	const char *warning =
		o.all ? "This will remove all images without at least one container associated to them."
		      : "This will remove all dangling images.";
	if (status < 0 && !o.force && !engine_confirm(warning)) {
		status = 0; /* "no" is no failure */
	}
	if (status < 0) {
		struct err e;
		int64_t bytes = 0;
		status = prune_images(cli, &o.filters, o.all, &bytes, &e) < 0
				 ? cli_fail(&e)
				 : (print_total(bytes), 0);
	}
	strv_deinit(&o.filters);
	return status;
}

int command_network_prune(struct cli *cli, int argc, char **argv)
{
	struct prune o = {0};
	const struct syntax s = {
		"network prune", "[OPTIONS]", "Remove all unused networks", 0, 0, false};
	int status = parse(&s, &o, NULL, &argc, argv);
	if (status < 0 && !o.force &&
		!engine_confirm(
			"This will remove all custom networks not used by at least one container.")) {
		status = 0; /* "no" is no failure */
	}
	if (status < 0) {
		struct err e;
		status = prune_networks(cli, &o.filters, &e) < 0 ? cli_fail(&e) : 0;
	}
	strv_deinit(&o.filters);
	return status;
}

int command_volume_prune(struct cli *cli, int argc, char **argv)
{
	struct prune o = {0};
	const struct syntax s = {
		"volume prune", "[OPTIONS]", "Remove unused local volumes", 0, 0, false};
	int status =
		parse(&s, &o, "Remove all unused volumes, not just anonymous ones", &argc, argv);
	const char *warning =
		o.all ? "This will remove all local volumes not used by at least one container."
		      : "This will remove anonymous local volumes not used by at least one container.";
	if (status < 0 && !o.force && !engine_confirm(warning)) {
		status = 0; /* "no" is no failure */
	}
	if (status < 0) {
		struct err e;
		int64_t bytes = 0;
		status = prune_volumes(cli, &o.filters, o.all, &bytes, &e) < 0
				 ? cli_fail(&e)
				 : (print_total(bytes), 0);
	}
	strv_deinit(&o.filters);
	return status;
}

static bool confirm_system(const struct prune *o)
{
	scoped(buf) struct buf text = BUF_INIT;
	buf_printf(&text,
		"This will remove:\n"
		"  - all stopped containers\n"
		"  - all networks not used by at least one container\n"
		"%s"
		"  - %s\n"
		"  - unused build cache\n",
		o->volumes ? "  - all anonymous volumes not used by at least one container\n" : "",
		o->all ? "all images without at least one container associated to them"
		       : "all dangling images");
	if (o->filters.n > 0) {
		buf_puts(&text, "\n  Items to be pruned will be filtered with:\n");
	}
	for (size_t i = 0; i < o->filters.n; i++) {
		buf_printf(&text, "  - %s\n", o->filters.v[i]);
	}
	return engine_confirm(buf_str(&text));
}

/* The cache of the builder; engines that have none answer 404, which is nothing to prune. */
static int prune_build_cache(struct cli *cli, bool all, int64_t *bytes, struct err *e)
{
	scoped(json) json_t *answer = NULL;
	if (engine_json(cli, "POST", all ? "/build/prune?all=1" : "/build/prune", NULL, &answer,
		    e) < 0) {
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	}
	*bytes += json_i64(answer, "SpaceReclaimed", 0);
	return 0;
}

static int prune_system(struct cli *cli, const struct prune *o, struct err *e)
{
	int64_t bytes = 0;
	if (prune_containers(cli, &o->filters, &bytes, e) < 0 ||
		prune_networks(cli, &o->filters, e) < 0 ||
		(o->volumes && prune_volumes(cli, &o->filters, false, &bytes, e) < 0) ||
		prune_images(cli, &o->filters, o->all, &bytes, e) < 0 ||
		prune_build_cache(cli, o->all, &bytes, e) < 0) {
		return -1;
	}
	print_total(bytes);
	return 0;
}

int command_system_prune(struct cli *cli, int argc, char **argv)
{
	struct prune o = {0};
	const struct flag flags[] = {
		{"all", 'a', FLAG_BOOL, &o.all, NULL,
			"Remove all unused images not just dangling ones"},
		{"filter", 0, FLAG_FILTER, &o.filters, NULL,
			"Provide filter values (e.g. \"label=<key>=<value>\")"},
		{"force", 'f', FLAG_BOOL, &o.force, NULL, "Do not prompt for confirmation"},
		{"volumes", 0, FLAG_BOOL, &o.volumes, NULL, "Prune anonymous volumes"},
		{0},
	};
	const struct syntax s = {"system prune", "[OPTIONS]", "Remove unused data", 0, 0, false};
	int status = flags_parse(&s, flags, &argc, argv);
	for (size_t i = 0; status < 0 && o.volumes && i < o.filters.n; i++) {
		if (strncmp(o.filters.v[i], "until=", 6) == 0) {
			fprintf(stderr,
				"ERROR: The \"until\" filter is not supported with \"--volumes\"\n");
			status = 1;
		}
	}
	if (status < 0 && !o.force && !confirm_system(&o)) {
		status = 0; /* "no" is no failure */
	}
	if (status < 0) {
		struct err e;
		status = prune_system(cli, &o, &e) < 0 ? cli_fail(&e) : 0;
	}
	strv_deinit(&o.filters);
	return status;
}
