/* Blobs into a repository: one PATCH whose length nobody knows, then a PUT that says the digest.
 *
 * Invariants
 * 1. The digest is of all bytes from the first on, also when the registry has some of them already.
 * 2. An upload goes on only where the registry itself says that it stands; else a new one begins.
 */
#include "worker/registry_upload.h"

#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/text.h"
#include "tree/stream.h"
#include "worker/registry_http.h"

#define UPLOAD_TRIES 4
#define REDIRECTS_MAX 5
#define ANSWER_MAX (64u << 10)
#define CHUNK_BYTES (2u << 20)
#define CHUNK_BYTES_MAX (8u << 20) /* what a registry may ask for: it is memory */
#define OCTETS "Content-Type: application/octet-stream"

enum outcome { FAILED = -1, AGAIN, DONE };

struct upload {
	struct registry *r;
	const struct registry_source *source;
	struct buf url; /* where its next bytes go; empty: none is begun */
	int64_t offset; /* how much of it the registry has */
	bool in_chunks;
	size_t chunk_bytes;
	int tries, busy, logins, redirects;
};

static bool is_success(const struct reply *reply)
{
	return reply->status >= 200 && reply->status < 300;
}

/* --- where it goes on --- */

static void forget_upload(struct upload *u)
{
	buf_clear(&u->url);
	u->offset = 0;
}

/* A Location; none leaves things as they are. Never from TLS to the clear. */
static int follow(struct upload *u, const struct reply *reply, struct err *e)
{
	scoped(buf) struct buf next = BUF_INIT;
	const char *base = u->url.len ? buf_str(&u->url) : registry_base(u->r);
	if (!*reply->location) {
		return 0;
	}
	if (!registry_url_resolve(base, reply->location, &next) ||
		(text_starts(base, "https://") && !text_starts(buf_str(&next), "https://"))) {
		return err_set(e, ERR_SYSTEM, "the registry sends an upload to a wrong place");
	}
	buf_clear(&u->url);
	buf_puts(&u->url, buf_str(&next));
	return 0;
}

static int begin(struct upload *u, struct err *e)
{
	scoped(buf) struct buf body = BUF_INIT;
	scoped(free) char *url =
		xasprintf("%s/v2/%s/blobs/uploads/", registry_base(u->r), u->r->ref.path);
	const struct registry_request q = {.method = "POST", .url = url};
	struct reply reply = {.body = &body, .limit = ANSWER_MAX};
	if (registry_send(u->r, &q, &reply, e) < 0) {
		return -1;
	}
	if (!is_success(&reply)) {
		return registry_refused(&reply, e);
	}
	if (!*reply.location) {
		return err_set(e, ERR_SYSTEM, "the registry does not say where to upload");
	}
	int64_t min;
	if (parse_i64(reply.chunk_min, 1, CHUNK_BYTES_MAX, &min) == 0 &&
		(size_t)min > u->chunk_bytes) {
		u->chunk_bytes = (size_t)min;
	}
	forget_upload(u);
	buf_puts(&u->url, url);
	return follow(u, &reply, e);
}

/* After a break: what does the registry have? */
static void find_offset(struct upload *u)
{
	scoped(buf) struct buf body = BUF_INIT;
	struct err ignored;
	const struct registry_request q = {.method = "GET", .url = buf_str(&u->url)};
	struct reply reply = {.body = &body, .limit = ANSWER_MAX};
	if (u->url.len == 0 || registry_send(u->r, &q, &reply, &ignored) < 0 ||
		!is_success(&reply) || !registry_range_parse(reply.range, &u->offset) ||
		follow(u, &reply, &ignored) < 0) {
		forget_upload(u);
	}
}

/* --- one request with a body of unknown length --- */

struct outgoing {
	struct stream *in;
	bool failed; /* the source, not the network */
	struct err error;
};

static size_t on_send(char *to, size_t size, size_t n, void *owner)
{
	struct outgoing *o = owner;
	ssize_t got = stream_read(o->in, to, size * n, &o->error);
	if (got < 0) {
		o->failed = true;
		return CURL_READFUNC_ABORT;
	}
	return (size_t)got;
}

