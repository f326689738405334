/* container/boot_rules.h - in which order containers of a compose project start when the daemon
 * does. Pure.
 *
 * The label com.docker.compose.depends_on says what a container waits for:
 * "db:service_healthy:true, job:service_completed_successfully:false" (service, condition, and a
 * word for docker compose). What will not come does not hold it up: it ran before, so it starts
 * without.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "container/health_rules.h"

#define BOOT_PROJECT_LABEL "com.docker.compose.project"
#define BOOT_SERVICE_LABEL "com.docker.compose.service"
#define BOOT_ONE_OFF_LABEL "com.docker.compose.oneoff" /* "True": not the service's */
#define BOOT_DEPENDS_LABEL "com.docker.compose.depends_on"

#define BOOT_DEPENDENCIES_MAX 64 /* of one container; more are not waited for */
/* For what is to start, but does not run: it may wait itself, or end again and again. */
#define BOOT_PATIENCE_MS (5 * 60 * 1000)

enum boot_condition { BOOT_STARTED, BOOT_HEALTHY, BOOT_COMPLETED };

struct boot_dependency {
	const char *service; /* n bytes of the label */
	int n;
	enum boot_condition condition;
};
/* Takes the next entry off *label; false at the end. What has another form is passed over. */
bool boot_dependency_next(const char **label, struct boot_dependency *ret);

/* What is known of one container of the service that is waited for. */
struct boot_facts {
	bool runs;
	bool coming; /* it does not run, but it is to start: starting, restarting, waiting */
	bool came;   /* it has run since the daemon started */
	bool probed; /* it has a health check, */
	enum health_status health; /* which says */
	int64_t waited_ms;         /* how long it has been waited for */
};
/* Whether that container is to be waited for. */
bool boot_must_wait(enum boot_condition condition, const struct boot_facts *f);
/* "service db to be healthy". */
const char *boot_condition_words(enum boot_condition condition); /* " to be healthy"; static */
