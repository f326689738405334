/* sys/sockets.h - the TCP sockets of a network namespace: what listens, and how many connections
 * may still carry something. proc(5) /proc/PID/net/tcp; states: Linux include/net/tcp_states.h.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SOCKETS_LISTENING_MAX 64

struct sockets {
	uint16_t listening[SOCKETS_LISTENING_MAX]; /* ports, each once */
	size_t n_listening;
	/* to a listening port, with bytes that may be on their way: not those that wait for the
	 * other side's end, or for late segments, alone */
	size_t n_open;
};

/* Adds what a text of /proc/PID/net/tcp or tcp6 says. Two passes over both texts: first for what
 * listens, then for the connections. */
void sockets_parse_listening(const char *text, struct sockets *s);
void sockets_parse_open(const char *text, struct sockets *s);
/* 0, or -errno: -ENOENT when the process is gone. Reads at most SOCKETS_BYTES_MAX of each file. */
#define SOCKETS_BYTES_MAX (256u << 10)
int sockets_read(pid_t pid, struct sockets *ret);
