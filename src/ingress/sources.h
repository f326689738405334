/* ingress/sources.h - what each container asks of the ingress, as table.h takes it.
 *
 * A container of a compose service that is removed goes on asking for a while, so that its clients
 * get a page that waits while compose makes the next one; and one that was just created is about to
 * start. Both end by themselves: route_sources_read says when to look again.
 */
#pragma once
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "ingress/table.h"

struct container;
struct container_set;

#define SOURCE_GRACE_MS 15000

struct route_sources {
	struct route_source *v;
	size_t n;
	json_t **labels; /* of v, owned */
	json_t **mounts; /* NULL where nothing asks */
	uint16_t **ports;
	char **errors;      /* why this host does not reach a container that runs; or NULL */
	int64_t look_again; /* CLOCK_MONOTONIC, ms; 0: when something happens */
};

/* Removed containers that still ask. */
struct ghosts {
	struct list all;
};
void ghosts_init(struct ghosts *g);
void ghosts_free(struct ghosts *g);
/* k is about to go. */
void ghosts_note(struct ghosts *g, const struct container *k, int64_t now_ms);

bool source_has_labels(const struct container *k);
/* now_ms: monotonic; now_ns: since 1970. Ghosts that nobody needs any more go. What is in *ret
 * borrows from containers and ghosts. */
void route_sources_read(const struct container_set *s, struct ghosts *g, int64_t now_ms,
	int64_t now_ns, struct route_sources *ret);
void route_sources_deinit(struct route_sources *s);
