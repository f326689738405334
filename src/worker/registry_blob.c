/* One blob as a stream: libcurl's multi interface, driven by whoever reads, so that nothing is
 * fetched that nobody has room for. */
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "codec/registry_text.h"
#include "worker/registry_http.h"
#include "tree/stream.h"

#define PAUSE_MAX_MS 5000L
#define STOP_POLL_MS 200
#define GZIP_SIZE_BYTES 4

struct blob {
	struct stream base;
	struct registry *registry;
	char digest[REF_DIGEST_LEN + 1];
	int64_t size;
	int64_t received;        /* of the blob, over all connections and before them */
	int64_t skip;            /* bytes that come again because the server ignores ranges */
	bool no_range;           /* the server misunderstands them: everything comes again */
	const atomic_bool *stop; /* borrowed, or NULL */
	CURLM *multi;
	CURL *easy; /* NULL between connections */
	struct curl_slist *headers;
	char *authorization;
	struct reply reply;
	CURLcode code;
	int tries, logins, busy;
	bool over, paused, checked;
	bool wrong_range; /* the bytes that come are not the ones that were asked for */
	char data[STREAM_CHUNK];
	size_t begin, end;
};

/* Looks at the status once, before the first byte counts. */
static bool body_wanted(struct blob *b)
{
	if (!b->checked) {
		b->checked = true;
		curl_easy_getinfo(b->easy, CURLINFO_RESPONSE_CODE, &b->reply.status);
		b->skip = b->reply.status == 200 ? b->received : 0;
		int64_t begin;
		b->wrong_range = b->reply.status == 206 &&
				 (!registry_content_range(b->reply.content_range, &begin) ||
					 begin != b->received);
	}
	return (b->reply.status == 200 || b->reply.status == 206) && !b->wrong_range;
}

static size_t on_blob(char *data, size_t size, size_t n, void *owner)
{
	struct blob *b = owner;
	if (!body_wanted(b)) {
		return n; /* an error page */
	}
	if (b->begin == b->end) {
		b->begin = b->end = 0;
	}
	if (n > sizeof(b->data) - b->end) {
		b->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	b->logins = 0; /* what was refused once may be refused again, much later */
	size_t skipped = b->skip < (int64_t)n ? (size_t)b->skip : n;
	b->skip -= (int64_t)skipped;
	memcpy(b->data + b->end, data + skipped, n - skipped);
	b->end += n - skipped;
	b->received += (int64_t)(n - skipped);
	return n;
}

static void disconnect(struct blob *b)
{
	if (b->easy) {
		curl_multi_remove_handle(b->multi, b->easy);
		curl_easy_cleanup(b->easy);
	}
	b->easy = NULL;
	curl_slist_free_all(b->headers);
	b->headers = NULL;
	free(b->authorization);
	b->authorization = NULL;
}

static void connect_blob(struct blob *b)
{
	scoped(free) char *url = xasprintf(
		"%s/v2/%s/blobs/%s", registry_base(b->registry), b->registry->ref.path, b->digest);
	b->authorization = registry_authorization(b->registry);
	b->headers = b->authorization ? curl_slist_append(NULL, b->authorization) : NULL;
	b->reply = (struct reply){0};
	b->over = b->paused = b->checked = b->wrong_range = false;
	b->easy = registry_handle(b->registry, url, &b->reply, b->headers);
	curl_easy_setopt(b->easy, CURLOPT_WRITEFUNCTION, on_blob);
	curl_easy_setopt(b->easy, CURLOPT_WRITEDATA, b);
	if (b->received > 0 && !b->no_range) {
		char range[32];
		snprintf(range, sizeof(range), "%lld-", (long long)b->received);
		curl_easy_setopt(b->easy, CURLOPT_RANGE, range);
	}
	curl_multi_add_handle(b->multi, b->easy);
}

static int connect_again(struct blob *b)
{
	disconnect(b);
	connect_blob(b);
	return 1;
}

/* After a while, some times. */
static int retry(struct blob *b, struct err *e)
{
	if (++b->tries >= (int)b->registry->attempts) {
		if (b->code != CURLE_OK) {
			(void)registry_transport_error(
				b->easy, b->code, registry_base(b->registry), e);
			return err_wrap(e, "cannot fetch %.19s", b->digest);
		}
		return err_set(e, ERR_SYSTEM, "cannot fetch layer %.19s: %ld%s", b->digest,
			b->reply.status, registry_status_words(b->reply.status));
	}
	long pause = 200L << (b->tries < 8 ? b->tries : 8);
	registry_sleep_ms(pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS);
	return connect_again(b);
}

/* An answer that is not the blob: what can be done about it. As next_connection. */
static int answer_refusal(struct blob *b, struct err *e)
{
	long status = b->reply.status;
	if (status == 401 && b->logins++ == 0) {
		return registry_log_in(b->registry, b->reply.challenge, b->authorization, e) < 0
			       ? -1
			       : connect_again(b);
	}
	if ((status == 416 || b->wrong_range) && !b->no_range) {
		b->no_range = true;
		return connect_again(b);
	}
	if (registry_wait(&b->reply, &b->busy)) {
		return connect_again(b);
	}
	if (status >= 500) {
		return retry(b, e);
	}
	if (status == 404) {
		return err_set(e, ERR_NOT_FOUND,
			"cannot fetch layer %.19s: blob unknown: blob unknown to registry",
			b->digest);
	}
	return err_set(e, status == 401 || status == 403 ? ERR_DENIED : ERR_SYSTEM,
		"cannot fetch layer %.19s: %ld%s", b->digest, status,
		registry_status_words(status));
}

/* The connection has ended and all its bytes were read. 1: connected again, 0: the blob is
 * complete, -1 with *e. */
static int next_connection(struct blob *b, struct err *e)
{
	curl_easy_getinfo(b->easy, CURLINFO_RESPONSE_CODE, &b->reply.status);
	if (b->code != CURLE_OK) {
		return b->received >= b->size ? 0 : retry(b, e);
	}
	if ((b->reply.status != 200 && b->reply.status != 206) || b->wrong_range) {
		return answer_refusal(b, e);
	}
	if (b->received >= b->size) {
		return 0;
	}
	/* the server believes that this is all */
	return err_set(e, ERR_INVALID,
		"unexpected EOF: %.19s has %lld bytes, the manifest says %lld", b->digest,
		(long long)b->received, (long long)b->size);
}

static bool is_stopped(const struct blob *b)
{
	return b->stop && atomic_load(b->stop);
}

/* Lets curl work until there is a byte, the connection has ended or nobody wants it any more. */
static void pump(struct blob *b)
{
	if (b->paused) {
		b->paused = false;
		curl_easy_pause(b->easy, CURLPAUSE_CONT);
	}
	while (b->begin == b->end && !b->over && !is_stopped(b)) {
		int running, left;
		curl_multi_perform(b->multi, &running);
		CURLMsg *msg;
		while ((msg = curl_multi_info_read(b->multi, &left))) {
			if (msg->msg == CURLMSG_DONE) {
				b->over = true;
				b->code = msg->data.result;
			}
		}
		if (b->begin == b->end && !b->over) {
			curl_multi_poll(b->multi, NULL, 0, STOP_POLL_MS, NULL);
		}
	}
}

static ssize_t blob_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct blob *b = container_of(s, struct blob, base);
	if (!b->easy && b->received >= b->size) {
		return 0; /* all of it was here before */
	}
	if (!b->easy) {
		connect_blob(b);
	}
	while (b->begin == b->end) {
		if (is_stopped(b)) {
			return err_set(e, ERR_BUSY, "canceled");
		}
		if (!b->over) {
			pump(b);
			continue;
		}
		int r = next_connection(b, e);
		if (r <= 0) {
			return r;
		}
	}
	if (b->received > b->size) {
		return err_set(e, ERR_INVALID,
			"%.19s is larger than the %lld bytes that the manifest says", b->digest,
			(long long)b->size);
	}
	size_t kept = b->end - b->begin;
	n = n < kept ? n : kept;
	memcpy(data, b->data + b->begin, n);
	b->begin += n;
	return (ssize_t)n;
}

