#include "wherry/inspect.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/engine.h"
#include "wherry/format.h"
#include "wherry/table.h"

/* A new document, or NULL with *e; ERR_NOT_FOUND when no kind has the name. */
static json_t *find(
	struct cli *cli, const struct inspect_kind *kinds, const char *name, struct err *e)
{
	bool several = kinds[0].word && kinds[1].word;
	for (const struct inspect_kind *k = kinds; k->word; k++) {
		json_t *doc = NULL;
		if (engine_on(cli, "GET", k->prefix, name, k->suffix, &doc, e) == 0) {
			return doc;
		}
		if (e->kind != ERR_NOT_FOUND) {
			return NULL;
		}
	}
	if (several) {
		err_set(e, ERR_NOT_FOUND, "Error: No such object: %s", name);
	}
	return NULL;
}

static int print_formatted(const json_t *found, const struct format *f, struct err *e)
{
	for (size_t i = 0; i < json_array_size(found); i++) {
		scoped(buf) struct buf text = BUF_INIT;
		int r = format_run(
			f, json_array_get(found, i), &(struct format_style){0}, &text, e);
		printf("%s\n", r < 0 ? "" : buf_str(&text));
		if (r < 0) {
			return err_wrap(e, "template parsing error");
		}
	}
	if (json_array_size(found) == 0) {
		printf("\n");
	}
	return 0;
}

/* As Docker does, the found ones are printed first, then what was not found is said. */
int inspect_print(const json_t *found, const char *format, const char *missing)
{
	struct err e;
	bool templated = format && *format && strcmp(format, "json") != 0;
	scoped(format) struct format *f = templated ? format_new("", format, &e) : NULL;
	if (templated && !f) {
		err_wrap(&e, "template parsing error");
		cli_fail(&e);
		return STATUS_BAD_FORMAT;
	}
	int r = 0;
	if (templated) {
		r = print_formatted(found, f, &e);
	} else {
		scoped(free) char *text =
			format && *format
				? json_text(found)
				: json_dumps(found, json_array_size(found) ? JSON_INDENT(4) : 0);
		printf("%s\n", text);
	}
	fflush(stdout);
	fputs(missing, stderr);
	return r < 0 ? cli_fail(&e) : *missing ? 1 : 0;
}

int inspect_each(struct cli *cli, const struct inspect_kind *kinds, const char *format, int argc,
	char **argv)
{
	struct err e;
	scoped(json) json_t *found = json_array();
	scoped(buf) struct buf missing = BUF_INIT;
	for (int i = 1; i < argc; i++) {
		json_t *doc = find(cli, kinds, argv[i], &e);
		if (doc) {
			json_array_append_new(found, doc);
		} else {
			buf_printf(&missing, "%s\n", e.msg);
		}
	}
	return inspect_print(found, format, buf_str(&missing));
}

static const struct inspect_kind container_kinds[] = {{"container", "/containers/", "/json"}, {0}};
static const struct inspect_kind sized_kinds[] = {
	{"container", "/containers/", "/json?size=1"}, {0}};
static const struct inspect_kind image_kinds[] = {{"image", "/images/", "/json"}, {0}};

static const struct inspect_kind all_kinds[] = {
	{"container", "/containers/", "/json"},
	{"image", "/images/", "/json"},
	{"network", "/networks/", ""},
	{"volume", "/volumes/", ""},
	/* by --type only: engines without swarm and plugins say so */
	{"config", "/configs/", ""},
	{"node", "/nodes/", ""},
	{"plugin", "/plugins/", "/json"},
	{"secret", "/secrets/", ""},
	{"service", "/services/", ""},
	{"task", "/tasks/", ""},
	{0},
};
#define N_TRIED 4

int inspect_command(struct cli *cli, const struct inspect_kind *kinds, const struct syntax *s,
	int argc, char **argv)
{
	const char *format = NULL;
	bool verbose = false;
	const struct flag flags[] = {
		{"format", 'f', FLAG_STRING, &format, NULL, INSPECT_FORMAT_HELP},
		{"verbose", 'v', FLAG_BOOL, &verbose, NULL,
			strcmp(s->command, "network inspect") == 0
				? "Verbose output for diagnostics"
				: NULL},
		{0},
	};
	int status = flags_parse(s, flags, &argc, argv);
	return status >= 0 ? status : inspect_each(cli, kinds, format, argc, argv);
}

int command_image_inspect(struct cli *cli, int argc, char **argv)
{
	const struct syntax s = {"image inspect", "[OPTIONS] IMAGE [IMAGE...]",
		"Display detailed information on one or more images", 1, -1, false};
	return inspect_command(cli, image_kinds, &s, argc, argv);
}

int command_container_inspect(struct cli *cli, int argc, char **argv)
{
	const char *format = NULL;
	bool size = false;
	const struct flag flags[] = {
		{"format", 'f', FLAG_STRING, &format, NULL, INSPECT_FORMAT_HELP},
		{"size", 's', FLAG_BOOL, &size, NULL, "Display total file sizes"},
		{0},
	};
	const struct syntax s = {"container inspect", "[OPTIONS] CONTAINER [CONTAINER...]",
		"Display detailed information on one or more containers", 1, -1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	return status >= 0 ? status
			   : inspect_each(
				     cli, size ? sized_kinds : container_kinds, format, argc, argv);
}

int command_inspect(struct cli *cli, int argc, char **argv)
{
	const char *format = NULL;
	const char *type = NULL;
	bool size = false;
	const struct flag flags[] = {
		{"format", 'f', FLAG_STRING, &format, NULL, INSPECT_FORMAT_HELP},
		{"size", 's', FLAG_BOOL, &size, NULL,
			"Display total file sizes if the type is container"},
		{"type", 0, FLAG_STRING, &type, NULL, "Only inspect objects of the given type"},
		{0},
	};
	const struct syntax s = {"inspect", "[OPTIONS] NAME|ID [NAME|ID...]",
		"Return low-level information on Wherry objects", 1, -1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct inspect_kind kinds[sizeof(all_kinds) / sizeof(*all_kinds)] = {{0}};
	size_t n = 0;
	for (const struct inspect_kind *k = all_kinds; k->word; k++) {
		if (type && *type ? strcmp(type, k->word) == 0 : k - all_kinds < N_TRIED) {
			kinds[n++] = size && k == all_kinds ? sized_kinds[0] : *k;
		}
	}
	if (n == 0) {
		struct err e;
		err_set(&e, ERR_INVALID,
			"unknown type: \"%s\": must be one of \"config\", \"container\", \"image\", \"network\", \"node\", \"plugin\", \"secret\", \"service\", \"task\", \"volume\"",
			type);
		return cli_fail(&e);
	}
	return inspect_each(cli, kinds, format, argc, argv);
}
