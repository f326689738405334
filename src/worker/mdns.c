/* wherry-mdns mdns - names of the local network in avahi-daemon's hands, for the daemon
 * (job/job.h).
 *
 * A program of its own, because libavahi-client brings libdbus and libsystemd with it, which would
 * cost each job of wherry-worker milliseconds. The request and each message after it is what should
 * be:
 *   {"hosts": ["app.box.local"], "addresses": [{"address", "index"}]}
 * and it says {"state": "running" | "missing", "error"} of avahi-daemon, and of a host {"host",
 * "state": "published" | "collision" | "failed", "error"}, whenever that changes. It ends with the
 * daemon.
 *
 * avahi's thread runs the callbacks; this one reads the daemon's messages and holds avahi's lock
 * while it changes anything. After a restart of avahi-daemon everything is published again.
 */
#include <avahi-client/client.h>
#include <avahi-client/publish.h>
#include <avahi-common/address.h>
#include <avahi-common/domain.h>
#include <avahi-common/error.h>
#include <avahi-common/thread-watch.h>
#include <avahi-common/timeval.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/oom.h"
#include "worker/rpc.h"

#define RPC_FD 3
#define HOSTS_MAX 512      /* avahi-daemon.conf objects-per-client-max is 1024 */
#define ADDRESSES_MAX 24   /* entries-per-entry-group-max is 32 */
#define RETRY_MS 5000      /* until there is a bus, or an avahi-daemon on it */
#define COLLISION_MS 60000 /* until another machine's name is asked for again */

struct name {
	char *host;
	AvahiEntryGroup *group; /* NULL: not with avahi */
	const char *told;       /* the last state */
	struct mdns *mdns;
};

struct mdns {
	struct rpc *rpc;
	AvahiThreadedPoll *thread;
	const AvahiPoll *poll;
	AvahiClient *client;
	AvahiTimeout *retry;    /* of the client */
	AvahiTimeout *collided; /* of names */
	struct name *names[HOSTS_MAX];
	size_t n;
	json_t *addresses;
	const char *told;
};

static void tell(
	struct mdns *m, const char **told, const char *host, const char *state, const char *error)
{
	if (*told && strcmp(*told, state) == 0) {
		return;
	}
	*told = state;
	json_t *msg = json_object();
	if (host) {
		json_put_str(msg, "host", host);
	}
	json_put_str(msg, "state", state);
	json_put_str(msg, "error", error);
	rpc_send(m->rpc, msg);
}

static void arm(struct mdns *m, AvahiTimeout *t, unsigned ms)
{
	struct timeval when;
	avahi_elapse_time(&when, ms, 0);
	m->poll->timeout_update(t, &when);
}

/* --- names --- */

static void withdraw(struct name *n)
{
	if (n->group) {
		avahi_entry_group_free(n->group);
	}
	n->group = NULL;
}

static void on_group(AvahiEntryGroup *g, AvahiEntryGroupState state, void *owner)
{
	struct name *n = owner;
	if (state == AVAHI_ENTRY_GROUP_ESTABLISHED) {
		tell(n->mdns, &n->told, n->host, "published", "");
	} else if (state == AVAHI_ENTRY_GROUP_COLLISION) {
		tell(n->mdns, &n->told, n->host, "collision",
			"another machine of this network has that name");
		arm(n->mdns, n->mdns->collided, COLLISION_MS);
	} else if (state == AVAHI_ENTRY_GROUP_FAILURE) {
		tell(n->mdns, &n->told, n->host, "failed",
			avahi_strerror(avahi_client_errno(n->mdns->client)));
	}
}

/* The name of an address stays the machine's own: no reverse records. */
static int add_addresses(const struct mdns *m, const struct name *n)
{
	size_t i;
	json_t *item;
	int added = 0;
	json_array_foreach (m->addresses, i, item) {
		AvahiAddress a;
		if (added < ADDRESSES_MAX &&
			avahi_address_parse(json_str(item, "address"), AVAHI_PROTO_UNSPEC, &a)) {
			int r = avahi_entry_group_add_address(n->group,
				(AvahiIfIndex)json_i64(item, "index", AVAHI_IF_UNSPEC),
				AVAHI_PROTO_UNSPEC, AVAHI_PUBLISH_NO_REVERSE, n->host, &a);
			if (r < 0) {
				return r;
			}
			added++;
		}
	}
	return added;
}

/* avahi-daemon publishes the machine's own name itself. */
static bool is_machine(const struct mdns *m, const char *host)
{
	const char *own = avahi_client_get_host_name_fqdn(m->client);
	return own && avahi_domain_equal(own, host);
}

static void publish(struct mdns *m, struct name *n)
{
	withdraw(n);
	if (is_machine(m, n->host)) {
		tell(m, &n->told, n->host, "published", "");
		return;
	}
	n->group = avahi_entry_group_new(m->client, on_group, n);
	int r = n->group ? add_addresses(m, n) : avahi_client_errno(m->client);
	if (r > 0) {
		r = avahi_entry_group_commit(n->group);
	}
	if (r == AVAHI_ERR_COLLISION) {
		on_group(n->group, AVAHI_ENTRY_GROUP_COLLISION, n);
	} else if (r < 0) {
		tell(m, &n->told, n->host, "failed", avahi_strerror(r));
	}
}

static bool is_running(const struct mdns *m)
{
	return m->client && avahi_client_get_state(m->client) == AVAHI_CLIENT_S_RUNNING;
}

