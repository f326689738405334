#include "device/system_disks.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "device/sysfs.h"
#include "sys/mountinfo.h"

#define TABLE_BYTES_MAX (4u << 20)
#define FOUND_MAX 256
#define NESTING_MAX 8 /* overlays on overlays */

/* Where a system has its parts: there, */
static const char *const places[] = {"/", "/home", "/opt", "/root"};
/* there and below. */
static const char *const trees[] = {"/usr", "/var", "/boot", "/efi", "/etc", "/nix",
	/* live systems, and those whose root is an overlay over a medium that is not written to */
	"/run/live", "/lib/live", "/live", "/run/initramfs", "/run/rootfsbase", "/media/root-ro",
	"/media/root-rw", "/overlay", "/rom", "/cdrom", "/isodevice"};

struct search {
	const struct device_roots *r;
	struct buf mounts;
	struct strv found; /* block devices in sysfs; followed in this order */
};

static void note_path(struct search *s, char *take_sysfs)
{
	scoped(free) char *sysfs = take_sysfs;
	if (sysfs && s->found.n < FOUND_MAX && !strv_has(&s->found, sysfs)) {
		strv_add(&s->found, sysfs);
	}
}

static void note_name(struct search *s, const char *name)
{
	scoped(free) char *link = xasprintf("class/block/%s", name);
	note_path(s, sysfs_follow(s->r, link));
}

/* "/dev/sda2", or a link of udev's or of the device mapper's. */
static void note_node(struct search *s, const char *node)
{
	char target[PATH_MAX];
	if (!text_starts(node, "/dev/")) {
		return;
	}
	scoped(free) char *path = xasprintf("%s%s", s->r->dev, node + strlen("/dev"));
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	if (n > 0) {
		target[n] = '\0';
		const char *slash = strrchr(target, '/');
		note_name(s, slash ? slash + 1 : target);
		return;
	}
	scoped(free) char *name = xstrdup(node + strlen("/dev/"));
	for (char *p = name; *p; p++) {
		*p = *p == '/' ? '!' : *p; /* as sysfs writes it */
	}
	note_name(s, name);
}

/* --- mounts --- */

static void note_file(struct search *s, const char *path, int nesting);

/* "lowerdir=/a:/b,upperdir=/c" */
static void note_layers(struct search *s, const char *options, int nesting)
{
	scoped(strv) struct strv all = STRV_INIT;
	strv_split(&all, options, ',');
	for (size_t i = 0; i < all.n; i++) {
		scoped(strv) struct strv dirs = STRV_INIT;
		if (text_starts(all.v[i], "lowerdir") || text_starts(all.v[i], "upperdir=")) {
			const char *value = strchr(all.v[i], '=');
			strv_split(&dirs, value ? value + 1 : "", ':');
		}
		for (size_t k = 0; k < dirs.n; k++) {
			note_file(s, dirs.v[k], nesting);
		}
	}
}

static void note_mount(struct search *s, const struct mountinfo *m, int nesting)
{
	scoped(free) char *number = xasprintf("dev/block/%s", m->dev);
	char *sysfs = sysfs_follow(s->r, number);
	if (sysfs) {
		note_path(s, sysfs);
	} else {
		note_node(s, m->source); /* btrfs has numbers of its own */
	}
	if (strcmp(m->fstype, "overlay") == 0) {
		note_layers(s, m->options, nesting + 1);
	}
}

static bool is_below(const char *path, const char *place)
{
	size_t n = strcmp(place, "/") == 0 ? 0 : strlen(place);
	return strncmp(path, place, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* What the file system at this path is on. */
static void note_file(struct search *s, const char *path, int nesting)
{
	if (*path != '/' || nesting > NESTING_MAX) {
		return;
	}
	scoped(free) char *text = xstrdup(buf_str(&s->mounts));
	struct mountinfo m;
	struct mountinfo best = {.place = ""};
	for (char *p = text; mountinfo_next(&p, &m);) {
		if (is_below(path, m.place) && strlen(m.place) >= strlen(best.place)) {
			best = m;
		}
	}
	if (best.source) {
		note_mount(s, &best, nesting);
	}
}

static bool is_system_place(const char *place)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		if (strcmp(place, places[i]) == 0) {
			return true;
		}
	}
	for (size_t i = 0; i < sizeof(trees) / sizeof(*trees); i++) {
		if (is_below(place, trees[i])) {
			return true;
		}
	}
	return false;
}

static void note_mounts(struct search *s)
{
	scoped(free) char *text = xstrdup(buf_str(&s->mounts));
	struct mountinfo m;
	for (char *p = text; mountinfo_next(&p, &m);) {
		if (is_system_place(m.place)) {
			note_mount(s, &m, 0);
		}
	}
}

/* --- what else the kernel was told to use --- */

