/* Job "devices": {} gives {"devices": [...]}, all device nodes of the machine as device_json writes
 * them. A process of its own because it reads some thousand small files, and some of them wait for
 * a driver. */
#include "device/look.h"

#include "base/json.h"
#include "device/set.h"
#include "worker/jobs.h"

static void add_device(void *owner, struct device *take_device)
{
	scoped(device_free) struct device *d = take_device;
	json_t *list = owner;
	if (json_array_size(list) < DEVICES_KNOWN_MAX) {
		json_array_append_new(list, device_json(d));
	}
}

json_t *worker_devices(struct rpc *r, const json_t *request, struct err *e)
{
	const struct device_roots *roots = &device_roots_host;
	scoped(json) json_t *list = json_array();
	unsigned flags = LOOK_MAY_BLOCK | (device_udev_runs(roots) ? LOOK_UDEV : 0);
	int n = device_look_all(roots, flags, add_device, list);
	if (n < 0) {
		(void)err_sys(e, -n, "cannot look at the devices in %s", roots->sys);
		return NULL;
	}
	return json_pack("{sO}", "devices", list);
}
