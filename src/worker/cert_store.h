/* worker/cert_store.h - the pairs that nginx is shown: DATA/tls/hosts/SOURCE-DIGEST.{crt,key}.
 *
 * A file never changes and a name is never used again: who has read a name finds the pair it meant,
 * also after a power cut. The key is there before the certificate is, so a pair is there when its
 * .crt is. What nobody wants any more goes one change later, so that the configuration that nginx
 * falls back to has its files: index.json says what was wanted now and before.
 */
#pragma once
#include <jansson.h>

#include "base/strv.h"
#include "worker/pki.h"

#define CERT_STORE_MAX 4096 /* pairs that are looked at */

struct stored_cert {
	char *name; /* "local-1f2e..." */
	X509 *cert;
	struct strv names;
	bool wanted;
};

struct cert_store {
	int dir_fd; /* DATA/tls/hosts */
	char *path;
	struct stored_cert **v;
	size_t n;
	json_t *index;
};

/* dir: DATA/tls, made if it is missing. */
int cert_store_open(struct cert_store *s, const char *dir, struct err *e);
void cert_store_deinit(struct cert_store *s);
static inline void scoped_cert_store(struct cert_store *s)
{
	cert_store_deinit(s);
}

/* Keeps a pair, which is wanted; one that is there already is not written again. NULL with *e. */
struct stored_cert *cert_store_add(
	struct cert_store *s, const char *source, const struct pki_pair *p, struct err *e);
/* By name; NULL when it is not there. */
struct stored_cert *cert_store_find(const struct cert_store *s, const char *name);
/* "kept" in the index: which pair a file of the user gave last; NULL when it is not there. */
struct stored_cert *cert_store_kept(const struct cert_store *s, const char *path);
/* kept: {path: name} from now on. Writes the index if anything is different, then removes what was
 * wanted neither now nor before. */
int cert_store_finish(struct cert_store *s, json_t *take_kept, struct err *e);

/* Our own files, durably: also the directory has reached the disk. */
int cert_write(int dir_fd, const char *name, const struct buf *text, mode_t mode, struct err *e);
