#include "codec/uevent.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#define UDEV_PREFIX "libudev"
#define UDEV_MAGIC 0xfeedcafe

/* systemd device-monitor.c; the magic and the filter words are big-endian, the rest the machine's.
 */
struct udev_header {
	char prefix[8];
	uint32_t magic;
	uint32_t header_bytes;
	uint32_t properties_at;
	uint32_t properties_bytes;
	uint32_t subsystem_hash;
	uint32_t devtype_hash;
	uint32_t tag_bloom_hi;
	uint32_t tag_bloom_lo;
};
_Static_assert(sizeof(struct udev_header) == 40, "as on the wire");

const char *uevent_next(const struct uevent *u, size_t *pos)
{
	if (*pos >= u->properties_bytes) {
		return NULL;
	}
	const char *p = u->properties + *pos;
	*pos += strlen(p) + 1;
	return p;
}

const char *uevent_get(const struct uevent *u, const char *key)
{
	size_t n = strlen(key);
	size_t pos = 0;
	for (const char *p; (p = uevent_next(u, &pos));) {
		if (strncmp(p, key, n) == 0 && p[n] == '=') {
			return p + n + 1;
		}
	}
	return "";
}

void uevent_rename(const struct uevent *u, const char *node, const char *links, struct buf *ret)
{
	static const char name_key[] = "DEVNAME=";
	static const char links_key[] = "DEVLINKS=";
	size_t pos = 0;
	for (const char *p; (p = uevent_next(u, &pos));) {
		if (strncmp(p, name_key, strlen(name_key)) != 0 &&
			strncmp(p, links_key, strlen(links_key)) != 0) {
			buf_append(ret, p, strlen(p) + 1);
		}
	}
	buf_printf(ret, "%s%s", name_key, node);
	buf_append(ret, "", 1);
	if (*links) {
		buf_printf(ret, "%s%s", links_key, links);
		buf_append(ret, "", 1);
	}
}

/* The kernel's first string repeats ACTION and DEVPATH: it only has to be there. */
static int find_kernel(const char *data, size_t n, struct uevent *u)
{
	const char *end = memchr(data, '\0', n);
	if (!end || !memchr(data, '@', (size_t)(end - data))) {
		return -1;
	}
	u->properties = end + 1;
	u->properties_bytes = n - (size_t)(u->properties - data);
	return 0;
}

static int find_udev(const char *data, size_t n, struct uevent *u)
{
	struct udev_header h;
	if (n < sizeof(h)) {
		return -1;
	}
	memcpy(&h, data, sizeof(h));
	if (ntohl(h.magic) != UDEV_MAGIC || h.properties_at < sizeof(h) || h.properties_at > n ||
		h.properties_bytes > n - h.properties_at) {
		return -1;
	}
	u->from_udev = true;
	u->properties = data + h.properties_at;
	u->properties_bytes = h.properties_bytes;
	return 0;
}

int uevent_parse(const void *data, size_t n, struct uevent *ret, struct err *e)
{
	struct uevent u = {0};
	bool udev = n >= sizeof(UDEV_PREFIX) && memcmp(data, UDEV_PREFIX, sizeof(UDEV_PREFIX)) == 0;
	int r = udev ? find_udev(data, n, &u) : find_kernel(data, n, &u);
	if (r < 0 || u.properties_bytes == 0 || u.properties[u.properties_bytes - 1] != '\0') {
		return err_set(e, ERR_INVALID, "no message of the kernel or of udevd");
	}
	u.action = uevent_get(&u, "ACTION");
	u.devpath = uevent_get(&u, "DEVPATH");
	u.subsystem = uevent_get(&u, "SUBSYSTEM");
	if (!*u.action || *u.devpath != '/') {
		return err_set(e, ERR_INVALID, "a device's event without ACTION or DEVPATH");
	}
	*ret = u;
	return 0;
}

/* MurmurHash2 of Austin Appleby, with seed 0, in the bytes' own order: what systemd hashes filter
 * words with (string_hash32). */
static uint32_t hash_text(const char *text, size_t n)
{
	const uint32_t m = 0x5bd1e995;
	uint32_t h = (uint32_t)n;
	for (; n >= 4; text += 4, n -= 4) {
		uint32_t k;
		memcpy(&k, text, 4);
		k *= m;
		k ^= k >> 24;
		h = h * m ^ k * m;
	}
	if (n > 0) {
		uint32_t k = 0;
		for (size_t i = 0; i < n; i++) {
			k |= (uint32_t)(unsigned char)text[i] << (8 * i);
		}
		h = (h ^ k) * m;
	}
	h = (h ^ h >> 13) * m;
	return h ^ h >> 15;
}

/* systemd string_bloom64: four bits for each tag of ":a:b:". */
static uint64_t bloom_tags(const char *tags)
{
	uint64_t bits = 0;
	while (*tags) {
		size_t n = strcspn(tags, ":");
		uint32_t h = hash_text(tags, n);
		for (unsigned shift = 0; n > 0 && shift < 24; shift += 6) {
			bits |= UINT64_C(1) << (h >> shift & 63);
		}
		tags += n + (tags[n] == ':');
	}
	return bits;
}

static uint32_t filter_word(const char *text)
{
	return *text ? htonl(hash_text(text, strlen(text))) : 0;
}

void uevent_write(const char *properties, size_t n, struct buf *ret)
{
	const struct uevent u = {.properties = properties, .properties_bytes = n};
	uint64_t tags = bloom_tags(uevent_get(&u, "TAGS"));
	const struct udev_header h = {
		.prefix = UDEV_PREFIX,
		.magic = htonl(UDEV_MAGIC),
		.header_bytes = sizeof(h),
		.properties_at = sizeof(h),
		.properties_bytes = (uint32_t)n,
		.subsystem_hash = filter_word(uevent_get(&u, "SUBSYSTEM")),
		.devtype_hash = filter_word(uevent_get(&u, "DEVTYPE")),
		.tag_bloom_hi = htonl((uint32_t)(tags >> 32)),
		.tag_bloom_lo = htonl((uint32_t)tags),
	};
	buf_append(ret, &h, sizeof(h));
	buf_append(ret, properties, n);
}
