/* GET /_ping, /version, /info, /events, /system/df and what belongs to the engine as a whole. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <uv.h>

#include "api/call.h"
#include "api/filters.h"
#include "api/handlers.h"
#include "api/shapes.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "container/container.h"
#include "event/event.h"
#include "image/image.h"
#include "network/network.h"
#include "volume/volume.h"

#define API_TEXT "1.45"
#define API_TEXT_MIN "1.24"
_Static_assert(API_VERSION == 45 && API_VERSION_MIN == 24, "the texts above say the same");

void system_ping(struct call *c)
{
	static const char *const headers[][2] = {
		{"Api-Version", API_TEXT},
		{"Builder-Version", "1"},
		{"Docker-Experimental", "false"},
		{"Ostype", "linux"},
		{"Swarm", "inactive"},
		{"Cache-Control", "no-cache, no-store, must-revalidate"},
		{"Pragma", "no-cache"},
	};
	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		http_set_header(c->r, headers[i][0], headers[i][1]);
	}
	http_reply(c->r, 200, "text/plain; charset=utf-8", "OK", 2);
}

/* Go's name for this machine's architecture: what clients compare with image platforms. */
static const char *go_arch(const char *machine)
{
	static const char *const names[][2] = {{"x86_64", "amd64"}, {"aarch64", "arm64"},
		{"armv7l", "arm"}, {"armv6l", "arm"}, {"i686", "386"}, {"riscv64", "riscv64"}};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(machine, names[i][0]) == 0) {
			return names[i][1];
		}
	}
	return machine;
}

void system_version(struct call *c)
{
	struct utsname u;
	uname(&u);
	json_t *details = json_pack("{ss ss ss ss ss ss}", "ApiVersion", API_TEXT, "Arch",
		go_arch(u.machine), "KernelVersion", u.release, "MinAPIVersion", API_TEXT_MIN, "Os",
		"linux", "Experimental", "false");
	json_t *doc = json_pack("{s{ss} s[{ss ss so}] ss ss ss ss ss ss ss}", "Platform", "Name",
		"Wherry Engine", "Components", "Name", "Engine", "Version", WHERRY_VERSION,
		"Details", details, "Version", WHERRY_VERSION, "ApiVersion", API_TEXT,
		"MinAPIVersion", API_TEXT_MIN, "GitCommit", "", "GoVersion", "", "Os", "linux",
		"Arch", go_arch(u.machine));
	json_put_str(doc, "KernelVersion", u.release);
	json_put_str(doc, "BuildTime", "");
	call_reply_json(c, 200, doc);
}

struct state_counts {
	int running, paused, stopped, all;
};

static struct state_counts count_states(const struct container_set *s)
{
	struct state_counts n = {0};
	size_t pos = 0;
	for (struct container *k; (k = container_next(s, &pos)); n.all++) {
		if (container_state(k) == CONTAINER_PAUSED) {
			n.paused++;
		} else if (container_is_running(k)) {
			n.running++;
		} else {
			n.stopped++;
		}
	}
	return n;
}

static int count_images(const struct image_store *s)
{
	int n = 0;
	for (size_t pos = 0; image_next(s, &pos); n++) {
	}
	return n;
}

/* PRETTY_NAME of /etc/os-release; the caller's. */
static char *os_name(void)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (path_read(AT_FDCWD, "/etc/os-release", 65536, &text) == 0) {
		const char *p = strstr(buf_str(&text), "PRETTY_NAME=\"");
		if (p) {
			p += strlen("PRETTY_NAME=\"");
			return xstrndup(p, strcspn(p, "\"\n"));
		}
	}
	return xstrdup("Linux");
}

static json_t *registry_config(const json_t *config)
{
	json_t *mirrors = json_object_get(config, "registry-mirrors");
	mirrors = json_is_array(mirrors) ? json_deep_copy(mirrors) : json_array();
	json_t *index = json_pack("{s{ss sO sb sb}}", "docker.io", "Name", "docker.io", "Mirrors",
		mirrors, "Secure", 1, "Official", 1);
	return json_pack("{s[] s[] s[s] so so}", "AllowNondistributableArtifactsCIDRs",
		"AllowNondistributableArtifactsHostnames", "InsecureRegistryCIDRs", "127.0.0.0/8",
		"IndexConfigs", index, "Mirrors", mirrors);
}

