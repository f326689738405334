/* A container set without daemon: store ":memory:", real volumes and images below a temporary
 * directory, no networks (its containers say "NetworkMode": "container:anchor"), a worker that ends
 * at once. */
#pragma once
#include "container/internal.h"
#include "sys/cgroup_features.h"

extern const struct cgroup_features fixture_cgroups;

struct fixture {
	char folder[64];
	uv_loop_t *loop;
	struct container_set set;
	struct container *anchor;
	struct err e;
	bool shallow; /* the creations are of clients before API 1.44 */
};

int fixture_setup(void **state);
int fixture_teardown(void **state);

/* An image "test:1" with this "config" object. */
void fixture_image(struct fixture *f, json_t *take_config);
/* A container of that image; parts of the body are added to what a create needs. NULL with f->e. */
struct container *fixture_create(
	struct fixture *f, const char *name, json_t *take_config, json_t *take_host);

#define WITH(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
