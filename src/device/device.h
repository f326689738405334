/* device/device.h - one device node as the machine has it now.
 *
 * A struct device does not change once it is made. What it says was looked up in sysfs and udevd's
 * database (look.h), never taken from a message.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/scoped.h"
#include "base/strv.h"

/* What a rule may ask for by class=, one bit each. */
enum device_class {
	DEVICE_SERIAL = 1u << 0,  /* ttyUSB, ttyACM, ttyAMA, ttyS with hardware behind */
	DEVICE_STORAGE = 1u << 1, /* disks and partitions on USB or that can be taken out; never
				     those the system runs from */
	DEVICE_VIDEO = 1u << 2,   /* video4linux, media */
	DEVICE_INPUT = 1u << 3,
	DEVICE_GPIO = 1u << 4, /* gpiochip, gpiomem */
	DEVICE_I2C = 1u << 5,
	DEVICE_SPI = 1u << 6,
	DEVICE_INFRARED = 1u << 7, /* lirc */
	DEVICE_AUDIO = 1u << 8,
	DEVICE_HIDRAW = 1u << 9,
	DEVICE_GPU = 1u << 10, /* dri */
	DEVICE_USB = 1u << 11, /* /dev/bus/usb */
};

/* The texts of a device, never NULL, "" when there is none: member, then name in JSON. */
#define DEVICE_TEXTS(X)                                                       \
	X(node, "node")           /* "/dev/ttyUSB0" */                        \
	X(sysfs, "sysfs")         /* "/devices/...", below /sys */            \
	X(subsystem, "subsystem") /* "tty" */                                 \
	X(devtype, "devtype")     /* "disk", "partition", "usb_device" */     \
	X(vendor, "vendor")       /* of USB: "0403", lower case */            \
	X(product, "product")     /* "6001" */                                \
	X(serial, "serial")       /* udev's ID_SERIAL */                      \
	X(serial_short, "serial_short")                                       \
	X(port, "port")         /* udev's ID_PATH */                          \
	X(usb_port, "usb_port") /* as the kernel says it: "1-1.2" */          \
	X(model, "model")       /* for people */                              \
	X(label, "label")       /* of its file system, as are the next two */ \
	X(uuid, "uuid")                                                       \
	X(fstype, "fstype")

struct device {
#define X(member, name) char *member;
	DEVICE_TEXTS(X)
#undef X
	struct strv links; /* "/dev/serial/by-id/..." */
	char type;         /* 'c' or 'b' */
	unsigned major, minor;
	uid_t uid; /* of the node, as are the next two */
	gid_t gid;
	mode_t mode; /* its permission bits */
	unsigned classes;
	bool system; /* a disk that the system runs from */
};

void device_free(struct device *d); /* NULL is fine */
SCOPED(struct device *, device_free)
bool device_equal(const struct device *a, const struct device *b);
/* The same thing in the same place: another instance of it has another node, number or path. */
bool device_same_node(const struct device *a, const struct device *b);
bool device_has_link(const struct device *d, const char *path);

/* All of the above; "classes" is a list of names, "mode" is as chmod writes it: "0660". */
json_t *device_json(const struct device *d);
struct device *device_from_json(const json_t *doc, struct err *e); /* NULL with *e */

unsigned device_class_parse(const char *name);                   /* 0: no such class */
const char *device_class_name(unsigned bit);                     /* NULL: no class of that bit */
char *device_class_names(unsigned classes, const char *between); /* "serial, audio" */

/* What udevd would say of it in a message to libudev, for one that was not heard: KEY=VALUE, each
 * ended by a NUL, for uevent_write (codec/uevent.h). */
struct buf;
void device_properties(const struct device *d, const char *action, struct buf *ret);
