/* The keys of the compose specification (compose-spec.json), with what we do not act on marked. */
#include "compose/schema.h"

/* clang-format off */
static const struct rule any = {NULL, AS_ANY, 0, NULL, NULL, NULL};
static const struct rule string = {NULL, AS_STR, 0, NULL, NULL, NULL};
static const struct rule text_or_number = {NULL, AS_STR | AS_NUM, 0, NULL, NULL, NULL};
static const struct rule scalar = {NULL, AS_SCALAR, 0, NULL, NULL, NULL};
static const struct rule text_or_list = {NULL, AS_STR | AS_LIST, 0, NULL, NULL, &string};

#define TEXTS(key)        {key, AS_LIST, 0, NULL, NULL, &string}
#define TEXT_OR_TEXTS(key){key, AS_STR | AS_LIST, 0, NULL, NULL, &string}
#define TEXT(key)         {key, AS_STR, 0, NULL, NULL, NULL}
#define BOOL(key)         {key, AS_BOOL, 0, NULL, NULL, NULL}
#define INT(key)          {key, AS_INT, 0, NULL, NULL, NULL}
#define NUMBER(key)       {key, AS_NUM | AS_STR, 0, NULL, NULL, NULL}
#define DURATION(key)     {key, AS_STR, RULE_DURATION, NULL, NULL, NULL}
#define SIZE(key)         {key, AS_STR | AS_INT, RULE_SIZE, NULL, NULL, NULL}
#define PAIRS(key)        {key, AS_MAP | AS_LIST, 0, NULL, &scalar, &string}
#define IGNORED(key)      {key, AS_ANY, RULE_IGNORED, NULL, NULL, NULL}
#define UNSUPPORTED(key)  {key, AS_ANY, RULE_UNSUPPORTED, NULL, NULL, NULL}
#define MAP(key, table)   {key, AS_MAP, 0, table, NULL, NULL}
#define END               {NULL, 0, 0, NULL, NULL, NULL}

static const struct rule ulimit_fields[] = {{"soft", AS_INT, 0, NULL, NULL, NULL}, {"hard", AS_INT, 0, NULL, NULL, NULL}, END};
static const struct rule ulimit = {NULL, AS_INT | AS_MAP, 0, ulimit_fields, NULL, NULL};

static const struct rule file_use_fields[] = {
	TEXT("source"), TEXT("target"), {"uid", AS_STR | AS_INT, 0, NULL, NULL, NULL},
	{"gid", AS_STR | AS_INT, 0, NULL, NULL, NULL}, {"mode", AS_STR | AS_INT, 0, NULL, NULL, NULL}, END,
};
static const struct rule file_use = {NULL, AS_STR | AS_MAP, 0, file_use_fields, NULL, NULL};

static const struct rule build_fields[] = {
	TEXT("context"), TEXT("dockerfile"), TEXT("dockerfile_inline"), PAIRS("args"), PAIRS("labels"), TEXT("target"),
	TEXT("network"), {"extra_hosts", AS_MAP | AS_LIST, 0, NULL, &text_or_list, &string}, SIZE("shm_size"),
	TEXTS("tags"), BOOL("no_cache"), BOOL("pull"), {"cache_from", AS_STR | AS_LIST, 0, NULL, NULL, &string},
	{"cache_to", AS_STR | AS_LIST, 0, NULL, NULL, &string}, TEXTS("platforms"), {"ulimits", AS_MAP, 0, NULL, &ulimit, NULL},
	PAIRS("additional_contexts"), PAIRS("ssh"), {"secrets", AS_LIST, 0, NULL, NULL, &file_use}, TEXTS("entitlements"),
	IGNORED("isolation"), IGNORED("privileged"), IGNORED("provenance"), IGNORED("sbom"),
	{"no_cache_filter", AS_STR | AS_LIST, 0, NULL, NULL, &string}, END,
};

