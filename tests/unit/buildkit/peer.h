/* A stream of messages for tests: a length and a message, over a socket; owner is its fd. */
#pragma once
#include <stdint.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/err.h"

static inline int peer_put(void *owner, const void *data, size_t n, bool more, struct err *e)
{
	uint32_t length = (uint32_t)n;
	int fd = *(int *)owner;
	if (send(fd, &length, sizeof(length), MSG_NOSIGNAL) != (ssize_t)sizeof(length) ||
		(n && send(fd, data, n, MSG_NOSIGNAL) != (ssize_t)n)) {
		return err_set(e, ERR_SYSTEM, "the stream has ended");
	}
	return 0;
}

static inline int peer_get(void *owner, struct buf *ret, struct err *e)
{
	uint32_t length;
	int fd = *(int *)owner;
	if (recv(fd, &length, sizeof(length), MSG_WAITALL) != (ssize_t)sizeof(length)) {
		return 0;
	}
	buf_clear(ret);
	if (length && recv(fd, buf_room(ret, length), length, MSG_WAITALL) != (ssize_t)length) {
		return err_set(e, ERR_SYSTEM, "the stream was cut off");
	}
	buf_added(ret, length);
	return 1;
}
