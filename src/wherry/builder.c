/* builder prune, buildx du, inspect, ls, version */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "buildkit/control.pb-c.h"
#include "grpc/grpc.h"
#include "grpc/h2.h"
#include "wherry/build_session.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/human.h"
#include "wherry/table.h"

/* --- prune --- */

struct prune {
	bool all, force;
	int64_t keep_bytes;
	struct strv filters;
};

static int prune(struct cli *cli, const struct prune *o, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	scoped(json) json_t *answer = NULL;
	char text[HUMAN_MAX];
	buf_puts(&path, "/build/prune");
	path_query(&path, "all", o->all ? "1" : NULL);
	if (o->keep_bytes > 0) {
		scoped(free) char *keep = xasprintf("%lld", (long long)o->keep_bytes);
		path_query(&path, "keep-storage", keep);
	}
	if (path_filters(&path, &o->filters, e) < 0 ||
		engine_json(cli, "POST", buf_str(&path), NULL, &answer, e) < 0) {
		return -1;
	}
	const json_t *deleted = json_object_get(answer, "CachesDeleted");
	size_t i;
	json_t *v;
	if (json_array_size(deleted) > 0) {
		printf("Deleted build cache objects:\n");
	}
	json_array_foreach (deleted, i, v) {
		printf("%s\n", json_string_value(v));
	}
	printf("%sTotal reclaimed space: %s\n", i > 0 ? "\n" : "",
		human_size((double)json_i64(answer, "SpaceReclaimed", 0), 4, text));
	return 0;
}

int command_builder_prune(struct cli *cli, int argc, char **argv)
{
	struct prune o = {0};
	const struct flag flags[] = {
		{"all", 'a', FLAG_BOOL, &o.all, NULL,
			"Remove all unused build cache, not just dangling ones"},
		{"filter", 0, FLAG_FILTER, &o.filters, NULL,
			"Provide filter values (e.g. \"until=24h\")"},
		{"force", 'f', FLAG_BOOL, &o.force, NULL, "Do not prompt for confirmation"},
		{"keep-storage", 0, FLAG_SIZE, &o.keep_bytes, NULL,
			"Amount of disk space to keep for cache"},
		{0},
	};
	const struct syntax s = {"builder prune", "[OPTIONS]", "Remove build cache", 0, 0, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status < 0) {
		struct err e;
		const char *warning = o.all ? "This will remove all build cache."
					    : "This will remove all dangling build cache.";
		bool wanted = o.force || engine_confirm(warning);
		status = wanted && prune(cli, &o, &e) < 0 ? cli_fail(&e) : 0;
	}
	strv_deinit(&o.filters);
	return status;
}

/* --- du --- */

static void add_record(const json_t *record, struct buf *ret)
{
	char size[HUMAN_MAX];
	int64_t used_ns = 0;
	scoped(buf) struct buf ago = BUF_INIT;
	clock_parse(json_str(record, "LastUsedAt"), &used_ns);
	if (used_ns > 0) {
		human_ago(used_ns / NS_PER_SEC, clock_real_ns() / NS_PER_SEC, &ago);
	}
	buf_printf(ret, "%s\t%s\t%s\t%s\n", json_str(record, "ID"),
		json_bool(record, "InUse") ? "false" : "true",
		human_size((double)json_i64(record, "Size", 0), 4, size), buf_str(&ago));
}

static int show_usage(struct cli *cli, struct err *e)
{
	scoped(json) json_t *df = NULL;
	scoped(buf) struct buf text = BUF_INIT;
	scoped(buf) struct buf aligned = BUF_INIT;
	int64_t total = 0;
	int64_t reclaimable = 0;
	size_t i;
	json_t *v;
	if (engine_json(cli, "GET", "/system/df?type=build-cache", NULL, &df, e) < 0) {
		return -1;
	}
	buf_puts(&text, "ID\tRECLAIMABLE\tSIZE\tLAST ACCESSED\n");
	json_array_foreach (json_object_get(df, "BuildCache"), i, v) {
		add_record(v, &text);
		total += json_i64(v, "Size", 0);
		reclaimable += json_bool(v, "InUse") ? 0 : json_i64(v, "Size", 0);
	}
	char a[HUMAN_MAX];
	char b[HUMAN_MAX];
	buf_printf(&text, "Reclaimable:\t%s\nTotal:\t%s\n", human_size((double)reclaimable, 4, a),
		human_size((double)total, 4, b));
	table_align(buf_str(&text), 10, &aligned);
	fputs(buf_str(&aligned), stdout);
	return 0;
}

