#include "worker/mount_options.h"

#include <string.h>
#include <sys/mount.h>

#include "base/mem.h"
#include "base/strv.h"
#include "base/text.h"

/* moby/sys mount/mountflags_linux.go, which is mount(8)'s list */
static const struct flag {
	const char *name;
	bool clear;
	unsigned long bit;
} flags[] = {
	{"defaults", false, 0},
	{"ro", false, MS_RDONLY},
	{"rw", true, MS_RDONLY},
	{"nosuid", false, MS_NOSUID},
	{"suid", true, MS_NOSUID},
	{"nodev", false, MS_NODEV},
	{"dev", true, MS_NODEV},
	{"noexec", false, MS_NOEXEC},
	{"exec", true, MS_NOEXEC},
	{"sync", false, MS_SYNCHRONOUS},
	{"async", true, MS_SYNCHRONOUS},
	{"dirsync", false, MS_DIRSYNC},
	{"remount", false, MS_REMOUNT},
	{"mand", false, MS_MANDLOCK},
	{"nomand", true, MS_MANDLOCK},
	{"noatime", false, MS_NOATIME},
	{"atime", true, MS_NOATIME},
	{"nodiratime", false, MS_NODIRATIME},
	{"diratime", true, MS_NODIRATIME},
	{"relatime", false, MS_RELATIME},
	{"norelatime", true, MS_RELATIME},
	{"strictatime", false, MS_STRICTATIME},
	{"nostrictatime", true, MS_STRICTATIME},
	{"bind", false, MS_BIND},
	{"rbind", false, MS_BIND | MS_REC},
};

static const struct flag propagations[] = {
	{"private", false, MS_PRIVATE},
	{"rprivate", false, MS_PRIVATE | MS_REC},
	{"shared", false, MS_SHARED},
	{"rshared", false, MS_SHARED | MS_REC},
	{"slave", false, MS_SLAVE},
	{"rslave", false, MS_SLAVE | MS_REC},
	{"unbindable", false, MS_UNBINDABLE},
	{"runbindable", false, MS_UNBINDABLE | MS_REC},
};

static const struct flag *find(const struct flag *table, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(table[i].name, name) == 0) {
			return &table[i];
		}
	}
	return NULL;
}

void mount_options_parse(const char *text, struct mount_options *ret)
{
	scoped(strv) struct strv parts = STRV_INIT;
	*ret = (struct mount_options){0};
	strv_split(&parts, text, ',');
	for (size_t i = 0; i < parts.n; i++) {
		const char *part = parts.v[i];
		const struct flag *f = find(flags, sizeof(flags) / sizeof(*flags), part);
		const struct flag *p =
			find(propagations, sizeof(propagations) / sizeof(*propagations), part);
		if (f) {
			ret->flags = f->clear ? ret->flags & ~f->bit : ret->flags | f->bit;
		} else if (p) {
			ret->propagation = p->bit;
		} else if (*part || ret->data.len) { /* ",,": a comma in a value of cifs */
			buf_puts(&ret->data, ret->data.len ? "," : "");
			buf_puts(&ret->data, part);
		}
	}
}

void mount_options_deinit(struct mount_options *o)
{
	buf_deinit(&o->data);
}

static char *value_of(const char *text, const char *key)
{
	scoped(strv) struct strv parts = STRV_INIT;
	strv_split(&parts, text, ',');
	for (size_t i = 0; i < parts.n; i++) {
		if (text_starts(parts.v[i], key)) {
			return xstrdup(parts.v[i] + strlen(key));
		}
	}
	return NULL;
}

char *mount_options_address(const char *text)
{
	return value_of(text, "addr=");
}
