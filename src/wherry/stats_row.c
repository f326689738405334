#include "wherry/stats_row.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/human.h"

const struct column stats_columns[] = {
	{"Container", "CONTAINER"},
	{"ID", "CONTAINER ID"},
	{"Name", "NAME"},
	{"CPUPerc", "CPU %"},
	{"MemUsage", "MEM USAGE / LIMIT"},
	{"MemPerc", "MEM %"},
	{"NetIO", "NET I/O"},
	{"BlockIO", "BLOCK I/O"},
	{"PIDs", "PIDS"},
	{0},
};

/* Numbers may pass what JSON integers of jansson hold; they are read as reals then. */
static double number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static double cpu_percent(const json_t *doc)
{
	const json_t *now = json_object_get(doc, "cpu_stats");
	const json_t *before = json_object_get(doc, "precpu_stats");
	const json_t *usage = json_object_get(now, "cpu_usage");
	double used = number(usage, "total_usage") -
		      number(json_object_get(before, "cpu_usage"), "total_usage");
	double passed = number(now, "system_cpu_usage") - number(before, "system_cpu_usage");
	double cpus = number(now, "online_cpus");
	if (cpus == 0) {
		cpus = (double)json_array_size(json_object_get(usage, "percpu_usage"));
	}
	return used > 0 && passed > 0 ? used / passed * cpus * 100 : 0;
}

/* Without the file cache that the kernel can take back at once. */
static double memory_used(const json_t *memory)
{
	const json_t *stats = json_object_get(memory, "stats");
	double usage = number(memory, "usage");
	const char *key = json_object_get(stats, "total_inactive_file") ? "total_inactive_file"
									: "inactive_file";
	double cache = number(stats, key);
	return cache < usage ? usage - cache : usage;
}

/* docker/go-units BytesSize: base 1024, four digits. */
static const char *binary_size(double bytes, char text[static HUMAN_MAX])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	size_t i = 0;
	while (bytes >= 1024 && i + 1 < sizeof(units) / sizeof(*units)) {
		bytes /= 1024;
		i++;
	}
	snprintf(text, HUMAN_MAX, "%.4g%s", bytes, units[i]);
	return text;
}

static void put_memory(json_t *row, const json_t *doc)
{
	const json_t *memory = json_object_get(doc, "memory_stats");
	double used = memory_used(memory);
	double limit = number(memory, "limit");
	char a[HUMAN_MAX];
	char b[HUMAN_MAX];
	scoped(free) char *usage =
		xasprintf("%s / %s", binary_size(used, a), binary_size(limit, b));
	scoped(free) char *percent = xasprintf("%.2f%%", limit > 0 ? used / limit * 100 : 0);
	json_put_str(row, "MemUsage", usage);
	json_put_str(row, "MemPerc", percent);
}

static void put_pair(json_t *row, const char *key, double in, double out)
{
	char a[HUMAN_MAX];
	char b[HUMAN_MAX];
	scoped(free) char *text = xasprintf("%s / %s", human_size(in, 3, a), human_size(out, 3, b));
	json_put_str(row, key, text);
}

static void put_traffic(json_t *row, const json_t *doc)
{
	double in = 0;
	double out = 0;
	const char *name;
	json_t *link;
	json_object_foreach (json_object_get(doc, "networks"), name, link) {
		in += number(link, "rx_bytes");
		out += number(link, "tx_bytes");
	}
	put_pair(row, "NetIO", in, out);
	in = out = 0;
	size_t i;
	json_t *io;
	const json_t *list =
		json_object_get(json_object_get(doc, "blkio_stats"), "io_service_bytes_recursive");
	json_array_foreach (list, i, io) {
		char op = *json_str(io, "op");
		in += op == 'r' || op == 'R' ? number(io, "value") : 0;
		out += op == 'w' || op == 'W' ? number(io, "value") : 0;
	}
	put_pair(row, "BlockIO", in, out);
}

json_t *stats_row(const json_t *doc, const char *container, bool no_trunc)
{
	json_t *row = json_object();
	char id[13];
	const char *full = json_str(doc, "id");
	const char *name = json_str(doc, "name");
	json_put_str(row, "Container", container);
	json_put_str(row, "ID", no_trunc ? full : human_short_id(full, id));
	json_put_str(row, "Name", *name == '/' ? name + 1 : *name ? name : "--");
	scoped(free) char *cpu = doc ? xasprintf("%.2f%%", cpu_percent(doc)) : xstrdup("--");
	json_put_str(row, "CPUPerc", cpu);
	if (!doc) {
		static const char *const unknown[] = {
			"MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"};
		for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++) {
			json_put_str(row, unknown[i], i == 0 ? "-- / --" : "--");
		}
		return row;
	}
	put_memory(row, doc);
	put_traffic(row, doc);
	scoped(free) char *pids =
		xasprintf("%.0f", number(json_object_get(doc, "pids_stats"), "current"));
	json_put_str(row, "PIDs", pids);
	return row;
}
