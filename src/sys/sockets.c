#include "sys/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/scoped.h"

#define LINE_BYTES 128 /* what is read of one; tcp6 needs 88 */

enum {
	ESTABLISHED = 1,
	SYN_RECV = 3,
	FIN_WAIT1 = 4,
	CLOSE_WAIT = 8,
	LAST_ACK = 9,
	LISTEN = 10,
	CLOSING = 11
};

/* "   0: 0100007F:1F90 00000000:0000 0A ...": local address and port, remote ones, state; in hex.
 * The next line in *line, NULL at the end; false when this one is something else. */
static bool next_socket(const char **line, uint16_t *ret_port, unsigned *ret_state)
{
	char local[48];
	char state[3];
	char text[LINE_BYTES]; /* sscanf measures all of what it is given, and reads on past a line
				*/
	const char *end = strchr(*line, '\n');
	size_t n = end ? (size_t)(end - *line) : strlen(*line);
	snprintf(text, sizeof(text), "%.*s", n < sizeof(text) ? (int)n : LINE_BYTES, *line);
	*line = end ? end + 1 : NULL;
	if (sscanf(text, " %*u: %47s %*s %2s", local, state) != 2) {
		return false;
	}
	const char *colon = strrchr(local, ':');
	*ret_port = colon ? (uint16_t)strtoul(colon + 1, NULL, 16) : 0;
	*ret_state = (unsigned)strtoul(state, NULL, 16);
	return colon != NULL;
}

static bool is_listening(const struct sockets *s, uint16_t port)
{
	for (size_t i = 0; i < s->n_listening; i++) {
		if (s->listening[i] == port) {
			return true;
		}
	}
	return false;
}

void sockets_parse_listening(const char *text, struct sockets *s)
{
	for (const char *line = text; line && *line;) {
		uint16_t port;
		unsigned state;
		if (next_socket(&line, &port, &state) && state == LISTEN &&
			s->n_listening < SOCKETS_LISTENING_MAX && !is_listening(s, port)) {
			s->listening[s->n_listening++] = port;
		}
	}
}

void sockets_parse_open(const char *text, struct sockets *s)
{
	const unsigned open = 1u << ESTABLISHED | 1u << SYN_RECV | 1u << FIN_WAIT1 |
			      1u << CLOSE_WAIT | 1u << LAST_ACK | 1u << CLOSING;
	for (const char *line = text; line && *line;) {
		uint16_t port;
		unsigned state;
		if (next_socket(&line, &port, &state) && state < 32 && (open & 1u << state) &&
			is_listening(s, port)) {
			s->n_open++;
		}
	}
}

static int read_table(pid_t pid, const char *name, struct buf *ret)
{
	char path[64];
	char data[8192];
	snprintf(path, sizeof(path), "/proc/%d/net/%s", (int)pid, name);
	scoped(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	for (ssize_t n; ret->len < SOCKETS_BYTES_MAX && (n = read(fd, data, sizeof(data))) > 0;) {
		buf_append(ret, data, (size_t)n);
	}
	return 0;
}

int sockets_read(pid_t pid, struct sockets *ret)
{
	scoped(buf) struct buf four = BUF_INIT;
	scoped(buf) struct buf six = BUF_INIT;
	int r = read_table(pid, "tcp", &four);
	if (r < 0) {
		return r;
	}
	(void)read_table(pid, "tcp6", &six); /* a kernel without IPv6 */
	*ret = (struct sockets){0};
	sockets_parse_listening(buf_str(&four), ret);
	sockets_parse_listening(buf_str(&six), ret);
	sockets_parse_open(buf_str(&four), ret);
	sockets_parse_open(buf_str(&six), ret);
	return 0;
}
