/* compose/extension.h - x-wherry of a service: what the engine does beyond docker's, as labels.
 *
 *   x-wherry:
 *     devices:
 *       - {name: zigbee, usb: "10c4:ea60", as: /dev/zigbee, required: true}
 *     storage:
 *       - {label: MEDIA, at: /mnt/media}
 *
 * becomes wherry.device.zigbee and wherry.storage.media with the rest of the keys as JSON
 * (device/rule.h, device/storage_rule.h), so that it is in the service's hash, in `config`, and in
 * what docker compose starts from that.
 */
#pragma once
#include "compose/loader.h"

/* service: its mapping; name: as errors call it. */
int extension_to_labels(struct loader *l, struct node *service, const char *name);
