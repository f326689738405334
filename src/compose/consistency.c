#include "compose/consistency.h"

#include <string.h>

/* tmpfs and volumes have different places in the container. */
static int check_targets(struct loader *l, const struct node *service)
{
	node_each (mount, node_get(service, "volumes")) {
		const char *target = node_text(mount->value, "target");
		node_each (tmpfs, node_get(service, "tmpfs")) {
			size_t n = strcspn(tmpfs->value->text, ":");
			if (target && strlen(target) == n &&
				strncmp(target, tmpfs->value->text, n) == 0) {
				return node_err(l->e, mount->value,
					"%s is already a tmpfs of this service, in line %d", target,
					tmpfs->value->line);
			}
		}
	}
	return 0;
}

static int check_scale(struct loader *l, const struct node *service)
{
	const char *scale = node_text(service, "scale");
	const char *replicas = node_text(node_get(service, "deploy"), "replicas");
	if (scale && replicas && strcmp(scale, replicas) != 0) {
		return node_err(l->e, node_get(service, "scale"),
			"scale is %s and deploy.replicas is %s: one number is expected", scale,
			replicas);
	}
	return 0;
}

/* Where an older key and one of `deploy` say the same, they say the same value. */
static int check_limits(struct loader *l, const struct node *service)
{
	static const char *const pairs[][3] = {{"cpus", "limits", "cpus"},
		{"mem_limit", "limits", "memory"}, {"mem_reservation", "reservations", "memory"},
		{"pids_limit", "limits", "pids"}};
	const struct node *resources = node_get(node_get(service, "deploy"), "resources");
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		const struct node *limits = node_get(resources, pairs[i][1]);
		const char *before = node_text(service, pairs[i][0]);
		const char *after = node_text(limits, pairs[i][2]);
		if (before && limits && (!after || strcmp(before, after) != 0)) {
			return node_err(l->e, node_get(service, pairs[i][0]),
				"%s is %s and deploy.resources.%s.%s is %s: one value is expected",
				pairs[i][0], before, pairs[i][1], pairs[i][2],
				after ? after : "not set");
		}
	}
	return 0;
}

static int check_watches(struct loader *l, const struct node *service)
{
	node_each (watch, node_get(node_get(service, "develop"), "watch")) {
		const char *action = node_text(watch->value, "action");
		if (!node_text(watch->value, "target") && strcmp(action, "rebuild") != 0 &&
			strcmp(action, "restart") != 0) {
			return node_err(l->e, watch->value,
				"develop.watch: %s needs target, a path in the container", action);
		}
	}
	return 0;
}

int check_service_values(struct loader *l, const struct node *service)
{
	return check_targets(l, service) < 0 || check_scale(l, service) < 0 ||
			       check_limits(l, service) < 0 || check_watches(l, service) < 0
		       ? -1
		       : 0;
}
