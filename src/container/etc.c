/* The files of /etc that the engine provides: hosts, hostname, resolv.conf. */
#include "container/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"

/* "name:address" or "name=address"; the address may be an IPv6 one, or host-gateway. */
int etc_split_host(const char *text, char **ret_name, const char **ret_address, struct err *e)
{
	size_t n = strcspn(text, ":=");
	if (n == 0 || !text[n] || !text[n + 1]) {
		return err_set(e, ERR_INVALID, "bad format for add-host: \"%.200s\"", text);
	}
	*ret_name = xstrndup(text, n);
	*ret_address = text + n + 1;
	return 0;
}

/* In place: the container may have it mounted, and a rename would leave it with the old one. */
static int write_file(const struct container *c, const char *name, const char *text, struct err *e)
{
	scoped(free) char *path = xasprintf("%s/%s", c->dir, name);
	scoped(close) int fd =
		open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	int r = fd < 0 ? -errno : path_write_all(fd, text, strlen(text));
	return r < 0 ? err_sys(e, -r, "cannot write %s", path) : 0;
}

/* What daemon.json says, else the default bridge's address, as in dockerd; without a default
 * bridge, that of the container's own network. */
static const char *host_gateway(const struct container *c, char text[static IP_TEXT_MAX])
{
	struct err ignored;
	const char *set = json_str(c->set->d.settings, "host-gateway-ip");
	const struct network *w = network_find(c->set->d.networks, "bridge", &ignored);
	if (*set) {
		return set;
	}
	if (w) {
		return network_gateway(w, text);
	}
	return c->n_endpoints > 0 ? c->endpoints[0].info.gateway : "";
}

static void add_extra_hosts(const struct container *c, struct buf *text)
{
	char gateway[IP_TEXT_MAX];
	size_t i;
	json_t *item;
	json_array_foreach (json_object_get(c->host_config, "ExtraHosts"), i, item) {
		struct err ignored;
		char *name;
		const char *address;
		if (etc_split_host(json_string_value(item), &name, &address, &ignored) < 0) {
			continue;
		}
		if (strcmp(address, "host-gateway") == 0) {
			address = host_gateway(c, gateway);
		}
		if (*address) {
			buf_printf(text, "%s\t%s\n", address, name);
		}
		free(name);
	}
}

static void add_own_names(const struct container *c, struct buf *text)
{
	const char *hostname = json_str(c->config, "Hostname");
	const char *domain = json_str(c->config, "Domainname");
	for (size_t i = 0; i < c->n_endpoints; i++) {
		const struct endpoint_info *f = &c->endpoints[i].info;
		const char *const addresses[] = {f->ipv4, f->ipv6};
		for (size_t k = 0; k < 2; k++) {
			if (*addresses[k] && *domain) {
				buf_printf(text, "%s\t%s.%s %s\n", addresses[k], hostname, domain,
					hostname);
			} else if (*addresses[k]) {
				buf_printf(text, "%s\t%s\n", addresses[k], hostname);
			}
		}
	}
}

int bundle_write_hosts(struct container *c, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	const char *mode = container_network_mode(c);
	if (container_etc_owner(c) != c) {
		return 0;
	}
	if (strcmp(mode, "host") == 0) {
		path_read(AT_FDCWD, "/etc/hosts", 1u << 20, &text);
	} else {
		buf_puts(&text, "127.0.0.1\tlocalhost\n"
				"::1\tlocalhost ip6-localhost ip6-loopback\n"
				"fe00::0\tip6-localnet\n"
				"ff00::0\tip6-mcastprefix\n"
				"ff02::1\tip6-allnodes\n"
				"ff02::2\tip6-allrouters\n");
	}
	add_extra_hosts(c, &text);
	links_add_hosts(c, &text);
	add_own_names(c, &text);
	return write_file(c, "hosts", buf_str(&text), e);
}

/* Who shares a network shares its owner's name: moby initializeNetworking. */
static void take_names(struct container *c, const struct container *owner)
{
	json_put_str(c->config, "Hostname", json_str(owner->config, "Hostname"));
	json_put_str(c->config, "Domainname", json_str(owner->config, "Domainname"));
}

int etc_write(struct container *c, struct err *e)
{
	const struct container *owner = container_etc_owner(c);
	if (owner != c) {
		take_names(c, owner);
		return 0;
	}
	scoped(strv) struct strv dns = STRV_INIT;
	scoped(strv) struct strv search = STRV_INIT;
	scoped(strv) struct strv options = STRV_INIT;
	scoped(free) char *hostname = xasprintf("%s\n", json_str(c->config, "Hostname"));
	if (host_list(c->host_config, "Dns", &dns, e) < 0 ||
		host_list(c->host_config, "DnsSearch", &search, e) < 0 ||
		host_list(c->host_config, "DnsOptions", &options, e) < 0) {
		return -1;
	}
	scoped(free) char *resolv = network_resolv_conf(
		c->set->d.networks, container_uses_dns(c), &dns, &search, &options);
	return write_file(c, "hostname", hostname, e) < 0 ||
			       write_file(c, "resolv.conf", resolv, e) < 0 ||
			       bundle_write_hosts(c, e) < 0
		       ? -1
		       : 0;
}
