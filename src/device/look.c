#include "device/look.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/text.h"
#include "codec/udev_text.h"
#include "device/sysfs.h"
#include "device/system_disks.h"

#define DATABASE_BYTES_MAX (64u << 10)
#define ATTRIBUTE_BYTES_MAX 4096

const struct device_roots device_roots_host = {"/sys", "/dev", "/run/udev", "/proc"};

/* Which subsystems are which class; a node's beginning where the subsystem says too little. */
static const struct {
	const char *subsystem;
	const char *node; /* NULL: all of the subsystem */
	unsigned class;
} kinds[] = {
	{"tty", NULL, DEVICE_SERIAL},
	{"video4linux", NULL, DEVICE_VIDEO},
	{"media", NULL, DEVICE_VIDEO},
	{"input", NULL, DEVICE_INPUT},
	{"gpio", NULL, DEVICE_GPIO},
	{NULL, "gpiomem", DEVICE_GPIO}, /* subsystems bcm2835-gpiomem, rp1-gpiomem ... */
	{"i2c-dev", NULL, DEVICE_I2C},
	{"spidev", NULL, DEVICE_SPI},
	{"lirc", NULL, DEVICE_INFRARED},
	{"sound", NULL, DEVICE_AUDIO},
	{"hidraw", NULL, DEVICE_HIDRAW},
	{"drm", NULL, DEVICE_GPU},
	{"usb", NULL, DEVICE_USB},
};

bool device_udev_runs(const struct device_roots *r)
{
	scoped(free) char *control = xasprintf("%s/control", r->udev);
	return access(control, F_OK) == 0;
}

static bool exists(const char *dir, const char *path, const char *name)
{
	scoped(free) char *whole = xasprintf("%s%s/%s", dir, path, name);
	return access(whole, F_OK) == 0;
}

/* The last part of what a link of sysfs points to; NULL: no link. */
static char *link_name(const char *dir, const char *path, const char *name)
{
	char target[PATH_MAX];
	scoped(free) char *link = xasprintf("%s%s/%s", dir, path, name);
	ssize_t n = readlink(link, target, sizeof(target) - 1);
	if (n <= 0) {
		return NULL;
	}
	target[n] = '\0';
	const char *slash = strrchr(target, '/');
	return xstrdup(slash ? slash + 1 : target);
}

/* An attribute or another small file without the line's end; NULL: there is none. */
static char *read_line(const char *dir, const char *path, const char *name)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(free) char *file = xasprintf("%s%s/%s", dir, path, name);
	if (path_read(AT_FDCWD, file, ATTRIBUTE_BYTES_MAX, &text) < 0) {
		return NULL;
	}
	return xstrndup(buf_str(&text), strcspn(buf_str(&text), "\n"));
}

/* Replaces a text of a device; NULL leaves it. */
static void set_text(char **text, char *take_value)
{
	if (take_value) {
		free(*text);
		*text = take_value;
	}
}

static int database_read(const struct device_roots *r, char type, unsigned major, unsigned minor,
	struct udev_record *ret)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(free) char *file = xasprintf("%s/data/%c%u:%u", r->udev, type, major, minor);
	int e = path_read(AT_FDCWD, file, DATABASE_BYTES_MAX, &text);
	if (e < 0) {
		return e;
	}
	udev_record_parse(buf_str(&text), ret);
	return 0;
}

static void take_property(char **text, const struct udev_record *db, const char *key)
{
	set_text(text, xstrdup(strv_env_get(&db->properties, key)));
}

static void take_names(struct device *d, const struct udev_record *db)
{
	take_property(&d->vendor, db, "ID_USB_VENDOR_ID");
	take_property(&d->product, db, "ID_USB_MODEL_ID");
	const char *bus = strv_env_get(&db->properties, "ID_BUS");
	if (!*d->vendor && bus &&
		strcmp(bus, "usb") == 0) { /* of a PCI card the same words say something else */
		take_property(&d->vendor, db, "ID_VENDOR_ID");
		take_property(&d->product, db, "ID_MODEL_ID");
	}
	take_property(&d->serial, db, "ID_SERIAL");
	take_property(&d->serial_short, db, "ID_SERIAL_SHORT");
	take_property(&d->model, db, "ID_MODEL");
}

static void take_database(struct device *d, struct udev_record *db)
{
	take_names(d, db);
	take_property(&d->port, db, "ID_PATH");
	set_text(&d->label, udev_text_decode(strv_env_get(&db->properties, "ID_FS_LABEL_ENC")));
	take_property(&d->uuid, db, "ID_FS_UUID");
	take_property(&d->fstype, db, "ID_FS_TYPE");
	strv_clear(&d->links);
	strv_copy(&d->links, &db->links);
}

