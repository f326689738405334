#include "buildkit/fsutil.h"
#include "grpc/grpc.h"

static int send_message(void *owner, const void *data, size_t n, bool more, struct err *e)
{
	return more ? grpc_send_more(owner, data, n, e) : grpc_send(owner, data, n, e);
}

static int receive_message(void *owner, struct buf *ret, struct err *e)
{
	return grpc_recv(owner, ret, e);
}

struct fsutil_stream fsutil_over_call(struct grpc_call *borrowed)
{
	return (struct fsutil_stream){send_message, receive_message, borrowed};
}
