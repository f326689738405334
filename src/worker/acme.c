/* Job "acme": one certificate from an ACME authority (RFC 8555), by uacme(1).
 *
 * {"dir": DATA/tls/acme, "challenges": DATA/ingress/acme-challenge, "directory": URL, "email",
 * "names":
 *  [], "dns_hook": program or "", "ca_file": or ""} gives {"dir", "not_before", "not_after"}:
 * cert.pem and key.pem are in that directory below dir, which is complete and on disk when it is
 * named.
 *
 * The key is a new one each time; uacme gets only the request for it. An account is one for each
 * directory. uacme's hook is this program (worker_acme_hook): it puts the answer of HTTP-01 where
 * nginx serves it, or asks the user's hook for DNS-01.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "worker/acme_words.h"
#include "worker/capture.h"
#include "worker/cert_store.h"
#include "worker/jobs.h"
#include "worker/pki.h"
#include "worker/sync.h"

#define AUTHORITIES "/etc/ssl/certs/ca-certificates.crt" /* libcurl's in Debian */
#define AUTHORITIES_MAX (4u << 20)
#define LONGEST_S "1800" /* a user's hook may wait for the DNS */
#define ENV_CHALLENGES "WHERRY_ACME_CHALLENGES"
#define ENV_DNS_HOOK "WHERRY_ACME_DNS_HOOK"

struct acme_try {
	const json_t *request;
	const char *dir, *directory;
	char *account; /* uacme's --confdir */
	char *place;   /* of this try: key.pem, request.pem, then cert.pem */
	char self[PATH_MAX];
};

static void acme_try_deinit(struct acme_try *t)
{
	if (t->place) {
		path_remove_small_tree(AT_FDCWD, t->place, 16);
	}
	free(t->account);
	free(t->place);
}

/* --- authorities that the system does not know --- */

/* uacme has no option for them: in a mount namespace of ours the system's list has one more. */
static int trust(const struct acme_try *t, const char *ca_file, struct err *e)
{
	scoped(buf) struct buf all = BUF_INIT;
	scoped(buf) struct buf more = BUF_INIT;
	scoped(free) char *list = xasprintf("%s/authorities.pem", t->place);
	int r = path_read(AT_FDCWD, ca_file, PKI_FILE_MAX, &more);
	if (r < 0) {
		return err_sys(e, -r, "cannot read ingress.acme.ca-file %s", ca_file);
	}
	r = path_read(AT_FDCWD, AUTHORITIES, AUTHORITIES_MAX, &all);
	if (r < 0) {
		return err_sys(
			e, -r, "cannot read %s (apt-get install ca-certificates)", AUTHORITIES);
	}
	buf_putc(&all, '\n');
	buf_append(&all, more.data, more.len);
	r = path_write(AT_FDCWD, list, all.data, all.len, 0644, false);
	if (r < 0) {
		return err_sys(e, -r, "cannot write %s", list);
	}
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount(list, AUTHORITIES, NULL, MS_BIND, NULL) < 0) {
		return err_sys(e, errno, "cannot have uacme trust %s", ca_file);
	}
	return 0;
}

/* --- uacme --- */

/* Words after the options that every run has. What it wrote is in ret. */
static int run_uacme(
	const struct acme_try *t, const char *const *words, struct buf *ret, struct err *e)
{
	scoped(strv) struct strv argv = STRV_INIT;
	scoped(buf) struct buf out = BUF_INIT;
	static const char *const head[] = {"setpriv", "--pdeathsig", "KILL", "timeout", LONGEST_S,
		"uacme", "-v", "-o", "-y", "-c"};
	int status;
	for (size_t i = 0; i < sizeof(head) / sizeof(*head); i++) {
		strv_add(&argv, head[i]);
	}
	strv_add(&argv, t->account);
	strv_add(&argv, "-a");
	strv_add(&argv, t->directory);
	strv_add(&argv, "-h");
	strv_add(&argv, t->self);
	for (; *words; words++) {
		strv_add(&argv, *words);
	}
	buf_clear(ret);
	if (capture_run(&argv, &out, ret, &status) < 0) {
		return err_set(e, ERR_SYSTEM, "cannot run uacme");
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		return 0;
	}
	if (WIFEXITED(status) && (WEXITSTATUS(status) == 127 || WEXITSTATUS(status) == 126)) {
		return err_set(e, ERR_SYSTEM, "uacme is not installed: apt-get install uacme");
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 124) {
		return err_set(e, ERR_SYSTEM, "uacme did not end in half an hour");
	}
	scoped(free) char *said = acme_words(buf_str(ret), ret->len);
	return err_set(e, ERR_SYSTEM, "%s", said);
}