static const struct rule env_file_fields[] = {TEXT("path"), BOOL("required"), TEXT("format"), END};
static const struct rule env_file_item = {NULL, AS_STR | AS_MAP, 0, env_file_fields, NULL, NULL};

static const struct rule port_fields[] = {
	TEXT("name"), TEXT("mode"), TEXT("host_ip"), {"target", AS_INT, 0, NULL, NULL, NULL},
	{"published", AS_STR | AS_INT, 0, NULL, NULL, NULL}, TEXT("protocol"), TEXT("app_protocol"), END,
};
static const struct rule port_item = {NULL, AS_STR | AS_INT | AS_MAP, 0, port_fields, NULL, NULL};

static const struct rule bind_fields[] = {
	TEXT("propagation"), BOOL("create_host_path"), TEXT("selinux"), TEXT("recursive"), END,
};
static const struct rule mount_volume_fields[] = {BOOL("nocopy"), TEXT("subpath"), PAIRS("labels"), END};
static const struct rule mount_tmpfs_fields[] = {SIZE("size"), {"mode", AS_STR | AS_INT, 0, NULL, NULL, NULL}, END};
static const struct rule mount_fields[] = {
	TEXT("type"), TEXT("source"), TEXT("target"), BOOL("read_only"), IGNORED("consistency"), MAP("bind", bind_fields),
	MAP("volume", mount_volume_fields), MAP("tmpfs", mount_tmpfs_fields), UNSUPPORTED("image"), END,
};
static const struct rule mount_item = {NULL, AS_STR | AS_MAP, 0, mount_fields, NULL, NULL};

static const struct rule endpoint_fields[] = {
	TEXTS("aliases"), TEXT("interface_name"), TEXT("ipv4_address"), TEXT("ipv6_address"), TEXTS("link_local_ips"),
	TEXT("mac_address"), {"driver_opts", AS_MAP, 0, NULL, &text_or_number, NULL},
	{"priority", AS_NUM, 0, NULL, NULL, NULL}, {"gw_priority", AS_NUM, 0, NULL, NULL, NULL}, END,
};
static const struct rule endpoint = {NULL, AS_MAP | AS_NULL, 0, endpoint_fields, NULL, NULL};

static const struct rule depend_fields[] = {BOOL("restart"), BOOL("required"), TEXT("condition"), END};
static const struct rule depend = {NULL, AS_MAP, 0, depend_fields, NULL, NULL};

static const struct rule health_fields[] = {
	TEXT_OR_TEXTS("test"), DURATION("interval"), DURATION("timeout"), DURATION("start_period"),
	DURATION("start_interval"), INT("retries"), BOOL("disable"), END,
};

static const struct rule device_fields[] = {TEXT("source"), TEXT("target"), TEXT("permissions"), END};
static const struct rule device_item = {NULL, AS_STR | AS_MAP, 0, device_fields, NULL, NULL};

static const struct rule logging_fields[] = {
	TEXT("driver"), {"options", AS_MAP, 0, NULL, &text_or_number, NULL}, END,
};

static const struct rule extends_fields[] = {TEXT("service"), TEXT("file"), END};

static const struct rule limit_fields[] = {NUMBER("cpus"), SIZE("memory"), INT("pids"), IGNORED("devices"), IGNORED("generic_resources"), END};
static const struct rule resource_fields[] = {MAP("limits", limit_fields), MAP("reservations", limit_fields), END};
static const struct rule restart_policy_fields[] = {
	TEXT("condition"), {"delay", AS_STR, RULE_IGNORED | RULE_DURATION, NULL, NULL, NULL}, INT("max_attempts"),
	{"window", AS_STR, RULE_IGNORED | RULE_DURATION, NULL, NULL, NULL}, END,
};
static const struct rule deploy_fields[] = {
	MAP("resources", resource_fields), INT("replicas"), MAP("restart_policy", restart_policy_fields),
	IGNORED("mode"), IGNORED("endpoint_mode"), IGNORED("labels"), IGNORED("rollback_config"), IGNORED("update_config"),
	IGNORED("placement"), END,
};

