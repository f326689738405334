#include "worker/plug_rules.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "oci/device_rules.h"
#include "sys/cgroup.h"
#include "sys/device_filter.h"

/* --- cgroup v1 --- */

static int write_lines(const char *group, bool allow, const struct strv *lines, struct err *e)
{
	for (size_t i = 0; i < lines->n; i++) {
		int r = cgroup_devices_write(group, allow, lines->v[i]);
		if (r < 0) {
			return err_sys(
				e, -r, "cannot %s '%s'", allow ? "allow" : "deny", lines->v[i]);
		}
	}
	return 0;
}

/* Runtimes would take all rules away before they write the new ones, and a program in the container
 * that opens /dev/null meanwhile would fail. */
static int set_v1(const char *group, const json_t *rules, struct err *e)
{
	scoped(buf) struct buf list = BUF_INIT;
	scoped(strv) struct strv deny = STRV_INIT;
	scoped(strv) struct strv allow = STRV_INIT;
	int r = cgroup_devices_read(group, &list);
	if (r < 0) {
		return err_sys(e, -r, "cannot read the device rules of the container");
	}
	return oci_device_rules_change(buf_str(&list), rules, &deny, &allow, e) < 0 ||
			       write_lines(group, false, &deny, e) < 0 ||
			       write_lines(group, true, &allow, e) < 0
		       ? -1
		       : 0;
}

/* --- cgroup v2 --- */

static struct device_filter_rule filter_rule(const json_t *rule)
{
	const char *type = json_str(rule, "type");
	const char *access = json_str(rule, "access");
	unsigned bits = 0;
	for (const char *p = access; *p; p++) {
		bits |= *p == 'r' ? DEVICE_READ : *p == 'w' ? DEVICE_WRITE : DEVICE_MAKE;
	}
	return (struct device_filter_rule){
		.allow = json_bool(rule, "allow"),
		.type = *type ? *type : 'a',
		.major = json_i64(rule, "major", -1),
		.minor = json_i64(rule, "minor", -1),
		.access = *access ? bits : DEVICE_ACCESS_ALL,
	};
}

static int set_v2(const char *group, const json_t *rules, struct err *e)
{
	size_t n = json_array_size(rules);
	scoped(free) char *folder = xasprintf("/sys/fs/cgroup/%s", group);
	scoped(free) struct device_filter_rule *v = xnew_array(struct device_filter_rule, n + 1);
	for (size_t i = 0; i < n; i++) {
		v[i] = filter_rule(json_array_get(rules, i));
	}
	int r = device_filter_set(folder, v, n);
	return r < 0 ? err_sys(e, -r, "cannot replace the device program of %.150s", group) : 0;
}

int plug_set_rules(const char *group, const json_t *rules, struct err *e)
{
	return cgroup_is_v2() ? set_v2(group, rules, e) : set_v1(group, rules, e);
}
