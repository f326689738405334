/* image_driver WORKER DATA COMMAND... - the image store without the daemon, for
 * tests/integration/image.sh.
 *
 *   pull REFERENCE [REGISTRY_CONFIG_JSON [AUTH_JSON]]   push REFERENCE   load < ARCHIVE
 *   import REFERENCE < TAR   ls   rm NAME   lowerdir NAME
 *
 * Progress goes to stdout as JSON lines; the last line is "ok ID" or
 * "error: ...".
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "event/event.h"
#include "image/image.h"
#include "job/job.h"
#include "store/store.h"

struct driver {
	uv_loop_t loop;
	struct image_store *images;
	struct image_work *work;
	uv_pipe_t in;
	char chunk[65536];
	int status;
};

static void on_progress(void *owner, json_t *msg)
{
	scoped(free) char *text = json_text(msg);
	printf("%s\n", text);
	fflush(stdout);
}

static void say(struct driver *d, const char *id, const struct err *e)
{
	d->status = id ? 0 : 1;
	printf("%s%s\n", id ? "ok " : "error: ", id ? id : e->msg);
}

static void on_done(void *owner, struct image *i, const struct err *e)
{
	struct driver *d = owner;
	d->work = NULL;
	say(d, i ? i->id : NULL, e);
	uv_read_stop((uv_stream_t *)&d->in);
}

static void on_pushed(void *owner, const struct err *e)
{
	say(owner, e ? NULL : "pushed", e);
}

static int push(struct driver *d, const char *name, struct err *e)
{
	static const struct image_push_handlers handlers = {on_progress, on_pushed};
	return image_push(d->images, name, NULL, &handlers, d, e) ? 0 : -1;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	struct driver *d = handle->data;
	*ret = uv_buf_init(d->chunk, sizeof(d->chunk));
}

static void on_input(uv_stream_t *stream, ssize_t n, const uv_buf_t *chunk);

static void on_drained(void *owner)
{
	struct driver *d = owner;
	uv_read_start((uv_stream_t *)&d->in, on_alloc, on_input);
}

static void on_input(uv_stream_t *stream, ssize_t n, const uv_buf_t *chunk)
{
	struct driver *d = stream->data;
	if (!d->work) {
		uv_read_stop(stream);
	} else if (n < 0) {
		uv_read_stop(stream);
		image_work_feed_end(d->work);
	} else if (!image_work_feed(d->work, chunk->base, (size_t)n, on_drained, d)) {
		uv_read_stop(stream);
	}
}

static void feed(struct driver *d)
{
	if (d->work) {
		uv_pipe_open(&d->in, 0);
		uv_read_start((uv_stream_t *)&d->in, on_alloc, on_input);
	}
}

static void list(struct driver *d)
{
	size_t pos = 0;
	struct image *i;
	while ((i = image_next(d->images, &pos))) {
		printf("%s %lld %zu", i->id, (long long)i->size_bytes, i->layers.n);
		for (size_t k = 0; k < i->tags.n; k++) {
			printf(" %s", i->tags.v[k]);
		}
		for (size_t k = 0; k < i->digests.n; k++) {
			printf(" %s", i->digests.v[k]);
		}
		printf("\n");
	}
}

static void lowerdir(struct driver *d, const char *name)
{
	struct err e;
	struct image *i = image_find(d->images, name, &e);
	if (!i) {
		say(d, NULL, &e);
		return;
	}
	scoped(free) char *text = image_lowerdir(d->images, &i->layers);
	printf("%s\n", text);
}

static void remove_image(struct driver *d, const char *name)
{
	struct err e;
	json_t *changes;
	if (image_remove(d->images, name, &(struct image_remove_query){0}, &changes, &e) < 0) {
		say(d, NULL, &e);
		return;
	}
	on_progress(d, changes);
	json_decref(changes);
}

static int run(struct driver *d, int argc, char **argv, struct err *e)
{
	static const struct image_work_handlers handlers = {on_progress, on_done};
	const char *command = argv[3];
	const char *arg = argc > 4 ? argv[4] : "";
	if (strcmp(command, "pull") == 0) {
		json_t *auth = argc > 6 ? json_parse(argv[6], strlen(argv[6]), "the credentials", e)
					: NULL;
		d->work = image_pull(d->images, arg, "", auth, &handlers, d, e);
	} else if (strcmp(command, "load") == 0) {
		static const struct strv own = STRV_INIT;
		d->work = image_load(d->images, &own, &handlers, d, e);
		feed(d);
	} else if (strcmp(command, "import") == 0) {
		struct strv changes = {argc > 5 ? argv + 5 : NULL, argc > 5 ? (size_t)argc - 5 : 0};
		d->work = image_import(d->images, arg, "imported", "", &changes, &handlers, d, e);
		feed(d);
	} else if (strcmp(command, "push") == 0) {
		return push(d, arg, e);
	} else if (strcmp(command, "ls") == 0) {
		list(d);
		return 0;
	} else if (strcmp(command, "lowerdir") == 0) {
		lowerdir(d, arg);
		return 0;
	} else if (strcmp(command, "rm") == 0) {
		remove_image(d, arg);
		return 0;
	} else {
		return err_set(e, ERR_INVALID, "no such command: %s", command);
	}
	return d->work ? 0 : -1;
}

int main(int argc, char **argv)
{
	static struct driver d;
	struct err e;
	if (argc < 4) {
		fprintf(stderr, "usage: image_driver WORKER DATA COMMAND...\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&d.loop);
	uv_pipe_init(&d.loop, &d.in, 0);
	d.in.data = &d;
	path_mkdirs(argv[2], 0700);
	scoped(free) char *db = xasprintf("%s/wherry.db", argv[2]);
	json_t *config =
		argc > 5 && strcmp(argv[3], "pull") == 0
			? json_parse(argv[5], strlen(argv[5]), "the registry configuration", &e)
			: NULL;
	struct store *store = store_open(db, &e);
	struct event_bus *bus = event_bus_new();
	struct job_pool *jobs = job_pool_new(&d.loop, argv[1]);
	d.images = store ? image_store_new(&d.loop, store, jobs, bus, argv[2], config, &e) : NULL;
	if (!d.images || run(&d, argc, argv, &e) < 0) {
		say(&d, NULL, &e);
	}
	uv_run(&d.loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&d.in, NULL);
	job_pool_free(jobs);
	image_store_free(d.images);
	event_bus_free(bus);
	store_close(store);
	uv_run(&d.loop, UV_RUN_DEFAULT);
	return d.status;
}
