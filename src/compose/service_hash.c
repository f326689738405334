/* The fields of compose-go's structures in their order (v2.9, types/types.go); what has no table is
 * a map, a list or a scalar of Go's. What Go leaves out or adds is done in show.c. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "compose/emit.h"
#include "compose/go_json.h"
#include "compose/show.h"

struct shape;

struct part {
	const char *name;
	const struct shape *shape;
};

/* A structure: the names of its fields in order, and those of them that are such themselves. Or, of
 * lists and maps: what each of their members is. */
struct shape {
	const char *fields;    /* NULL: each is set */
	struct part parts[24]; /* at least one is empty */
	;
	const struct shape *each;
};

static const struct shape blkio = {
	.fields = "weight weight_device device_read_bps device_read_iops device_write_bps "
		  "device_write_iops"};
static const struct shape file = {.fields = "source target uid gid mode"};
static const struct shape files = {.each = &file};
static const struct shape credential = {.fields = "config file registry"};
static const struct shape update = {
	.fields = "parallelism delay failure_action monitor max_failure_ratio order"};
static const struct shape request = {.fields = "capabilities driver count device_ids options"};
static const struct shape requests = {.each = &request};
static const struct shape discrete = {.fields = "kind value"};
static const struct shape generic = {
	.fields = "discrete_resource_spec", .parts = {{"discrete_resource_spec", &discrete}}};
static const struct shape generics = {.each = &generic};
static const struct shape resource = {.fields = "cpus memory pids devices generic_resources",
	.parts = {{"devices", &requests}, {"generic_resources", &generics}}};
static const struct shape resources = {.fields = "limits reservations",
	.parts = {{"limits", &resource}, {"reservations", &resource}}};
static const struct shape policy = {.fields = "condition delay max_attempts window"};
static const struct shape placement = {.fields = "constraints preferences max_replicas_per_node"};
static const struct shape deploy = {
	.fields = "mode labels update_config rollback_config resources restart_policy placement "
		  "endpoint_mode",
	.parts = {{"update_config", &update}, {"rollback_config", &update},
		{"resources", &resources}, {"restart_policy", &policy}, {"placement", &placement}}};
static const struct shape device = {.fields = "source target permissions"};
static const struct shape devices = {.each = &device};
static const struct shape provider = {.fields = "type options"};
static const struct shape env_file = {.fields = "path required format"};
static const struct shape env_files = {.each = &env_file};
static const struct shape health = {
	.fields = "test timeout interval retries start_period start_interval disable"};
static const struct shape logging = {.fields = "driver options"};
static const struct shape model = {.fields = "endpoint_var model_var"};
static const struct shape models = {.each = &model};
static const struct shape network = {
	.fields = "aliases driver_opts gw_priority interface_name ipv4_address ipv6_address "
		  "link_local_ips mac_address priority"};
static const struct shape networks = {.each = &network};
static const struct shape port = {
	.fields = "name mode host_ip target published protocol app_protocol"};
static const struct shape ports = {.each = &port};
static const struct shape ulimit = {.fields = "single soft hard"};
static const struct shape ulimits = {.each = &ulimit};
static const struct shape bind = {.fields = "selinux propagation create_host_path recursive"};
static const struct shape volume = {.fields = "labels nocopy subpath"};
static const struct shape tmpfs = {.fields = "size mode"};
static const struct shape mount = {
	.fields = "type source target read_only consistency bind volume tmpfs image",
	.parts = {{"bind", &bind}, {"volume", &volume}, {"tmpfs", &tmpfs}}};
static const struct shape mounts = {.each = &mount};
static const struct shape trigger = {
	.fields = "path action target exec include ignore initial_sync"};
static const struct shape triggers = {.each = &trigger};
static const struct shape develop = {.fields = "watch", .parts = {{"watch", &triggers}}};
static const struct shape hook = {.fields = "command user privileged working_dir environment"};
static const struct shape hooks = {.each = &hook};

/* But what a container is not made of: profiles, build, depends_on, pull_policy, scale. */
static const struct shape service = {
	.fields = "annotations attach develop blkio_config cap_add cap_drop cgroup_parent cgroup "
		  "cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpus "
		  "cpuset cpu_shares command configs container_name credential_spec deploy "
		  "device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint "
		  "provider environment env_file expose external_links extra_hosts group_add gpus "
		  "hostname healthcheck image init ipc isolation labels label_file links logging "
		  "mem_limit mem_reservation memswap_limit mem_swappiness mac_address models "
		  "network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform "
		  "ports privileged read_only restart runtime secrets security_opt shm_size "
		  "stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits "
		  "use_api_socket user userns_mode uts volume_driver volumes volumes_from "
		  "working_dir post_start pre_stop",
	.parts = {{"develop", &develop}, {"blkio_config", &blkio}, {"configs", &files},
		{"credential_spec", &credential}, {"deploy", &deploy}, {"devices", &devices},
		{"provider", &provider}, {"env_file", &env_files}, {"gpus", &requests},
		{"healthcheck", &health}, {"logging", &logging}, {"models", &models},
		{"networks", &networks}, {"ports", &ports}, {"secrets", &files},
		{"ulimits", &ulimits}, {"volumes", &mounts}, {"post_start", &hooks},
		{"pre_stop", &hooks}}};

