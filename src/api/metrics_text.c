#include "api/metrics_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_SECOND 1000000000u

enum unit { PLAIN, SECONDS_OF_NS };

static void put_head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_number(struct buf *b, enum unit unit, uint64_t n)
{
	if (unit == SECONDS_OF_NS) {
		buf_printf(b, " %" PRIu64 ".%09" PRIu64 "\n", n / NS_PER_SECOND, n % NS_PER_SECOND);
	} else {
		buf_printf(b, " %" PRIu64 "\n", n);
	}
}

/* name="value" with the three characters escaped that the format names. */
static void put_label(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "%s=\"", name);
	for (const char *p = value; *p; p++) {
		if (*p == '\n') {
			buf_puts(b, "\\n");
		} else {
			buf_puts(b, *p == '"' || *p == '\\' ? "\\" : "");
			buf_putc(b, *p);
		}
	}
	buf_putc(b, '"');
}

/* --- the engine --- */

static void put_info(struct buf *b, const struct metrics_engine *m)
{
	const char *const labels[][2] = {{"architecture", m->architecture}, {"commit", ""},
		{"daemon_id", m->id}, {"graphdriver", "overlay2"}, {"kernel", m->kernel},
		{"os", m->os}, {"os_type", "linux"}, {"os_version", ""}, {"version", m->version}};
	put_head(b, "engine_daemon_engine_info", "gauge",
		"The information related to the engine and the OS it is running on");
	buf_puts(b, "engine_daemon_engine_info{");
	for (size_t i = 0; i < sizeof(labels) / sizeof(*labels); i++) {
		buf_puts(b, i ? "," : "");
		put_label(b, labels[i][0], labels[i][1]);
	}
	buf_puts(b, "} 1\n");
}

static void put_states(struct buf *b, const struct metrics_engine *m)
{
	const char *name = "engine_daemon_container_states_containers";
	put_head(b, name, "gauge", "The count of containers in various states");
	buf_printf(b,
		"%s{state=\"paused\"} %" PRIu64 "\n%s{state=\"running\"} %" PRIu64
		"\n%s{state=\"stopped\"} %" PRIu64 "\n",
		name, m->paused, name, m->running, name, m->stopped);
}

void metrics_put_engine(struct buf *b, const struct metrics_engine *m)
{
	const struct {
		const char *name, *type, *help;
		enum unit unit;
		uint64_t value;
	} singles[] = {
		{"engine_daemon_engine_cpus_cpus", "gauge",
			"The number of cpus that the host system of the engine has", PLAIN,
			m->cpus},
		{"engine_daemon_engine_memory_bytes", "gauge",
			"The number of bytes of memory that the host system of the engine has",
			PLAIN, m->memory_bytes},
		{"engine_daemon_events_subscribers_total", "gauge",
			"The number of current subscribers to events", PLAIN, m->subscribers},
		{"engine_daemon_events_total", "counter", "The number of events logged", PLAIN,
			m->events},
		{"engine_daemon_health_checks_failed_total", "counter",
			"The total number of failed health checks", PLAIN, m->health_checks_failed},
		{"engine_daemon_health_checks_total", "counter",
			"The total number of health checks", PLAIN, m->health_checks},
		{"process_cpu_seconds_total", "counter",
			"Total user and system CPU time spent in seconds.", SECONDS_OF_NS,
			m->cpu_ns},
		{"process_open_fds", "gauge", "Number of open file descriptors.", PLAIN,
			m->open_fds},
		{"process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", PLAIN,
			m->resident_bytes},
		{"process_start_time_seconds", "gauge",
			"Start time of the process since unix epoch in seconds.", SECONDS_OF_NS,
			m->started_ns},
	};
	put_states(b, m);
	put_info(b, m);
	for (size_t i = 0; i < sizeof(singles) / sizeof(*singles); i++) {
		put_head(b, singles[i].name, singles[i].type, singles[i].help);
		buf_puts(b, singles[i].name);
		put_number(b, singles[i].unit, singles[i].value);
	}
}

/* --- containers: every family in one piece, as the format wants it --- */

static void put_name(struct buf *b, const char *family, const struct metrics_container *c)
{
	buf_printf(b, "%s{", family);
	put_label(b, "id", c->id);
	buf_putc(b, ',');
	put_label(b, "name", c->name);
	buf_putc(b, ',');
	put_label(b, "image", c->image);
}

