#include "device/monitor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/uevent.h"
#include "device/look.h"
#include "device/set.h"
#include "job/job.h"
#include "sys/uevent.h"

#define MESSAGES_A_TURN 32  /* then the loop's other work */
#define RETRY_FIRST_MS 1000 /* doubled */
#define RETRY_MAX_MS 60000
#define STALE_MAX 5 /* where messages never end, a list is better than none */

struct device_monitor {
	struct job_pool *jobs;
	struct device_set *set;
	uv_poll_t poll;
	uv_timer_t retry;
	uint64_t retry_ms; /* the last wait; 0: the last look did not fail */
	int handles;       /* open */
	int fd;
	struct job *scan; /* NULL: none is under way */
	bool again;       /* something happened after it began */
	unsigned stale;   /* lists in a row that messages overtook */
	bool overtaken;   /* messages told of devices after it began: its list is older */
	bool failed;      /* told once */
	char message[UEVENT_BYTES_MAX];
};

static void scan_done(void *owner, struct job *j, json_t *result, const struct err *e);

static void start_scan(struct device_monitor *m);

static void on_retry(uv_timer_t *timer)
{
	struct device_monitor *m = timer->data;
	if (!m->scan) {
		start_scan(m);
	}
}

static void scan_failed(struct device_monitor *m, const struct err *e)
{
	if (!m->failed) {
		log_warning("device", "no_scan", "error", e->msg, NULL);
	}
	m->failed = true;
	m->retry_ms = m->retry_ms == 0 ? RETRY_FIRST_MS : m->retry_ms * 2;
	m->retry_ms = m->retry_ms > RETRY_MAX_MS ? RETRY_MAX_MS : m->retry_ms;
	uv_timer_start(&m->retry, on_retry, m->retry_ms, 0);
}

static void start_scan(struct device_monitor *m)
{
	static const struct job_handlers handlers = {.done = scan_done};
	struct err e;
	m->again = false;
	m->overtaken = false;
	m->scan = job_start(m->jobs, "devices", json_object(), -1, false, &handlers, m, &e);
	if (!m->scan) {
		scan_failed(m, &e);
	}
}

void device_monitor_rescan(struct device_monitor *m)
{
	if (m->scan) {
		m->again = true;
	} else {
		start_scan(m);
	}
}

static void take_list(struct device_monitor *m, const json_t *list)
{
	size_t n = 0;
	size_t i;
	json_t *o;
	struct device **devices = xnew_array(struct device *, json_array_size(list) + 1);
	json_array_foreach (list, i, o) {
		struct err e;
		struct device *d = device_from_json(o, &e);
		if (d) {
			devices[n++] = d;
		}
	}
	device_set_replace(m->set, devices, n);
	free(devices);
}

static void scan_done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct device_monitor *m = owner;
	m->scan = NULL;
	if (!result) {
		if (e->kind != ERR_BUSY) { /* that is: the daemon ends */
			scan_failed(m, e);
		}
		return;
	}
	m->failed = false;
	m->retry_ms = 0;
	bool again = m->again || m->overtaken;
	if (!m->overtaken || ++m->stale >= STALE_MAX) {
		m->stale = 0;
		take_list(m, json_object_get(result, "devices"));
	}
	if (again && !m->scan) {
		start_scan(m);
	}
}

/* The message only says where to look (look.h). Of a device that is back already, the removal is
 * told all the same: what is there now is another one. */
static void take_udev(struct device_monitor *m, const struct uevent *u, size_t n)
{
	const char *name = uevent_get(u, "DEVNAME");
	if (!*name || !*uevent_get(u, "MAJOR")) {
		return;
	}
	bool removed = strcmp(u->action, "remove") == 0;
	unsigned flags = device_udev_runs(&device_roots_host) ? LOOK_UDEV : 0;
	if (removed) {
		device_set_remove(m->set, u->devpath, m->message, n);
	}
	struct device *d = device_look(&device_roots_host, u->devpath, name, flags);
	if (d) {
		device_set_put(m->set, d, removed ? NULL : m->message, removed ? 0 : n);
	}
	m->overtaken = m->scan != NULL;
}

/* Where udevd runs its message comes later, with links and owner. */
static void take_kernel(struct device_monitor *m, const struct uevent *u)
{
	if (*uevent_get(u, "DEVNAME") && *uevent_get(u, "MAJOR") &&
		!device_udev_runs(&device_roots_host)) {
		device_monitor_rescan(m);
	}
}

static void take_message(struct device_monitor *m, size_t n, unsigned group)
{
	struct err e;
	struct uevent u;
	if (uevent_parse(m->message, n, &u, &e) < 0) {
		log_debug("device", "bad_message", "error", e.msg, NULL);
	} else if (group == UEVENT_UDEV && u.from_udev) {
		take_udev(m, &u, n);
	} else if (group == UEVENT_KERNEL && !u.from_udev) {
		take_kernel(m, &u);
	}
}

/* False: the socket is of no use any more. */
static bool receive_some(struct device_monitor *m)
{
	for (int i = 0; i < MESSAGES_A_TURN; i++) {
		unsigned group;
		ssize_t n = uevent_receive(m->fd, m->message, sizeof(m->message), &group);
		if (n == -ENOBUFS) {
			log_info("device", "messages_lost", NULL);
			device_monitor_rescan(m);
		} else if (n > 0) {
			take_message(m, (size_t)n, group);
		} else if (n < 0) {
			return n == -EAGAIN || n == -EINTR;
		}
	}
	return true;
}

/* Lost messages are an error of the socket to poll(2), and libuv stops what has one. */
static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct device_monitor *m = poll->data;
	if (!receive_some(m)) {
		uv_poll_stop(poll);
		log_error("device", "not_heard", "error", "the socket of devices is broken", NULL);
	} else if (status < 0) {
		uv_poll_start(poll, UV_READABLE, on_readable);
	}
}

struct device_monitor *device_monitor_new(
	uv_loop_t *l, struct job_pool *jobs, struct device_set *set, struct err *e)
{
	int fd = uevent_open(UEVENT_KERNEL | UEVENT_UDEV);
	if (fd < 0) {
		(void)err_sys(e, -fd, "cannot listen to the kernel's messages of devices");
		return NULL;
	}
	struct device_monitor *m = xnew(struct device_monitor);
	m->jobs = jobs;
	m->set = set;
	m->fd = fd;
	m->poll.data = m;
	m->retry.data = m;
	m->handles = 2;
	(void)uv_timer_init(l, &m->retry);
	int r = uv_poll_init(l, &m->poll, fd);
	if (r == 0) {
		r = uv_poll_start(&m->poll, UV_READABLE, on_readable);
	}
	if (r < 0) {
		(void)err_set(
			e, ERR_SYSTEM, "cannot listen to messages of devices: %s", uv_strerror(r));
		device_monitor_free(m);
		return NULL;
	}
	start_scan(m);
	return m;
}

static void on_closed(uv_handle_t *h)
{
	struct device_monitor *m = h->data;
	if (--m->handles == 0) {
		close(m->fd);
		free(m);
	}
}

void device_monitor_free(struct device_monitor *m)
{
	if (m) {
		uv_close((uv_handle_t *)&m->poll, on_closed);
		uv_close((uv_handle_t *)&m->retry, on_closed);
	}
}