static const struct rule hook_fields[] = {
	TEXT_OR_TEXTS("command"), TEXT("user"), BOOL("privileged"), TEXT("working_dir"), PAIRS("environment"), END,
};
static const struct rule hook_item = {NULL, AS_MAP, RULE_IGNORED, hook_fields, NULL, NULL};

static const struct rule service_fields[] = {
	TEXT("image"),
	{"build", AS_STR | AS_MAP, 0, build_fields, NULL, NULL},
	{"command", AS_STR | AS_LIST | AS_NULL, 0, NULL, NULL, &string},
	{"entrypoint", AS_STR | AS_LIST | AS_NULL, 0, NULL, NULL, &string},
	PAIRS("environment"),
	{"env_file", AS_STR | AS_LIST, 0, NULL, NULL, &env_file_item},
	{"ports", AS_LIST, 0, NULL, NULL, &port_item},
	{"expose", AS_LIST, 0, NULL, NULL, &text_or_number},
	{"volumes", AS_LIST, 0, NULL, NULL, &mount_item},
	{"networks", AS_LIST | AS_MAP, 0, NULL, &endpoint, &string},
	TEXT("network_mode"),
	{"depends_on", AS_LIST | AS_MAP, 0, NULL, &depend, &string},
	TEXT("restart"), TEXT("user"), TEXT("working_dir"), TEXT("hostname"), TEXT("domainname"), TEXT("container_name"),
	PAIRS("labels"), TEXT_OR_TEXTS("label_file"),
	MAP("healthcheck", health_fields), TEXT("stop_signal"), DURATION("stop_grace_period"),
	BOOL("init"), BOOL("privileged"), BOOL("read_only"), BOOL("tty"), BOOL("stdin_open"), BOOL("attach"),
	TEXTS("cap_add"), TEXTS("cap_drop"),
	{"devices", AS_LIST, 0, NULL, NULL, &device_item}, TEXTS("device_cgroup_rules"),
	TEXT_OR_TEXTS("dns"), TEXT_OR_TEXTS("dns_search"), TEXTS("dns_opt"),
	{"extra_hosts", AS_MAP | AS_LIST, 0, NULL, &text_or_list, &string},
	TEXT_OR_TEXTS("tmpfs"),
	{"ulimits", AS_MAP, 0, NULL, &ulimit, NULL}, PAIRS("sysctls"), TEXTS("security_opt"), MAP("logging", logging_fields),
	SIZE("mem_limit"), SIZE("mem_reservation"), SIZE("memswap_limit"), INT("mem_swappiness"),
	NUMBER("cpus"), NUMBER("cpu_shares"), NUMBER("cpu_quota"), NUMBER("cpu_period"), TEXT("cpuset"),
	IGNORED("cpu_rt_runtime"), IGNORED("cpu_rt_period"), IGNORED("cpu_count"), IGNORED("cpu_percent"),
	INT("pids_limit"), SIZE("shm_size"), TEXT("pid"), TEXT("ipc"), TEXT("uts"), TEXT("userns_mode"), TEXT("cgroup"),
	TEXT("cgroup_parent"), {"group_add", AS_LIST, 0, NULL, NULL, &text_or_number}, TEXT("platform"), TEXT("pull_policy"),
	TEXTS("profiles"), MAP("deploy", deploy_fields), INT("scale"), PAIRS("annotations"), INT("oom_score_adj"),
	BOOL("oom_kill_disable"), TEXT("mac_address"), TEXT("runtime"),
	{"configs", AS_LIST, 0, NULL, NULL, &file_use}, {"secrets", AS_LIST, 0, NULL, NULL, &file_use},
	{"extends", AS_STR | AS_MAP, 0, extends_fields, NULL, NULL},
	TEXTS("links"), TEXTS("volumes_from"),
	UNSUPPORTED("external_links"), UNSUPPORTED("credential_spec"), UNSUPPORTED("provider"),
	{"post_start", AS_LIST, RULE_IGNORED, NULL, NULL, &hook_item}, {"pre_stop", AS_LIST, RULE_IGNORED, NULL, NULL, &hook_item},
	IGNORED("blkio_config"), IGNORED("develop"), IGNORED("gpus"), IGNORED("isolation"), IGNORED("models"),
	IGNORED("storage_opt"), IGNORED("use_api_socket"), IGNORED("volume_driver"), END,
};
static const struct rule service = {NULL, AS_MAP, 0, service_fields, NULL, NULL};

