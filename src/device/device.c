#include "device/device.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"

#define LINKS_MAX 64

static const struct {
	unsigned bit;
	const char *name;
} classes[] = {
	{DEVICE_SERIAL, "serial"},
	{DEVICE_STORAGE, "storage"},
	{DEVICE_VIDEO, "video"},
	{DEVICE_INPUT, "input"},
	{DEVICE_GPIO, "gpio"},
	{DEVICE_I2C, "i2c"},
	{DEVICE_SPI, "spi"},
	{DEVICE_INFRARED, "infrared"},
	{DEVICE_AUDIO, "audio"},
	{DEVICE_HIDRAW, "hidraw"},
	{DEVICE_GPU, "gpu"},
	{DEVICE_USB, "usb"},
};
#define CLASSES_N (sizeof(classes) / sizeof(*classes))

unsigned device_class_parse(const char *name)
{
	for (size_t i = 0; i < CLASSES_N; i++) {
		if (strcmp(classes[i].name, name) == 0) {
			return classes[i].bit;
		}
	}
	return 0;
}

const char *device_class_name(unsigned bit)
{
	for (size_t i = 0; i < CLASSES_N; i++) {
		if (classes[i].bit == bit) {
			return classes[i].name;
		}
	}
	return NULL;
}

char *device_class_names(unsigned bits, const char *between)
{
	struct buf b = BUF_INIT;
	for (size_t i = 0; i < CLASSES_N; i++) {
		if (bits & classes[i].bit) {
			buf_printf(&b, "%s%s", b.len > 0 ? between : "", classes[i].name);
		}
	}
	return buf_take_str(&b);
}

void device_free(struct device *d)
{
	if (!d) {
		return;
	}
#define X(member, name) free(d->member);
	DEVICE_TEXTS(X)
#undef X
	strv_deinit(&d->links);
	free(d);
}

bool device_same_node(const struct device *a, const struct device *b)
{
	return a->type == b->type && a->major == b->major && a->minor == b->minor &&
	       strcmp(a->node, b->node) == 0 && strcmp(a->sysfs, b->sysfs) == 0;
}

bool device_equal(const struct device *a, const struct device *b)
{
#define X(member, name)                          \
	if (strcmp(a->member, b->member) != 0) { \
		return false;                    \
	}
	DEVICE_TEXTS(X)
#undef X
	bool same = a->type == b->type && a->major == b->major && a->minor == b->minor &&
		    a->uid == b->uid && a->gid == b->gid && a->mode == b->mode &&
		    a->classes == b->classes && a->system == b->system && a->links.n == b->links.n;
	for (size_t i = 0; same && i < a->links.n; i++) {
		same = strcmp(a->links.v[i], b->links.v[i]) == 0;
	}
	return same;
}

bool device_has_link(const struct device *d, const char *path)
{
	return strv_has(&d->links, path);
}

static json_t *class_list(unsigned bits)
{
	json_t *list = json_array();
	for (size_t i = 0; i < CLASSES_N; i++) {
		if (bits & classes[i].bit) {
			json_array_append_new(list, json_string(classes[i].name));
		}
	}
	return list;
}

json_t *device_json(const struct device *d)
{
	const char type[] = {d->type, '\0'};
	char mode[8];
	snprintf(mode, sizeof(mode), "%04o", d->mode & 07777u);
	json_t *o = json_object();
#define X(member, name) json_put_str(o, name, d->member);
	DEVICE_TEXTS(X)
#undef X
	json_put(o, "links", json_strv(&d->links));
	json_put_str(o, "type", type);
	json_put(o, "major", json_integer(d->major));
	json_put(o, "minor", json_integer(d->minor));
	json_put(o, "uid", json_integer(d->uid));
	json_put(o, "gid", json_integer(d->gid));
	json_put_str(o, "mode", mode);
	json_put(o, "classes", class_list(d->classes));
	json_put(o, "system", json_boolean(d->system));
	return o;
}

static unsigned read_classes(const json_t *list)
{
	unsigned bits = 0;
	size_t i;
	json_t *name;
	json_array_foreach (list, i, name) {
		bits |= device_class_parse(json_is_string(name) ? json_string_value(name) : "");
	}
	return bits;
}

struct device *device_from_json(const json_t *doc, struct err *e)
{
	scoped(device_free) struct device *d = xnew(struct device);
	const char *type = json_str(doc, "type");
#define X(member, name) d->member = xstrdup(json_str(doc, name));
	DEVICE_TEXTS(X)
#undef X
	d->type = *type;
	d->major = (unsigned)json_i64(doc, "major", 0);
	d->minor = (unsigned)json_i64(doc, "minor", 0);
	d->uid = (uid_t)json_i64(doc, "uid", 0);
	d->gid = (gid_t)json_i64(doc, "gid", 0);
	d->mode = (mode_t)strtoul(json_str(doc, "mode"), NULL, 8);
	d->classes = read_classes(json_object_get(doc, "classes"));
	d->system = json_bool(doc, "system");
	if (json_get_strv(doc, "links", &d->links, e) < 0) {
		return NULL;
	}
	if (*d->node != '/' || *d->sysfs != '/' || !*type || !strchr("bc", *type) ||
		d->links.n > LINKS_MAX) {
		(void)err_set(e, ERR_INVALID, "not a device");
		return NULL;
	}
	return TAKE(d);
}

/* Nothing for what the device does not have, as udevd does. */
static void put_property(struct buf *b, const char *key, const char *value)
{
	if (*value) {
		buf_printf(b, "%s=%s", key, value);
		buf_putc(b, '\0');
	}
}

void device_properties(const struct device *d, const char *action, struct buf *ret)
{
	char number[16];
	scoped(buf) struct buf links = BUF_INIT;
	for (size_t i = 0; i < d->links.n; i++) {
		buf_printf(&links, "%s%s", i > 0 ? " " : "", d->links.v[i]);
	}
	put_property(ret, "ACTION", action);
	put_property(ret, "DEVPATH", d->sysfs);
	put_property(ret, "SUBSYSTEM", d->subsystem);
	put_property(ret, "DEVNAME", d->node);
	put_property(ret, "DEVTYPE", d->devtype);
	snprintf(number, sizeof(number), "%u", d->major);
	put_property(ret, "MAJOR", number);
	snprintf(number, sizeof(number), "%u", d->minor);
	put_property(ret, "MINOR", number);
	put_property(ret, "DEVLINKS", buf_str(&links));
	put_property(ret, "ID_VENDOR_ID", d->vendor);
	put_property(ret, "ID_MODEL_ID", d->product);
	put_property(ret, "ID_MODEL", d->model);
	put_property(ret, "ID_SERIAL", d->serial);
	put_property(ret, "ID_SERIAL_SHORT", d->serial_short);
	put_property(ret, "ID_PATH", d->port);
	put_property(ret, "ID_FS_LABEL", d->label);
	put_property(ret, "ID_FS_UUID", d->uuid);
	put_property(ret, "ID_FS_TYPE", d->fstype);
}
