/* The network of RUN steps. */
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "sys/netns.h"
#include "worker/build.h"
#include "worker/rpc.h"

static int loopback_up(void *owner)
{
	struct ifreq q = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	scoped(close) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &q) < 0 ? -errno : 0;
}

static int new_netns(struct err *e)
{
	int fd = netns_new();
	int r = fd < 0 ? fd : netns_run(fd, loopback_up, NULL);
	if (r < 0) {
		if (fd >= 0) {
			close(fd);
		}
		return err_sys(e, -r, "cannot make a network namespace");
	}
	return fd;
}

/* The network of all RUNs of this build: made once, taken down by the daemon. fd -1: the host's
 * own. */
static int ask_network(struct build *b, int fd, const char *mode, struct err *e)
{
	scoped(json) json_t *answer = rpc_ask(
		b->rpc, json_pack("{ss si ss}", "ask", "network", "fd", fd, "mode", mode), e);
	if (!answer) {
		return -1;
	}
	free(b->resolv);
	b->resolv = xstrdup(json_str(answer, "resolv"));
	snprintf(b->gateway, sizeof(b->gateway), "%.15s", json_str(answer, "gateway"));
	return 0;
}

int build_network_open(struct build *b, const char *mode, int *ret_fd, bool *ret_own, struct err *e)
{
	*ret_own = strcmp(mode, "none") == 0;
	if (*ret_own) {
		*ret_fd = new_netns(e);
		return *ret_fd < 0 ? -1 : 0;
	}
	if (strcmp(mode, "host") == 0) {
		*ret_fd = -1;
		return b->resolv ? 0 : ask_network(b, -1, "host", e);
	}
	if (b->netns_fd < 0) {
		scoped(close) int fd = new_netns(e);
		if (fd < 0 || ask_network(b, fd, mode, e) < 0) {
			return -1;
		}
		b->netns_fd = TAKE_FD(fd);
	}
	*ret_fd = b->netns_fd;
	return 0;
}

char *build_hosts_text(const struct build *b)
{
	struct buf text = BUF_INIT;
	buf_puts(&text,
		"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n"
		"ff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n");
	size_t i;
	json_t *item;
	json_array_foreach (json_object_get(b->options, "extrahosts"), i, item) {
		const char *entry = json_string_value(item);
		const char *colon = entry ? strchr(entry, ':') : NULL;
		if (colon) { /* NAME:ADDRESS, the address may hold colons */
			const char *address =
				strcmp(colon + 1, "host-gateway") == 0 ? b->gateway : colon + 1;
			buf_printf(&text, "%s\t%.*s\n", address, (int)(colon - entry), entry);
		}
	}
	return buf_take_str(&text);
}
