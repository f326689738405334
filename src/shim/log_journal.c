/* Lines to journald by its native protocol: one datagram for each, "FIELD=value\n" lines. A value
 * here never holds a newline, so the binary form is not needed. Fields as dockerd's journald
 * driver. https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
 */
#include "shim/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define SEND_BYTES (8 << 20)

struct part {
	char id[65]; /* of the long line that is being said in parts; "" when there is none */
	int ordinal;
};

struct journal {
	int fd;
	const char *extra; /* CONTAINER_ID=... and what else is the same for every line */
	size_t extra_n;
	char epoch[65];
	unsigned long long ordinal;
	struct part parts[2];
};

static void random_id(char ret[static 65])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char bytes[32] = {0};
	if (getrandom(bytes, sizeof(bytes), 0) < 0) {
		bytes[0] = (unsigned char)getpid();
	}
	for (size_t i = 0; i < sizeof(bytes); i++) {
		ret[2 * i] = hex[bytes[i] >> 4];
		ret[2 * i + 1] = hex[bytes[i] & 15];
	}
	ret[64] = '\0';
}

struct journal *journal_open(const char *extra, size_t extra_n)
{
	int size = SEND_BYTES;
	struct journal *j = calloc(1, sizeof(*j));
	if (!j) {
		return NULL;
	}
	j->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (j->fd < 0) {
		free(j);
		return NULL;
	}
	if (setsockopt(j->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0) {
		setsockopt(j->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	}
	j->extra = extra;
	j->extra_n = extra_n;
	random_id(j->epoch);
	return j;
}

static int put_time(char *text, size_t n)
{
	struct timespec now;
	struct tm tm;
	char seconds[32];
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &tm);
	return snprintf(text, n, "SYSLOG_TIMESTAMP=%s.%09ldZ\n", seconds, now.tv_nsec);
}

/* The fields of a line that was too long for one: which, and where in it. */
static int put_part(struct part *p, bool more, char *text, size_t n)
{
	if (!p->id[0]) {
		random_id(p->id);
		p->ordinal = 0;
	}
	int len = snprintf(text, n,
		"CONTAINER_PARTIAL_ID=%s\nCONTAINER_PARTIAL_ORDINAL=%d\nCONTAINER_PARTIAL_LAST=%s\n%s",
		p->id, ++p->ordinal, more ? "false" : "true",
		more ? "CONTAINER_PARTIAL_MESSAGE=true\n" : "");
	if (!more) {
		p->id[0] = '\0';
	}
	return len;
}

void journal_send(struct journal *j, int stream, const char *text, size_t n, bool part)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET};
	struct part *p = &j->parts[stream - 1];
	char head[640];
	int len = snprintf(head, sizeof(head),
		"PRIORITY=%d\nCONTAINER_LOG_EPOCH=%s\nCONTAINER_LOG_ORDINAL=%llu\n",
		stream == 1 ? 6 : 3, j->epoch, ++j->ordinal);
	len += put_time(head + len, sizeof(head) - (size_t)len);
	if (part || p->id[0]) {
		len += put_part(p, part, head + len, sizeof(head) - (size_t)len);
	}
	struct iovec v[] = {{(char *)"MESSAGE=", 8}, {(char *)text, n}, {(char *)"\n", 1},
		{head, (size_t)len}, {(char *)j->extra, j->extra_n}};
	struct msghdr m = {.msg_name = &to,
		.msg_namelen = sizeof(to),
		.msg_iov = v,
		.msg_iovlen = sizeof(v) / sizeof(*v)};
	/* a journald that is down loses the line: the container goes on */
	while (sendmsg(j->fd, &m, MSG_NOSIGNAL) < 0 && errno == EINTR) {
	}
}

void journal_free(struct journal *j)
{
	if (j) {
		close(j->fd);
		free(j);
	}
}