/* "188:0", as the attribute dev says it. */
static int read_number(
	const struct device_roots *r, const char *sysfs, unsigned *ret_major, unsigned *ret_minor)
{
	scoped(free) char *text = read_line(r->sys, sysfs, "dev");
	char *colon = text ? strchr(text, ':') : NULL;
	int major;
	int minor;
	if (!colon) {
		return -1;
	}
	*colon = '\0';
	if (parse_int(text, 0, INT_MAX, &major) < 0 ||
		parse_int(colon + 1, 0, INT_MAX, &minor) < 0) {
		return -1;
	}
	*ret_major = (unsigned)major;
	*ret_minor = (unsigned)minor;
	return 0;
}

static char *ask_node(const struct device_roots *r, const char *sysfs)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(strv) struct strv lines = STRV_INIT;
	scoped(free) char *file = xasprintf("%s%s/uevent", r->sys, sysfs);
	if (path_read(AT_FDCWD, file, ATTRIBUTE_BYTES_MAX, &text) < 0) {
		return NULL;
	}
	strv_split(&lines, buf_str(&text), '\n');
	const char *name = strv_env_get(&lines, "DEVNAME");
	return name && *name != '/' ? xasprintf("/dev/%s", name) : xstrdup(name);
}

/* The node must be the device's own, in /dev itself: not in what is mounted below it, where a
 * container may write (/dev/shm). */
static int take_node(const struct device_roots *r, struct device *d)
{
	struct stat st;
	struct stat dev;
	if (!text_starts(d->node, "/dev/")) {
		return -1;
	}
	scoped(free) char *path = xasprintf("%s%s", r->dev, d->node + strlen("/dev"));
	mode_t kind = d->type == 'b' ? S_IFBLK : S_IFCHR;
	if (lstat(path, &st) < 0 || stat(r->dev, &dev) < 0 || st.st_dev != dev.st_dev ||
		(st.st_mode & S_IFMT) != kind || st.st_rdev != makedev(d->major, d->minor)) {
		return -1;
	}
	d->uid = st.st_uid;
	d->gid = st.st_gid;
	d->mode = st.st_mode & 07777;
	return 0;
}

/* The USB device that a device is, or is a part of: its path in sysfs, or NULL. */
static char *usb_parent(const struct device_roots *r, const char *sysfs)
{
	scoped(free) char *path = xstrdup(sysfs);
	while (strstr(path, "/usb")) {
		if (exists(r->sys, path, "idVendor")) {
			return TAKE(path);
		}
		*strrchr(path, '/') = '\0';
	}
	return NULL;
}

static void take_usb_names(
	const struct device_roots *r, struct device *d, const char *usb, unsigned flags)
{
	struct udev_record db = {STRV_INIT, STRV_INIT};
	unsigned major;
	unsigned minor;
	if (read_number(r, usb, &major, &minor) == 0 &&
		database_read(r, 'c', major, minor, &db) == 0) {
		take_names(d, &db);
	} else if (flags & LOOK_MAY_BLOCK) {
		set_text(&d->serial_short, read_line(r->sys, usb, "serial"));
		set_text(&d->model, read_line(r->sys, usb, "product"));
	}
	udev_record_deinit(&db);
}

static void take_usb(const struct device_roots *r, struct device *d, unsigned flags)
{
	scoped(free) char *usb = usb_parent(r, d->sysfs);
	if (!usb) {
		return;
	}
	set_text(&d->usb_port, xstrdup(strrchr(usb, '/') + 1));
	if (!*d->vendor) {
		set_text(&d->vendor, read_line(r->sys, usb, "idVendor"));
		set_text(&d->product, read_line(r->sys, usb, "idProduct"));
	}
	if (!*d->serial) {
		take_usb_names(r, d, usb, flags);
	}
}

static bool is_attribute(
	const struct device_roots *r, const char *path, const char *name, const char *value)
{
	scoped(free) char *text = read_line(r->sys, path, name);
	return text && strcmp(text, value) == 0;
}

static void take_storage(
	const struct device_roots *r, const struct system_disks *system, struct device *d)
{
	scoped(free) char *disk = sysfs_disk(r, d->sysfs);
	set_text(&d->devtype, xstrdup(strcmp(disk, d->sysfs) == 0 ? "disk" : "partition"));
	d->system = system_disks_have(system, disk);
	bool comes_and_goes = *d->usb_port || is_attribute(r, disk, "removable", "1") ||
			      is_attribute(r, disk, "device/type", "SD");
	if (comes_and_goes && !d->system) {
		d->classes |= DEVICE_STORAGE;
	}
}

