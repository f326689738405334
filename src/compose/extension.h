/* compose/extension.h - x-wherry of a service: what the engine does beyond docker's, as labels.
 *
 *   x-wherry:
 *     devices:
 *       - {name: zigbee, usb: "10c4:ea60", as: /dev/zigbee, required: true}
 *     storage:
 *       - {label: MEDIA, at: /mnt/media}
 *     stream:
 *       - {name: mqtt, listen: 8883, port: 1883, tls: terminate}
 *     http: {host: wiki, port: 8080}     (extension_http.h)
 *
 * becomes wherry.device.zigbee, wherry.storage.media and wherry.stream.mqtt with the rest of the
 * keys as JSON (device/rule.h, device/storage_rule.h, ingress/route.h), so that it is in the
 * service's hash, in `config`, and in what docker compose starts from that.
 */
#pragma once
#include "compose/loader.h"

/* volumes:
 *   media:
 *     x-wherry: {wait: true, credentials: SECRET}
 *
 * wait becomes the label wherry.wait (volume/remote.h). credentials is a secret of the project,
 * *ret_secret borrowed from the node, or NULL: it is no label, whoever makes the volume hands it to
 * the engine. */
int extension_of_volume(struct loader *l, struct node *volume, const char *name,
	const struct node *secrets, const char **ret_secret);

/* service: its mapping; name: as errors call it. */
int extension_to_labels(struct loader *l, struct node *service, const char *name);
