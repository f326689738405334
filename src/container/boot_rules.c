#include "container/boot_rules.h"

#include <stddef.h>
#include <string.h>

static const struct {
	const char *label, *words;
} conditions[] = {
	[BOOT_STARTED] = {"service_started", "to start"},
	[BOOT_HEALTHY] = {"service_healthy", "to be healthy"},
	[BOOT_COMPLETED] = {"service_completed_successfully", "to complete"},
};

static bool read_condition(const char *text, size_t n, enum boot_condition *ret)
{
	for (size_t i = 0; i < sizeof(conditions) / sizeof(*conditions); i++) {
		if (strlen(conditions[i].label) == n &&
			strncmp(conditions[i].label, text, n) == 0) {
			*ret = (enum boot_condition)i;
			return true;
		}
	}
	return false;
}

bool boot_dependency_next(const char **label, struct boot_dependency *ret)
{
	while (**label) {
		const char *entry = *label;
		size_t n = strcspn(entry, ",");
		size_t service = strcspn(entry, ":,");
		*label = entry + n + (entry[n] == ',');
		if (service == 0 || service > 255 || service == n) {
			continue;
		}
		const char *condition = entry + service + 1;
		if (read_condition(condition, strcspn(condition, ":,"), &ret->condition)) {
			ret->service = entry;
			ret->n = (int)service;
			return true;
		}
	}
	return false;
}

bool boot_must_wait(enum boot_condition condition, const struct boot_facts *f)
{
	bool hoped_for = f->coming && f->waited_ms < BOOT_PATIENCE_MS;
	switch (condition) {
	case BOOT_STARTED:
		return hoped_for && !f->runs && !f->came;
	case BOOT_HEALTHY:
		/* its health check is bounded by itself: it becomes unhealthy */
		return f->runs ? f->probed && f->health == HEALTH_STARTING : hoped_for;
	case BOOT_COMPLETED:
		return f->runs || hoped_for;
	}
	return false;
}

const char *boot_condition_words(enum boot_condition condition)
{
	return conditions[condition].words;
}