static void take_classes(
	const struct device_roots *r, const struct system_disks *system, struct device *d)
{
	const char *name = strrchr(d->node, '/') + 1;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if ((!kinds[i].subsystem || strcmp(kinds[i].subsystem, d->subsystem) == 0) &&
			(!kinds[i].node || text_starts(name, kinds[i].node))) {
			d->classes |= kinds[i].class;
		}
	}
	if (d->type == 'b') {
		take_storage(r, system, d);
	} else if (strcmp(d->subsystem, "usb") == 0) {
		set_text(&d->devtype, xstrdup("usb_device"));
	}
}

/* A terminal with hardware behind it has a device; ttyS0 to ttyS3 of a PC that has no such ports
 * have one too, but no type. */
static bool is_of_no_use(const struct device_roots *r, const char *sysfs, const char *subsystem)
{
	if (strcmp(subsystem, "tty") == 0) {
		return !exists(r->sys, sysfs, "device") || is_attribute(r, sysfs, "type", "0");
	}
	return strcmp(subsystem, "vc") == 0;
}

static struct device *new_device(const char *sysfs, char *take_subsystem)
{
	struct device *d = xnew(struct device);
#define X(member, name) d->member = xstrdup("");
	DEVICE_TEXTS(X)
#undef X
	set_text(&d->sysfs, xstrdup(sysfs));
	set_text(&d->subsystem, take_subsystem);
	d->type = strcmp(d->subsystem, "block") == 0 ? 'b' : 'c';
	return d;
}

static struct device *look_one(const struct device_roots *r, const struct system_disks *system,
	const char *sysfs, const char *node, unsigned flags)
{
	if (!text_starts(sysfs, "/devices/") || strstr(sysfs, "/../")) {
		return NULL;
	}
	char *subsystem = link_name(r->sys, sysfs, "subsystem");
	if (!subsystem || is_of_no_use(r, sysfs, subsystem)) {
		free(subsystem);
		return NULL;
	}
	scoped(device_free) struct device *d = new_device(sysfs, subsystem);
	set_text(&d->node, node ? xstrdup(node) : ask_node(r, sysfs));
	if (read_number(r, sysfs, &d->major, &d->minor) < 0 || take_node(r, d) < 0) {
		return NULL;
	}
	struct udev_record db = {STRV_INIT, STRV_INIT};
	int known = database_read(r, d->type, d->major, d->minor, &db);
	take_database(d, &db);
	udev_record_deinit(&db);
	if (known < 0 && (flags & LOOK_UDEV)) {
		return NULL;
	}
	take_usb(r, d, flags);
	take_classes(r, system, d);
	return TAKE(d);
}

struct device *device_look(
	const struct device_roots *r, const char *sysfs, const char *node, unsigned flags)
{
	struct system_disks system = {STRV_INIT};
	if (strstr(sysfs, "/block/")) {
		system_disks_read(r, &system);
	}
	struct device *d = look_one(r, &system, sysfs, node, flags);
	system_disks_deinit(&system);
	return d;
}

static int look_all_of(const struct device_roots *r, const char *kind, unsigned flags,
	device_found_fn *fn, void *owner)
{
	scoped(strv) struct strv numbers = STRV_INIT;
	scoped(free) char *path = xasprintf("%s/dev/%s", r->sys, kind);
	scoped(close) int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int e = dir < 0 ? -errno : path_list(dir, &numbers);
	struct system_disks system;
	system_disks_read(r, &system);
	for (size_t i = 0; e == 0 && i < numbers.n; i++) {
		scoped(free) char *link = xasprintf("dev/%s/%s", kind, numbers.v[i]);
		scoped(free) char *sysfs = sysfs_follow(r, link);
		struct device *d = sysfs ? look_one(r, &system, sysfs, NULL, flags) : NULL;
		if (d) {
			fn(owner, d);
		}
	}
	system_disks_deinit(&system);
	return e;
}

int device_look_all(const struct device_roots *r, unsigned flags, device_found_fn *fn, void *owner)
{
	int e = look_all_of(r, "char", flags, fn, owner);
	return e < 0 ? e : device_look_blocks(r, flags, fn, owner);
}

int device_look_blocks(
	const struct device_roots *r, unsigned flags, device_found_fn *fn, void *owner)
{
	return look_all_of(r, "block", flags, fn, owner);
}
