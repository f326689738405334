/* GET /containers/x/json and the rows of GET /containers/json. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/scoped.h"
#include "container/internal.h"
#include "container/storage.h"
#include "image/image.h"

static json_t *state_view(const struct container *c)
{
	char started[CLOCK_TEXT_MAX];
	char finished[CLOCK_TEXT_MAX];
	json_t *o = json_pack("{ss sb sb sb sb sb si si ss ss ss}", "Status",
		container_state_word(c->state), "Running",
		container_is_running(c) || c->state == CONTAINER_RESTARTING, "Paused",
		c->state == CONTAINER_PAUSED, "Restarting", c->state == CONTAINER_RESTARTING,
		"OOMKilled", c->oom_killed, "Dead", c->state == CONTAINER_DEAD, "Pid",
		(int)container_pid(c), "ExitCode", c->exit_code, "Error", c->error ? c->error : "",
		"StartedAt", clock_format(c->started_ns, started), "FinishedAt",
		clock_format(c->finished_ns, finished));
	json_put(o, "Health", health_inspect(c));
	if (c->waits_for) {
		json_put_str(o, "WherryWaitingFor", c->waits_for);
	}
	scoped(json) json_t *storage = storage_inspect(c);
	if (json_array_size(storage) > 0) {
		json_put(o, "WherryStorage", json_incref(storage));
	}
	if (c->route_error) {
		json_put_str(o, "WherryRouteError", c->route_error);
	}
	if (json_array_size(c->without) > 0) {
		json_put(o, "WherryWithout", json_incref(c->without));
	}
	return o;
}

/* Path and Args: what is run, entrypoint and command as one list. */
static void put_command(const struct container *c, json_t *o)
{
	static const char *const keys[] = {"Entrypoint", "Cmd"};
	json_t *args = json_array();
	json_put_str(o, "Path", "");
	bool first = true;
	for (int k = 0; k < 2; k++) {
		size_t i;
		json_t *item;
		json_array_foreach (json_object_get(c->config, keys[k]), i, item) {
			if (first) {
				json_put(o, "Path", json_incref(item));
			} else {
				json_array_append(args, item);
			}
			first = false;
		}
	}
	json_put(o, "Args", args);
}

char *container_upper(const struct container *c)
{
	return xasprintf("%s/upper", c->dir);
}

int64_t container_image_bytes(const struct container *c)
{
	int64_t total = 0;
	for (size_t i = 0; i < c->layers.n; i++) {
		int64_t bytes = 0;
		if (image_has_layer(c->set->d.images, c->layers.v[i], &bytes)) {
			total += bytes;
		}
	}
	return total;
}

static json_t *driver_view(const struct container *c)
{
	scoped(free) char *upper = container_upper(c);
	scoped(free) char *work = xasprintf("%s/work", c->dir);
	scoped(free) char *merged = xasprintf("%s/rootfs", c->run_dir);
	return json_pack("{s{ss ss ss} ss}", "Data", "MergedDir", merged, "UpperDir", upper,
		"WorkDir", work, "Name", "overlay2");
}

json_t *container_inspect(const struct container *c)
{
	char created[CLOCK_TEXT_MAX];
	scoped(free) char *name = xasprintf("/%s", c->name);
	scoped(free) char *log = container_log_path(c);
	json_t *o =
		json_pack("{ss ss}", "Id", c->id, "Created", clock_format(c->created_ns, created));
	put_command(c, o);
	json_put(o, "State", state_view(c));
	json_put_str(o, "Image", c->image_id);
	const struct {
		const char *key, *file;
	} files[] = {{"ResolvConfPath", "resolv.conf"}, {"HostnamePath", "hostname"},
		{"HostsPath", "hosts"}};
	for (size_t i = 0; i < 3; i++) {
		scoped(free) char *path =
			xasprintf("%s/%s", container_etc_owner(c)->dir, files[i].file);
		json_put_str(o, files[i].key, path);
	}
	json_put_str(o, "LogPath", log ? log : "");
	json_put_str(o, "Name", name);
	json_put(o, "RestartCount", json_integer(c->restart_count));
	json_put_str(o, "Driver", "overlay2");
	json_put_str(o, "Platform", "linux");
	json_put_str(o, "MountLabel", "");
	json_put_str(o, "ProcessLabel", "");
	json_put_str(o, "AppArmorProfile", "");
	json_put(o, "ExecIDs", execs_ids(c));
	json_put(o, "HostConfig", shown_host_config(c));
	json_put(o, "GraphDriver", driver_view(c));
	json_put(o, "Mounts", mounts_inspect(c));
	json_put(o, "Config", shown_config(c));
	json_put(o, "NetworkSettings", endpoints_inspect(c));
	return o;
}

