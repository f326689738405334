#include "sys/binfmt.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"

#define HEAD_BYTES 20
#define ENTRY_MAX 4096
#define ENTRIES_MAX 512
#define OWN_NAME "wherry-qemu-" /* never in the way of Debian's "qemu-arm" */

/* e_ident's class and byte order, and e_machine (elf.h). */
static const struct arch {
	const char *arch, *qemu;
	unsigned char class, data;
	unsigned short machine;
} archs[] = {
	{"386", "i386", 1, 1, 3},
	{"amd64", "x86_64", 2, 1, 62},
	{"arm", "arm", 1, 1, 40},
	{"arm64", "aarch64", 2, 1, 183},
	{"loong64", "loongarch64", 2, 1, 258},
	{"mips64le", "mips64el", 2, 1, 8},
	{"mipsle", "mipsel", 1, 1, 8},
	{"ppc64le", "ppc64le", 2, 1, 21},
	{"riscv64", "riscv64", 2, 1, 243},
	{"s390x", "s390x", 2, 2, 22},
};

static const struct arch *find_arch(const char *arch)
{
	for (size_t i = 0; i < sizeof(archs) / sizeof(*archs); i++) {
		if (strcmp(archs[i].arch, arch) == 0) {
			return &archs[i];
		}
	}
	return NULL;
}

const char *binfmt_qemu_name(const char *arch)
{
	const struct arch *a = find_arch(arch);
	return a ? a->qemu : NULL;
}

/* The head of an executable (e_type 2); mask: OSABI may be anything, type also 3, "dynamic". */
static void head_of(
	const struct arch *a, unsigned char magic[HEAD_BYTES], unsigned char mask[HEAD_BYTES])
{
	size_t low = a->data == 1 ? 0 : 1; /* where a number's low byte is */
	memset(magic, 0, HEAD_BYTES);
	memcpy(magic, "\177ELF", 4);
	magic[4] = a->class;
	magic[5] = a->data;
	magic[6] = 1;
	magic[16 + low] = 2;
	magic[18 + low] = (unsigned char)a->machine;
	magic[19 - low] = (unsigned char)(a->machine >> 8);
	memset(mask, 0xff, HEAD_BYTES);
	mask[7] = 0;
	mask[16 + low] = 0xfe;
}

/* --- what is there --- */

/* "7f454c46" as bytes; how many, 0 for anything else. */
static size_t parse_hex(const char *text, unsigned char ret[HEAD_BYTES])
{
	size_t n = strspn(text, "0123456789abcdef") / 2;
	n = n > HEAD_BYTES ? HEAD_BYTES : n;
	for (size_t i = 0; i < n; i++) {
		const char pair[] = {text[2 * i], text[2 * i + 1], '\0'};
		ret[i] = (unsigned char)strtoul(pair, NULL, 16);
	}
	return n;
}

/* The rest of the line that begins with key, or NULL. */
static const char *line_of(const char *entry, const char *key)
{
	size_t n = strlen(key);
	for (const char *line = entry; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, n) == 0) {
			return line + n;
		}
	}
	return NULL;
}

static bool matches(const char *entry, const unsigned char head[HEAD_BYTES])
{
	unsigned char magic[HEAD_BYTES], mask[HEAD_BYTES];
	const char *offset = line_of(entry, "offset ");
	const char *magic_text = line_of(entry, "magic ");
	const char *mask_text = line_of(entry, "mask ");
	size_t n = magic_text ? parse_hex(magic_text, magic) : 0;
	memset(mask, 0xff, sizeof(mask));
	if (mask_text) {
		parse_hex(mask_text, mask);
	}
	if (n < HEAD_BYTES || !offset || strncmp(offset, "0\n", 2) != 0) {
		return false; /* also a file extension's */
	}
	for (size_t i = 0; i < n; i++) {
		if ((head[i] & mask[i]) != (magic[i] & mask[i])) {
			return false;
		}
	}
	return true;
}

bool binfmt_handles(const char *entry, const char *arch)
{
	unsigned char head[HEAD_BYTES], mask[HEAD_BYTES];
	const struct arch *a = find_arch(arch);
	const char *flags = line_of(entry, "flags: ");
	if (!a || strncmp(entry, "enabled\n", 8) != 0 || !flags ||
		!memchr(flags, 'F', strcspn(flags, "\n"))) {
		return false;
	}
	head_of(a, head, mask);
	if (!matches(entry, head)) {
		return false;
	}
	head[a->data == 1 ? 16 : 17] = 3; /* position-independent ones */
	return matches(entry, head);
}