static const struct rule ipam_config_fields[] = {
	TEXT("subnet"), TEXT("ip_range"), TEXT("gateway"), {"aux_addresses", AS_MAP, 0, NULL, &string, NULL}, END,
};
static const struct rule ipam_config_item = {NULL, AS_MAP, 0, ipam_config_fields, NULL, NULL};
static const struct rule ipam_fields[] = {
	TEXT("driver"), {"config", AS_LIST, 0, NULL, NULL, &ipam_config_item}, {"options", AS_MAP, 0, NULL, &string, NULL}, END,
};
static const struct rule external_fields[] = {TEXT("name"), END};
#define EXTERNAL {"external", AS_BOOL | AS_MAP, 0, external_fields, NULL, NULL}
static const struct rule network_fields[] = {
	TEXT("name"), TEXT("driver"), {"driver_opts", AS_MAP, 0, NULL, &text_or_number, NULL}, MAP("ipam", ipam_fields),
	EXTERNAL, BOOL("internal"), BOOL("enable_ipv4"), BOOL("enable_ipv6"), BOOL("attachable"), PAIRS("labels"), END,
};
static const struct rule network = {NULL, AS_MAP | AS_NULL, 0, network_fields, NULL, NULL};
static const struct rule volume_fields[] = {
	TEXT("name"), TEXT("driver"), {"driver_opts", AS_MAP, 0, NULL, &text_or_number, NULL}, EXTERNAL, PAIRS("labels"), END,
};
static const struct rule volume = {NULL, AS_MAP | AS_NULL, 0, volume_fields, NULL, NULL};
static const struct rule file_fields[] = {
	TEXT("name"), TEXT("file"), TEXT("content"), TEXT("environment"), EXTERNAL, PAIRS("labels"),
	IGNORED("driver"), IGNORED("driver_opts"), IGNORED("template_driver"), END,
};
static const struct rule file = {NULL, AS_MAP, 0, file_fields, NULL, NULL};

static const struct rule include_fields[] = {
	TEXT_OR_TEXTS("path"), TEXT_OR_TEXTS("env_file"), TEXT("project_directory"), END,
};
static const struct rule include_item = {NULL, AS_STR | AS_MAP, 0, include_fields, NULL, NULL};

static const struct rule project_fields[] = {
	{"version", AS_SCALAR, 0, NULL, NULL, NULL},
	TEXT("name"),
	{"services", AS_MAP, RULE_NAMES, NULL, &service, NULL},
	{"networks", AS_MAP, RULE_NAMES, NULL, &network, NULL},
	{"volumes", AS_MAP, RULE_NAMES, NULL, &volume, NULL},
	{"configs", AS_MAP, RULE_NAMES, NULL, &file, NULL},
	{"secrets", AS_MAP, RULE_NAMES, NULL, &file, NULL},
	{"include", AS_LIST, 0, NULL, NULL, &include_item},
	{"models", AS_MAP, RULE_IGNORED, NULL, &any, NULL}, END,
};
const struct rule rule_project = {NULL, AS_MAP, 0, project_fields, NULL, NULL};
/* clang-format on */
