/* network_lab.h - a host, an outside and containers made of bare namespaces, for tests of
 * src/network.
 *
 *   outside 192.0.2.2, 2001:db8:2::2 -- 192.0.2.1, 2001:db8:2::1 host (this process) -- bridges --
 *   containers
 * The host has a DNS server of its own at 127.0.0.77 that knows every name as 203.0.113.9.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <uv.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "event/event.h"
#include "network/internal.h"
#include "network/network.h"
#include "store/store.h"
#include "sys/netns.h"
#include "sys/nft.h"
#include "sys/rtnl.h"

#define LAB_SKIP 77
#define PREFIX "wtest0"
#define TABLE_NAME "wherry-" PREFIX
#define UPSTREAM "127.0.0.77"

struct host {
	uv_loop_t loop;
	struct store *store;
	struct event_bus *bus;
	struct network_set *set;
	json_t *settings; /* for open_set, or NULL */
	int outside;      /* namespace */
	pid_t upstream;
	pid_t outside_server;
	struct strv events;
};
extern struct host host;
extern const char id_a[], id_b[], id_c[];

/* In a namespace of our own, as root; 0, or LAB_SKIP. */
int lab_enter(void);
int start_host(void **state);
int stop_host(void **state);
void open_set(void);

/* --- processes in namespaces; their exit status says what happened --- */
typedef int child_fn(const void *arg);
pid_t spawn_in(int netns_fd, child_fn *fn, const void *arg);
int run_in(int netns_fd, child_fn *fn, const void *arg); /* the loop goes on here meanwhile */
void stop(pid_t pid);
enum { CALL_OK, CALL_REFUSED, CALL_SILENCE, CALL_OTHER_SOURCE };
/* Connects by TCP; seen_as: what the server must see as our address, or NULL. Silence is believed
 * after a second: for what is to fail. */
int call_from(int netns_fd, const char *address, uint16_t port, const char *seen_as);
/* The same for what is to succeed, on however slow a machine. */
void lab_must_call(const char *file, int line, int netns_fd, const char *address, uint16_t port,
	const char *seen_as);
#define must_call(...) lab_must_call(__FILE__, __LINE__, __VA_ARGS__)
/* Last byte of the first address; 200 + rcode for failures; 250 no answers; 251 silence; 240 a PTR.
 */
int ask_from(int netns_fd, const char *name, uint16_t type, bool tcp);
struct question {
	const char *name;
	uint16_t type;
	bool tcp;
};
size_t write_question(const struct question *q, uint8_t *out);
socklen_t lab_address(const char *address, uint16_t port, struct sockaddr_storage *ret);

/* --- the kernel --- */
void need(int r);
void set_address(
	int netns_fd, const char *link, const char *address, int prefix_len, const char *gateway);
void count_links(size_t *ret_bridges, size_t *ret_veths);
size_t count_published(void);
void nothing_is_left(void);

/* --- containers --- */
struct box {
	int netns;
	const char *id;
	struct endpoint_info info;
	pid_t server; /* port 80 tells every caller its address */
};
struct network *make_network(const char *text);
void drop_network(struct network *w);
struct box make_box(const char *id);
void drop_box(struct box *b);
int attach(struct box *b, struct network *w, const char *name, const char *ports,
	json_t **ret_ports, struct err *e);
void must_attach(struct box *b, struct network *w, const char *name, const char *ports);
