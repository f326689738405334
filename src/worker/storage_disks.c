/* The disks that the machine has, and what is on them: as udevd's database says, or where no udevd
 * runs as blkid(8) does, in a process of its own. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/text.h"
#include "codec/udev_text.h"
#include "device/look.h"
#include "worker/capture.h"
#include "worker/storage.h"

#define DISKS_MAX 256
#define PROBE_LIMIT_S "20" /* a disk that does not answer */

/* An attribute of the disk, or of the disk that a partition is of; the caller's, or NULL. */
static char *read_attribute(const struct device *d, const char *name, bool of_disk)
{
	scoped(buf) struct buf text = BUF_INIT;
	bool part = strcmp(d->devtype, "partition") == 0;
	scoped(free) char *path =
		xasprintf("/sys%s%s/%s", d->sysfs, part && of_disk ? "/.." : "", name);
	if (path_read(AT_FDCWD, path, 256, &text) < 0) {
		return NULL;
	}
	return xstrndup(buf_str(&text), strcspn(buf_str(&text), "\n"));
}

bool storage_disk_id(const struct device *d, char ret[static 64])
{
	scoped(free) char *number = read_attribute(d, "dev", false);
	scoped(free) char *size = read_attribute(d, "size", false);
	scoped(free) char *sequence = read_attribute(d, "diskseq", true);
	int64_t sectors;
	if (!number || !size || parse_i64(size, 1, INT64_MAX, &sectors) < 0 ||
		strspn(number, "0123456789:") != strlen(number) || strlen(number) > 24) {
		return false;
	}
	const char *kept =
		sequence && strspn(sequence, "0123456789") == strlen(sequence) ? sequence : "0";
	snprintf(ret, 64, "%s-%.24s", number, kept); /* before Linux 5.15 there is no diskseq */
	return true;
}

static char *probed(const struct strv *lines, const char *key)
{
	return udev_text_decode(strv_env_get(lines, key));
}

static void put_text(char **text, char *take_value)
{
	if (take_value) {
		free(*text);
		*text = take_value;
	}
}

static void probe(struct device *d)
{
	scoped(strv) struct strv argv = STRV_INIT;
	scoped(strv) struct strv lines = STRV_INIT;
	scoped(buf) struct buf out = BUF_INIT;
	scoped(buf) struct buf err = BUF_INIT;
	int status;
	const char *const words[] = {"timeout", "-s", "KILL", PROBE_LIMIT_S, "blkid", "-p", "-o",
		"udev", "-u", "filesystem", "--", d->node};
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		strv_add(&argv, words[i]);
	}
	if (capture_run(&argv, &out, &err, &status) < 0 || status != 0) {
		return; /* nothing that it knows */
	}
	strv_split(&lines, buf_str(&out), '\n');
	put_text(&d->fstype, probed(&lines, "ID_FS_TYPE"));
	put_text(&d->label, probed(&lines, "ID_FS_LABEL_ENC"));
	put_text(&d->uuid, probed(&lines, "ID_FS_UUID_ENC"));
}

/* It is a part of something: LUKS, LVM, RAID, a cache. */
static bool has_holders(const struct device *d)
{
	scoped(strv) struct strv names = STRV_INIT;
	scoped(free) char *path = xasprintf("/sys%s/holders", d->sysfs);
	scoped(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && path_list(fd, &names) == 0 && names.n > 0;
}

struct collect {
	struct storage_disks *disks;
	bool udev;
};

static void collect(void *owner, struct device *take_device)
{
	struct collect *c = owner;
	struct storage_disks *s = c->disks;
	scoped(device_free) struct device *d = take_device;
	struct storage_disk k = {.comes_and_goes = d->classes & DEVICE_STORAGE};
	if (d->type != 'b' || d->system || s->n == DISKS_MAX || has_holders(d) ||
		!storage_disk_id(d, k.id)) {
		return;
	}
	if (!c->udev && !*d->fstype) {
		probe(d);
	}
	if (!*d->fstype) {
		return;
	}
	k.d = TAKE(d);
	s->v = xrealloc(s->v, s->n + 1, sizeof(*s->v));
	s->v[s->n++] = k;
}

static int by_number(const void *a, const void *b)
{
	const struct device *x = ((const struct storage_disk *)a)->d;
	const struct device *y = ((const struct storage_disk *)b)->d;
	return x->major != y->major   ? (x->major < y->major ? -1 : 1)
	       : x->minor != y->minor ? (x->minor < y->minor ? -1 : 1)
				      : 0;
}

int storage_disks_read(struct storage_disks *ret, struct err *e)
{
	const struct device_roots *roots = &device_roots_host;
	struct collect c = {ret, device_udev_runs(roots)};
	int r = device_look_blocks(roots, c.udev ? LOOK_UDEV : 0, collect, &c);
	if (r < 0) {
		return err_sys(e, -r, "cannot look at the disks in %s", roots->sys);
	}
	if (ret->n > 0) {
		qsort(ret->v, ret->n, sizeof(*ret->v), by_number);
	}
	return 0;
}

void storage_disks_deinit(struct storage_disks *s)
{
	for (size_t i = 0; i < s->n; i++) {
		device_free(s->v[i].d);
		free(s->v[i].mounted);
	}
	free(s->v);
}
