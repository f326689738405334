/* ingress/hosts.h - what a served host has besides its route: a certificate, and a name that is
 * found.
 *
 * Between ingress.h, which knows the hosts, and certs.h and mdns.h, which keep those true.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

typedef struct uv_loop_s uv_loop_t;
struct event_bus;
struct hosts;
struct ingress_settings;
struct job_pool;
struct route_table;

struct hosts_deps {
	uv_loop_t *loop;
	struct job_pool *jobs;
	struct event_bus *bus;
	const char *data_root;    /* copied */
	const char *mdns_program; /* wherry-mdns, or NULL; copied */
	void (*changed)(
		void *owner); /* what hosts_certificate says; never from inside these calls */
	void *owner;
};

struct hosts *hosts_new(const struct hosts_deps *d);
void hosts_free(struct hosts *h); /* after the pool of jobs; NULL is fine */

/* As ingress_parts wants them. All of the table's hosts from now on; NULL: nothing is served.
 * False: their certificates are not all there yet, and changed() follows. */
bool hosts_prepare(void *hosts, const struct ingress_settings *s, const struct route_table *t);
/* nginx serves what was prepared. */
void hosts_served(void *hosts);
/* An ingress_certificate_fn. */
const char *hosts_certificate(void *hosts, const char *host);
/* Into o: certs_json's members, and "Mdns": mdns_json. */
void hosts_show(const void *hosts, json_t *o);