static void put_machine(json_t *o)
{
	struct utsname u;
	uname(&u);
	struct sysinfo si = {0};
	sysinfo(&si);
	scoped(free) char *os = os_name();
	json_put_str(o, "KernelVersion", u.release);
	json_put_str(o, "OperatingSystem", os);
	json_put_str(o, "OSType", "linux");
	json_put_str(o, "OSVersion", "");
	json_put_str(o, "Architecture", u.machine);
	json_put_str(o, "Name", u.nodename);
	json_put(o, "NCPU", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
	json_put(o, "MemTotal", json_integer((json_int_t)si.totalram * si.mem_unit));
}

static void put_counts(json_t *o, const struct api_deps *d)
{
	struct state_counts n = count_states(d->containers);
	json_put(o, "Containers", json_integer(n.all));
	json_put(o, "ContainersRunning", json_integer(n.running));
	json_put(o, "ContainersPaused", json_integer(n.paused));
	json_put(o, "ContainersStopped", json_integer(n.stopped));
	json_put(o, "Images", json_integer(count_images(d->images)));
}

/* What this engine supports, in dockerd's names. cgroup v1 in hybrid mode counts as 1, as docker
 * info says it. */
static void put_features(json_t *o)
{
	static const char *const on[] = {"MemoryLimit", "SwapLimit", "CpuCfsPeriod", "CpuCfsQuota",
		"CPUShares", "CPUSet", "PidsLimit", "IPv4Forwarding", "OomKillDisable"};
	for (size_t i = 0; i < sizeof(on) / sizeof(*on); i++) {
		json_put(o, on[i], json_true());
	}
	static const char *const off[] = {"BridgeNfIptables", "BridgeNfIp6tables", "Debug",
		"ExperimentalBuild", "LiveRestoreEnabled"};
	for (size_t i = 0; i < sizeof(off) / sizeof(*off); i++) {
		json_put(o, off[i], json_boolean(strcmp(off[i], "LiveRestoreEnabled") == 0));
	}
	struct stat st;
	bool v2 = stat("/sys/fs/cgroup/cgroup.controllers", &st) == 0;
	json_put_str(o, "CgroupDriver", "cgroupfs");
	json_put_str(o, "CgroupVersion", v2 ? "2" : "1");
	json_put_str(o, "DefaultRuntime", "crun");
	json_put(o, "Runtimes", json_pack("{s{ss}}", "crun", "path", "crun"));
	json_put(o, "SecurityOptions", json_pack("[s]", "name=seccomp,profile=builtin"));
	json_put(o, "Swarm",
		json_pack("{ss ss ss sb ss sn}", "NodeID", "", "NodeAddr", "", "LocalNodeState",
			"inactive", "ControlAvailable", 0, "Error", "", "RemoteManagers"));
	json_put(o, "Plugins",
		json_pack("{s[s] s[sss] sn s[ss]}", "Volume", "local", "Network", "bridge", "host",
			"none", "Authorization", "Log", "json-file", "none"));
}

void system_info(struct call *c)
{
	const struct api_deps *d = &c->api->d;
	char now[CLOCK_TEXT_MAX];
	json_t *o = json_object();
	json_put_str(o, "ID", c->api->engine_id);
	put_counts(o, d);
	json_put_str(o, "Driver", "overlay2");
	json_put(o, "DriverStatus", json_pack("[[ss]]", "Backing Filesystem", "overlayfs"));
	put_features(o);
	put_machine(o);
	json_put_str(o, "DockerRootDir", d->data_root);
	json_put_str(o, "SystemTime", clock_format(clock_real_ns(), now));
	json_put_str(o, "LoggingDriver", "json-file");
	json_put_str(o, "IndexServerAddress", "https://index.docker.io/v1/");
	json_put(o, "RegistryConfig", registry_config(d->config));
	json_put_str(o, "HttpProxy", "");
	json_put_str(o, "HttpsProxy", "");
	json_put_str(o, "NoProxy", "");
	json_put(o, "Labels", json_array());
	json_put(o, "GenericResources", json_null());
	json_put_str(o, "ServerVersion", WHERRY_VERSION);
	json_put_str(o, "InitBinary", "docker-init");
	json_put(o, "NFd", json_integer(-1));
	json_put(o, "NGoroutines", json_integer(1));
	json_put(o, "NEventsListener", json_integer(0));
	json_put_str(o, "ProductLicense", "");
	json_put(o, "Warnings", json_array());
	call_reply_json(c, 200, o);
}

static void auth_checked(struct call *c, const json_t *body)
{
	struct err e;
	const char *server;
	if (json_get_str(body, "serveraddress", &server, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	/* The credentials are checked by the registry at the first pull; the client keeps them. */
	call_reply_json(
		c, 200, json_pack("{ss ss}", "Status", "Login Succeeded", "IdentityToken", ""));
}

void system_auth(struct call *c)
{
	call_body_json(c, false, auth_checked);
}

void system_plugins(struct call *c)
{
	call_reply_json(c, 200, json_array());
}

void system_no_swarm(struct call *c)
{
	struct err e;
	err_set(&e, ERR_BUSY,
		"This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this "
		"node to swarm and try again.");
	call_reply_error(c, &e);
}

void system_df(struct call *c)
{
	const struct api_deps *d = &c->api->d;
	json_t *images = json_array();
	size_t pos = 0;
	for (struct image *i; (i = image_next(d->images, &pos));) {
		json_t *row = shape_image_summary(i, d->containers);
		json_put(row, "SharedSize", json_integer(image_shared_bytes(d->images, i)));
		json_array_append_new(images, row);
	}
	json_t *containers = json_array();
	pos = 0;
	for (struct container *k; (k = container_next(d->containers, &pos));) {
		json_array_append_new(containers, container_summary(k, true, clock_real_ns()));
	}
	json_t *volumes = json_array();
	pos = 0;
	for (struct volume *v; (v = volume_next(d->volumes, &pos));) {
		json_array_append_new(volumes, shape_volume_usage(v, d->containers));
	}
	call_reply_json(c, 200,
		json_pack("{sI so so so s[]}", "LayersSize",
			(json_int_t)image_layers_bytes(d->images), "Images", images, "Containers",
			containers, "Volumes", volumes, "BuildCache"));
}

/* --- GET /events --- */

struct event_stream {
	struct call *call;
	struct event_listener *listener;
	struct filters *filters;
	uv_timer_t *until; /* freed by its close callback */
};

static json_t *event_json(const struct event *v)
{
	json_t *o = json_object();
	if (strcmp(v->type, "container") == 0 || strcmp(v->type, "image") == 0) {
		json_put_str(
			o, "status", v->action); /* the form before 1.22, still sent by dockerd */
		json_put_str(o, "id", v->id);
		if (strcmp(v->type, "container") == 0) {
			json_put_str(o, "from", json_str(v->attributes, "image"));
		}
	}
	json_put_str(o, "Type", v->type);
	json_put_str(o, "Action", v->action);
	json_put(o, "Actor", json_pack("{ss sO}", "ID", v->id, "Attributes", v->attributes));
	json_put_str(o, "scope", "local");
	json_put(o, "time", json_integer(v->time_ns / NS_PER_SEC));
	json_put(o, "timeNano", json_integer(v->time_ns));
	return o;
}

/* type, image, network ... =NAME_OR_ID: only events of that type can match their own key. */
static bool match_object(const struct filters *f, const char *key, const struct event *v)
{
	if (!filters_has(f, key)) {
		return true;
	}
	if (strcmp(v->type, key) != 0) {
		return strcmp(key, "image") == 0 && strcmp(v->type, "container") == 0 &&
		       filters_match(f, key, json_str(v->attributes, "image"));
	}
	return filters_match_prefix(f, key, v->id) ||
	       filters_match(f, key, json_str(v->attributes, "name"));
}

/* "exec_create: ls" matches event=exec_create too. */
static bool match_action(const struct filters *f, const char *action)
{
	scoped(free) char *verb = xstrndup(action, strcspn(action, ":"));
	return filters_match(f, "event", action) || filters_match(f, "event", verb);
}

static void event_arrived(void *owner, const struct event *v)
{
	struct event_stream *s = owner;
	const struct filters *f = s->filters;
	static const char *const objects[] = {"container", "image", "network", "volume"};
	bool match = filters_match(f, "type", v->type) && match_action(f, v->action) &&
		     filters_match_labels(f, v->attributes);
	for (size_t i = 0; match && i < sizeof(objects) / sizeof(*objects); i++) {
		match = match_object(f, objects[i], v);
	}
	if (!match || !s->call->r) {
		return;
	}
	scoped(json) json_t *doc = event_json(v);
	scoped(free) char *text = json_text(doc);
	scoped(free) char *line = xasprintf("%s\n", text);
	if (!http_stream_write(s->call->r, line, strlen(line))) {
		http_stream_end(s->call->r); /* it does not listen, and events must not pile up */
	}
}

static void timer_closed(uv_handle_t *h)
{
	free(h);
}

static void events_closed(struct call *c)
{
	struct event_stream *s = c->stream;
	event_unlisten(s->listener);
	filters_free(s->filters);
	if (s->until) {
		uv_close((uv_handle_t *)s->until, timer_closed);
	}
	free(s);
}

static void until_reached(uv_timer_t *t)
{
	struct event_stream *s = t->data;
	if (s->call->r) {
		http_stream_end(s->call->r);
	}
}

static void start_until_timer(struct event_stream *s, int64_t wait_ns)
{
	s->until = xnew(uv_timer_t);
	uv_timer_init(s->call->api->d.loop, s->until);
	s->until->data = s;
	uv_timer_start(s->until, until_reached, (uint64_t)(wait_ns / NS_PER_MS + 1), 0);
}

void system_events(struct call *c)
{
	static const char *const allowed[] = {"container", "daemon", "event", "image", "label",
		"network", "node", "plugin", "scope", "type", "volume", NULL};
	struct err e;
	int64_t since;
	int64_t until;
	if (call_query_time(c, "since", &since, &e) < 0 ||
		call_query_time(c, "until", &until, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	struct filters *f = filters_read(c, allowed, &e);
	if (!f) {
		call_reply_error(c, &e);
		return;
	}
	struct event_stream *s = xnew(struct event_stream);
	s->call = c;
	s->filters = f;
	c->stream = s;
	c->stream_closed = events_closed;
	http_stream_begin(c->r, 200, "application/json");

	int64_t now = clock_real_ns();
	if (since > 0) {
		event_replay(c->api->d.bus, since, until > 0 ? until : INT64_MAX, event_arrived, s);
	}
	if (until > 0 && until <= now) {
		http_stream_end(c->r);
		return;
	}
	s->listener = event_listen(c->api->d.bus, event_arrived, s);
	if (until > 0) {
		start_until_timer(s, until - now);
	}
}
