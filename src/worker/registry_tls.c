/* How a registry proves who it is, and we to it: docker's directories of certificates.
 *
 * /etc/docker/certs.d/HOST[:PORT]/ holds *.crt (authorities, beside the system's), *.cert with
 * *.key (client certificates) (docs.docker.com "Verify repository client with certificates"). */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ip.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strv.h"
#include "base/text.h"
#include "worker/registry_http.h"

#define CERTS_DIR "/etc/docker/certs.d"
#define SYSTEM_AUTHORITIES "/etc/ssl/certs"
#define AUTHORITIES_MAX (1u << 20)

/* --- who may show any certificate --- */

static bool any_in_range(const struct addrinfo *found, const json_t *list)
{
	size_t i;
	json_t *item;
	json_array_foreach (list, i, item) {
		struct ip_range range;
		if (!json_is_string(item) ||
			ip_parse_range(json_string_value(item), &range, NULL) < 0) {
			continue;
		}
		for (const struct addrinfo *a = found; a; a = a->ai_next) {
			const void *bytes =
				a->ai_family == AF_INET6
					? (void *)&((struct sockaddr_in6 *)a->ai_addr)->sin6_addr
					: (void *)&((struct sockaddr_in *)a->ai_addr)->sin_addr;
			uint8_t size = a->ai_family == AF_INET6 ? IP6_BYTES : IP4_BYTES;
			if (ip_contains(range, ip_of_bytes(bytes, size))) {
				return true;
			}
		}
	}
	return false;
}

static bool has_range(const json_t *list)
{
	size_t i;
	json_t *item;
	json_array_foreach (list, i, item) {
		if (json_is_string(item) && strchr(json_string_value(item), '/')) {
			return true;
		}
	}
	return false;
}

bool registry_is_insecure(const json_t *list, const char *domain)
{
	size_t i;
	json_t *item;
	json_array_foreach (list, i, item) {
		if (json_is_string(item) && strcmp(json_string_value(item), domain) == 0) {
			return true;
		}
	}
	if (!has_range(list)) {
		return false;
	}
	bool bracket = *domain == '[';
	scoped(free) char *host =
		xstrndup(domain + bracket, strcspn(domain + bracket, bracket ? "]" : ":"));
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	if (getaddrinfo(host, NULL, &hints, &found) != 0) {
		return false;
	}
	bool yes = any_in_range(found, list);
	freeaddrinfo(found);
	return yes;
}

/* --- certificates --- */

/* Of the endpoint in use; the caller's. */
static char *certs_dir(const struct registry *r)
{
	const char *host = strstr(registry_base(r), "://") + 3;
	return xasprintf(CERTS_DIR "/%.*s", (int)strcspn(host, "/"), host);
}

static void list_dir(const char *path, struct strv *ret)
{
	scoped(closedir) DIR *dir = opendir(path);
	struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		strv_add(ret, entry->d_name);
	}
}

static void trust_authorities(CURL *c, const char *dir, const struct strv *names)
{
	scoped(buf) struct buf all = BUF_INIT;
	for (size_t i = 0; i < names->n; i++) {
		scoped(buf) struct buf one = BUF_INIT;
		scoped(free) char *path = path_join(dir, names->v[i]);
		if (text_ends(names->v[i], ".crt") &&
			path_read(AT_FDCWD, path, AUTHORITIES_MAX, &one) == 0) {
			buf_append(&all, one.data, one.len);
			buf_putc(&all, '\n');
		}
	}
	if (all.len > 0) {
		struct curl_blob blob = {all.data, all.len, CURL_BLOB_COPY};
		curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &blob);
		curl_easy_setopt(c, CURLOPT_CAPATH, SYSTEM_AUTHORITIES);
	}
}

/* Reads the certificates of a file until one was issued by an authority of the list. */
static bool is_wanted(const char *path, const STACK_OF(X509_NAME) * authorities)
{
	scoped(fclose) FILE *f = fopen(path, "re");
	bool wanted = false;
	X509 *cert;
	while (f && !wanted && (cert = PEM_read_X509(f, NULL, NULL, NULL))) {
		for (int i = 0; i < sk_X509_NAME_num(authorities); i++) {
			wanted = wanted || X509_NAME_cmp(X509_get_issuer_name(cert),
						   sk_X509_NAME_value(authorities, i)) == 0;
		}
		X509_free(cert);
	}
	ERR_clear_error(); /* the end of the file is one */
	return wanted;
}

/* cert: "/etc/.../x.cert"; the caller's. */
static char *key_of(const char *cert)
{
	return xasprintf("%.*skey", (int)(strlen(cert) - strlen("cert")), cert);
}

static void list_pairs(const char *dir, struct strv *ret)
{
	scoped(strv) struct strv names = STRV_INIT;
	list_dir(dir, &names);
	strv_sort(&names);
	for (size_t i = 0; i < names.n; i++) {
		if (text_ends(names.v[i], ".cert")) {
			strv_take(ret, path_join(dir, names.v[i]));
		}
	}
}

/* The server names the authorities whose certificates it takes, or none: then the first is shown
 * (Go crypto/tls, which docker has). */
static int choose_certificate(SSL *ssl, void *owner)
{
	const struct registry *r = owner;
	scoped(free) char *dir = certs_dir(r);
	scoped(strv) struct strv pairs = STRV_INIT;
	const STACK_OF(X509_NAME) *authorities = SSL_get0_peer_CA_list(ssl);
	list_pairs(dir, &pairs);
	for (size_t i = 0; i < pairs.n; i++) {
		scoped(free) char *key = key_of(pairs.v[i]);
		if (sk_X509_NAME_num(authorities) > 0 && !is_wanted(pairs.v[i], authorities)) {
			continue;
		}
		return SSL_use_certificate_chain_file(ssl, pairs.v[i]) == 1 &&
		       SSL_use_PrivateKey_file(ssl, key, SSL_FILETYPE_PEM) == 1;
	}
	return 1; /* without one, as a client that has none */
}

static CURLcode offer_certificates(CURL *c, void *ctx, void *owner)
{
	SSL_CTX_set_cert_cb(ctx, choose_certificate, owner);
	return CURLE_OK;
}

/* A .cert without its .key fails the connection, as in Docker. */
static void show_certificate(CURL *c, const struct registry *r, const char *dir)
{
	scoped(strv) struct strv pairs = STRV_INIT;
	const char *lonely = NULL;
	list_pairs(dir, &pairs);
	for (size_t i = 0; i < pairs.n; i++) {
		scoped(free) char *key = key_of(pairs.v[i]);
		lonely = access(key, F_OK) < 0 ? pairs.v[i] : lonely;
	}
	if (pairs.n > 1 && !lonely) {
		curl_easy_setopt(c, CURLOPT_SSL_CTX_FUNCTION, offer_certificates);
		curl_easy_setopt(c, CURLOPT_SSL_CTX_DATA, (void *)r);
	} else if (pairs.n > 0) {
		const char *cert = lonely ? lonely : pairs.v[0];
		scoped(free) char *key = key_of(cert);
		curl_easy_setopt(c, CURLOPT_SSLCERT, cert);
		curl_easy_setopt(c, CURLOPT_SSLKEY, key);
	}
}

void registry_trust(CURL *c, const struct registry *r)
{
	scoped(free) char *dir = certs_dir(r);
	scoped(strv) struct strv names = STRV_INIT;
	list_dir(dir, &names);
	show_certificate(c, r, dir);
	if (r->insecure && registry_is_origin(r)) {
		curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
	} else {
		trust_authorities(c, dir, &names);
	}
}