/* --- the list --- */

static char *status_text(const struct container *c, int64_t now_ns)
{
	char span[CLOCK_TEXT_MAX];
	char ago[CLOCK_TEXT_MAX];
	clock_human((now_ns - c->started_ns) / NS_PER_SEC, span);
	clock_human((now_ns - c->finished_ns) / NS_PER_SEC, ago);
	const char *health = health_word(c);
	switch (c->state) {
	case CONTAINER_RUNNING:
	case CONTAINER_STOPPING:
		if (*health) {
			return xasprintf("Up %s (%s%s)", span,
				strcmp(health, "starting") == 0 ? "health: " : "", health);
		}
		return xasprintf("Up %s", span);
	case CONTAINER_PAUSED:
		return xasprintf("Up %s (Paused)", span);
	case CONTAINER_RESTARTING:
		if (c->waits_for) {
			return xasprintf("Waiting for %s", c->waits_for);
		}
		return xasprintf("Restarting (%d) %s ago", c->exit_code, ago);
	case CONTAINER_REMOVING:
		return xstrdup("Removal In Progress");
	case CONTAINER_DEAD:
		return xstrdup("Dead");
	case CONTAINER_EXITED:
		return xasprintf("Exited (%d) %s ago", c->exit_code, ago);
	default:
		return xstrdup("Created");
	}
}

/* "/docker-entrypoint.sh nginx -g 'daemon off;'": arguments with blanks in quotes, as moby's row.
 */
static char *command_text(const struct container *c)
{
	scoped(json) json_t *o = json_object();
	scoped(buf) struct buf text = BUF_INIT;
	size_t i;
	json_t *item;
	put_command(c, o);
	buf_puts(&text, json_str(o, "Path"));
	json_array_foreach (json_object_get(o, "Args"), i, item) {
		const char *arg = json_string_value(item);
		buf_printf(&text, strchr(arg, ' ') ? " '%s'" : " %s", arg);
	}
	return buf_take_str(&text);
}

static void add_port_rows(json_t *rows, const char *key, const json_t *bindings)
{
	int port = (int)strtol(key, NULL, 10);
	const char *proto = strchr(key, '/') ? strchr(key, '/') + 1 : "tcp";
	size_t i;
	json_t *b;
	if (json_array_size(bindings) == 0) {
		json_array_append_new(
			rows, json_pack("{si ss}", "PrivatePort", port, "Type", proto));
	}
	json_array_foreach (bindings, i, b) {
		json_array_append_new(rows,
			json_pack("{ss si si ss}", "IP", json_str(b, "HostIp"), "PrivatePort", port,
				"PublicPort", (int)strtol(json_str(b, "HostPort"), NULL, 10),
				"Type", proto));
	}
}

static json_t *port_rows(const json_t *network_settings)
{
	json_t *rows = json_array();
	const char *key;
	json_t *bindings;
	json_object_foreach (json_object_get(network_settings, "Ports"), key, bindings) {
		add_port_rows(rows, key, bindings);
	}
	return rows;
}

/* The name that the user gave, unless it now means another image: then the id. */
static const char *shown_image(const struct container *c)
{
	struct err ignored;
	const struct image *i = image_find(c->set->d.images, c->image_ref, &ignored);
	return i && strcmp(i->id, c->image_id) == 0 ? c->image_ref : c->image_id;
}

json_t *container_summary(const struct container *c, int64_t now_ns)
{
	scoped(free) char *name = xasprintf("/%s", c->name);
	scoped(free) char *state = status_text(c, now_ns);
	scoped(free) char *status =
		c->route_error ? xasprintf("%s (route error: %s)", state, c->route_error)
			       : xstrdup(state);
	scoped(free) char *command = command_text(c);
	scoped(json) json_t *network = endpoints_inspect(c);
	json_t *o = json_pack("{ss s[s] ss ss ss sI}", "Id", c->id, "Names", name, "Image",
		shown_image(c), "ImageID", c->image_id, "Command", command, "Created",
		(json_int_t)(c->created_ns / NS_PER_SEC));
	links_add_names(c, json_object_get(o, "Names"));
	json_put(o, "Ports", port_rows(network));
	json_put(o, "Labels", json_incref((json_t *)container_labels(c)));
	json_put_str(o, "State", container_state_word(c->state));
	json_put_str(o, "Status", status);
	json_put(o, "HostConfig", json_pack("{ss}", "NetworkMode", container_network_mode(c)));
	json_put(o, "NetworkSettings",
		json_pack("{sO}", "Networks", json_object_get(network, "Networks")));
	json_put(o, "Mounts", mounts_inspect(c));
	return o;
}
