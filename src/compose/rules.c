/* The keys of the compose specification (compose-spec.json as docker compose 2.40.3 has it). */
#include "compose/schema.h"

/* clang-format off */
#define RULE(key_, types_, ...) {.key = (key_), .types = (types_), __VA_ARGS__}
#define END {.key = NULL}

static const struct rule string = RULE(NULL, AS_STR);
static const struct rule text_or_number = RULE(NULL, AS_STR | AS_NUM);
static const struct rule option_text = RULE(NULL, AS_STR | AS_NUM, .flags = RULE_TEXT);
static const struct rule option = RULE(NULL, AS_STR | AS_NUM | AS_NULL);
static const struct rule scalar = RULE(NULL, AS_SCALAR);
static const struct rule text_or_list = RULE(NULL, AS_STR | AS_LIST, .item = &string);

#define TEXT(key)           RULE(key, AS_STR)
#define ONE_OF(key, list)   RULE(key, AS_STR, .words = (list))
#define BOOL(key)           RULE(key, AS_BOOL)
#define INT(key)            RULE(key, AS_INT)
#define WHOLE(key)          RULE(key, AS_NUM, .flags = RULE_WHOLE)
#define NUMBER(key)         RULE(key, AS_NUM)
#define CPUS                RULE("cpus", AS_STR | AS_NUM, .flags = RULE_CPUS)
#define DURATION(key)       RULE(key, AS_STR, .flags = RULE_DURATION)
#define KEPT_DURATION(key)  RULE(key, AS_STR, .flags = RULE_DURATION | RULE_KEEP)
#define SIZE(key)           RULE(key, AS_STR | AS_NUM, .flags = RULE_SIZE)
#define UNIQUE_TEXTS(key)   RULE(key, AS_LIST, .flags = RULE_UNIQUE, .item = &string)
#define TEXTS(key)      RULE(key, AS_LIST, .item = &string)
#define TEXT_OR_TEXTS(key)  RULE(key, AS_STR | AS_LIST, .item = &string)
#define PAIRS(key)          RULE(key, AS_MAP | AS_LIST, .each = &scalar, .item = &string)
#define OPTIONS(key)        RULE(key, AS_MAP, .each = &option_text)
#define MAP(key, table)     RULE(key, AS_MAP, .flags = RULE_KEEP, .fields = (table))
#define HOSTS(key)          RULE(key, AS_MAP | AS_LIST, .flags = RULE_UNIQUE, .each = &text_or_list, .item = &string)
#define LIST(key, rule)     RULE(key, AS_LIST, .item = &(rule))
#define ULIMITS(key)        RULE(key, AS_MAP, .each = &ulimit)
#define COMMAND(key)        RULE(key, AS_STR | AS_LIST | AS_NULL, .flags = RULE_KEEP | RULE_NULL, .item = &string)

static const struct rule ulimit_fields[] = {
	RULE("soft", AS_INT, .flags = RULE_REQUIRED | RULE_KEEP | RULE_NOT_JSON),
	RULE("hard", AS_INT, .flags = RULE_REQUIRED | RULE_KEEP | RULE_NOT_JSON), END,
};
static const struct rule ulimit = RULE(NULL, AS_INT | AS_MAP, .flags = RULE_KEEP, .fields = ulimit_fields);

static const struct rule file_use_fields[] = {
	TEXT("source"), TEXT("target"), RULE("uid", AS_STR), RULE("gid", AS_STR),
	RULE("mode", AS_STR | AS_NUM, .flags = RULE_MODE | RULE_KEEP), END,
};
static const struct rule file_use = RULE(NULL, AS_STR | AS_MAP, .fields = file_use_fields);

static const struct rule build_fields[] = {
	TEXT("context"), TEXT("dockerfile"), TEXT("dockerfile_inline"), TEXTS("entitlements"), PAIRS("args"), RULE("ssh", AS_MAP | AS_LIST, .flags = RULE_AGENTS, .each = &scalar, .item = &string),
	PAIRS("labels"), TEXT_OR_TEXTS("cache_from"), TEXT_OR_TEXTS("cache_to"), BOOL("no_cache"), PAIRS("additional_contexts"),
	TEXT("network"), RULE("provenance", AS_STR | AS_BOOL, .flags = RULE_TEXT),
	RULE("sbom", AS_STR | AS_BOOL, .flags = RULE_TEXT), BOOL("pull"), TEXT("target"), SIZE("shm_size"), HOSTS("extra_hosts"),
	TEXT("isolation"), BOOL("privileged"), LIST("secrets", file_use), TEXTS("tags"), ULIMITS("ulimits"),
	TEXTS("platforms"), TEXT_OR_TEXTS("no_cache_filter"), END,
};

