#include "ingress/hosts.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "ingress/certs.h"
#include "ingress/mdns.h"
#include "ingress/settings.h"
#include "ingress/table.h"

struct hosts {
	struct certs *certs;
	struct mdns *mdns;
};

struct hosts *hosts_new(const struct hosts_deps *d)
{
	const struct certs_deps certs = {.loop = d->loop,
		.jobs = d->jobs,
		.bus = d->bus,
		.data_root = d->data_root,
		.changed = d->changed,
		.owner = d->owner};
	struct hosts *h = xnew(struct hosts);
	h->certs = certs_new(&certs);
	h->mdns = mdns_new(d->loop, d->mdns_program, d->bus);
	return h;
}

void hosts_free(struct hosts *h)
{
	if (h) {
		certs_free(h->certs);
		mdns_free(h->mdns);
		free(h);
	}
}

static void add(struct strv *list, const char *host)
{
	if (host && !strv_has(list, host)) {
		strv_add(list, host);
	}
}

/* Those whose TLS ends here. */
static void certified(const struct route_table *t, struct strv *ret)
{
	for (size_t i = 0; i < t->n_hosts; i++) {
		add(ret, t->hosts[i]->passthrough ? NULL : t->hosts[i]->name);
	}
	for (size_t i = 0; i < t->n_streams; i++) {
		bool ends = t->streams[i]->stream->tls == ROUTE_TLS_TERMINATE;
		add(ret, ends ? t->streams[i]->host : NULL);
	}
}

/* Those that are looked up: also where the container has the certificate, and the device's own
 * name. */
static void named(const struct ingress_settings *s, const struct route_table *t, struct strv *ret)
{
	scoped(free) char *device = xasprintf("%s.local", s->name);
	add(ret, device);
	for (size_t i = 0; i < t->n_hosts; i++) {
		add(ret, t->hosts[i]->name);
	}
	for (size_t i = 0; i < t->n_streams; i++) {
		add(ret, t->streams[i]->host);
	}
}

bool hosts_prepare(void *hosts, const struct ingress_settings *s, const struct route_table *t)
{
	struct hosts *h = hosts;
	scoped(strv) struct strv with_cert = STRV_INIT;
	scoped(strv) struct strv with_name = STRV_INIT;
	if (t && s->mdns) {
		named(s, t, &with_name);
	}
	mdns_want(h->mdns, &with_name, &s->addresses);
	if (!t) {
		certs_rest(h->certs);
		return true;
	}
	certified(t, &with_cert);
	return certs_want(h->certs, s, &with_cert);
}

void hosts_served(void *hosts)
{
	const struct hosts *h = hosts;
	certs_served(h->certs);
}

const char *hosts_certificate(void *hosts, const char *host)
{
	const struct hosts *h = hosts;
	return certs_stem(h->certs, host);
}

void hosts_show(const void *hosts, json_t *o)
{
	const struct hosts *h = hosts;
	scoped(json) json_t *certs = certs_json(h->certs);
	json_object_update(o, certs);
	json_put(o, "Mdns", mdns_json(h->mdns));
}
