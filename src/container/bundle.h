/* container/bundle.h - the parts that bundle.c puts together; nobody outside of container/ includes
 * it.
 *
 * security.c  capabilities, seccomp, --security-opt    etc.c  hosts, hostname, resolv.conf
 * devices.c  device nodes
 */
#pragma once
#include "container/internal.h"
#include "oci/spec.h"

#define DEVICES_MAX 512

/* A list of strings that may be null, appended to *ret. */
int host_list(const json_t *host, const char *key, struct strv *ret, struct err *e);

/* --- security.c --- */
struct security {
	bool no_new_privileges, unconfined, unmasked;
	const char *profile; /* JSON text, borrowed; NULL: the daemon's */
};
int security_read(const json_t *host, struct security *ret, struct err *e);
int security_caps(
	const json_t *host, struct strv *add, struct strv *drop, uint64_t *ret, struct err *e);
/* *ret NULL: no filter. */
int security_seccomp(const struct container_set *s, const json_t *host,
	const struct security *security, uint64_t caps, char **ret, struct err *e);
/* The filter that an earlier start left of this profile (NULL: none), the caller's, or NULL and
 * c->filter_key says what security_keep_filter keeps of this one. */
char *security_filter(struct container *c, const char *profile);

/* --- etc.c --- */
/* "name:address" or "name=address" of --add-host; *ret_name is the caller's, *ret_address borrowed
 * from text. */
int etc_split_host(const char *text, char **ret_name, const char **ret_address, struct err *e);
int etc_write(struct container *c, struct err *e);

/* --- devices.c --- */
struct device_list {
	struct oci_device v[DEVICES_MAX];
	size_t n;
	struct strv paths; /* owns what v[].path borrows */
};
int devices_read(
	const json_t *host, const json_t *devices, struct device_list *list, struct err *e);