static const struct rule env_file_fields[] = {
	RULE("path", AS_STR, .flags = RULE_REQUIRED), RULE("required", AS_BOOL, .flags = RULE_KEEP), TEXT("format"), END,
};
static const struct rule env_file_item = RULE(NULL, AS_STR | AS_MAP, .fields = env_file_fields);

static const struct rule port_fields[] = {
	TEXT("name"), TEXT("mode"), TEXT("host_ip"), INT("target"), RULE("published", AS_STR | AS_INT, .flags = RULE_TEXT),
	TEXT("protocol"), TEXT("app_protocol"), END,
};
static const struct rule port_item = RULE(NULL, AS_STR | AS_INT | AS_MAP, .fields = port_fields);

static const char *const recursives[] = {"enabled", "disabled", "writable", "readonly", NULL};
static const char *const selinuxes[] = {"z", "Z", NULL};
static const char *const mount_types[] = {"bind", "volume", "tmpfs", "cluster", "npipe", "image", NULL};
static const struct rule bind_fields[] = {
	TEXT("propagation"), BOOL("create_host_path"), ONE_OF("recursive", recursives), ONE_OF("selinux", selinuxes), END,
};
static const struct rule mount_volume_fields[] = {PAIRS("labels"), BOOL("nocopy"), TEXT("subpath"), END};
static const struct rule mount_tmpfs_fields[] = {SIZE("size"), RULE("mode", AS_STR | AS_NUM, .flags = RULE_OCTAL), END};
static const struct rule mount_image_fields[] = {TEXT("subpath"), END};
static const struct rule mount_fields[] = {
	RULE("type", AS_STR, .flags = RULE_REQUIRED, .words = mount_types), TEXT("source"), TEXT("target"), BOOL("read_only"),
	TEXT("consistency"), MAP("bind", bind_fields), MAP("volume", mount_volume_fields), MAP("tmpfs", mount_tmpfs_fields),
	MAP("image", mount_image_fields), END,
};
static const struct rule mount_item = RULE(NULL, AS_STR | AS_MAP, .fields = mount_fields);

static const struct rule endpoint_fields[] = {
	TEXTS("aliases"), TEXT("interface_name"), TEXT("ipv4_address"), TEXT("ipv6_address"), TEXTS("link_local_ips"),
	TEXT("mac_address"), OPTIONS("driver_opts"), WHOLE("priority"), WHOLE("gw_priority"), END,
};
static const struct rule endpoint = RULE(NULL, AS_MAP | AS_NULL, .flags = RULE_KEEP, .fields = endpoint_fields);

static const char *const conditions[] = {"service_started", "service_healthy", "service_completed_successfully", NULL};
static const struct rule depend_fields[] = {
	BOOL("restart"), RULE("required", AS_BOOL, .flags = RULE_KEEP),
	RULE("condition", AS_STR, .flags = RULE_REQUIRED, .words = conditions), END,
};
static const struct rule depend = RULE(NULL, AS_MAP, .fields = depend_fields);

static const struct rule health_fields[] = {
	RULE("test", AS_STR | AS_LIST, .item = &string), KEPT_DURATION("interval"), KEPT_DURATION("timeout"),
	KEPT_DURATION("start_period"), KEPT_DURATION("start_interval"),
	RULE("retries", AS_NUM, .flags = RULE_WHOLE | RULE_KEEP), BOOL("disable"), END,
};

static const struct rule device_fields[] = {
	RULE("source", AS_STR, .flags = RULE_REQUIRED), TEXT("target"), TEXT("permissions"), END,
};
static const struct rule device_item = RULE(NULL, AS_STR | AS_MAP, .fields = device_fields);

static const struct rule logging_fields[] = {TEXT("driver"), RULE("options", AS_MAP, .each = &option), END};

static const struct rule extends_fields[] = {RULE("service", AS_STR, .flags = RULE_REQUIRED), TEXT("file"), END};