static void read_table(const struct search *s, const char *name, struct buf *ret)
{
	scoped(free) char *path = xasprintf("%s/%s", s->r->proc, name);
	if (path_read(AT_FDCWD, path, TABLE_BYTES_MAX, ret) < 0) {
		buf_clear(ret);
	}
}

/* /proc/swaps: a line of headings, then a path at the front of each. */
static void note_swaps(struct search *s)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(strv) struct strv lines = STRV_INIT;
	read_table(s, "swaps", &text);
	strv_split(&lines, buf_str(&text), '\n');
	for (size_t i = 1; i < lines.n; i++) {
		scoped(free) char *path = xstrndup(lines.v[i], strcspn(lines.v[i], " \t"));
		if (text_starts(path, "/dev/")) {
			note_node(s, path);
		} else {
			note_file(s, path, 0);
		}
	}
}

/* "root=PARTUUID=4e639091-02" as udev's links have it. */
static void note_root(struct search *s, const char *value)
{
	static const char *const kinds[][2] = {{"UUID=", "by-uuid"}, {"LABEL=", "by-label"},
		{"PARTUUID=", "by-partuuid"}, {"PARTLABEL=", "by-partlabel"}};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (text_starts(value, kinds[i][0])) {
			scoped(free) char *link = xasprintf(
				"/dev/disk/%s/%s", kinds[i][1], value + strlen(kinds[i][0]));
			note_node(s, link);
			return;
		}
	}
	note_node(s, value);
}

static void note_command_line(struct search *s)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(strv) struct strv words = STRV_INIT;
	read_table(s, "cmdline", &text);
	scoped(free) char *line = xstrndup(buf_str(&text), strcspn(buf_str(&text), "\n"));
	strv_split(&words, line, ' ');
	for (size_t i = 0; i < words.n; i++) {
		if (text_starts(words.v[i], "root=") || text_starts(words.v[i], "resume=")) {
			note_root(s, strchr(words.v[i], '=') + 1);
		}
	}
}

/* --- what they are made of --- */

static void list(const char *path, struct strv *ret)
{
	scoped(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || path_list(fd, ret) < 0) {
		strv_clear(ret);
	}
}

static void follow_slaves(struct search *s, const char *sysfs)
{
	scoped(strv) struct strv names = STRV_INIT;
	scoped(free) char *path = xasprintf("%s%s/slaves", s->r->sys, sysfs);
	list(path, &names);
	for (size_t i = 0; i < names.n; i++) {
		note_name(s, names.v[i]);
	}
}

static void follow_loop(struct search *s, const char *disk)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(free) char *path = xasprintf("%s%s/loop/backing_file", s->r->sys, disk);
	if (path_read(AT_FDCWD, path, PATH_MAX, &text) == 0) {
		scoped(free) char *file = xstrndup(buf_str(&text), strcspn(buf_str(&text), "\n"));
		note_file(s, file, 0);
	}
}

/* /sys/fs/btrfs/UUID/devices/ has a link for each of its devices. */
static void follow_btrfs(struct search *s, const char *sysfs)
{
	scoped(strv) struct strv all = STRV_INIT;
	scoped(free) char *top = xasprintf("%s/fs/btrfs", s->r->sys);
	list(top, &all);
	for (size_t i = 0; i < all.n; i++) {
		scoped(strv) struct strv names = STRV_INIT;
		scoped(free) char *path = xasprintf("%s/%s/devices", top, all.v[i]);
		list(path, &names);
		for (size_t k = 0; strv_has(&names, strrchr(sysfs, '/') + 1) && k < names.n; k++) {
			note_name(s, names.v[k]);
		}
	}
}

void system_disks_read(const struct device_roots *r, struct system_disks *ret)
{
	struct search s = {r, BUF_INIT, STRV_INIT};
	*ret = (struct system_disks){STRV_INIT};
	if (!r->proc) {
		return;
	}
	read_table(&s, "self/mountinfo", &s.mounts);
	note_mounts(&s);
	note_swaps(&s);
	note_command_line(&s);
	for (size_t i = 0; i < s.found.n; i++) {
		scoped(free) char *sysfs = xstrdup(s.found.v[i]); /* the list grows */
		scoped(free) char *disk = sysfs_disk(r, sysfs);
		if (!strv_has(&ret->paths, disk)) {
			strv_add(&ret->paths, disk);
			follow_slaves(&s, disk);
			follow_loop(&s, disk);
		}
		follow_slaves(&s, sysfs);
		follow_btrfs(&s, sysfs);
	}
	buf_deinit(&s.mounts);
	strv_deinit(&s.found);
}

void system_disks_deinit(struct system_disks *s)
{
	strv_deinit(&s->paths);
}

bool system_disks_have(const struct system_disks *s, const char *sysfs)
{
	for (size_t i = 0; i < s->paths.n; i++) {
		if (is_below(sysfs, s->paths.v[i])) {
			return true;
		}
	}
	return false;
}
