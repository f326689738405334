/* The stage of stream.h that lets what is before it work in a thread of its own.
 *
 * Invariant: 0 <= end - begin <= AHEAD_BYTES; positions only grow, their places in data are modulo
 * its size. The thread writes data between end and begin + size, the reader reads the rest; both
 * move their position under the lock. */
#include <pthread.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "tree/stream.h"

#define AHEAD_BYTES (4 * STREAM_CHUNK)

struct ahead_stream {
	struct stream base;
	struct stream *inner;
	pthread_t thread;
	bool started; /* else it reads as it is asked: there was no thread to be had */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t begin, end;
	bool over, stop;
	int result; /* of the inner stream when it is over: 0, or -1 with error */
	struct err error;
	char data[AHEAD_BYTES];
};

static void *work(void *owner)
{
	struct ahead_stream *a = owner;
	pthread_mutex_lock(&a->lock);
	while (!a->over && !a->stop) {
		if (a->end - a->begin == AHEAD_BYTES) {
			pthread_cond_wait(&a->changed, &a->lock);
			continue;
		}
		size_t at = a->end % AHEAD_BYTES;
		size_t room = AHEAD_BYTES - (a->end - a->begin);
		room = room < AHEAD_BYTES - at ? room : AHEAD_BYTES - at;
		room = room < STREAM_CHUNK ? room : STREAM_CHUNK;
		pthread_mutex_unlock(&a->lock);
		struct err e;
		ssize_t got = stream_read(a->inner, a->data + at, room, &e);
		pthread_mutex_lock(&a->lock);
		if (got > 0) {
			a->end += (size_t)got;
		} else {
			a->over = true;
			a->result = (int)got;
			a->error = got < 0 ? e : a->error;
		}
		pthread_cond_broadcast(&a->changed);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

static ssize_t take(struct ahead_stream *a, void *data, size_t n, struct err *e)
{
	pthread_mutex_lock(&a->lock);
	while (a->begin == a->end && !a->over) {
		pthread_cond_wait(&a->changed, &a->lock);
	}
	size_t there = a->end - a->begin;
	size_t at = a->begin % AHEAD_BYTES;
	there = there < AHEAD_BYTES - at ? there : AHEAD_BYTES - at;
	n = n < there ? n : there;
	ssize_t result = n > 0 ? (ssize_t)n : a->result;
	if (result < 0) {
		*e = a->error;
	}
	pthread_mutex_unlock(&a->lock);
	if (n > 0) {
		memcpy(data, a->data + at, n);
		pthread_mutex_lock(&a->lock);
		a->begin += n;
		pthread_cond_broadcast(&a->changed);
		pthread_mutex_unlock(&a->lock);
	}
	return result;
}

static ssize_t ahead_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct ahead_stream *a = container_of(s, struct ahead_stream, base);
	return a->started ? take(a, data, n, e) : stream_read(a->inner, data, n, e);
}

static void ahead_free(struct stream *s)
{
	struct ahead_stream *a = container_of(s, struct ahead_stream, base);
	if (a->started) {
		pthread_mutex_lock(&a->lock);
		a->stop = true;
		pthread_cond_broadcast(&a->changed);
		pthread_mutex_unlock(&a->lock);
		pthread_join(a->thread, NULL);
	}
	pthread_mutex_destroy(&a->lock);
	pthread_cond_destroy(&a->changed);
	free(a);
}

struct stream *stream_ahead_new(struct stream *inner)
{
	struct ahead_stream *a = xnew(struct ahead_stream);
	a->base = (struct stream){ahead_read, ahead_free};
	a->inner = inner;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->changed, NULL);
	a->started = pthread_create(&a->thread, NULL, work, a) == 0;
	return &a->base;
}
