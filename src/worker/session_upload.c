/* A context that the client has on its stdin: moby.upload.v1.Upload/Pull on its session, as a pipe.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "session.pb-c.h"
#include "worker/session.h"

struct upload {
	struct grpc_call *call;
	int fd; /* the pipe's end that is written */
};

/* A call that fails cuts the archive short, which its reader says. */
static void *pump(void *arg)
{
	struct upload *u = arg;
	struct err e;
	sigset_t pipe_signal;
	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL); /* the archive may end before its bytes */
	scoped(buf) struct buf m = BUF_INIT;
	bool open = true;
	while (open && grpc_recv(u->call, &m, &e) > 0) {
		Buildkit__BytesMessage *piece =
			buildkit__bytes_message__unpack(NULL, m.len, (uint8_t *)buf_str(&m));
		open = piece && path_write_all(u->fd, piece->data.data, piece->data.len) == 0;
		buildkit__bytes_message__free_unpacked(piece, NULL);
	}
	close(u->fd);
	grpc_call_free(u->call);
	free(u);
	return NULL;
}

int session_upload_open(const struct build *b, const char *path, struct err *e)
{
	int fds[2];
	pthread_t thread;
	scoped(strv) struct strv metadata = STRV_INIT;
	strv_add(&metadata, "urlpath");
	strv_add(&metadata, path);
	struct grpc_call *call = session_call(b, "/moby.upload.v1.Upload/Pull", &metadata, e);
	if (!call) {
		return -1;
	}
	if (pipe2(fds, O_CLOEXEC) < 0) {
		grpc_call_free(call);
		return err_sys(e, errno, "cannot read the context");
	}
	struct upload *u = xnew(struct upload);
	u->call = call;
	u->fd = fds[1];
	if (pthread_create(&thread, NULL, pump, u) != 0) {
		close(fds[0]);
		close(fds[1]);
		grpc_call_free(call);
		free(u);
		return err_sys(e, EAGAIN, "cannot read the context");
	}
	pthread_detach(thread);
	return fds[0];
}
