/* Settings of this host that networks need. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "base/path.h"
#include "base/scoped.h"
#include "network/internal.h"
#include "sys/netns.h"

static bool is_set_to(const char *name, const char *value)
{
	char path[128];
	scoped(buf) struct buf now = BUF_INIT;
	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	return path_read(AT_FDCWD, path, 16, &now) == 0 && now.len >= strlen(value) &&
	       strncmp(buf_str(&now), value, strlen(value)) == 0;
}

/* Inside somebody's container /proc/sys is read-only, and forwarding is on. */
static int turn_on(const char *name)
{
	int r = is_set_to(name, "1") ? 0 : netns_sysctl(name, "1");
	return r < 0 ? r : 0;
}

int host_forward4(struct err *e)
{
	int r = turn_on("ipv4/ip_forward");
	return r < 0 ? err_sys(e, -r, "cannot let this host forward packets (net.ipv4.ip_forward)")
		     : 0;
}

/* A host that forwards takes no more router advertisements, unless told to take them all the same
 * (Documentation/networking/ip-sysctl.rst accept_ra): one that got its address and default route by
 * them would lose both within the hour. */
static void keep_router_advertisements(void)
{
	DIR *dir = opendir("/proc/sys/net/ipv6/conf");
	const struct dirent *d;
	while (dir && (d = readdir(dir))) {
		char name[96];
		int n = snprintf(name, sizeof(name), "ipv6/conf/%s/accept_ra", d->d_name);
		if (d->d_name[0] != '.' && n < (int)sizeof(name) && is_set_to(name, "1")) {
			netns_sysctl(name, "2");
		}
	}
	if (dir) {
		closedir(dir);
	}
}

int host_forward6(struct err *e)
{
	static const char forwarding[] = "ipv6/conf/all/forwarding";
	if (is_set_to(forwarding, "1")) {
		return 0;
	}
	keep_router_advertisements();
	int r = turn_on(forwarding);
	return r < 0 ? err_sys(e, -r,
			       "cannot let this host forward IPv6 packets (net.ipv6.conf.all.forwarding)")
		     : 0;
}
