/* wherry/specs.h - the small languages of run's flags, each to the JSON that the engine's API
 * wants. Pure, but for files named.
 *
 * Grammars and sentences of docker/cli (opts, cli/command/container/opts.go) and
 * docker/go-connections/nat.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/strv.h"

/* "[IP:][HOST[-HOST]:]PORT[-PORT][/PROTO]": adds to both objects "80/tcp": {} and "80/tcp":
 * [{HostIp, HostPort}]. */
int spec_port(const char *text, json_t *exposed, json_t *bindings, struct err *e);
/* --expose "80", "80-90/udp". */
int spec_expose(const char *text, json_t *exposed, struct err *e);

/* -v: "/data" goes to volumes, "a:/b[:ro]" to binds; a relative host path that begins with '.'
 * becomes absolute. */
int spec_volume(const char *text, json_t *volumes, json_t *binds, struct err *e);
/* --mount type=bind,src=/a,dst=/b,readonly: a new object. NULL with *e. */
json_t *spec_mount(const char *text, struct err *e);
/* --tmpfs "/run:size=1m": adds "/run": "size=1m". */
int spec_tmpfs(const char *text, json_t *tmpfs, struct err *e);
/* --device "/dev/a[:/dev/b[:rwm]]". */
json_t *spec_device(const char *text, struct err *e);
/* "/dev/sda:1mb" of the rate flags: {Path, Rate}; and weights: {Path, Weight}. */
json_t *spec_bytes_rate(const char *text, struct err *e);
json_t *spec_iops_rate(const char *text, struct err *e);
json_t *spec_weight(const char *text, struct err *e);
/* --gpus "all", "2", "count=2,capabilities=compute": a DeviceRequest. */
json_t *spec_gpus(const char *text, struct err *e);
/* "open PATH: no such file or directory", as Go says it. */
int spec_open_failed(int errnum, const char *path, struct err *e);
/* --ulimit "nofile=1024[:2048]". */
json_t *spec_ulimit(const char *text, struct err *e);
/* --restart "no", "on-failure:3". */
json_t *spec_restart(const char *text, struct err *e);
/* --network "name" or "name=x,alias=y,ip=...": the name, and the endpoint's settings. */
int spec_network(const char *text, char **ret_name, json_t **ret_endpoint, struct err *e);
/* --add-host "name:ip" or "name=ip"; brackets around IPv6 go. The text for ExtraHosts, or NULL with
 * *e. */
char *spec_add_host(const char *text, struct err *e);

/* -e: "A=B", or "A" to pass our own value on. */
int spec_env(const char *text, struct strv *env, struct err *e);
/* --env-file: lines of the same; names without a value that we do not have are left out. */
int spec_env_file(const char *path, struct strv *env, struct err *e);
/* "key=value" or "key" into an object of strings. */
int spec_label(const char *text, json_t *labels, struct err *e);
int spec_label_file(const char *path, json_t *labels, struct err *e);
/* "key=value", the value required: --log-opt, --sysctl, -o. what: the flag for the sentence. */
int spec_option(const char *text, const char *what, json_t *options, struct err *e);

/* An IPv4 or IPv6 address. */
bool spec_is_ip(const char *text);
/* A record of comma separated fields, "..." around those with commas (RFC 4180). */
int spec_csv(const char *text, struct strv *ret, struct err *e);
