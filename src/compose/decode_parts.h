/* compose/decode_parts.h - the less common parts of a service, and the top-level configs, secrets
 * and models; for decode.c. */
#pragma once
#include "compose/decode_fields.h"
#include "compose/loader.h"

struct decoder {
	struct loader *l;
	struct tree *t;
	const struct node *root;
	struct project *p;
};

/* The long form of a device or mount with `x-required: false`. */
bool decode_is_optional(const struct node *n);
size_t decode_count(const struct node *n); /* of members; 0 for NULL */

/* n: the service. Devices, hooks, watches, limits of block devices, models. */
void decode_service_parts(struct decoder *d, const struct node *n, struct service *s);
/* deploy may be NULL. */
int decode_deploy_parts(struct decoder *d, const struct node *deploy, struct service *s);
/* n: a service or a build. */
void decode_ulimits(struct decoder *d, const struct node *n, struct ulimit **ret, size_t *ret_n);
void decode_file_uses(struct decoder *d, const struct node *n, const char *section,
	struct file_use **ret, size_t *ret_n);
/* "name=ip" as the engine wants it: "name:ip". */
struct words decode_hosts(struct decoder *d, const struct node *list);
void decode_file_objects(struct decoder *d);
void decode_models(struct decoder *d);
