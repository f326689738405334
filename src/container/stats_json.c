/* The documents of GET /containers/x/stats. Printed straight into a buffer: they hold numbers
 * beyond what jansson's signed integers can, and are made every second; nothing in them needs
 * escaping (names and interfaces have an alphabet of their own). */
#include <inttypes.h>

#include "base/clock.h"
#include "container/stats.h"

#define ZERO_TIME "0001-01-01T00:00:00Z"

/* "key":value, left out when 0, as Go's omitempty does. */
static void put_some(struct buf *b, const char *key, uint64_t value, bool *first)
{
	if (value != 0) {
		buf_printf(b, "%s\"%s\":%" PRIu64, *first ? "" : ",", key, value);
		*first = false;
	}
}

void stats_put_cpu(struct buf *b, const struct stats_sample *s)
{
	const struct cgroup_stat *g = &s->group;
	buf_printf(b, "{\"cpu_usage\":{\"total_usage\":%" PRIu64, g->cpu_ns);
	for (size_t i = 0; i < g->n_cpus; i++) {
		buf_printf(
			b, "%s%" PRIu64, i == 0 ? ",\"percpu_usage\":[" : ",", g->cpu_each_ns[i]);
	}
	buf_printf(b, "%s,\"usage_in_kernelmode\":%" PRIu64 ",\"usage_in_usermode\":%" PRIu64 "}",
		g->n_cpus ? "]" : "", g->cpu_kernel_ns, g->cpu_user_ns);
	bool first = false;
	put_some(b, "system_cpu_usage", s->system_ns, &first);
	put_some(b, "online_cpus", s->n_cpus, &first);
	buf_printf(b,
		",\"throttling_data\":{\"periods\":%" PRIu64 ",\"throttled_periods\":%" PRIu64
		",\"throttled_time\":%" PRIu64 "}}",
		g->periods, g->throttled_periods, g->throttled_ns);
}

static void put_ios(struct buf *b, const struct cgroup_ios *list)
{
	buf_putc(b, '[');
	for (size_t i = 0; i < list->n; i++) {
		const struct cgroup_io *io = &list->v[i];
		buf_printf(b, "%s{\"major\":%u,\"minor\":%u,\"op\":\"%s\",\"value\":%" PRIu64 "}",
			i ? "," : "", io->major, io->minor, io->op, io->value);
	}
	buf_putc(b, ']');
}

/* Of what v1 had, v2 has bytes only: the others are null there, as in dockerd, and empty on v1. */
static void put_io(struct buf *b, const struct stats_sample *s)
{
	static const char *const others[] = {"io_queue_recursive", "io_service_time_recursive",
		"io_wait_time_recursive", "io_merged_recursive", "io_time_recursive",
		"sectors_recursive"};
	bool lists = s->live && !s->group.v2;
	buf_puts(b, "{\"io_service_bytes_recursive\":");
	if (s->live) {
		put_ios(b, &s->group.io_bytes);
	} else {
		buf_puts(b, "null");
	}
	buf_puts(b, ",\"io_serviced_recursive\":");
	if (lists) {
		put_ios(b, &s->group.io_count);
	} else {
		buf_puts(b, "null");
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		buf_printf(b, ",\"%s\":%s", others[i], lists ? "[]" : "null");
	}
	buf_putc(b, '}');
}

static void put_memory(struct buf *b, const struct stats_sample *s)
{
	const struct cgroup_stat *g = &s->group;
	const char *const *keys = cgroup_memory_keys(g->v2);
	uint64_t limit = g->memory_limit_bytes;
	bool first = true;
	buf_putc(b, '{');
	if (s->live) {
		put_some(b, "usage", g->memory_bytes, &first);
		put_some(b, "max_usage", g->memory_max_bytes, &first);
		buf_puts(b, first ? "\"stats\":{" : ",\"stats\":{");
		for (size_t i = 0; keys[i]; i++) {
			buf_printf(b, "%s\"%s\":%" PRIu64, i ? "," : "", keys[i], g->memory[i]);
		}
		buf_putc(b, '}');
		first = false;
		put_some(b, "failcnt", g->memory_failures, &first);
		put_some(b, "limit",
			s->machine_bytes && limit > s->machine_bytes ? s->machine_bytes : limit,
			&first);
	}
	buf_putc(b, '}');
}

static void put_networks(struct buf *b, const struct stats_sample *s)
{
	for (size_t i = 0; i < s->n_links; i++) {
		const struct procfs_link *l = &s->links[i];
		buf_printf(b,
			"%s\"%s\":{\"rx_bytes\":%" PRIu64 ",\"rx_packets\":%" PRIu64
			",\"rx_errors\":%" PRIu64 ",\"rx_dropped\":%" PRIu64
			",\"tx_bytes\":%" PRIu64 ",\"tx_packets\":%" PRIu64
			",\"tx_errors\":%" PRIu64 ",\"tx_dropped\":%" PRIu64 "}",
			i == 0 ? ",\"networks\":{" : ",", l->name, l->rx_bytes, l->rx_packets,
			l->rx_errors, l->rx_dropped, l->tx_bytes, l->tx_packets, l->tx_errors,
			l->tx_dropped);
	}
	buf_puts(b, s->n_links ? "}" : "");
}

void stats_put(struct buf *b, const struct stats_sample *s, const char *name, const char *id,
	const char *precpu, const char *preread)
{
	static const struct stats_sample nothing = {0};
	char read[CLOCK_TEXT_MAX];
	bool first = true;
	buf_printf(b, "{\"read\":\"%s\",\"preread\":\"%s\",\"pids_stats\":{",
		s->live ? clock_format(s->at_ns, read) : ZERO_TIME, preread ? preread : ZERO_TIME);
	put_some(b, "current", s->group.pids, &first);
	put_some(b, "limit", s->group.pids_limit, &first);
	buf_puts(b, "},\"blkio_stats\":");
	put_io(b, s);
	buf_puts(b, ",\"num_procs\":0,\"storage_stats\":{},\"cpu_stats\":");
	stats_put_cpu(b, s);
	buf_puts(b, ",\"precpu_stats\":");
	if (precpu) {
		buf_puts(b, precpu);
	} else {
		stats_put_cpu(b, &nothing);
	}
	buf_puts(b, ",\"memory_stats\":");
	put_memory(b, s);
	buf_printf(b, ",\"name\":\"/%s\",\"id\":\"%s\"", name, id);
	put_networks(b, s);
	buf_putc(b, '}');
}
