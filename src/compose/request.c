#include "compose/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "compose/content.h"
#include "compose/request_parts.h"

#define NS_PER_SECOND INT64_C(1000000000)

char *request_container_name(const struct project *p, const struct service *s, int number)
{
	return s->container_name ? xstrdup(s->container_name)
				 : xasprintf("%s%s%s%s%d", p->name, project_separator(p), s->name,
					   project_separator(p), number);
}

/* ---- labels ---- */

static char *join_words(const struct words *w)
{
	struct buf b = BUF_INIT;
	for (size_t i = 0; i < w->n; i++) {
		buf_printf(&b, "%s%s", i ? "," : "", w->v[i]);
	}
	return buf_take_str(&b);
}

/* "db:service_healthy:false,cache:service_started:true": the last field is `restart`. */
static char *depends_label(const struct service *s)
{
	static const char *const conditions[] = {
		[CONDITION_STARTED] = "service_started",
		[CONDITION_HEALTHY] = "service_healthy",
		[CONDITION_COMPLETED] = "service_completed_successfully",
	};
	struct buf b = BUF_INIT;
	for (size_t i = 0; i < s->n_dependencies; i++) {
		const struct dependency *d = &s->dependencies[i];
		buf_printf(&b, "%s%s:%s:%s", i ? "," : "", d->service, conditions[d->condition],
			d->restart ? "true" : "false");
	}
	return buf_take_str(&b);
}

/* Paths in the container of what it starts without when it is not there; the caller's. */
static char *optional_label(const struct service *s)
{
	struct buf b = BUF_INIT;
	for (size_t i = 0; i < s->n_devices; i++) {
		if (s->devices[i].optional) {
			buf_printf(&b, "%s%s", b.len ? "," : "", s->devices[i].target);
		}
	}
	for (size_t i = 0; i < s->n_mounts; i++) {
		if (s->mounts[i].optional && s->mounts[i].type == MOUNT_BIND) {
			buf_printf(&b, "%s%s", b.len ? "," : "", s->mounts[i].target);
		}
	}
	return buf_take_str(&b);
}

static json_t *container_labels(const struct project *p, const struct request_container *r)
{
	json_t *labels = request_pairs(&r->service->labels);
	scoped(free) char *files = join_words(&p->files);
	scoped(free) char *env_files = join_words(&p->env_files);
	scoped(free) char *depends = depends_label(r->service);
	scoped(free) char *optional = optional_label(r->service);
	if (*optional) {
		json_put_str(labels, "wherry.optional", optional);
	}
	json_put_str(labels, LABEL "project", p->name);
	json_put_str(labels, LABEL "service", r->service->name);
	json_put_str(labels, LABEL "oneoff", r->one_off ? "True" : "False");
	json_put_str(labels, LABEL "config-hash", r->hash);
	json_put_str(labels, LABEL "image", r->image_id);
	json_put_str(labels, LABEL "depends_on", depends);
	json_put_str(labels, LABEL "version", COMPOSE_VERSION);
	json_put_str(labels, LABEL "project.working_dir", p->working_dir);
	json_put_str(labels, LABEL "project.config_files", files);
	if (*env_files) {
		json_put_str(labels, LABEL "project.environment_file", env_files);
	}
	if (r->files && *r->files) {
		json_put_str(labels, CONTENT_LABEL, r->files);
	}
	if (r->replaces_id) {
		json_put_str(labels, "wherry.replaces", r->replaces_id);
	}
	if (r->replaces) {
		json_put_str(labels, LABEL "replace", r->replaces);
	}
	if (r->one_off) {
		json_put_str(labels, LABEL "slug", r->one_off);
	} else {
		char number[16];
		snprintf(number, sizeof(number), "%d", r->number);
		json_put_str(labels, LABEL "container-number", number);
	}
	return labels;
}

/* ---- container configuration ---- */

static json_t *environment_json(const struct pairs *p, bool api_socket)
{
	json_t *list = json_array();
	bool has_config = false;
	for (size_t i = 0; i < p->n; i++) {
		const struct pair *pair = &p->v[i];
		scoped(free) char *text =
			pair->value ? xasprintf("%s=%s", pair->name, pair->value) : NULL;
		/* a name alone takes the image's away */
		json_array_append_new(list, json_string(text ? text : pair->name));
		has_config = has_config || strcmp(pair->name, "DOCKER_CONFIG") == 0;
	}
	if (api_socket && !has_config) {
		json_array_append_new(list, json_string("DOCKER_CONFIG=" REQUEST_LOGINS_DIR));
	}
	return list;
}