static int send_stream(struct upload *u, const char *authorization, struct outgoing *o,
	struct reply *reply, struct err *e)
{
	const char *url = buf_str(&u->url);
	bool own = registry_is_own(u->r, url);
	struct curl_slist *headers = curl_slist_append(NULL, OCTETS);
	headers = curl_slist_append(headers, "Expect:");
	if (authorization && own) {
		headers = curl_slist_append(headers, authorization);
	}
	CURL *c = registry_handle(u->r, url, reply, headers);
	registry_small_answer(c, reply);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L); /* what was sent cannot be sent again */
	curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, "PATCH");
	curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, (long)STREAM_CHUNK);
	curl_easy_setopt(c, CURLOPT_READFUNCTION, on_send);
	curl_easy_setopt(c, CURLOPT_READDATA, o);
	CURLcode code = curl_easy_perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &reply->status);
	int r = code == CURLE_OK ? 0 : registry_transport_error(c, code, registry_base(u->r), e);
	curl_easy_cleanup(c);
	curl_slist_free_all(headers);
	return r;
}

/* A registry (or a proxy before it) that wants lengths gets pieces. The last answer is in reply. */
static int send_chunks(struct upload *u, struct outgoing *o, struct reply *reply, struct err *e)
{
	scoped(free) char *chunk = xnew_array(char, u->chunk_bytes);
	for (;;) {
		size_t n = 0;
		ssize_t got = 1;
		while (n < u->chunk_bytes && got > 0) {
			got = stream_read(o->in, chunk + n, u->chunk_bytes - n, &o->error);
			n += got > 0 ? (size_t)got : 0;
		}
		if (got < 0) {
			o->failed = true;
			return -1;
		}
		if (n == 0) {
			reply->status = 202;
			return 0;
		}
		scoped(free) char *range = xasprintf("Content-Range: %lld-%lld",
			(long long)u->offset, (long long)(u->offset + (int64_t)n - 1));
		const struct registry_request q = {.method = "PATCH",
			.url = buf_str(&u->url),
			.content_type = OCTETS,
			.range = range,
			.body = chunk,
			.body_len = n};
		if (registry_send(u->r, &q, reply, e) < 0) {
			return -1;
		}
		if (!is_success(reply)) {
			return 0;
		}
		u->offset += (int64_t)n;
		if (follow(u, reply, e) < 0) {
			return -1;
		}
	}
}

/* --- one attempt --- */

/* Bytes that the registry has already still count for the digest (invariant 1). */
static int skip(struct stream *s, int64_t n, struct err *e)
{
	scoped(free) char *chunk = xnew_array(char, STREAM_CHUNK);
	while (n > 0) {
		ssize_t got = stream_read(
			s, chunk, n < (int64_t)STREAM_CHUNK ? (size_t)n : STREAM_CHUNK, e);
		if (got <= 0) {
			return got < 0 ? -1
				       : err_set(e, ERR_SYSTEM,
						 "the registry has more of the upload than there is");
		}
		n -= got;
	}
	return 0;
}

/* What an answer to the bytes means; DONE: all are there. */
static enum outcome judge(
	struct upload *u, const struct reply *reply, const char *authorization, struct err *e)
{
	long status = reply->status;
	if (is_success(reply)) {
		return follow(u, reply, e) < 0 ? FAILED : DONE;
	}
	u->offset = 0; /* what came after an answer like these nobody knows */
	if (status == 401 && u->logins++ == 0) {
		return registry_log_in(u->r, reply->challenge, authorization, e) < 0 ? FAILED
										     : AGAIN;
	}
	if (status >= 301 && status <= 308 && *reply->location && u->redirects++ < REDIRECTS_MAX) {
		return follow(u, reply, e) < 0 ? FAILED : AGAIN;
	}
	if (registry_wait(reply, &u->busy)) {
		return AGAIN;
	}
	(void)registry_refused(reply, e);
	bool wants_length = (status == 411 || status == 501) && !u->in_chunks;
	u->in_chunks = u->in_chunks || wants_length;
	bool again = wants_length || status == 404 || status == 416 || status >= 500;
	if (again) {
		forget_upload(u);
	}
	return again && ++u->tries <= UPLOAD_TRIES ? AGAIN : FAILED;
}

/* The network failed: after a moment, from where the registry stands. */
static enum outcome broken(struct upload *u)
{
	if (++u->tries > UPLOAD_TRIES) {
		return FAILED;
	}
	registry_sleep_ms(100L << u->tries);
	find_offset(u);
	return AGAIN;
}