static bool is_handled(int dir, const char *arch)
{
	scoped(strv) struct strv names = STRV_INIT;
	if (path_list(dir, &names) < 0) {
		return false;
	}
	for (size_t i = 0; i < names.n && i < ENTRIES_MAX; i++) {
		scoped(buf) struct buf text = BUF_INIT;
		if (strcmp(names.v[i], "register") != 0 &&
			path_read(dir, names.v[i], ENTRY_MAX, &text) == 0 &&
			binfmt_handles(buf_str(&text), arch)) {
			return true;
		}
	}
	return false;
}

/* --- registering --- */

static void put_bytes(struct buf *b, const unsigned char *bytes)
{
	for (size_t i = 0; i < HEAD_BYTES; i++) {
		buf_printf(b, "\\x%02x", bytes[i]);
	}
}

void binfmt_rule(const char *arch, const char *name, const char *interpreter, const char *flags,
	struct buf *ret)
{
	unsigned char magic[HEAD_BYTES], mask[HEAD_BYTES];
	head_of(find_arch(arch), magic, mask);
	buf_printf(ret, ":%s:M::", name);
	put_bytes(ret, magic);
	buf_puts(ret, ":");
	put_bytes(ret, mask);
	buf_printf(ret, ":%s:%s", interpreter, flags);
}

/* P: the program sees the argv[0] that it was started with; qemu knows by the name that it is given
 * one. O: programs that may be run but not read. */
static char *find_interpreter(
	const struct binfmt_paths *p, const char *qemu, const char **ret_flags)
{
	const char *links = p->links ? p->links : "/usr/libexec/qemu-binfmt";
	const char *programs = p->programs ? p->programs : "/usr/bin";
	scoped(free) char *link = xasprintf("%s/%s-binfmt-P", links, qemu);
	scoped(free) char *program = xasprintf("%s/qemu-%s-static", programs, qemu);
	*ret_flags = "OPF";
	if (access(link, X_OK) == 0) {
		return TAKE(link);
	}
	*ret_flags = "OF";
	return access(program, X_OK) == 0 ? TAKE(program) : NULL;
}

static int open_dir(const char *dir)
{
	struct statfs fs;
	scoped(close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* autofs mounts it */
	if (fd < 0) {
		return -errno;
	}
	if (fstatfs(fd, &fs) < 0) {
		return -errno;
	}
	if (fs.f_type == BINFMTFS_MAGIC || strcmp(dir, BINFMT_DIR) != 0) {
		return TAKE_FD(fd);
	}
	/* it stays: since Linux 6.7 its handlers go with the last mount */
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	if (mount("binfmt_misc", dir, "binfmt_misc", flags, NULL) < 0 && errno != EBUSY) {
		return -errno;
	}
	int mounted = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return mounted < 0 ? -errno : mounted;
}

static int register_rule(int dir, const struct buf *rule)
{
	scoped(close) int fd = openat(dir, "register", O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	return write(fd, rule->data, rule->len) < 0 ? -errno : 1;
}

int binfmt_ensure(const struct binfmt_paths *p, const char *arch)
{
	const struct arch *a = find_arch(arch);
	if (!a) {
		return -ENOSYS;
	}
	scoped(close) int dir = open_dir(p->dir ? p->dir : BINFMT_DIR);
	if (dir < 0) {
		return dir;
	}
	scoped(buf) struct buf status = BUF_INIT;
	if (path_read(dir, "status", ENTRY_MAX, &status) == 0 &&
		strcmp(buf_str(&status), "enabled\n") != 0) {
		return -EPERM;
	}
	if (is_handled(dir, arch)) {
		return 0;
	}
	const char *flags;
	scoped(free) char *interpreter = find_interpreter(p, a->qemu, &flags);
	if (!interpreter) {
		return -ENOENT;
	}
	scoped(buf) struct buf rule = BUF_INIT;
	scoped(free) char *name = xasprintf(OWN_NAME "%s", a->qemu);
	binfmt_rule(arch, name, interpreter, flags, &rule);
	int r = register_rule(dir, &rule);
	return r == -EEXIST ? -EPERM : r; /* ours, which somebody has disabled */
}