static void publish_all(struct mdns *m)
{
	for (size_t i = 0; i < m->n; i++) {
		publish(m, m->names[i]);
	}
}

static void withdraw_all(struct mdns *m)
{
	for (size_t i = 0; i < m->n; i++) {
		withdraw(m->names[i]);
		m->names[i]->told = NULL;
	}
}

static void on_collided(AvahiTimeout *t, void *owner)
{
	struct mdns *m = owner;
	for (size_t i = 0; i < m->n && is_running(m); i++) {
		if (m->names[i]->told && strcmp(m->names[i]->told, "collision") == 0) {
			publish(m, m->names[i]);
		}
	}
}

/* --- avahi-daemon --- */

static void tell_missing(struct mdns *m)
{
	tell(m, &m->told, NULL, "missing",
		"avahi-daemon does not run: no name is published (apt-get install avahi-daemon)");
}

static void on_client(AvahiClient *c, AvahiClientState state, void *owner)
{
	struct mdns *m = owner;
	m->client = c;
	switch (state) {
	case AVAHI_CLIENT_S_RUNNING:
		tell(m, &m->told, NULL, "running", "");
		publish_all(m);
		break;
	case AVAHI_CLIENT_S_COLLISION:
	case AVAHI_CLIENT_S_REGISTERING: /* its own name changes: ours come after it */
		withdraw_all(m);
		break;
	case AVAHI_CLIENT_CONNECTING:
		withdraw_all(m);
		tell_missing(m);
		break;
	case AVAHI_CLIENT_FAILURE: /* the bus is gone; the client cannot be freed in here */
		withdraw_all(m);
		tell_missing(m);
		arm(m, m->retry, RETRY_MS);
		break;
	}
}

static void connect_avahi(struct mdns *m)
{
	int error;
	if (m->client) {
		withdraw_all(m);
		avahi_client_free(m->client);
	}
	m->client = avahi_client_new(m->poll, AVAHI_CLIENT_NO_FAIL, on_client, m, &error);
	if (!m->client) {
		tell_missing(m);
		arm(m, m->retry, RETRY_MS);
	}
}

static void on_retry(AvahiTimeout *t, void *owner)
{
	connect_avahi(owner);
}

/* --- what the daemon wants --- */

static void drop(struct mdns *m, size_t i)
{
	withdraw(m->names[i]);
	free(m->names[i]->host);
	free(m->names[i]);
	m->names[i] = m->names[--m->n];
}

static bool list_has(const json_t *list, const char *host)
{
	size_t i;
	json_t *item;
	json_array_foreach (list, i, item) {
		if (json_is_string(item) && strcmp(json_string_value(item), host) == 0) {
			return true;
		}
	}
	return false;
}

static bool has_name(const struct mdns *m, const char *host)
{
	for (size_t i = 0; i < m->n; i++) {
		if (strcmp(m->names[i]->host, host) == 0) {
			return true;
		}
	}
	return false;
}

static void add(struct mdns *m, const char *host)
{
	if (m->n < HOSTS_MAX && !has_name(m, host)) {
		struct name *n = xnew(struct name);
		n->host = xstrdup(host);
		n->mdns = m;
		m->names[m->n++] = n;
		if (is_running(m)) {
			publish(m, n);
		}
	}
}

static void want(struct mdns *m, const json_t *wish)
{
	const json_t *hosts = json_object_get(wish, "hosts");
	json_t *addresses = json_object_get(wish, "addresses");
	bool moved = !json_equal(addresses, m->addresses);
	size_t i;
	json_t *item;
	json_decref(m->addresses);
	m->addresses = json_incref(addresses);
	for (size_t k = m->n; k-- > 0;) {
		if (!list_has(hosts, m->names[k]->host)) {
			drop(m, k);
		}
	}
	if (moved && is_running(m)) {
		publish_all(m);
	}
	json_array_foreach (hosts, i, item) {
		if (json_is_string(item)) {
			add(m, json_string_value(item));
		}
	}
}

/* Never returns: without a daemon rpc ends the process. */
static void serve(struct mdns *m, struct err *e)
{
	json_t *wish = rpc_request(m->rpc, e);
	while (wish) {
		avahi_threaded_poll_lock(m->thread);
		want(m, wish);
		avahi_threaded_poll_unlock(m->thread);
		json_decref(wish);
		wish = rpc_next(m->rpc, e);
	}
}

int main(int argc, char **argv)
{
	if (argc != 2 || strcmp(argv[1], "mdns") != 0 || fcntl(RPC_FD, F_SETFD, FD_CLOEXEC) < 0) {
		fprintf(stderr,
			"wherry-mdns publishes names for wherryd; it is not meant to be run by hand\n");
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	oom_drop_protection();
	static struct mdns m;
	struct err e = {0};
	m.rpc = rpc_new(RPC_FD);
	m.thread = avahi_threaded_poll_new();
	if (!m.thread) {
		(void)err_set(&e, ERR_SYSTEM, "cannot start avahi's thread");
		rpc_error(m.rpc, &e);
		return 1;
	}
	const struct timeval never = {0};
	m.poll = avahi_threaded_poll_get(m.thread);
	m.retry = m.poll->timeout_new(m.poll, &never, on_retry, &m); /* at once: connects */
	m.collided = m.poll->timeout_new(m.poll, NULL, on_collided, &m);
	avahi_threaded_poll_start(m.thread);
	serve(&m, &e);
	rpc_error(m.rpc, &e);
	return 1;
}