static const struct rule request_fields[] = {
	UNIQUE_TEXTS("capabilities"), RULE("count", AS_STR | AS_INT, .flags = RULE_COUNT), UNIQUE_TEXTS("device_ids"), TEXT("driver"),
	PAIRS("options"), END,
};
static const struct rule device_request = RULE(NULL, AS_MAP, .fields = request_fields);
static const struct rule reserved_fields[] = {
	RULE("capabilities", AS_LIST, .flags = RULE_UNIQUE | RULE_REQUIRED, .item = &string),
	RULE("count", AS_STR | AS_INT, .flags = RULE_COUNT), UNIQUE_TEXTS("device_ids"), TEXT("driver"), PAIRS("options"), END,
};
static const struct rule reserved_device = RULE(NULL, AS_MAP, .fields = reserved_fields);
static const struct rule discrete_fields[] = {
	RULE("kind", AS_STR, .flags = RULE_KEEP), RULE("value", AS_NUM, .flags = RULE_WHOLE | RULE_KEEP), END,
};
static const struct rule generic_fields[] = {MAP("discrete_resource_spec", discrete_fields), END};
static const struct rule generic_resource = RULE(NULL, AS_MAP, .fields = generic_fields);
static const struct rule limit_fields[] = {CPUS, RULE("memory", AS_STR, .flags = RULE_SIZE), INT("pids"), END};
static const struct rule reservation_fields[] = {
	CPUS, RULE("memory", AS_STR, .flags = RULE_SIZE), LIST("generic_resources", generic_resource),
	LIST("devices", reserved_device), END,
};
static const struct rule resource_fields[] = {MAP("limits", limit_fields), MAP("reservations", reservation_fields), END};
static const struct rule restart_policy_fields[] = {
	TEXT("condition"), KEPT_DURATION("delay"), RULE("max_attempts", AS_INT, .flags = RULE_KEEP), KEPT_DURATION("window"), END,
};
static const char *const orders[] = {"start-first", "stop-first", NULL};
static const struct rule update_fields[] = {
	RULE("parallelism", AS_INT, .flags = RULE_KEEP), DURATION("delay"), TEXT("failure_action"), DURATION("monitor"),
	NUMBER("max_failure_ratio"), ONE_OF("order", orders), END,
};
static const struct rule preference_fields[] = {TEXT("spread"), END};
static const struct rule preference = RULE(NULL, AS_MAP, .fields = preference_fields);
static const struct rule placement_fields[] = {
	TEXTS("constraints"), LIST("preferences", preference), INT("max_replicas_per_node"), END,
};
static const struct rule deploy_fields[] = {
	TEXT("mode"), TEXT("endpoint_mode"), RULE("replicas", AS_INT, .flags = RULE_KEEP), PAIRS("labels"),
	MAP("rollback_config", update_fields), MAP("update_config", update_fields),
	RULE("resources", AS_MAP, .flags = RULE_ALWAYS, .fields = resource_fields),
	MAP("restart_policy", restart_policy_fields),
	RULE("placement", AS_MAP, .flags = RULE_ALWAYS, .fields = placement_fields), END,
};

static const struct rule hook_fields[] = {
	RULE("command", AS_STR | AS_LIST | AS_NULL, .flags = RULE_KEEP | RULE_NULL, .item = &string), TEXT("user"),
	BOOL("privileged"), TEXT("working_dir"), PAIRS("environment"), END,
};
static const struct rule hook_item = RULE(NULL, AS_MAP, .fields = hook_fields);

static const char *const actions[] = {"rebuild", "sync", "restart", "sync+restart", "sync+exec", NULL};
static const struct rule watch_fields[] = {
	TEXT_OR_TEXTS("ignore"), TEXT_OR_TEXTS("include"), RULE("path", AS_STR, .flags = RULE_REQUIRED | RULE_KEEP),
	RULE("action", AS_STR, .flags = RULE_REQUIRED, .words = actions), TEXT("target"),
	RULE("exec", AS_MAP, .flags = RULE_ALWAYS, .fields = hook_fields), BOOL("initial_sync"), END,
};
static const struct rule watch_item = RULE(NULL, AS_MAP, .fields = watch_fields);
static const struct rule develop_fields[] = {LIST("watch", watch_item), END};

static const struct rule rate_fields[] = {
	RULE("path", AS_STR, .flags = RULE_KEEP | RULE_CAPITAL),
	RULE("rate", AS_STR | AS_INT, .flags = RULE_SIZE | RULE_KEEP | RULE_CAPITAL), END,
};
static const struct rule rate_item = RULE(NULL, AS_MAP, .fields = rate_fields);
static const struct rule weight_fields[] = {
	RULE("path", AS_STR, .flags = RULE_KEEP | RULE_CAPITAL), RULE("weight", AS_INT, .flags = RULE_KEEP | RULE_CAPITAL), END,
};
static const struct rule weight_item = RULE(NULL, AS_MAP, .fields = weight_fields);
static const struct rule blkio_fields[] = {
	LIST("device_read_bps", rate_item), LIST("device_read_iops", rate_item), LIST("device_write_bps", rate_item),
	LIST("device_write_iops", rate_item), INT("weight"), LIST("weight_device", weight_item), END,
};

