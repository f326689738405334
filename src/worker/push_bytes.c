#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "tree/recipe.h"
#include "worker/push.h"

#define GZIP_LEVEL 1
#define ZSTD_LEVEL 3

/* The stages, the first one last to be freed. */
enum { TAR, PLAIN_HASH, METER, CHECK, PLAIN_AHEAD, GZIP, GZIP_AHEAD, STAGES };

struct layer_stream {
	struct stream base;
	struct stream check; /* the stage that compares */
	struct stream *stages[STAGES];
	struct push_bytes of;
	int layers_fd;
};

/* A layer whose files were changed must not be pushed under its old name. */
static ssize_t check_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct layer_stream *l = container_of(s, struct layer_stream, check);
	ssize_t got = stream_read(l->stages[METER], data, n, e);
	if (got != 0) {
		return got;
	}
	char now[STREAM_DIGEST_LEN + 1];
	stream_digest_text(l->stages[PLAIN_HASH], now);
	if (strcmp(now, l->of.diff_id) != 0) {
		return err_set(e, ERR_SYSTEM,
			"layer %.19s is damaged: its files are not what was pulled or built",
			l->of.diff_id);
	}
	/* the bar ends full, also of a layer that was too fast to be shown */
	layers_say_bytes(l->of.progress, l->of.id, "Pushing", l->of.bytes, l->of.bytes);
	return 0;
}

static void check_free(struct stream *s)
{
}

static ssize_t layer_read(struct stream *s, void *data, size_t n, struct err *e)
{
	const struct layer_stream *l = container_of(s, struct layer_stream, base);
	return stream_read(l->stages[l->stages[GZIP_AHEAD] ? GZIP_AHEAD : PLAIN_AHEAD], data, n, e);
}

static void layer_free(struct stream *s)
{
	struct layer_stream *l = container_of(s, struct layer_stream, base);
	for (size_t i = STAGES; i > 0; i--) {
		stream_free(l->stages[i - 1]);
	}
	close(l->layers_fd);
	free(l);
}

/* owner outlives the stream, as registry_upload's source does. */
struct stream *push_bytes_open(void *owner, struct err *e)
{
	const struct push_bytes *b = owner;
	scoped(close) int fd = open(b->layers_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		(void)err_sys(e, errno, "cannot open %s", b->layers_dir);
		return NULL;
	}
	struct stream *tar = recipe_open(fd, b->dir, e);
	if (!tar) {
		return NULL;
	}
	struct layer_stream *l = xnew(struct layer_stream);
	l->base = (struct stream){layer_read, layer_free};
	l->check = (struct stream){check_read, check_free};
	l->layers_fd = TAKE_FD(fd);
	l->of = *b;
	l->stages[TAR] = tar;
	l->stages[PLAIN_HASH] = stream_digest_new(tar);
	l->stages[METER] =
		layers_meter_new(l->stages[PLAIN_HASH], b->progress, b->id, "Pushing", b->bytes);
	l->stages[CHECK] = &l->check;
	l->stages[PLAIN_AHEAD] = stream_ahead_new(l->stages[CHECK]);
	if (strcmp(b->compression, "uncompressed") != 0) {
		l->stages[GZIP] = strcmp(b->compression, "zstd") == 0
					  ? stream_zstd_new(l->stages[PLAIN_AHEAD], ZSTD_LEVEL)
					  : stream_gzip_new(l->stages[PLAIN_AHEAD], GZIP_LEVEL);
		l->stages[GZIP_AHEAD] = stream_ahead_new(l->stages[GZIP]);
	}
	return &l->base;
}
