/* wherry/compose_health.h - waits for containers to run, to be healthy or to end, without asking
 * again and again.
 *
 * One thread reads the engine's events of the project and wakes who waits; each of these looks at
 * its container then. Should the stream break, or be silent for long, they look by the clock.
 */
#pragma once
#include "wherry/compose.h"

struct compose_health;

/* Begins to listen; NULL with *e. */
struct compose_health *compose_health_new(struct compose *c, const char *project, struct err *e);
void compose_health_free(struct compose_health *h); /* NULL is fine; nobody waits any more */
/* How much has happened; taken before looking, given to compose_health_wait afterwards. */
unsigned long compose_health_mark(struct compose_health *h);
/* Until something has happened since the mark, or until_ms (clock_mono_ms; 0: none), or a while. */
void compose_health_wait(struct compose_health *h, unsigned long mark, int64_t until_ms);
/* Something else failed: nobody is to wait any longer. */
void compose_health_give_up(struct compose_health *h);
bool compose_health_is_over(struct compose_health *h);
