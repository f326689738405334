#include "api/action_times.h"

#include <inttypes.h>
#include <string.h>

#define NS_PER_SECOND UINT64_C(1000000000)

static const struct {
	const char *text;
	int64_t ns;
} bounds[ACTION_BUCKETS] = {
	{"0.005", 5000000},
	{"0.01", 10000000},
	{"0.025", 25000000},
	{"0.05", 50000000},
	{"0.1", 100000000},
	{"0.25", 250000000},
	{"0.5", 500000000},
	{"1", 1000000000},
	{"2.5", 2500000000},
	{"5", 5000000000},
	{"10", 10000000000},
};

enum family { CONTAINER, IMAGE, NETWORK, HOST, FAMILIES };

static const struct {
	const char *name, *label, *help;
} families[FAMILIES] = {
	[CONTAINER] = {"engine_daemon_container_actions_seconds", "action",
		"The number of seconds it takes to process each container action"},
	[IMAGE] = {"engine_daemon_image_actions_seconds", "action",
		"The number of seconds it takes to process each image action"},
	[NETWORK] = {"engine_daemon_network_actions_seconds", "action",
		"The number of seconds it takes to process each network action"},
	[HOST] = {"engine_daemon_host_info_functions_seconds", "function",
		"The number of seconds it takes to call functions gathering info about the host"},
};

static const struct {
	enum family family;
	const char *name;
} actions[ACTION_MAX] = {
	[ACTION_NONE] = {FAMILIES, NULL},
	[ACTION_CONTAINER_CHANGES] = {CONTAINER, "changes"},
	[ACTION_CONTAINER_COMMIT] = {CONTAINER, "commit"},
	[ACTION_CONTAINER_CREATE] = {CONTAINER, "create"},
	[ACTION_CONTAINER_DELETE] = {CONTAINER, "delete"},
	[ACTION_CONTAINER_START] = {CONTAINER, "start"},
	[ACTION_IMAGE_DELETE] = {IMAGE, "delete"},
	[ACTION_IMAGE_HISTORY] = {IMAGE, "history"},
	[ACTION_IMAGE_PULL] = {IMAGE, "pull"},
	[ACTION_NETWORK_CONNECT] = {NETWORK, "connect"},
	[ACTION_NETWORK_RELEASE] = {NETWORK, "release"},
	[ACTION_HOST_INFO] = {HOST, "system_info"},
	[ACTION_HOST_VERSION] = {HOST, "system_version"},
};

void action_times_add(struct action_times *t, enum action a, int64_t ns)
{
	if (a == ACTION_NONE || ns < 0) {
		return;
	}
	for (size_t i = 0; i < ACTION_BUCKETS; i++) {
		if (ns <= bounds[i].ns) {
			t->of[a].buckets[i]++;
			break;
		}
	}
	t->of[a].count++;
	t->of[a].sum_ns += (uint64_t)ns;
}

static void put_action(struct buf *b, const struct action_times *t, enum action a)
{
	const char *name = families[actions[a].family].name;
	const char *label = families[actions[a].family].label;
	uint64_t below = 0;
	for (size_t i = 0; i < ACTION_BUCKETS; i++) {
		below += t->of[a].buckets[i];
		buf_printf(b, "%s_bucket{%s=\"%s\",le=\"%s\"} %" PRIu64 "\n", name, label,
			actions[a].name, bounds[i].text, below);
	}
	buf_printf(b, "%s_bucket{%s=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, label,
		actions[a].name, t->of[a].count);
	buf_printf(b, "%s_sum{%s=\"%s\"} %" PRIu64 ".%09" PRIu64 "\n", name, label, actions[a].name,
		t->of[a].sum_ns / NS_PER_SECOND, t->of[a].sum_ns % NS_PER_SECOND);
	buf_printf(b, "%s_count{%s=\"%s\"} %" PRIu64 "\n", name, label, actions[a].name,
		t->of[a].count);
}

void action_times_put(struct buf *b, const struct action_times *t)
{
	enum family last = FAMILIES;
	for (enum action a = ACTION_NONE + 1; a < ACTION_MAX; a++) {
		enum family f = actions[a].family;
		if (f != last) {
			buf_printf(b, "# HELP %s %s\n# TYPE %s histogram\n", families[f].name,
				families[f].help, families[f].name);
			last = f;
		}
		put_action(b, t, a);
	}
}