static void blob_free(struct stream *s)
{
	struct blob *b = container_of(s, struct blob, base);
	disconnect(b);
	curl_multi_cleanup(b->multi);
	free(b);
}

struct stream *registry_blob_from(
	struct registry *r, const char *digest, int64_t size, int64_t from, const atomic_bool *stop)
{
	struct blob *b = xnew(struct blob);
	b->base = (struct stream){blob_read, blob_free};
	b->registry = r;
	snprintf(b->digest, sizeof(b->digest), "%s", digest);
	b->size = size;
	b->received = from;
	b->stop = stop;
	b->multi = curl_multi_init();
	if (!b->multi) {
		abort();
	}
	return &b->base;
}

struct stream *registry_blob(struct registry *r, const char *digest, int64_t size)
{
	return registry_blob_from(r, digest, size, 0, NULL);
}

int64_t registry_gzip_size(struct registry *r, const char *digest, int64_t size)
{
	scoped(buf) struct buf body = BUF_INIT;
	scoped(free) char *url =
		xasprintf("%s/v2/%s/blobs/%s", registry_base(r), r->ref.path, digest);
	scoped(free) char *range = xasprintf(
		"Range: bytes=%lld-%lld", (long long)size - GZIP_SIZE_BYTES, (long long)size - 1);
	const struct registry_request q = {.method = "GET", .url = url, .range = range};
	struct reply reply = {.body = &body, .limit = GZIP_SIZE_BYTES};
	struct err ignored;
	if (size < GZIP_SIZE_BYTES || registry_send(r, &q, &reply, &ignored) < 0 ||
		reply.status != 206 || body.len != GZIP_SIZE_BYTES) {
		return -1;
	}
	int64_t n = 0;
	for (int i = GZIP_SIZE_BYTES - 1; i >= 0; i--) {
		n = n << 8 | (unsigned char)body.data[i];
	}
	return n;
}

int registry_blob_text(struct registry *r, const char *digest, int64_t size, size_t limit,
	struct buf *ret, struct err *e)
{
	if (size > (int64_t)limit) {
		return err_set(
			e, ERR_INVALID, "the image configuration is larger than %zu bytes", limit);
	}
	scoped(stream_free) struct stream *blob = registry_blob(r, digest, size);
	scoped(stream_free) struct stream *hashed = stream_digest_new(blob);
	scoped(free) char *chunk = xnew_array(char, STREAM_CHUNK);
	ssize_t n;
	while ((n = stream_read(hashed, chunk, STREAM_CHUNK, e)) > 0) {
		if (buf_append_limited(ret, chunk, (size_t)n, limit) < 0) {
			return err_set(e, ERR_INVALID,
				"the image configuration is larger than %zu bytes", limit);
		}
	}
	char got[STREAM_DIGEST_LEN + 1];
	stream_digest_text(hashed, got);
	if (n < 0) {
		return -1;
	}
	if (strcmp(got, digest) != 0) {
		return err_set(
			e, ERR_INVALID, "image config verification failed for digest %s", digest);
	}
	return 0;
}