static const struct rule provider_value = RULE(NULL, AS_BOOL | AS_NUM | AS_STR | AS_LIST, .item = &scalar);
static const struct rule provider_fields[] = {
	RULE("type", AS_STR, .flags = RULE_REQUIRED), RULE("options", AS_MAP, .each = &provider_value), END,
};
static const struct rule credential_fields[] = {TEXT("config"), TEXT("file"), TEXT("registry"), END};
static const struct rule model_use_fields[] = {TEXT("endpoint_var"), TEXT("model_var"), END};
static const struct rule model_use = RULE(NULL, AS_MAP | AS_NULL, .flags = RULE_KEEP, .fields = model_use_fields);
static const char *const cgroups[] = {"host", "private", NULL};

static const struct rule service_fields[] = {
	TEXT("image"),
	RULE("build", AS_STR | AS_MAP, .flags = RULE_KEEP, .fields = build_fields),
	COMMAND("command"), COMMAND("entrypoint"), PAIRS("environment"),
	RULE("env_file", AS_STR | AS_LIST, .item = &env_file_item),
	LIST("ports", port_item),
	RULE("expose", AS_LIST, .item = &text_or_number),
	LIST("volumes", mount_item),
	RULE("networks", AS_LIST | AS_MAP, .flags = RULE_UNIQUE, .each = &endpoint, .item = &string),
	TEXT("network_mode"),
	RULE("depends_on", AS_LIST | AS_MAP, .flags = RULE_UNIQUE, .each = &depend, .item = &string),
	TEXT("restart"), TEXT("user"), TEXT("working_dir"), TEXT("hostname"), TEXT("domainname"), TEXT("container_name"),
	PAIRS("labels"), RULE("label_file", AS_STR | AS_LIST, .item = &string),
	MAP("healthcheck", health_fields), TEXT("stop_signal"), KEPT_DURATION("stop_grace_period"),
	RULE("init", AS_BOOL, .flags = RULE_KEEP), BOOL("privileged"), BOOL("read_only"), BOOL("tty"), BOOL("stdin_open"),
	RULE("attach", AS_BOOL, .flags = RULE_KEEP), TEXTS("cap_add"), TEXTS("cap_drop"),
	LIST("devices", device_item), UNIQUE_TEXTS("device_cgroup_rules"), TEXT_OR_TEXTS("dns"), TEXT_OR_TEXTS("dns_search"),
	TEXTS("dns_opt"), HOSTS("extra_hosts"), TEXT_OR_TEXTS("tmpfs"), ULIMITS("ulimits"), PAIRS("sysctls"),
	UNIQUE_TEXTS("security_opt"), MAP("logging", logging_fields),
	SIZE("mem_limit"), SIZE("mem_reservation"), SIZE("memswap_limit"), SIZE("mem_swappiness"),
	CPUS, WHOLE("cpu_shares"), WHOLE("cpu_quota"), WHOLE("cpu_period"), TEXT("cpuset"),
	WHOLE("cpu_rt_runtime"), WHOLE("cpu_rt_period"), INT("cpu_count"), NUMBER("cpu_percent"),
	WHOLE("pids_limit"), SIZE("shm_size"), RULE("pid", AS_STR | AS_NULL), TEXT("ipc"), TEXT("uts"), TEXT("userns_mode"),
	ONE_OF("cgroup", cgroups), TEXT("cgroup_parent"),
	RULE("group_add", AS_LIST, .flags = RULE_UNIQUE, .item = &text_or_number), TEXT("platform"), TEXT("pull_policy"),
	TEXTS("profiles"), RULE("deploy", AS_MAP | AS_NULL, .flags = RULE_KEEP, .fields = deploy_fields),
	RULE("scale", AS_INT, .flags = RULE_KEEP), PAIRS("annotations"), INT("oom_score_adj"), BOOL("oom_kill_disable"),
	TEXT("mac_address"), TEXT("runtime"), LIST("configs", file_use), LIST("secrets", file_use),
	RULE("extends", AS_STR | AS_MAP, .fields = extends_fields), TEXTS("links"), UNIQUE_TEXTS("volumes_from"),
	UNIQUE_TEXTS("external_links"), MAP("credential_spec", credential_fields), MAP("provider", provider_fields),
	LIST("post_start", hook_item), LIST("pre_stop", hook_item), MAP("blkio_config", blkio_fields),
	RULE("develop", AS_MAP | AS_NULL, .flags = RULE_KEEP, .fields = develop_fields),
	RULE("gpus", AS_STR | AS_LIST, .flags = RULE_GPUS, .item = &device_request), TEXT("isolation"),
	RULE("models", AS_LIST | AS_MAP, .flags = RULE_UNIQUE, .each = &model_use, .item = &string),
	RULE("storage_opt", AS_MAP, .each = &scalar), BOOL("use_api_socket"), TEXT("volume_driver"), TEXT("pull_refresh_after"), END,
};
static const struct rule service = RULE(NULL, AS_MAP, .flags = RULE_KEEP, .fields = service_fields);