static enum outcome commit(struct upload *u, const struct descriptor *d, struct err *e)
{
	scoped(buf) struct buf body = BUF_INIT;
	scoped(buf) struct buf url = BUF_INIT;
	buf_puts(&url, buf_str(&u->url));
	registry_url_query(&url, "digest", d->digest);
	const struct registry_request q = {
		.method = "PUT", .url = buf_str(&url), .content_type = OCTETS};
	struct reply reply = {.body = &body, .limit = ANSWER_MAX};
	if (registry_send(u->r, &q, &reply, e) < 0) {
		/* whether it arrived, the next attempt finds out: the upload is gone then */
		return e->kind == ERR_SYSTEM ? broken(u) : FAILED;
	}
	if (is_success(&reply)) {
		return DONE;
	}
	forget_upload(u);
	(void)registry_refused(&reply, e);
	return (reply.status == 404 || reply.status >= 500) && ++u->tries <= UPLOAD_TRIES ? AGAIN
											  : FAILED;
}

static enum outcome attempt(struct upload *u, struct descriptor *ret, struct err *e)
{
	if (u->url.len == 0 && begin(u, e) < 0) {
		return e->kind == ERR_SYSTEM ? broken(u) : FAILED;
	}
	scoped(stream_free) struct stream *in = u->source->open(u->source->owner, e);
	if (!in) {
		return FAILED;
	}
	scoped(stream_free) struct stream *hashed = stream_digest_new(in);
	if (skip(hashed, u->offset, e) < 0) {
		return FAILED;
	}
	scoped(buf) struct buf body = BUF_INIT;
	scoped(free) char *authorization = registry_authorization(u->r);
	struct reply reply = {.body = &body, .limit = ANSWER_MAX};
	struct outgoing o = {.in = hashed};
	int r = u->in_chunks ? send_chunks(u, &o, &reply, e)
			     : send_stream(u, authorization, &o, &reply, e);
	if (r < 0 && o.failed) {
		*e = o.error;
		return FAILED;
	}
	if (r < 0) {
		return e->kind == ERR_SYSTEM ? broken(u) : FAILED;
	}
	enum outcome sent = judge(u, &reply, authorization, e);
	if (sent != DONE) {
		return sent;
	}
	stream_digest_text(hashed, ret->digest);
	ret->size = stream_digest_bytes(hashed);
	return commit(u, ret, e);
}

int registry_upload(struct registry *r, const char *location, const struct registry_source *source,
	struct descriptor *ret, struct err *e)
{
	struct upload u = {.r = r, .source = source, .chunk_bytes = CHUNK_BYTES};
	struct descriptor d = {.media_type = MANIFEST_DOCKER_LAYER};
	enum outcome o;
	buf_puts(&u.url, location);
	do {
		o = attempt(&u, &d, e);
	} while (o == AGAIN);
	if (o == FAILED && u.url.len > 0) {
		registry_upload_cancel(r, buf_str(&u.url));
	}
	buf_deinit(&u.url);
	if (o == FAILED) {
		return -1;
	}
	*ret = d;
	return 0;
}

void registry_upload_cancel(struct registry *r, const char *location)
{
	scoped(buf) struct buf body = BUF_INIT;
	struct err ignored;
	const struct registry_request q = {.method = "DELETE", .url = location};
	struct reply reply = {.body = &body, .limit = ANSWER_MAX};
	(void)registry_send(r, &q, &reply, &ignored);
}

/* --- small things --- */

struct bytes {
	struct stream base;
	const char *data;
	size_t left;
};

static ssize_t bytes_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct bytes *b = container_of(s, struct bytes, base);
	n = n < b->left ? n : b->left;
	memcpy(data, b->data, n);
	b->data += n;
	b->left -= n;
	return (ssize_t)n;
}

static void bytes_free(struct stream *s)
{
	free(container_of(s, struct bytes, base));
}

static struct stream *bytes_open(void *owner, struct err *e)
{
	struct bytes *b = xnew(struct bytes);
	*b = *(const struct bytes *)owner;
	return &b->base;
}

int registry_upload_bytes(
	struct registry *r, const void *data, size_t n, const char *digest, struct err *e)
{
	struct bytes b = {{bytes_read, bytes_free}, data, n};
	const struct registry_source source = {bytes_open, &b};
	struct descriptor sent;
	int64_t size;
	int there = registry_blob_exists(r, digest, &size, e);
	if (there != 0) {
		return there < 0 ? -1 : 0;
	}
	return registry_upload(r, "", &source, &sent, e);
}
