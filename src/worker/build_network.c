/* The network of RUN steps. */
#include <errno.h>
#include <net/if.h>
#include <pthread.h>
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

struct build_network {
	pthread_mutex_t lock;
	int fd;       /* the build's own namespace; -1 before the first step that wants it */
	char *resolv; /* resolv.conf there */
	char *host_resolv;
	char gateway[16];
};

struct build_network *build_network_new(void)
{
	struct build_network *n = xnew(struct build_network);
	pthread_mutex_init(&n->lock, NULL);
	n->fd = -1;
	return n;
}

void build_network_free(struct build_network *n)
{
	if (!n) {
		return;
	}
	if (n->fd >= 0) {
		close(n->fd);
	}
	free(n->resolv);
	free(n->host_resolv);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

/* fd -1: the host's own. */
static json_t *ask_network(struct build *b, int fd, const char *mode, struct err *e)
{
	return rpc_ask(
		b->rpc, json_pack("{ss si ss}", "ask", "network", "fd", fd, "mode", mode), e);
}

/* Locked. */
static int know_host(struct build *b, struct err *e)
{
	struct build_network *n = b->network;
	if (n->host_resolv) {
		return 0;
	}
	scoped(json) json_t *answer = ask_network(b, -1, "host", e);
	if (!answer) {
		return -1;
	}
	n->host_resolv = xstrdup(json_str(answer, "resolv"));
	return 0;
}

/* One network for all steps of a build, taken down by the daemon. Locked. */
static int know_own(struct build *b, const char *mode, struct err *e)
{
	struct build_network *n = b->network;
	if (n->fd >= 0) {
		return 0;
	}
	scoped(close) int fd = new_netns(e);
	scoped(json) json_t *answer = fd < 0 ? NULL : ask_network(b, fd, mode, e);
	if (!answer) {
		return -1;
	}
	n->resolv = xstrdup(json_str(answer, "resolv"));
	snprintf(n->gateway, sizeof(n->gateway), "%.15s", json_str(answer, "gateway"));
	n->fd = TAKE_FD(fd);
	return 0;
}

int build_net_open(struct build *b, const char *mode, struct build_net *ret, struct err *e)
{
	struct build_network *n = b->network;
	*ret = (struct build_net){.fd = -1};
	if (strcmp(mode, "none") == 0) {
		ret->fd = new_netns(e);
		ret->own = ret->fd >= 0;
		return ret->own ? 0 : -1;
	}
	bool host = strcmp(mode, "host") == 0;
	pthread_mutex_lock(&n->lock);
	int r = host ? know_host(b, e) : know_own(b, mode, e);
	if (r == 0) {
		ret->fd = host ? -1 : n->fd;
		ret->resolv = xstrdup(host ? n->host_resolv : n->resolv);
		memcpy(ret->gateway, n->gateway, sizeof(ret->gateway));
	}
	pthread_mutex_unlock(&n->lock);
	return r;
}

void build_net_close(struct build_net *n)
{
	if (n->own) {
		close(n->fd);
	}
	free(n->resolv);
	*n = (struct build_net){.fd = -1};
}

char *build_hosts_text(const struct build *b, const struct build_net *n)
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
				strcmp(colon + 1, "host-gateway") == 0 ? n->gateway : colon + 1;
			buf_printf(&text, "%s\t%.*s\n", address, (int)(colon - entry), entry);
		}
	}
	return buf_take_str(&text);
}
