#include "worker/peer.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/text.h"
#include "tree/stream.h"

#define CONNECT_TIMEOUT_MS 2000L

struct peer {
	struct stream base;
	char *url;
	CURLM *multi;
	CURL *easy;
	CURLcode code;
	bool over, paused;
	int64_t left; /* bytes that may still come */
	char data[STREAM_CHUNK];
	size_t begin, end;
};

static size_t on_data(char *data, size_t size, size_t n, void *owner)
{
	struct peer *p = owner;
	if ((int64_t)n > p->left) {
		p->left = -1;
		return 0;
	}
	if (p->begin == p->end) {
		p->begin = p->end = 0;
	}
	if (n > sizeof(p->data) - p->end) {
		p->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	memcpy(p->data + p->end, data, n);
	p->end += n;
	p->left -= (int64_t)n;
	return n;
}

static void begin(struct peer *p)
{
	p->easy = curl_easy_init();
	if (!p->easy) {
		abort();
	}
	curl_easy_setopt(p->easy, CURLOPT_URL, p->url);
	curl_easy_setopt(p->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(p->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(p->easy, CURLOPT_NOPROXY, "*"); /* a peer is near */
	curl_easy_setopt(p->easy, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(p->easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(p->easy, CURLOPT_LOW_SPEED_LIMIT, (long)PEER_RATE_MIN);
	curl_easy_setopt(p->easy, CURLOPT_LOW_SPEED_TIME, (long)PEER_STALL_S);
	curl_easy_setopt(p->easy, CURLOPT_USERAGENT, "wherry/" WHERRY_VERSION);
	curl_easy_setopt(p->easy, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(p->easy, CURLOPT_WRITEDATA, p);
	curl_multi_add_handle(p->multi, p->easy);
}

/* Lets curl work until there is a byte or the connection has ended. */
static void pump(struct peer *p)
{
	if (p->paused) {
		p->paused = false;
		curl_easy_pause(p->easy, CURLPAUSE_CONT);
	}
	while (p->begin == p->end && !p->over) {
		int running, left;
		curl_multi_perform(p->multi, &running);
		CURLMsg *msg;
		while ((msg = curl_multi_info_read(p->multi, &left))) {
			if (msg->msg == CURLMSG_DONE) {
				p->over = true;
				p->code = msg->data.result;
			}
		}
		if (p->begin == p->end && !p->over) {
			curl_multi_poll(p->multi, NULL, 0, 1000, NULL);
		}
	}
}

static ssize_t peer_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct peer *p = container_of(s, struct peer, base);
	if (!p->easy) {
		begin(p);
	}
	if (p->begin == p->end) {
		pump(p);
	}
	size_t kept = p->end - p->begin;
	if (kept == 0 && p->code != CURLE_OK) {
		bool answered = p->code == CURLE_HTTP_RETURNED_ERROR;
		return err_set(e, answered ? ERR_NOT_FOUND : ERR_INVALID, "%.200s: %s", p->url,
			p->left < 0 ? "it is larger than the layer can be"
				    : curl_easy_strerror(p->code));
	}
	n = n < kept ? n : kept;
	memcpy(data, p->data + p->begin, n);
	p->begin += n;
	return (ssize_t)n;
}

static void peer_free(struct stream *s)
{
	struct peer *p = container_of(s, struct peer, base);
	if (p->easy) {
		curl_multi_remove_handle(p->multi, p->easy);
		curl_easy_cleanup(p->easy);
	}
	curl_multi_cleanup(p->multi);
	free(p->url);
	free(p);
}

struct stream *peer_layer(const char *url, const char *diff_id, int64_t limit)
{
	struct peer *p = xnew(struct peer);
	size_t n = strlen(url);
	while (n > 0 && url[n - 1] == '/') {
		n--;
	}
	p->base = (struct stream){peer_read, peer_free};
	p->url = xasprintf("%.*s/layers/%s", (int)n, url, diff_id);
	p->multi = curl_multi_init();
	if (!p->multi) {
		abort();
	}
	p->left = limit;
	return &p->base;
}
