/* wherry/spec_check.h - whether a value of one of run's flags has the flag's grammar, asked while
 * flags are parsed.
 *
 * For FLAG_CHECKED (wherry/flags.h): 0, or -1 with docker's sentence. docker/cli opts.
 */
#pragma once
#include "base/err.h"

int check_add_host(const char *value, struct err *e);
int check_attach(const char *value, struct err *e);
int check_bytes_rate(const char *value, struct err *e);
int check_device_rule(const char *value, struct err *e);
int check_dns(const char *value, struct err *e);
int check_domain(const char *value, struct err *e);
int check_env(const char *value, struct err *e);
int check_gpus(const char *value, struct err *e);
int check_iops_rate(const char *value, struct err *e);
int check_label(const char *value, struct err *e);
int check_link(const char *value, struct err *e);
int check_mac(const char *value, struct err *e);
int check_mount(const char *value, struct err *e);
int check_network(const char *value, struct err *e);
/* One word must be a system or a processor; with more, the engine decides. */
int check_platform(const char *value, struct err *e);
int check_sysctl(const char *value, struct err *e);
int check_ulimit(const char *value, struct err *e);
int check_weight(const char *value, struct err *e);