int command_buildx_du(struct cli *cli, int argc, char **argv)
{
	const struct flag flags[] = {{0}};
	const struct syntax s = {"buildx du", "", "Disk usage of the build cache", 0, 0, false};
	int status = flags_parse(&s, flags, &argc, argv);
	struct err e;
	return status >= 0 ? status : show_usage(cli, &e) < 0 ? cli_fail(&e) : 0;
}

/* --- the builder --- */

static void add_platforms(const Buildkit__WorkerRecord *w, struct buf *ret)
{
	for (size_t i = 0; i < w->n_platforms; i++) {
		const Buildkit__Platform *p = w->platforms[i];
		buf_printf(ret, "%s%s/%s%s%s", i > 0 ? ", " : "", p->os, p->architecture,
			*p->variant ? "/" : "", p->variant);
	}
}

/* The engine's own words about its builder: version and platforms, appended. */
static int ask_builder(struct cli *cli, struct buf *version, struct buf *platforms, struct err *e)
{
	scoped(h2_free) struct h2 *conn = build_control_open(cli, e);
	scoped(buf) struct buf request = BUF_INIT;
	scoped(buf) struct buf bytes = BUF_INIT;
	if (!conn || grpc_unary(conn, "/moby.buildkit.v1.Control/ListWorkers", NULL, &request,
			     &bytes, e) < 0) {
		return -1;
	}
	Buildkit__ListWorkersResponse *r = buildkit__list_workers_response__unpack(
		NULL, bytes.len, (const uint8_t *)buf_str(&bytes));
	if (!r) {
		return err_set(e, ERR_SYSTEM, "the engine sent a malformed answer");
	}
	if (r->n_record > 0) {
		const Buildkit__WorkerRecord *w = r->record[0];
		buf_puts(version, w->version ? w->version->version : "");
		add_platforms(w, platforms);
	}
	buildkit__list_workers_response__free_unpacked(r, NULL);
	return 0;
}

static const char *context_of(const struct cli *cli)
{
	return cli->context && *cli->context ? cli->context : "default";
}

int command_buildx_ls(struct cli *cli, int argc, char **argv)
{
	const struct flag flags[] = {{0}};
	const struct syntax s = {"buildx ls", "", "List builders", 0, 0, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e = {0};
	scoped(buf) struct buf version = BUF_INIT;
	scoped(buf) struct buf platforms = BUF_INIT;
	scoped(buf) struct buf text = BUF_INIT;
	scoped(buf) struct buf aligned = BUF_INIT;
	bool running = ask_builder(cli, &version, &platforms, &e) == 0;
	buf_printf(&text,
		"NAME/NODE\tDRIVER/ENDPOINT\tSTATUS\tBUILDKIT\tPLATFORMS\n%s *\tdocker\t\t\t\n  %s\t%s\t%s\t%s\t%s\n",
		context_of(cli), context_of(cli), context_of(cli), running ? "running" : "error",
		buf_str(&version), buf_str(&platforms));
	table_align(buf_str(&text), 0, &aligned);
	fputs(buf_str(&aligned), stdout);
	return running ? 0 : cli_fail(&e);
}

int command_buildx_inspect(struct cli *cli, int argc, char **argv)
{
	bool ignored = false;
	const struct flag flags[] = {
		{"bootstrap", 0, FLAG_BOOL, &ignored, NULL,
			"Ensure builder has booted before inspecting: it always has"},
		{0},
	};
	const struct syntax s = {"buildx inspect", "[NAME]", "Inspect the builder", 0, 1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	scoped(buf) struct buf version = BUF_INIT;
	scoped(buf) struct buf platforms = BUF_INIT;
	if (argc > 1 && strcmp(argv[1], context_of(cli)) != 0) {
		(void)err_set(&e, ERR_NOT_FOUND, "ERROR: no builder \"%s\" found", argv[1]);
		return cli_fail(&e);
	}
	if (ask_builder(cli, &version, &platforms, &e) < 0) {
		return cli_fail(&e);
	}
	printf("Name:   %s\nDriver: docker\n\nNodes:\nName:             %s\nEndpoint:         %s\n"
	       "Status:           running\nBuildKit version: %s\nPlatforms:        %s\n",
		context_of(cli), context_of(cli), cli->host, buf_str(&version),
		buf_str(&platforms));
	return 0;
}

int command_buildx_version(struct cli *cli, int argc, char **argv)
{
	const struct flag flags[] = {{0}};
	const struct syntax s = {"buildx version", "", "Show version information", 0, 0, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status < 0) {
		printf("wherry " WHERRY_VERSION "\n");
		status = 0;
	}
	return status;
}