static const struct rule pool_fields[] = {
	TEXT("subnet"), TEXT("ip_range"), TEXT("gateway"), RULE("aux_addresses", AS_MAP, .each = &string), END,
};
static const struct rule pool = RULE(NULL, AS_MAP, .fields = pool_fields);
static const struct rule ipam_fields[] = {TEXT("driver"), LIST("config", pool), RULE("options", AS_MAP, .each = &string), END};
static const struct rule external_fields[] = {TEXT("name"), END};
#define EXTERNAL RULE("external", AS_BOOL | AS_MAP, .fields = external_fields)
static const struct rule network_fields[] = {
	TEXT("name"), TEXT("driver"), OPTIONS("driver_opts"),
	RULE("ipam", AS_MAP, .flags = RULE_ALWAYS, .fields = ipam_fields), EXTERNAL, BOOL("internal"),
	RULE("enable_ipv4", AS_BOOL, .flags = RULE_KEEP), RULE("enable_ipv6", AS_BOOL, .flags = RULE_KEEP),
	BOOL("attachable"), PAIRS("labels"), END,
};
static const struct rule network = RULE(NULL, AS_MAP | AS_NULL, .flags = RULE_KEEP, .fields = network_fields);
static const struct rule volume_fields[] = {
	TEXT("name"), TEXT("driver"), OPTIONS("driver_opts"), EXTERNAL, PAIRS("labels"), END,
};
static const struct rule volume = RULE(NULL, AS_MAP | AS_NULL, .flags = RULE_KEEP, .fields = volume_fields);
static const struct rule secret_fields[] = {
	TEXT("name"), TEXT("environment"), TEXT("file"), EXTERNAL, PAIRS("labels"), TEXT("driver"), OPTIONS("driver_opts"),
	TEXT("template_driver"), END,
};
static const struct rule secret = RULE(NULL, AS_MAP, .flags = RULE_KEEP, .fields = secret_fields);
static const struct rule config_fields[] = {
	TEXT("name"), TEXT("content"), TEXT("environment"), TEXT("file"), EXTERNAL, PAIRS("labels"), TEXT("template_driver"), END,
};
static const struct rule config = RULE(NULL, AS_MAP, .flags = RULE_KEEP, .fields = config_fields);
static const struct rule model_fields[] = {
	TEXT("name"), RULE("model", AS_STR, .flags = RULE_REQUIRED), INT("context_size"), TEXTS("runtime_flags"), END,
};
static const struct rule model = RULE(NULL, AS_MAP, .flags = RULE_KEEP, .fields = model_fields);

static const struct rule include_fields[] = {
	TEXT_OR_TEXTS("path"), TEXT_OR_TEXTS("env_file"), TEXT("project_directory"), END,
};
static const struct rule include_item = RULE(NULL, AS_STR | AS_MAP, .fields = include_fields);

static const struct rule project_fields[] = {
	TEXT("version"), TEXT("name"),
	RULE("services", AS_MAP, .flags = RULE_NAMES | RULE_KEEP, .each = &service),
	RULE("networks", AS_MAP, .flags = RULE_NAMES, .each = &network),
	RULE("volumes", AS_MAP, .flags = RULE_NAMES, .each = &volume),
	RULE("configs", AS_MAP, .flags = RULE_NAMES, .each = &config),
	RULE("secrets", AS_MAP, .flags = RULE_NAMES, .each = &secret),
	RULE("models", AS_MAP, .flags = RULE_NAMES, .each = &model),
	LIST("include", include_item), END,
};
const struct rule rule_project = RULE(NULL, AS_MAP, .fields = project_fields);
/* clang-format on */
