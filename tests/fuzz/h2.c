/* Whatever a client sends on a new connection, the server ends when the client has gone, and so do
 * its handlers. */
#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "grpc/h2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void echo(struct grpc_call *c, void *owner)
{
	struct err e;
	scoped(buf) struct buf m = BUF_INIT;
	while (grpc_recv(c, &m, &e) > 0) {
		assert(m.len <= GRPC_MESSAGE_MAX);
		grpc_send(c, m.data, m.len, &e);
	}
	grpc_finish(c, GRPC_OK, "");
}

static const struct grpc_method methods[] = {{"/t/Echo", echo}, {0}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fds[2];
	struct err e;
	if (size > 60000 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
		return 0;
	}
	const struct h2_options o = {.server = true, .methods = methods};
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	struct h2 *c = h2_new(fds[0], preface, sizeof(preface) - 1, &o, &e);
	assert(c);
	(void)!send(fds[1], data, size, MSG_NOSIGNAL);
	shutdown(fds[1], SHUT_WR);
	assert(h2_wait_closed(c, -1));
	h2_free(c);
	close(fds[1]);
	return 0;
}