static json_t *health_json(const struct health *h)
{
	json_t *o = json_object();
	if (h->disable) {
		json_put(o, "Test", json_pack("[s]", "NONE"));
		return o;
	}
	request_put_words(o, "Test", &h->test);
	request_put_number(o, "Interval", h->interval_ns);
	request_put_number(o, "Timeout", h->timeout_ns);
	request_put_number(o, "StartPeriod", h->start_period_ns);
	request_put_number(o, "StartInterval", h->start_interval_ns);
	request_put_number(o, "Retries", h->retries);
	return o;
}

/* "80/tcp" of expose and ports; ranges in expose name every port. */
static json_t *exposed_json(const struct service *s)
{
	json_t *map = json_object();
	for (size_t i = 0; i < s->expose.n; i++) {
		scoped(free) char *text = xstrdup(s->expose.v[i]);
		char *slash = strchr(text, '/');
		const char *protocol = slash ? slash + 1 : "tcp";
		if (slash) {
			*slash = '\0';
		}
		char *dash = strchr(text, '-');
		int first = (int)strtol(text, NULL, 10);
		int last = dash ? (int)strtol(dash + 1, NULL, 10) : first;
		for (int port = first; port <= last && port <= 65535; port++) {
			char key[32];
			snprintf(key, sizeof(key), "%d/%.8s", port, protocol);
			json_put(map, key, json_object());
		}
	}
	for (size_t i = 0; i < s->n_ports; i++) {
		char key[32];
		snprintf(key, sizeof(key), "%d/%.8s", s->ports[i].target, s->ports[i].protocol);
		json_put(map, key, json_object());
	}
	return map;
}

json_t *request_container(const struct project *p, const struct request_container *r, struct err *e)
{
	const struct service *s = r->service;
	json_t *host = request_host(p, r, e);
	if (!host) {
		return NULL;
	}
	json_t *o = json_object();
	json_put_str(o, "Image", s->image);
	json_put(o, "Env", environment_json(&s->environment, s->use_api_socket));
	json_put(o, "Labels", container_labels(p, r));
	json_put(o, "ExposedPorts", exposed_json(s));
	json_put(o, "Cmd", s->command.set ? request_words(&s->command) : json_null());
	json_put(o, "Entrypoint", s->entrypoint.set ? request_words(&s->entrypoint) : json_null());
	request_put_text(o, "User", s->user);
	request_put_text(o, "WorkingDir", s->working_dir);
	request_put_text(o, "Hostname", s->hostname);
	request_put_text(o, "Domainname", s->domainname);
	request_put_text(o, "StopSignal", s->stop_signal);
	json_put(o, "Tty", json_boolean(s->tty));
	json_put(o, "OpenStdin", json_boolean(s->stdin_open));
	json_put(o, "AttachStdout", json_true());
	json_put(o, "AttachStderr", json_true());
	if (s->stop_grace_ns != UNSET) {
		json_put(o, "StopTimeout", json_integer(s->stop_grace_ns / NS_PER_SECOND));
	}
	if (s->health) {
		json_put(o, "Healthcheck", health_json(s->health));
	}
	json_put(o, "HostConfig", host);
	json_t *endpoints = request_endpoints(p, r, json_object_get(host, "Links"));
	if (json_object_size(endpoints) > 0) {
		json_put(o, "NetworkingConfig", json_pack("{s:O}", "EndpointsConfig", endpoints));
	}
	json_decref(endpoints);
	return o;
}

json_t *request_hook(const struct hook *h, bool tty)
{
	json_t *o = json_object();
	json_put(o, "Cmd", request_words(&h->command));
	json_put(o, "Env", environment_json(&h->environment, false));
	request_put_text(o, "User", h->user);
	request_put_text(o, "WorkingDir", h->working_dir);
	request_put_true(o, "Privileged", h->privileged);
	json_put(o, "Tty", json_boolean(tty));
	json_put(o, "AttachStdout", json_true());
	json_put(o, "AttachStderr", json_true());
	return o;
}
