/* Job "layer-tar": a layer's plain tar, re-created from its recipe, to fd 1.
 *
 * request {"layers": absolute directory, "dir": the layer's below it, "rate": bytes a second}
 * result  {}
 * Nobody is told before the end that the layer is damaged: the reader checks the digest. */
#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "tree/recipe.h"
#include "tree/stream.h"
#include "worker/jobs.h"

/* Sleeps until as much time has passed as the bytes may take. */
static void keep_pace(int64_t begin_ms, int64_t bytes, int64_t rate)
{
	int64_t ahead = rate > 0 ? bytes * 1000 / rate - (clock_mono_ms() - begin_ms) : 0;
	if (ahead > 0) {
		struct timespec t = {ahead / 1000, ahead % 1000 * 1000000};
		nanosleep(&t, NULL);
	}
}

json_t *worker_layer_tar(struct rpc *r, const json_t *request, struct err *e)
{
	const char *layers = json_str(request, "layers");
	const int64_t rate = json_i64(request, "rate", 0), begin_ms = clock_mono_ms();
	scoped(close) int fd = open(layers, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		(void)err_sys(e, errno, "cannot open %s", layers);
		return NULL;
	}
	scoped(stream_free) struct stream *tar = recipe_open(fd, json_str(request, "dir"), e);
	scoped(free) char *chunk = xnew_array(char, STREAM_CHUNK);
	int64_t sent = 0;
	ssize_t n = -1;
	while (tar && (n = stream_read(tar, chunk, STREAM_CHUNK, e)) > 0) {
		int failed = path_write_all(STDOUT_FILENO, chunk, (size_t)n);
		if (failed < 0) {
			(void)err_sys(e, -failed, "cannot write");
			return NULL;
		}
		sent += n;
		keep_pace(begin_ms, sent, rate);
	}
	return n < 0 ? NULL : json_object();
}
