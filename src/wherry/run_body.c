#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/run_options.h"
#include "wherry/specs.h"

/* Duration 0 and count 0 mean that the image's value stays. */
static int put_health(const struct run_options *o, json_t *body, struct err *e)
{
	bool any = o->health_cmd || o->health_interval || o->health_timeout ||
		   o->health_start_period || o->health_start_interval || o->health_retries;
	if (o->no_healthcheck && any) {
		return err_set(
			e, ERR_INVALID, "--no-healthcheck conflicts with --health-* options");
	}
	if (o->no_healthcheck) {
		json_put(body, "Healthcheck", json_pack("{s[s]}", "Test", "NONE"));
		return 0;
	}
	if (!any) {
		return 0;
	}
	json_t *health = json_object();
	if (o->health_cmd && *o->health_cmd) {
		json_put(health, "Test", json_pack("[ss]", "CMD-SHELL", o->health_cmd));
	}
	json_put(health, "Interval", json_integer(o->health_interval));
	json_put(health, "Timeout", json_integer(o->health_timeout));
	json_put(health, "StartPeriod", json_integer(o->health_start_period));
	json_put(health, "StartInterval", json_integer(o->health_start_interval));
	json_put(health, "Retries", json_integer(o->health_retries));
	json_put(body, "Healthcheck", health);
	return 0;
}

static int put_env(const struct run_options *o, json_t *body, struct err *e)
{
	scoped(strv) struct strv env = STRV_INIT;
	for (size_t i = 0; i < o->env_files.n; i++) {
		if (spec_env_file(o->env_files.v[i], &env, e) < 0) {
			return -1;
		}
	}
	for (size_t i = 0; i < o->env.n; i++) {
		if (spec_env(o->env.v[i], &env, e) < 0) {
			return -1;
		}
	}
	json_put(body, "Env", json_strv(&env));
	return 0;
}

static int put_labels(const struct run_options *o, json_t *body, struct err *e)
{
	json_t *labels = json_object();
	json_put(body, "Labels", labels);
	for (size_t i = 0; i < o->label_files.n; i++) {
		if (spec_label_file(o->label_files.v[i], labels, e) < 0) {
			return -1;
		}
	}
	for (size_t i = 0; i < o->labels.n; i++) {
		if (spec_label(o->labels.v[i], labels, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* -a STREAM; without any all are attached (stdin only with -i), with -d none. */
static void put_attach(const struct run_options *o, json_t *body)
{
	bool in = false;
	bool out = false;
	bool err = false;
	for (size_t i = 0; i < o->attach.n; i++) {
		const char *name = o->attach.v[i];
		in = in || strcasecmp(name, "stdin") == 0;
		out = out || strcasecmp(name, "stdout") == 0;
		err = err || strcasecmp(name, "stderr") == 0;
	}
	if (o->attach.n == 0 && !o->detach) {
		out = err = true;
		in = o->interactive;
	}
	json_put(body, "AttachStdin", json_boolean(in));
	json_put(body, "AttachStdout", json_boolean(out));
	json_put(body, "AttachStderr", json_boolean(err));
	json_put(body, "OpenStdin", json_boolean(o->interactive));
	json_put(body, "StdinOnce", json_boolean(o->interactive && in));
	json_put(body, "Tty", json_boolean(o->tty));
}

static void put_words(const struct run_options *o, char **words, json_t *body)
{
	json_put_str(body, "Image", words[0]);
	if (words[0] && words[1]) {
		json_t *cmd = json_array();
		for (char **w = words + 1; *w; w++) {
			json_array_append_new(cmd, json_string(*w));
		}
		json_put(body, "Cmd", cmd);
	}
	if (o->entrypoint) { /* "" says that there is none: [""] in the API */
		json_put(body, "Entrypoint", json_pack("[s]", o->entrypoint));
	}
}

int run_body_config(const struct run_options *o, char **words, json_t *body, struct err *e)
{
	put_words(o, words, body);
	json_put_str(body, "Hostname", o->hostname);
	json_put_str(body, "Domainname", o->domainname);
	json_put_str(body, "User", o->user);
	json_put_str(body, "WorkingDir", o->workdir);
	if (o->stop_signal) {
		json_put_str(body, "StopSignal", o->stop_signal);
	}
	if (o->stop_timeout != RUN_UNSET) {
		json_put(body, "StopTimeout", json_integer(o->stop_timeout));
	}
	put_attach(o, body);
	return put_env(o, body, e) < 0 || put_labels(o, body, e) < 0 ? -1 : put_health(o, body, e);
}

/* Ports and volumes have a part in Config and one in HostConfig. */
static int put_ports(const struct run_options *o, json_t *body, json_t *host, struct err *e)
{
	json_t *exposed = json_object();
	json_t *bindings = json_object();
	json_put(body, "ExposedPorts", exposed);
	json_put(host, "PortBindings", bindings);
	json_put(host, "PublishAllPorts", json_boolean(o->publish_all));
	for (size_t i = 0; i < o->publish.n; i++) {
		if (spec_port(o->publish.v[i], exposed, bindings, e) < 0) {
			return -1;
		}
	}
	for (size_t i = 0; i < o->expose.n; i++) {
		if (spec_expose(o->expose.v[i], exposed, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int put_volumes(const struct run_options *o, json_t *body, json_t *host, struct err *e)
{
	json_t *volumes = json_object();
	json_t *binds = json_array();
	json_t *mounts = json_array();
	json_t *tmpfs = json_object();
	json_put(body, "Volumes", volumes);
	json_put(host, "Binds", binds);
	json_put(host, "Mounts", mounts);
	json_put(host, "Tmpfs", tmpfs);
	for (size_t i = 0; i < o->volumes.n; i++) {
		if (spec_volume(o->volumes.v[i], volumes, binds, e) < 0) {
			return -1;
		}
	}
	for (size_t i = 0; i < o->mounts.n; i++) {
		json_t *mount = spec_mount(o->mounts.v[i], e);
		if (!mount) {
			return -1;
		}
		json_array_append_new(mounts, mount);
	}
	for (size_t i = 0; i < o->tmpfs.n; i++) {
		spec_tmpfs(o->tmpfs.v[i], tmpfs, e);
	}
	return 0;
}

json_t *run_body(const struct run_options *o, char **words, struct err *e)
{
	scoped(json) json_t *body = json_object();
	json_t *host = json_object();
	json_put(body, "HostConfig", host);
	if (run_body_config(o, words, body, e) < 0 || put_ports(o, body, host, e) < 0 ||
		put_volumes(o, body, host, e) < 0 || run_body_host(o, host, e) < 0 ||
		run_body_networks(o, body, host, e) < 0) {
		return NULL;
	}
	return TAKE(body);
}