static int make_account(const struct acme_try *t, struct buf *said, struct err *e)
{
	const char *email = json_str(t->request, "email");
	const char *words[] = {"new", *email ? email : NULL, NULL};
	return run_uacme(t, words, said, e);
}

static int issue(const struct acme_try *t, struct err *e)
{
	scoped(free) char *key = xasprintf("%s/private/key.pem", t->account);
	scoped(free) char *request = xasprintf("%s/request.pem", t->place);
	scoped(buf) struct buf said = BUF_INIT;
	const char *words[] = {"issue", request, NULL};
	if (access(key, F_OK) < 0 && make_account(t, &said, e) < 0) {
		return err_wrap(e, "no account");
	}
	int r = run_uacme(t, words, &said, e);
	if (r < 0 && acme_wants_account(buf_str(&said))) {
		r = make_account(t, &said, e) < 0 ? err_wrap(e, "no account")
						  : run_uacme(t, words, &said, e);
	}
	return r;
}

/* --- the pair --- */

static int write_request(const struct acme_try *t, struct err *e)
{
	scoped(strv) struct strv names = STRV_INIT;
	scoped(buf) struct buf request = BUF_INIT;
	scoped(buf) struct buf key = BUF_INIT;
	scoped(close) int fd = open(t->place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return err_sys(e, errno, "cannot open %s", t->place);
	}
	int r = json_get_strv(t->request, "names", &names, e);
	r = r < 0 ? r : pki_make_request(&names, &key, &request, e);
	r = r < 0 ? r : cert_write(fd, "key.pem", &key, 0600, e);
	return r < 0 ? r : cert_write(fd, "request.pem", &request, 0644, e);
}

/* Named by names and certificate: what is there is never written to. The caller's. */
static char *final_name(const struct acme_try *t, const X509 *cert)
{
	scoped(free) char *names = json_text(json_object_get(t->request, "names"));
	char digest[65];
	char of_names[72];
	sha256_digest(names, strlen(names), of_names);
	pki_digest(cert, digest);
	return xasprintf("%.16s-%.16s", of_names + strlen("sha256:"), digest);
}

/* Earlier ones of the same names. */
static void remove_others(const struct acme_try *t, const char *keep)
{
	scoped(close) int fd = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped(strv) struct strv all = STRV_INIT;
	if (fd < 0 || path_list(fd, &all) < 0) {
		return;
	}
	for (size_t i = 0; i < all.n; i++) {
		bool same = strncmp(all.v[i], keep, 17) == 0 && strcmp(all.v[i], keep) != 0;
		if (same || text_starts(all.v[i], "new-")) {
			path_remove_small_tree(fd, all.v[i], 16);
		}
	}
}

