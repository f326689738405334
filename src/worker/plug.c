/* The job "plug": devices for a container that runs, and from it.
 *
 * {"cgroup",
 *  "rules": all of linux.resources.devices, or absent: they stay as they are,
 *  "remove": [], "add": []  nodes (plug_nodes.h),
 *  "udev_dir": "" or where its /run/udev is, "udev_data": ["c188:0"], "messages": [base64]}
 * fd 4 is a pidfd of its first process, which must be in the container's cgroup: nobody else can be
 * taken for it, however numbers are used again. The result is {"refused": [{"path", "reason"}]}:
 * what could not be done to single nodes.
 *
 * In this order: what goes is taken away, then the rules are as they are to be, then what comes
 * appears, then those who listen to udevd in the container are told. The daemon would not survive
 * doing it itself: the container may serve one of its mounts from a program that never answers.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/scoped.h"
#include "base/text.h"
#include "sys/cgroup.h"
#include "sys/mounts.h"
#include "sys/udev_data.h"
#include "sys/uevent.h"
#include "worker/jobs.h"
#include "worker/plug_nodes.h"
#include "worker/plug_rules.h"
#include "worker/view.h"

/* The group is not looked for by what a process says of itself: its number is. A pid that somebody
 * else has by now would lead to that one's files and network. */
static int check_member(const char *group, struct err *e)
{
	int pid;
	int r = fdinfo_number(VIEW_NS_FD, "Pid", &pid);
	r = r < 0 ? r : pid <= 0 ? -ESRCH : cgroup_has(group, pid);
	if (r < 0) {
		return err_sys(e, -r, "the container's first process is not there");
	}
	return r ? 0
		 : err_set(e, ERR_DENIED,
			   "process %d is in no control group of the container: it is not its own",
			   pid);
}

static int set_rules(const json_t *request, struct err *e)
{
	const json_t *rules = json_object_get(request, "rules");
	return json_is_array(rules) ? plug_set_rules(json_str(request, "cgroup"), rules, e) : 0;
}

/* --- nodes --- */

typedef int node_fn(const struct plug_place *p, const json_t *node, struct err *e);

static void each_node(const struct plug_place *p, const json_t *nodes, node_fn *fn, json_t *refused)
{
	size_t i;
	json_t *node;
	json_array_foreach (nodes, i, node) {
		struct err why;
		if (fn(p, node, &why) < 0) {
			json_t *one = json_object();
			json_put_str(one, "path", json_str(node, "path"));
			json_put_str(one, "reason", why.msg);
			json_array_append_new(refused, one);
		}
	}
}

/* --- udev's listeners --- */

static int send_messages(const json_t *messages, struct err *e)
{
	size_t i;
	json_t *message;
	scoped(close) int fd = uevent_sender(VIEW_NS_FD);
	int r = fd < 0 ? fd : 0;
	json_array_foreach (messages, i, message) {
		scoped(buf) struct buf bytes = BUF_INIT;
		const char *text = json_is_string(message) ? json_string_value(message) : "";
		if (r == 0) {
			r = base64_decode(text, strlen(text), &bytes);
		}
		if (r == 0) {
			r = uevent_send(fd, bytes.data, bytes.len);
		}
	}
	return r < 0 ? err_sys(e, -r, "cannot tell udev's listeners in the container") : 0;
}

static int tell_udev(const json_t *request, struct err *e)
{
	const char *dir = json_str(request, "udev_dir");
	const json_t *messages = json_object_get(request, "messages");
	scoped(strv) struct strv names = STRV_INIT;
	if (json_get_strv(request, "udev_data", &names, e) < 0) {
		return -1;
	}
	int r = *dir ? udev_data_copy(dir, &names) : 0;
	if (r < 0) {
		return err_sys(e, -r, "cannot copy udev's data to %.150s", dir);
	}
	return json_array_size(messages) > 0 ? send_messages(messages, e) : 0;
}

json_t *worker_plug(struct rpc *r, const json_t *request, struct err *e)
{
	struct plug_place place;
	scoped(json) json_t *refused = json_array();
	if (check_member(json_str(request, "cgroup"), e) < 0 || plug_place_open(&place, e) < 0) {
		return NULL;
	}
	each_node(&place, json_object_get(request, "remove"), plug_node_remove, refused);
	int failed = set_rules(request, e);
	if (failed == 0) {
		each_node(&place, json_object_get(request, "add"), plug_node_add, refused);
		failed = tell_udev(request, e);
	}
	plug_place_close(&place);
	return failed < 0 ? NULL : json_pack("{sO}", "refused", refused);
}
