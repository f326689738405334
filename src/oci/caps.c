#include "oci/caps.h"

#include <ctype.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>

#include "base/mem.h"
#include "base/scoped.h"

/* Index is the capability's number. */
static const char *const names[] = {"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID",
	"KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE",
	"NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO",
	"SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE",
	"AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM",
	"BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"};
#define CAPS (sizeof(names) / sizeof(*names))
_Static_assert(CAPS == CAP_LAST_CAP + 1, "one name for each capability of the kernel headers");

#define BIT(n) (UINT64_C(1) << (n))
/* moby oci/caps/defaults.go */
#define DEFAULT_CAPS                                                                    \
	(BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FSETID) | BIT(CAP_FOWNER) |   \
		BIT(CAP_MKNOD) | BIT(CAP_NET_RAW) | BIT(CAP_SETGID) | BIT(CAP_SETUID) | \
		BIT(CAP_SETFCAP) | BIT(CAP_SETPCAP) | BIT(CAP_NET_BIND_SERVICE) |       \
		BIT(CAP_SYS_CHROOT) | BIT(CAP_KILL) | BIT(CAP_AUDIT_WRITE))

static int find(const char *name, uint64_t *ret, struct err *e)
{
	if (strcasecmp(name, "ALL") == 0) {
		*ret = BIT(CAPS) - 1;
		return 0;
	}
	const char *bare = strncasecmp(name, "CAP_", 4) == 0 ? name + 4 : name;
	for (size_t i = 0; i < CAPS; i++) {
		if (strcasecmp(bare, names[i]) == 0) {
			*ret = BIT(i);
			return 0;
		}
	}
	scoped(free) char *upper = xasprintf("CAP_%.64s", bare);
	for (char *p = upper; *p; p++) {
		*p = (char)toupper((unsigned char)*p);
	}
	return err_set(e, ERR_INVALID, "unknown capability: \"%s\"", upper);
}

static int collect(const struct strv *list, uint64_t *ret, struct err *e)
{
	*ret = 0;
	for (size_t i = 0; list && i < list->n; i++) {
		uint64_t bit;
		if (find(list->v[i], &bit, e) < 0) {
			return -1;
		}
		*ret |= bit;
	}
	return 0;
}

/* What may be passed on: inside another sandbox the bounding set can be smaller than the kernel's.
 */
static uint64_t bounding(void)
{
	uint64_t set = 0;
	for (size_t i = 0; i < CAPS; i++) {
		if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1) {
			set |= BIT(i);
		}
	}
	return set;
}

int oci_caps_resolve(const struct strv *add, const struct strv *drop, bool privileged,
	uint64_t *ret, struct err *e)
{
	uint64_t added;
	uint64_t dropped;
	if (collect(add, &added, e) < 0) {
		return err_wrap(e, "invalid CapAdd");
	}
	if (collect(drop, &dropped, e) < 0) {
		return err_wrap(e, "invalid CapDrop");
	}
	uint64_t set;
	if (privileged) {
		set = BIT(CAPS) - 1;
	} else if (dropped == BIT(CAPS) - 1) { /* drop ALL, then add some: the additions win */
		set = added;
	} else {
		/* what is said to be added is there, also when it is said to be dropped; but not
		 * "ALL", which only stands for the rest */
		bool all = added == BIT(CAPS) - 1;
		set = all ? added & ~dropped : (DEFAULT_CAPS & ~dropped) | added;
	}
	*ret = set & bounding();
	return 0;
}

json_t *oci_caps_json(uint64_t set)
{
	json_t *list = json_array();
	for (size_t i = 0; i < CAPS; i++) {
		if (set & BIT(i)) {
			char name[32];
			snprintf(name, sizeof(name), "CAP_%s", names[i]);
			json_array_append_new(list, json_string(name));
		}
	}
	return list;
}

bool oci_caps_has(uint64_t set, const char *name)
{
	struct err ignored;
	uint64_t bit;
	return find(name, &bit, &ignored) == 0 && (set & bit) == bit;
}
