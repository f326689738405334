#include "worker/port_owner.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/ip.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"

#define TABLE_MAX (8u << 20)
#define LINE_BYTES 256
#define NAME_MAX_BYTES 64
#define TCP_LISTEN "0A"
#define UDP_BOUND "07"

/* --- can it be had? --- */

bool port_can_be_had(const json_t *port)
{
	const int one = 1;
	struct ip ip;
	struct sockaddr_storage a;
	bool udp = json_bool(port, "udp");
	if (ip_parse(json_str(port, "address"), &ip) < 0) {
		return true;
	}
	socklen_t n = ip_to_sockaddr(ip, (uint16_t)json_i64(port, "port", 0), &a);
	int type = (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC;
	scoped(close) int fd = socket(a.ss_family, type, 0);
	if (fd < 0) {
		return true; /* no IPv6 here */
	}
	if (!udp) { /* as nginx: connections of before do not count */
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	}
	if (a.ss_family == AF_INET6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	}
	return bind(fd, (struct sockaddr *)&a, n) == 0 || errno != EADDRINUSE;
}

/* --- who has it? --- */

/* Sockets that listen on the port at whichever address, as "socket:[INODE]". */
static void add_sockets(const char *table, const json_t *port, struct strv *ret)
{
	char text[LINE_BYTES];
	unsigned wanted = (unsigned)json_i64(port, "port", 0);
	const char *state_wanted = json_bool(port, "udp") ? UDP_BOUND : TCP_LISTEN;
	for (const char *line = table; line && *line;) {
		char local[64];
		char state[3];
		char inode[24];
		const char *end = strchr(line, '\n');
		size_t n = end ? (size_t)(end - line) : strlen(line);
		snprintf(text, sizeof(text), "%.*s", n < sizeof(text) ? (int)n : (int)sizeof(text),
			line);
		line = end ? end + 1 : NULL;
		if (sscanf(text, " %*u: %63s %*s %2s %*s %*s %*s %*s %*s %23[0-9]", local, state,
			    inode) != 3) {
			continue;
		}
		const char *colon = strrchr(local, ':');
		if (colon && strtoul(colon + 1, NULL, 16) == wanted &&
			strcmp(state, state_wanted) == 0) {
			strv_addf(ret, "socket:[%s]", inode);
		}
	}
}

static void listening_sockets(const json_t *port, struct strv *ret)
{
	static const char *const tables[] = {"tcp", "tcp6", "udp", "udp6"};
	size_t first = json_bool(port, "udp") ? 2 : 0;
	for (size_t i = first; i < first + 2; i++) {
		scoped(free) char *path = xasprintf("/proc/self/net/%s", tables[i]);
		scoped(buf) struct buf text = BUF_INIT;
		if (path_read(AT_FDCWD, path, TABLE_MAX, &text) == 0) {
			add_sockets(buf_str(&text), port, ret);
		}
	}
}

static bool holds_one(const char *pid, const struct strv *sockets)
{
	char target[64];
	scoped(free) char *path = xasprintf("/proc/%s/fd", pid);
	scoped(closedir) DIR *dir = opendir(path);
	for (struct dirent *d; dir && (d = readdir(dir));) {
		ssize_t n = readlinkat(dirfd(dir), d->d_name, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		if (n > 0 && strv_has(sockets, target)) {
			return true;
		}
	}
	return false;
}

static char *name_process(const char *pid)
{
	scoped(buf) struct buf name = BUF_INIT;
	scoped(free) char *path = xasprintf("/proc/%s/comm", pid);
	if (path_read(AT_FDCWD, path, NAME_MAX_BYTES, &name) < 0 || name.len == 0) {
		return xasprintf("the process %s", pid);
	}
	for (size_t i = 0; i < name.len; i++) { /* a process names itself as it likes */
		name.data[i] = (char)(isprint((unsigned char)name.data[i]) ? name.data[i] : ' ');
	}
	return xasprintf("%.*s (pid %s)", (int)strcspn(buf_str(&name), " "), buf_str(&name), pid);
}

bool port_find_owner(const json_t *port, pid_t master, char **ret)
{
	scoped(strv) struct strv sockets = STRV_INIT;
	scoped(free) char *own = xasprintf("%d", (int)master);
	*ret = NULL;
	listening_sockets(port, &sockets);
	if (sockets.n == 0) {
		return false;
	}
	if (master > 0 && holds_one(own, &sockets)) {
		return true;
	}
	scoped(closedir) DIR *dir = opendir("/proc");
	for (struct dirent *d; dir && !*ret && (d = readdir(dir));) {
		if (isdigit((unsigned char)d->d_name[0]) && holds_one(d->d_name, &sockets)) {
			*ret = name_process(d->d_name);
		}
	}
	return false;
}
