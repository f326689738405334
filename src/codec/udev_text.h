/* codec/udev_text.h - what udevd keeps of a device (/run/udev/data/b8:1), and how it and blkid(8)
 * write what others have written on a disk. Pure.
 *
 * Lines "S:disk/by-id/x" (a link below /dev) and "E:ID_SERIAL=x" (systemd
 * src/libsystemd/sd-device/device-private.c); other letters are of no use here.
 */
#pragma once
#include "base/strv.h"

#define UDEV_LINKS_MAX 64

struct udev_record {
	struct strv links;      /* "/dev/disk/by-id/x", sorted */
	struct strv properties; /* KEY=VALUE: strv_env_get */
};

void udev_record_parse(const char *text, struct udev_record *ret);
void udev_record_deinit(struct udev_record *r);

/* The text behind ID_FS_LABEL_ENC and the like, where "\x20" is a blank. What is no printable ASCII
 * stays as it is written: the rest is UTF-8 already. The caller's; NULL for NULL. */
char *udev_text_decode(const char *text);