static json_t *keep(struct acme_try *t, struct err *e)
{
	scoped(free) char *got = xasprintf("%s/request-cert.pem", t->place);
	scoped(free) char *cert_path = xasprintf("%s/cert.pem", t->place);
	scoped(free) char *key_path = xasprintf("%s/key.pem", t->place);
	scoped(free) char *request = xasprintf("%s/request.pem", t->place);
	scoped(free) char *list = xasprintf("%s/authorities.pem", t->place);
	scoped(pki_pair) struct pki_pair p = {0};
	if (rename(got, cert_path) < 0) {
		(void)err_sys(e, errno, "uacme left no certificate");
		return NULL;
	}
	unlink(request);
	unlink(list); /* of trust */
	if (pki_read_pair(cert_path, key_path, &p, e) < 0 || sync_path(cert_path, e) < 0 ||
		sync_path(t->place, e) < 0) {
		return NULL;
	}
	scoped(free) char *name = final_name(t, p.cert);
	scoped(free) char *final = xasprintf("%s/%s", t->dir, name);
	if (rename(t->place, final) < 0 || sync_path(t->dir, e) < 0) {
		(void)err_sys(e, errno, "cannot keep the certificate as %s", final);
		return NULL;
	}
	free(TAKE(t->place));
	remove_others(t, name);
	return json_pack("{ss sI sI}", "dir", name, "not_before",
		(json_int_t)pki_not_before(p.cert), "not_after", (json_int_t)pki_not_after(p.cert));
}

/* --- the job --- */

static int begin(struct acme_try *t, struct err *e)
{
	char digest[72];
	const char *challenges = json_str(t->request, "challenges");
	const char *dns_hook = json_str(t->request, "dns_hook");
	sha256_digest(t->directory, strlen(t->directory), digest);
	t->account = xasprintf("%s/account-%.16s", t->dir, digest + strlen("sha256:"));
	int r = path_mkdirs(t->account, 0700);
	r = r < 0 ? r : path_mkdirs(challenges, 0755);
	if (r < 0) {
		return err_sys(e, -r, "cannot make %s", t->account);
	}
	t->place = xasprintf("%s/new-XXXXXX", t->dir);
	ssize_t n = readlink("/proc/self/exe", t->self, sizeof(t->self) - 1);
	if (!mkdtemp(t->place) || n < 0) {
		return err_sys(e, errno, "cannot make %s", t->place);
	}
	setenv(ENV_CHALLENGES, challenges, 1);
	setenv(ENV_DNS_HOOK, dns_hook, 1);
	const char *ca_file = json_str(t->request, "ca_file");
	return *ca_file ? trust(t, ca_file, e) : 0;
}

json_t *worker_acme(struct rpc *r, const json_t *request, struct err *e)
{
	struct acme_try t = {.request = request,
		.dir = json_str(request, "dir"),
		.directory = json_str(request, "directory")};
	json_t *result = NULL;
	if (begin(&t, e) == 0 && write_request(&t, e) == 0 && issue(&t, e) == 0) {
		result = keep(&t, e);
	}
	acme_try_deinit(&t);
	return result;
}

/* --- the hook: METHOD TYPE IDENT TOKEN AUTH; 0 takes the challenge --- */

static int answer_http(const char *method, const char *token, const char *authorization)
{
	const char *dir = getenv(ENV_CHALLENGES);
	if (!dir || !acme_token_is_valid(token) || !acme_authorization_is_valid(authorization)) {
		return 1;
	}
	scoped(free) char *path = xasprintf("%s/%s", dir, token);
	if (strcmp(method, "begin") != 0) {
		return unlink(path) < 0;
	}
	return path_write(AT_FDCWD, path, authorization, strlen(authorization), 0644, false) < 0;
}

bool worker_is_acme_hook(const char *method)
{
	return strcmp(method, "begin") == 0 || strcmp(method, "done") == 0 ||
	       strcmp(method, "failed") == 0;
}

int worker_acme_hook(char **args)
{
	const char *dns_hook = getenv(ENV_DNS_HOOK);
	bool has_dns_hook = dns_hook && *dns_hook;
	if (has_dns_hook && strcmp(args[1], "dns-01") == 0) {
		execl(dns_hook, dns_hook, args[0], args[1], args[2], args[3], args[4],
			(char *)NULL);
		fprintf(stderr, "uacme: ingress.acme.dns-hook %s: %s\n", dns_hook, strerror(errno));
		return 1;
	}
	return !has_dns_hook && strcmp(args[1], "http-01") == 0
		       ? answer_http(args[0], args[3], args[4])
		       : 1;
}
