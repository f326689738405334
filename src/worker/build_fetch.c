/* ADD of an http or https URL. */
#include <curl/curl.h>
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "build/git_url.h"
#include "worker/build.h"
#include "worker/context.h"

#define CONNECT_TIMEOUT_S 30L
#define STALL_TIMEOUT_S 60L
#define REDIRECTS_MAX 10L

struct download {
	int fd;
	EVP_MD_CTX *md;
	int failed; /* -errno of writing */
};

static size_t on_data(char *data, size_t size, size_t n, void *owner)
{
	struct download *d = owner;
	struct statvfs fs;
	n *= size;
	bool full = fstatvfs(d->fd, &fs) == 0 &&
		    (uint64_t)fs.f_bavail * fs.f_frsize < CONTEXT_RESERVE_BYTES;
	d->failed = full ? -ENOSPC : path_write_all(d->fd, data, n);
	if (d->failed < 0) {
		return 0;
	}
	EVP_DigestUpdate(d->md, data, n);
	return n;
}

static int set_options(CURL *curl, const char *url, struct download *d, char *reason)
{
	const struct {
		CURLoption option;
		long value;
	} numbers[] = {
		{CURLOPT_FOLLOWLOCATION, 1},
		{CURLOPT_MAXREDIRS, REDIRECTS_MAX},
		{CURLOPT_FAILONERROR, 1},
		{CURLOPT_FILETIME, 1},
		{CURLOPT_NOSIGNAL, 1},
		{CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S},
		{CURLOPT_LOW_SPEED_LIMIT, 1},
		{CURLOPT_LOW_SPEED_TIME, STALL_TIMEOUT_S},
	};
	CURLcode r = CURLE_OK;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers) && r == CURLE_OK; i++) {
		r = curl_easy_setopt(curl, numbers[i].option, numbers[i].value);
	}
	r = r ? r : curl_easy_setopt(curl, CURLOPT_URL, url);
	/* a redirect must not reach files or other protocols of this machine */
	r = r ? r : curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	r = r ? r : curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	r = r ? r : curl_easy_setopt(curl, CURLOPT_USERAGENT, "wherry/" WHERRY_VERSION);
	r = r ? r : curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
	r = r ? r : curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	r = r ? r : curl_easy_setopt(curl, CURLOPT_WRITEDATA, d);
	return r == CURLE_OK ? 0 : -1;
}

static int perform(
	CURL *curl, const char *url, struct download *d, int64_t *ret_mtime, struct err *e)
{
	char reason[CURL_ERROR_SIZE] = "";
	scoped(free) char *shown = git_url_redact(url);
	if (set_options(curl, url, d, reason) < 0) {
		return err_set(e, ERR_SYSTEM, "cannot prepare the download of %.200s", shown);
	}
	CURLcode r = curl_easy_perform(curl);
	if (d->failed == -ENOSPC) {
		return err_set(
			e, ERR_SYSTEM, "cannot download %.200s: no space left on device", shown);
	}
	if (d->failed < 0) {
		return err_sys(e, -d->failed, "cannot write the download of %.200s", shown);
	}
	if (r != CURLE_OK) {
		return err_set(e, ERR_INVALID, "cannot download %.200s: %s", shown,
			*reason ? reason : curl_easy_strerror(r));
	}
	curl_off_t mtime = -1;
	curl_easy_getinfo(curl, CURLINFO_FILETIME_T, &mtime);
	*ret_mtime = mtime;
	return 0;
}

int build_fetch(const char *url, int to_fd, struct build_fetched *ret, struct err *e)
{
	struct download d = {to_fd, EVP_MD_CTX_new(), 0};
	CURL *curl = curl_easy_init();
	unsigned char digest[32];
	int r = -1;
	if (!curl || !d.md || EVP_DigestInit_ex(d.md, EVP_sha256(), NULL) != 1) {
		(void)err_sys(e, ENOMEM, "cannot download");
	} else {
		r = perform(curl, url, &d, &ret->mtime, e);
	}
	if (r == 0) {
		EVP_DigestFinal_ex(d.md, digest, NULL);
		memcpy(ret->digest, "sha256:", 7);
		text_hex(digest, sizeof(digest), ret->digest + 7);
	}
	EVP_MD_CTX_free(d.md);
	curl_easy_cleanup(curl);
	return r;
}
