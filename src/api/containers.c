/* Containers: everything that answers with one document. Streams are in container_streams.c, the
 * list in container_list.c. */
#include <signal.h>
#include <string.h>

#include "api/call.h"
#include "api/create_body.h"
#include "api/handlers.h"
#include "api/measure.h"
#include "api/reference.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/text.h"
#include "container/container.h"
#include "image/image.h"

/* The container named by the path, or NULL after a 404 was sent. */
static struct container *find(struct call *c)
{
	struct err e;
	struct container *k = container_find(c->api->d.containers, c->args[0], &e);
	if (!k) {
		call_reply_error(c, &e);
	}
	return k;
}

static int check_platform(
	const struct call *c, const json_t *body, const char *platform, struct err *e)
{
	const char *name = json_str(body, "Image");
	const struct image *i = image_find_for(c->api->d.images, name, platform, e);
	return i ? platform_check_image(i, name, platform, e) : -1;
}

static void create_with(struct call *c, const json_t *body)
{
	struct err e;
	struct container *k;
	json_t *warnings = NULL;
	const char *name = call_query_or(c, "name", NULL);
	if (name && *name == '/') {
		name++;
	}
	if (json_is_null(body) || json_object_size(body) == 0) {
		err_set(&e, ERR_INVALID, "config cannot be empty in order to create a container");
		call_reply_error(c, &e);
		return;
	}
	const char *platform = c->version >= 41 ? call_query_or(c, "platform", NULL) : NULL;
	if (platform && check_platform(c, body, platform, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	scoped(json) json_t *extra = json_array();
	scoped(json) json_t *current = create_body_current(body, c->version, extra, &e);
	if (current) {
		json_put_str(current, "Platform", platform ? platform : "");
	}
	if (!current ||
		container_create(c->api->d.containers, name, current, &k, &warnings, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	json_array_extend(warnings, extra);
	call_reply_json(c, 201,
		json_pack("{ss so}", "Id", container_id(k), "Warnings",
			warnings ? warnings : json_array()));
}

void containers_create(struct call *c)
{
	call_body_json(c, false, create_with);
}

/* Before 1.45 the aliases of an endpoint name the short id and the host name too. */
static void put_old_aliases(const struct container *k, json_t *doc)
{
	static const char *const predefined[] = {"bridge", "host", "none", "default"};
	json_t *networks = json_object_get(json_object_get(doc, "NetworkSettings"), "Networks");
	const char *name;
	json_t *endpoint;
	json_object_foreach (networks, name, endpoint) {
		bool user_defined = true;
		for (size_t i = 0; i < sizeof(predefined) / sizeof(*predefined); i++) {
			user_defined = user_defined && strcmp(name, predefined[i]) != 0;
		}
		if (!user_defined || !json_is_object(endpoint)) {
			continue;
		}
		scoped(strv) struct strv aliases = STRV_INIT;
		struct err ignored;
		(void)json_get_strv(endpoint, "Aliases", &aliases, &ignored);
		scoped(free) char *id = xstrndup(container_id(k), ID_SHORT_LEN);
		const char *more[] = {id, json_str(container_config(k), "Hostname")};
		for (size_t i = 0; i < 2; i++) {
			if (!strv_has(&aliases, more[i])) {
				strv_add(&aliases, more[i]);
			}
		}
		json_put(endpoint, "Aliases", json_strv(&aliases));
	}
}

static void inspect_sized(struct call *c, json_t *take_doc, const json_t *sizes)
{
	int64_t written = json_integer_value(json_array_get(sizes, 0));
	json_put(take_doc, "SizeRw", json_integer(written));
	json_put(take_doc, "SizeRootFs",
		json_integer(json_i64(take_doc, "SizeRootFs", 0) + written));
	call_reply_json(c, 200, take_doc);
}

void containers_inspect(struct call *c)
{
	struct container *k = find(c);
	if (!k) {
		return;
	}
	json_t *doc = container_inspect(k);
	if (c->version < 45) {
		put_old_aliases(k, doc);
	}
	if (!call_query_bool(c, "size", false)) {
		call_reply_json(c, 200, doc);
		return;
	}
	scoped(free) char *upper = container_upper(k);
	json_put(doc, "SizeRootFs", json_integer(container_image_bytes(k)));
	measure(c, json_pack("[s]", upper), doc, inspect_sized);
}

/* "{}" is as good as none: moby counts up to 7 bytes as nothing. */
static void start_without_body(struct call *c, const char *data, size_t n)
{
	if (n > 7) {
		struct err e;
		err_set(&e, ERR_INVALID,
			"starting container with non-empty request body was deprecated since API v1.22 "
			"and removed in v1.24");
		call_reply_error(c, &e);
		return;
	}
	struct container *k = find(c);
	if (k) {
		container_start(k, call_done_empty, call_ref(c));
	}
}

void containers_start(struct call *c)
{
	call_body_raw(c, start_without_body);
}

/* ?signal=... ; *ret 0 when absent. */
static int query_signal(const struct call *c, int *ret, struct err *e)
{
	const char *text = call_query_or(c, "signal", NULL);
	*ret = 0;
	int number;
	if (text && parse_signal(text, ret) < 0) {
		return parse_int(text, 65, INT32_MAX, &number) == 0
			       ? err_set(e, ERR_INVALID,
					 "the linux daemon does not support signal %d", number)
			       : err_set(e, ERR_INVALID, "invalid signal: %.32s", text);
	}
	return 0;
}

typedef void stop_fn(
	struct container *k, int signal, int timeout_s, container_done_fn *done, void *owner);

static void stop_with(struct call *c, stop_fn *fn)
{
	struct err e;
	int signal;
	int timeout_s;
	struct container *k = find(c);
	if (!k) {
		return;
	}
	signal = 0;
	if (c->version >= 42 && query_signal(c, &signal, &e) < 0) { /* it came with 1.42 */
		err_wrap(&e, "cannot stop container: %.128s", c->args[0]);
		call_reply_error(c, &e);
		return;
	}
	if (call_query_int(c, "t", INT32_MIN, &timeout_s, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	if (timeout_s == -1) { /* -1 is "wait for ever"; absent is the container's own */
		timeout_s = INT32_MAX;
	}
	fn(k, signal, timeout_s < 0 ? -1 : timeout_s, call_done_empty, call_ref(c));
}

void containers_stop(struct call *c)
{
	stop_with(c, container_stop);
}

void containers_restart(struct call *c)
{
	stop_with(c, container_restart);
}

static void reply_result(struct call *c, int r, const struct err *e, int status)
{
	if (r < 0) {
		call_reply_error(c, e);
	} else {
		call_reply_empty(c, status);
	}
}

static void kill_left(struct call *c)
{
	container_wait_cancel(c->stream);
}

static void killed(void *owner, int exit_code, const char *error)
{
	struct call *c = owner;
	c->stream_closed = NULL;
	call_reply_empty(c, 204);
}

/* SIGKILL is answered when the container has ended: clients remove or start it next, as they may
 * with dockerd (moby daemon/kill.go). Other signals only have to arrive. */
static int kill_with(struct call *c, struct container *k, int signal, struct err *e)
{
	if (container_kill(k, signal, e) < 0) {
		return -1;
	}
	if (signal != SIGKILL) {
		call_reply_empty(c, 204);
		return 0;
	}
	c->stream = container_wait(k, "not-running", killed, c, e);
	if (!c->stream) {
		return -1;
	}
	c->stream_closed = kill_left;
	return 0;
}

void containers_kill(struct call *c)
{
	struct err e;
	int signal;
	struct container *k = container_find(c->api->d.containers, c->args[0], &e);
	if (!k || query_signal(c, &signal, &e) < 0 ||
		kill_with(c, k, signal ? signal : SIGKILL, &e) < 0) {
		err_wrap(&e, "cannot kill container: %.128s", c->args[0]);
		call_reply_error(c, &e);
	}
}

void containers_remove(struct call *c)
{
	if (call_query_bool(c, "link", false)) {
		struct err e;
		reply_result(c, container_unlink(c->api->d.containers, c->args[0], &e), &e, 204);
		return;
	}
	struct container *k = find(c);
	if (k && call_query_bool(c, "link", false)) {
		struct err e;
		(void)err_set(&e, ERR_SYSTEM,
			"Conflict, cannot remove the default link name of the container");
		call_reply_error(c, &e);
		return;
	}
	if (k) {
		container_remove(k, call_query_bool(c, "force", false),
			call_query_bool(c, "v", false), call_done_empty, call_ref(c));
	}
}

void containers_rename(struct call *c)
{
	struct err e;
	struct container *k = find(c);
	if (!k) {
		return;
	}
	const char *name = call_query_or(c, "name", NULL);
	if (!name) {
		err_set(&e, ERR_INVALID, "Neither old nor new names may be empty");
		call_reply_error(c, &e);
		return;
	}
	reply_result(c, container_rename(k, *name == '/' ? name + 1 : name, &e), &e, 204);
}

static void pause_with(struct call *c, bool pause)
{
	struct err e;
	struct container *k = find(c);
	if (k) {
		reply_result(c, container_pause(k, pause, &e), &e, 204);
	}
}

void containers_pause(struct call *c)
{
	pause_with(c, true);
}

void containers_unpause(struct call *c)
{
	pause_with(c, false);
}

void containers_resize(struct call *c)
{
	struct err e;
	int rows;
	int columns;
	struct container *k = find(c);
	if (!k) {
		return;
	}
	if (!call_query_or(c, "h", NULL) || !call_query_or(c, "w", NULL)) {
		err_set(&e, ERR_INVALID, "h and w must say how many rows and columns there are");
		call_reply_error(c, &e);
		return;
	}
	if (call_query_int(c, "h", 0, &rows, &e) < 0 ||
		call_query_int(c, "w", 0, &columns, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	if (rows < 0 || columns < 0 || rows > UINT16_MAX || columns > UINT16_MAX) {
		err_set(&e, ERR_INVALID, "invalid size %dx%d: rows and columns are 0 to 65535",
			rows, columns);
		call_reply_error(c, &e);
		return;
	}
	reply_result(c, container_resize(k, (unsigned)rows, (unsigned)columns, &e), &e, 200);
}