static void put(struct buf *b, const struct node *n, const struct shape *shape);

static const struct shape *shape_of(const struct shape *shape, const char *name)
{
	for (const struct part *p = shape->parts; p->name; p++) {
		if (strcmp(p->name, name) == 0) {
			return p->shape;
		}
	}
	return NULL;
}

static void put_fields(struct buf *b, const struct node *n, const struct shape *shape)
{
	scoped(strv) struct strv names = STRV_INIT;
	strv_split(&names, shape->fields, ' ');
	for (size_t i = 0; i < names.n; i++) {
		const struct node *value = node_get(n, names.v[i]);
		if (value) {
			go_json_key(b, names.v[i]);
			put(b, value, shape_of(shape, names.v[i]));
		}
	}
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(
		(*(const struct member *const *)a)->key, (*(const struct member *const *)b)->key);
}

static void put_map(struct buf *b, const struct node *n, const struct shape *each)
{
	scoped(free) const struct member **sorted = xnew_array(const struct member *, n->n + 1);
	for (size_t i = 0; i < n->n; i++) {
		sorted[i] = &n->members[i];
	}
	qsort(sorted, n->n, sizeof(struct member *), compare_keys);
	for (size_t i = 0; i < n->n; i++) {
		go_json_key(b, sorted[i]->key);
		put(b, sorted[i]->value, each);
	}
}

static void put(struct buf *b, const struct node *n, const struct shape *shape)
{
	const struct shape *each = shape ? shape->each : NULL;
	if (n->kind == NODE_STR) {
		go_json_string(b, n->text);
	} else if (node_is_scalar(n)) {
		buf_puts(b, n->kind == NODE_NULL ? "null" : n->text);
	} else if (n->kind == NODE_LIST) {
		buf_putc(b, '[');
		for (size_t i = 0; i < n->n; i++) {
			buf_puts(b, i ? "," : "");
			put(b, n->members[i].value, each);
		}
		buf_putc(b, ']');
	} else {
		buf_putc(b, '{');
		if (shape && shape->fields) {
			put_fields(b, n, shape);
		} else {
			put_map(b, n, each);
		}
		buf_putc(b, '}');
	}
}

/* x-required: false is ours; what docker compose makes has no hash with it. */
static void put_optional(struct buf *b, const struct service *s)
{
	for (size_t i = 0; i < s->n_devices; i++) {
		if (s->devices[i].optional) {
			go_json_string(b, s->devices[i].target);
		}
	}
	for (size_t i = 0; i < s->n_mounts; i++) {
		if (s->mounts[i].optional) {
			go_json_string(b, s->mounts[i].target);
		}
	}
}

/* "service:web" */
static void resolve_mode(
	struct tree *t, struct node *n, emit_container_fn *container_of, void *owner)
{
	const char *id = n && n->kind == NODE_STR && text_starts(n->text, "service:")
				 ? container_of(owner, n->text + strlen("service:"))
				 : NULL;
	if (id) {
		n->text = tree_printf(t, "container:%s", id);
	}
}

/* "web:ro", "container:web:ro": docker compose forgets the mode. */
static void resolve_from(
	struct tree *t, struct node *n, emit_container_fn *container_of, void *owner)
{
	bool foreign = text_starts(n->text, "container:");
	const char *name = n->text + (foreign ? strlen("container:") : 0);
	name = tree_printf(t, "%.*s", (int)strcspn(name, ":"), name);
	const char *id = foreign ? name : container_of(owner, name);
	n->text = id ? tree_strdup(t, id) : n->text;
}

static void resolve(struct tree *t, struct node *n, emit_container_fn *container_of, void *owner)
{
	static const char *const modes[] = {"network_mode", "ipc", "pid"};
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		resolve_mode(t, node_get(n, modes[i]), container_of, owner);
	}
	node_each (m, node_get(n, "volumes_from")) {
		resolve_from(t, m->value, container_of, owner);
	}
}

void emit_service_hash(const struct service *s, emit_container_fn *container_of, void *owner,
	char ret[static EMIT_HASH_MAX])
{
	scoped(tree_free) struct tree *t = tree_new();
	scoped(buf) struct buf text = BUF_INIT;
	char digest[72];
	struct node *shown = show_service(t, s->node);
	if (container_of) {
		resolve(t, shown, container_of, owner);
	}
	put(&text, shown, &service);
	put_optional(&text, s);
	sha256_digest(buf_str(&text), text.len, digest);
	memcpy(ret, digest + strlen("sha256:"), EMIT_HASH_MAX);
}
