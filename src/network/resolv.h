/* network/resolv.h - the host's resolv.conf: which servers, search domains and options it names.
 *
 * resolv.conf(5). A file that is absent or unreadable names nothing.
 */
#pragma once
#include <stdbool.h>
#include <sys/stat.h>

#include "base/strv.h"

#define RESOLV_BYTES_MAX 65536
#define RESOLV_SERVERS_MAX 8

struct resolv {
	struct strv servers; /* as written: IPv4 or IPv6 addresses, perhaps with %scope */
	struct strv search;
	struct strv options;
};
void resolv_deinit(struct resolv *r);
static inline void scoped_resolv(struct resolv *r)
{
	resolv_deinit(r);
}

void resolv_parse(const char *text, struct resolv *ret); /* *ret is empty before */
bool resolv_is_loopback(const char *server);             /* 127.0.0.0/8 and ::1 */

/* A file followed live: resolv_follow_refresh reads it again when it changed. */
struct resolv_follow {
	const char *path;
	struct timespec mtime;
	ino_t inode;
	off_t size;
	struct resolv now;
};
void resolv_follow_refresh(struct resolv_follow *f);
void resolv_follow_deinit(struct resolv_follow *f);
/* What containers without the embedded server get: behind systemd-resolved its upstreams, not its
 * stub. */
void resolv_read_host(struct resolv *ret);
