#include "buildkit/fsutil.h"
#include "grpc/grpc.h"

static int send_message(void *owner, const void *data, size_t n, struct err *e)
{
	return grpc_send(owner, data, n, e);
}

static int receive_message(void *owner, struct buf *ret, struct err *e)
{
	return grpc_recv(owner, ret, e);
}

struct fsutil_stream fsutil_over_call(struct grpc_call *borrowed)
{
	return (struct fsutil_stream){send_message, receive_message, borrowed};
}