#define AT(member) offsetof(struct metrics_container, member)
static const struct {
	const char *name, *type, *help;
	size_t at;
	enum unit unit;
	bool live_only;
} families[] = {
	{"container_cpu_usage_seconds_total", "counter", "CPU time used.", AT(cpu_ns),
		SECONDS_OF_NS, true},
	{"container_cpu_user_seconds_total", "counter", "CPU time used in user mode.",
		AT(cpu_user_ns), SECONDS_OF_NS, true},
	{"container_cpu_system_seconds_total", "counter", "CPU time used in the kernel.",
		AT(cpu_system_ns), SECONDS_OF_NS, true},
	{"container_cpu_cfs_throttled_seconds_total", "counter",
		"Time the container was held back by its CPU quota.", AT(throttled_ns),
		SECONDS_OF_NS, true},
	{"container_memory_usage_bytes", "gauge", "Memory used, file cache included.",
		AT(memory_bytes), PLAIN, true},
	{"container_memory_working_set_bytes", "gauge",
		"Memory used without the file cache that can be taken back at once.",
		AT(working_set_bytes), PLAIN, true},
	{"container_memory_failcnt", "counter", "How often the memory limit was hit.",
		AT(memory_failures), PLAIN, true},
	{"container_spec_memory_limit_bytes", "gauge", "Memory limit, 0 without one.",
		AT(memory_limit_bytes), PLAIN, true},
	{"container_threads", "gauge", "Processes and threads.", AT(pids), PLAIN, true},
	{"container_threads_max", "gauge", "Limit of processes and threads, 0 without one.",
		AT(pids_limit), PLAIN, true},
	{"container_fs_reads_bytes_total", "counter", "Bytes read from block devices.",
		AT(read_bytes), PLAIN, true},
	{"container_fs_writes_bytes_total", "counter", "Bytes written to block devices.",
		AT(written_bytes), PLAIN, true},
	{"container_start_time_seconds", "gauge",
		"Start time of the container since unix epoch in seconds.", AT(started_ns),
		SECONDS_OF_NS, true},
	{"container_restarts_total", "counter",
		"How often the restart policy has started the container again.", AT(restarts),
		PLAIN, false},
};

static uint64_t member(const struct metrics_container *c, size_t at)
{
	uint64_t n;
	memcpy(&n, (const char *)c + at, sizeof(n));
	return n;
}

static void put_families(struct buf *b, const struct metrics_container *v, size_t n)
{
	for (size_t f = 0; f < sizeof(families) / sizeof(*families); f++) {
		put_head(b, families[f].name, families[f].type, families[f].help);
		for (size_t i = 0; i < n; i++) {
			if (v[i].live || !families[f].live_only) {
				put_name(b, families[f].name, &v[i]);
				buf_putc(b, '}');
				put_number(b, families[f].unit, member(&v[i], families[f].at));
			}
		}
	}
}

#define LINK(m) offsetof(struct procfs_link, m)
static const struct {
	const char *name, *help;
	size_t at;
} link_families[] = {
	{"container_network_receive_bytes_total", "Bytes received.", LINK(rx_bytes)},
	{"container_network_receive_packets_total", "Packets received.", LINK(rx_packets)},
	{"container_network_receive_errors_total", "Errors while receiving.", LINK(rx_errors)},
	{"container_network_receive_packets_dropped_total", "Received packets dropped.",
		LINK(rx_dropped)},
	{"container_network_transmit_bytes_total", "Bytes sent.", LINK(tx_bytes)},
	{"container_network_transmit_packets_total", "Packets sent.", LINK(tx_packets)},
	{"container_network_transmit_errors_total", "Errors while sending.", LINK(tx_errors)},
	{"container_network_transmit_packets_dropped_total", "Packets to send dropped.",
		LINK(tx_dropped)},
};

static void put_links(struct buf *b, const struct metrics_container *v, size_t n)
{
	for (size_t f = 0; f < sizeof(link_families) / sizeof(*link_families); f++) {
		put_head(b, link_families[f].name, "counter", link_families[f].help);
		for (size_t i = 0; i < n; i++) {
			for (size_t k = 0; k < v[i].n_links; k++) {
				uint64_t value;
				memcpy(&value, (const char *)&v[i].links[k] + link_families[f].at,
					sizeof(value));
				put_name(b, link_families[f].name, &v[i]);
				buf_putc(b, ',');
				put_label(b, "interface", v[i].links[k].name);
				buf_putc(b, '}');
				put_number(b, PLAIN, value);
			}
		}
	}
}

static void put_health(struct buf *b, const struct metrics_container *v, size_t n)
{
	static const char *const words[] = {"healthy", "starting", "unhealthy"};
	put_head(b, "container_health_status", "gauge",
		"1 for the state that the health check has found, 0 for the others.");
	for (size_t i = 0; i < n; i++) {
		for (size_t w = 0; *v[i].health && w < sizeof(words) / sizeof(*words); w++) {
			put_name(b, "container_health_status", &v[i]);
			buf_putc(b, ',');
			put_label(b, "status", words[w]);
			buf_printf(b, "} %d\n", strcmp(v[i].health, words[w]) == 0);
		}
	}
}

void metrics_put_containers(struct buf *b, const struct metrics_container *v, size_t n)
{
	put_families(b, v, n);
	put_links(b, v, n);
	put_health(b, v, n);
}

void metrics_container_deinit(struct metrics_container *c)
{
	free(c->id);
	free(c->name);
	free(c->image);
	free(c->links);
}
