/* oci/spec.h - writes the OCI runtime configuration (config.json) of one container.
 *
 * Pure: facts in, text out. Used by the daemon for containers and by the worker for RUN steps, so
 * that both get the same defaults: Docker's capabilities, masked and read-only paths, tmpfs /dev,
 * mqueue, shm, sysfs read-only. Specification: OCI runtime-spec 1.0 config.md, config-linux.md;
 * defaults as moby oci/defaults.go.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/strv.h"

struct oci_mount {
	const char *source;
	const char *target;  /* absolute, inside */
	const char *type;    /* "bind", "tmpfs", ... */
	const char *options; /* "rbind,rprivate,ro" */
};

struct oci_device {
	const char *path; /* inside */
	char type;        /* 'c' or 'b' */
	unsigned major, minor;
	const char *access; /* "rwm" */
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

/* All strings are borrowed for the call. Zero is the Docker default for every member. */
struct oci_spec {
	const char *rootfs;   /* absolute */
	const char *hostname; /* NULL: host's UTS namespace */
	const char *domainname;
	const struct strv *args;
	const struct strv *env;
	const char *cwd;
	uid_t uid;
	gid_t gid;
	const gid_t *groups; /* supplementary */
	size_t n_groups;
	const struct strv *cap_add,
		*cap_drop;   /* "NET_ADMIN", "CAP_NET_ADMIN", "ALL"; may be NULL */
	const char *seccomp; /* OCI linux.seccomp JSON text, or NULL for unconfined: see
				oci/seccomp.h */
	const char *netns;   /* NULL: the runtime's own (host network, or the namespace the shim
				already is in) */
	const char *pid_ns, *ipc_ns, *uts_ns; /* "host", a path to join, or NULL for a new one */
	int64_t shm_bytes;                    /* 0: 64 MiB */
	const struct oci_mount *mounts;
	size_t n_mounts;
	const struct oci_device *devices;
	size_t n_devices;
	const json_t *device_rules; /* strings "c 188:* rmw"; may be NULL */
	const char *cgroup;         /* "/wherry/ID" */
	const json_t *resources;    /* OCI linux.resources without devices, or NULL */
	const json_t *rlimits;      /* OCI process.rlimits, or NULL */
	const json_t *sysctls;      /* object, or NULL */
	int oom_score_adj;
	unsigned tty_width, tty_height;
	bool tty, privileged, no_new_privileges, rootfs_readonly;
	bool unmasked;                               /* security-opt systempaths=unconfined */
	const json_t *masked_paths, *readonly_paths; /* lists of strings; NULL: the defaults, which
							a privileged container does not have */
	const json_t *annotations;                   /* object of strings, or NULL */
	const char *filter; /* seccomp, compiled, in base64 (oci/filter.h); NULL: crun compiles */
	const char *root_propagation; /* rootfsPropagation, or NULL */
	bool no_shm;                  /* IpcMode none: no /dev/shm */
	bool cgroup_ns;               /* a cgroup namespace of its own */
	bool netns_inherited;         /* the shim's new namespace: "/proc/self/ns/net" */
};

/* *ret_text: the file's text, the caller's. ERR_INVALID for an unknown capability ("invalid
 * capability: X") and the like. */
int oci_spec_text(const struct oci_spec *s, char **ret_text, struct err *e);
json_t *oci_default_masked_paths(void); /* new */
json_t *oci_default_readonly_paths(void);
/* The process object alone (crun exec --process). */
int oci_process_text(const struct oci_spec *s, char **ret_text, struct err *e);
