/* Certificates that are made here, and those that people bring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include <openssl/x509_vfy.h>

#include "base/mem.h"
#include "base/path.h"
#include "worker/cert_authority.h"
#include "worker/cert_store.h"
#include "worker/cert_watch.h"
#include "worker/pki.h"

#define NOW INT64_C(1795900000)

static char dir[] = "/tmp/wherry-pki.XXXXXX";

static int make_dir(void **state)
{
	memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	return path_remove_tree(AT_FDCWD, dir);
}

static struct pki_pair authority_of(const struct strv *permitted, int64_t now)
{
	struct pki_pair ca;
	struct err e;
	assert_int_equal(pki_make_authority("box CA", permitted, now, &ca, &e), 0);
	return ca;
}

static struct pki_pair server_of(const struct pki_pair *ca, const char *name, int64_t now)
{
	struct pki_pair p;
	struct err e;
	struct strv names = {.v = (char *[]){(char *)name, NULL}, .n = 1};
	assert_int_equal(pki_make_server(ca, &names, now, &p, &e), 0);
	return p;
}

/* As a strict client at a time: openssl verify -x509_strict -purpose sslserver -verify_hostname. */
static int verify(const struct pki_pair *ca, const struct pki_pair *p, const char *host, int64_t at)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_STORE_add_cert(store, ca->cert);
	X509_STORE_CTX_init(ctx, store, p->cert, p->chain);
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
	X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
	X509_VERIFY_PARAM_set_time(param, (time_t)at);
	X509_VERIFY_PARAM_set1_host(param, host, 0);
	X509_verify_cert(ctx);
	int error = X509_STORE_CTX_get_error(ctx);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return error;
}

static const struct strv local = {.v = (char *[]){"local", "box", NULL}, .n = 2};
static const struct strv any = STRV_INIT;

static void a_server_is_believed_by_strict_clients(void **state)
{
	scoped(pki_pair) struct pki_pair ca = authority_of(&local, NOW);
	scoped(pki_pair) struct pki_pair p = server_of(&ca, "*.box.local", NOW);

	assert_int_equal(verify(&ca, &p, "app.box.local", NOW), X509_V_OK);
	assert_int_equal(verify(&ca, &p, "app.example.org", NOW), X509_V_ERR_HOSTNAME_MISMATCH);
	assert_true(pki_not_after(p.cert) - pki_not_before(p.cert) < 398 * PKI_DAY);
	assert_true(pki_is_issued_by(p.cert, ca.cert));
}

static void an_authority_signs_only_what_it_may(void **state)
{
	scoped(pki_pair) struct pki_pair ca = authority_of(&local, NOW);
	scoped(pki_pair) struct pki_pair p = server_of(&ca, "bank.example.org", NOW);

	assert_int_equal(verify(&ca, &p, "bank.example.org", NOW), X509_V_ERR_PERMITTED_VIOLATION);
	assert_false(pki_permits(ca.cert, "bank.example.org"));
	assert_false(pki_permits(ca.cert, "xlocal"));
	assert_true(pki_permits(ca.cert, "a.b.local"));
	assert_true(pki_permits(ca.cert, "*.box.local"));
	assert_true(pki_permits(ca.cert, "box"));
	assert_true(pki_permits(ca.cert, "192.0.2.1"));
	assert_true(pki_permits(ca.cert, "2001:db8::1"));
}

static void a_wrong_clock_makes_nothing_that_is_not_valid_yet(void **state)
{
	const int64_t wrong[] = {
		0, 86400, INT64_C(1600000000), PKI_CLOCK_FLOOR - 1, PKI_CLOCK_FLOOR};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		scoped(pki_pair) struct pki_pair ca = authority_of(&local, wrong[i]);
		scoped(pki_pair) struct pki_pair p = server_of(&ca, "box.local", wrong[i]);

		/* as soon as the clock is right, at the earliest the day that this was written */
		assert_int_equal(verify(&ca, &p, "box.local", PKI_CLOCK_FLOOR), X509_V_OK);
		assert_int_equal(
			verify(&ca, &p, "box.local", PKI_CLOCK_FLOOR + 300 * PKI_DAY), X509_V_OK);
		assert_true(pki_not_after(ca.cert) > PKI_CLOCK_FLOOR + 3650 * PKI_DAY);
		/* years later the authority is good and the leaf is due, whatever the clock says
		 * next */
		assert_true(pki_is_due(p.cert, PKI_CLOCK_FLOOR + 800 * PKI_DAY, true));
		assert_false(pki_is_due(p.cert, 0, false));
	}
}

static void an_authority_of_a_clock_ahead_is_valid_now(void **state)
{
	scoped(pki_pair) struct pki_pair ca = authority_of(&local, NOW + 20 * 365 * PKI_DAY);
	scoped(pki_pair) struct pki_pair p = server_of(&ca, "box.local", NOW);

	assert_int_equal(verify(&ca, &p, "box.local", NOW), X509_V_OK);
}

static void what_begins_in_the_future_is_replaced_by_a_clock_to_believe(void **state)
{
	scoped(pki_pair) struct pki_pair ca = authority_of(&any, NOW);
	scoped(pki_pair) struct pki_pair p = server_of(&ca, "box.local", NOW + 90 * PKI_DAY);

	assert_true(pki_is_due(p.cert, NOW, true));
	assert_false(pki_is_due(p.cert, NOW, false)); /* the clock may be what is wrong */
}

static void a_server_is_due_with_a_third_left(void **state)
{
	scoped(pki_pair) struct pki_pair ca = authority_of(&any, NOW);
	scoped(pki_pair) struct pki_pair p = server_of(&ca, "box.local", NOW);

	assert_false(pki_is_due(p.cert, NOW + 260 * PKI_DAY, true));
	assert_true(pki_is_due(p.cert, NOW + 264 * PKI_DAY, true));
}

static void a_server_does_not_outlive_its_authority(void **state)
{
	scoped(pki_pair) struct pki_pair ca = authority_of(&any, NOW);
	int64_t end = pki_not_after(ca.cert);
	scoped(pki_pair) struct pki_pair p = server_of(&ca, "box.local", end - 10 * PKI_DAY);
	struct pki_pair none;
	struct err e;

	assert_int_equal(pki_not_after(p.cert), end);
	assert_int_equal(pki_make_server(&ca, &local, end + 2 * PKI_DAY, &none, &e), -1);
}

/* --- pairs that people bring --- */

static struct buf pem_of(const struct pki_pair *p)
{
	struct buf b = BUF_INIT;
	pki_cert_pem(p, &b);
	return b;
}

static void a_key_of_another_certificate_is_named(void **state)
{
	scoped(pki_pair) struct pki_pair ca = authority_of(&any, NOW);
	scoped(pki_pair) struct pki_pair a = server_of(&ca, "a.example.org", NOW);
	scoped(pki_pair) struct pki_pair b = server_of(&ca, "b.example.org", NOW);
	scoped(buf) struct buf cert = pem_of(&a);
	scoped(buf) struct buf key = BUF_INIT;
	struct pki_pair got;
	struct err e;
	assert_int_equal(pki_key_pem(&b, &key, &e), 0);

	assert_int_equal(pki_parse_pair(&cert, "a.pem", &key, "b.key", &got, &e), -1);

	assert_string_equal(
		e.msg, "b.key is not the key of the certificate in a.pem: the pair does not match");
}

static void a_chain_in_any_order_is_put_right(void **state)
{
	scoped(pki_pair) struct pki_pair ca = authority_of(&any, NOW);
	scoped(pki_pair) struct pki_pair stranger = authority_of(&any, NOW);
	scoped(pki_pair) struct pki_pair leaf = server_of(&ca, "a.example.org", NOW);
	scoped(buf) struct buf cert = pem_of(&stranger);
	scoped(buf) struct buf root = pem_of(&ca);
	scoped(buf) struct buf last = pem_of(&leaf);
	scoped(buf) struct buf key = BUF_INIT;
	scoped(pki_pair) struct pki_pair got = {0};
	struct err e;
	buf_append(&cert, root.data, root.len);
	buf_append(&cert, last.data, last.len);
	assert_int_equal(pki_key_pem(&leaf, &key, &e), 0);

	assert_int_equal(pki_parse_pair(&cert, "c", &key, "k", &got, &e), 0);

	assert_int_equal(X509_cmp(got.cert, leaf.cert), 0);
	assert_int_equal(sk_X509_num(got.chain), 0); /* neither the root nor the stranger */
	assert_int_equal(pki_check_server(&got, "c", &e), 0);
}

static void damaged_and_encrypted_files_are_named(void **state)
{
	static const char damaged[] =
		"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
	static const char encrypted[] =
		"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
		"MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgK7n6ZL7nVvAICCAAw\n"
		"DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEKz0VnXo+MmOQT0KQqJr2ksEQA==\n"
		"-----END ENCRYPTED PRIVATE KEY-----\n";
	scoped(pki_pair) struct pki_pair ca = authority_of(&any, NOW);
	scoped(buf) struct buf key = BUF_INIT;
	struct buf cert = {.data = (char *)damaged, .len = strlen(damaged)};
	struct buf none = {.data = (char *)"hello", .len = 5};
	struct buf locked = {.data = (char *)encrypted, .len = strlen(encrypted)};
	struct pki_pair got;
	struct err e;
	assert_int_equal(pki_key_pem(&ca, &key, &e), 0);

	assert_int_equal(pki_parse_pair(&cert, "c", &key, "k", &got, &e), -1);
	assert_string_equal(e.msg, "c has a damaged certificate");
	assert_int_equal(pki_parse_pair(&none, "c", &key, "k", &got, &e), -1);
	assert_string_equal(e.msg, "c has no certificate in PEM");
	assert_int_equal(pki_parse_pair(&cert, "c", &none, "k", &got, &e), -1);
	assert_string_equal(e.msg, "k is not a private key in PEM");
	assert_int_equal(pki_parse_pair(&cert, "c", &locked, "k", &got, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
}

/* --- files --- */

static struct authority_wish wish_of(int64_t now, bool clock_is_set)
{
	return (struct authority_wish){.dir = dir,
		.name = "ca",
		.device = "box",
		.permitted = &local,
		.now = now,
		.clock_is_set = clock_is_set};
}

static void an_authority_is_made_once_and_its_key_is_roots(void **state)
{
	scoped(authority) struct authority a = {0};
	scoped(authority) struct authority b = {0};
	struct authority_wish w = wish_of(NOW, true);
	struct err e;
	struct stat st;
	scoped(free) char *key = xasprintf("%s/ca.key", dir);

	assert_int_equal(authority_need(&w, &a, &e), 0);
	assert_int_equal(authority_need(&w, &b, &e), 0);

	assert_int_equal(X509_cmp(a.pair.cert, b.pair.cert), 0);
	assert_int_equal(stat(key, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void an_authority_without_its_key_is_not_made_anew(void **state)
{
	scoped(authority) struct authority a = {0};
	scoped(authority) struct authority b = {0};
	struct authority_wish w = wish_of(NOW, true);
	struct err e;
	scoped(free) char *key = xasprintf("%s/ca.key", dir);
	assert_int_equal(authority_need(&w, &a, &e), 0);
	unlink(key);

	assert_int_equal(authority_need(&w, &b, &e), -1);

	assert_true(b.failed);
}

static void a_power_cut_between_key_and_certificate_leaves_no_authority(void **state)
{
	scoped(authority) struct authority a = {0};
	scoped(authority) struct authority b = {0};
	struct authority_wish w = wish_of(NOW, true);
	struct err e;
	assert_int_equal(authority_need(&w, &a, &e), 0);
	unlink(a.file);

	assert_int_equal(authority_need(&w, &b, &e), 0);

	assert_int_equal(X509_check_private_key(b.pair.cert, b.pair.key), 1);
}

static void an_authority_that_expired_is_replaced_by_a_clock_to_believe(void **state)
{
	scoped(authority) struct authority a = {0};
	scoped(authority) struct authority b = {0};
	scoped(authority) struct authority c = {0};
	struct authority_wish w = wish_of(NOW, true);
	struct err e;
	assert_int_equal(authority_need(&w, &a, &e), 0);

	struct authority_wish doubtful = wish_of(NOW + 4000 * PKI_DAY, false);
	assert_int_equal(authority_need(&doubtful, &b, &e), 0);
	struct authority_wish later = wish_of(NOW + 4000 * PKI_DAY, true);
	assert_int_equal(authority_need(&later, &c, &e), 0);

	assert_int_equal(X509_cmp(a.pair.cert, b.pair.cert), 0);
	assert_int_not_equal(X509_cmp(a.pair.cert, c.pair.cert), 0);
}

static bool has_file(const char *name, const char *suffix)
{
	scoped(free) char *path = xasprintf("%s/hosts/%s%s", dir, name, suffix);
	return access(path, F_OK) == 0;
}

static void a_pair_stays_for_one_change_after_it_was_wanted(void **state)
{
	scoped(pki_pair) struct pki_pair ca = authority_of(&any, NOW);
	char name[3][64];
	struct err e;
	for (int i = 0; i < 3; i++) {
		scoped(cert_store) struct cert_store s = {.dir_fd = -1};
		scoped(pki_pair) struct pki_pair p = server_of(&ca, "a.example.org", NOW);
		assert_int_equal(cert_store_open(&s, dir, &e), 0);
		const struct stored_cert *c = cert_store_add(&s, "local", &p, &e);
		assert_non_null(c);
		snprintf(name[i], sizeof(name[i]), "%s", c->name);
		assert_int_equal(cert_store_finish(&s, json_object(), &e), 0);
		/* what does not change anything removes nothing */
		scoped(cert_store) struct cert_store again = {.dir_fd = -1};
		assert_int_equal(cert_store_open(&again, dir, &e), 0);
		cert_store_find(&again, name[i])->wanted = true;
		assert_int_equal(cert_store_finish(&again, json_object(), &e), 0);
	}

	assert_false(has_file(name[0], ".crt"));
	assert_false(has_file(name[0], ".key"));
	assert_true(has_file(name[1], ".crt") && has_file(name[1], ".key"));
	assert_true(has_file(name[2], ".crt") && has_file(name[2], ".key"));
}

static void half_a_pair_and_a_damaged_index_are_nothing(void **state)
{
	scoped(pki_pair) struct pki_pair ca = authority_of(&any, NOW);
	scoped(pki_pair) struct pki_pair p = server_of(&ca, "a.example.org", NOW);
	struct err e;
	char name[64];
	{
		scoped(cert_store) struct cert_store s = {.dir_fd = -1};
		assert_int_equal(cert_store_open(&s, dir, &e), 0);
		snprintf(name, sizeof(name), "%s", cert_store_add(&s, "local", &p, &e)->name);
		assert_int_equal(path_write(s.dir_fd, "index.json", "{", 1, 0600, false), 0);
		scoped(free) char *cert = xasprintf("%s.crt", name);
		assert_int_equal(path_write(s.dir_fd, cert, "", 0, 0600, false), 0);
	}
	scoped(cert_store) struct cert_store s = {.dir_fd = -1};

	assert_int_equal(cert_store_open(&s, dir, &e), 0);

	assert_null(cert_store_find(&s, name));
	assert_non_null(cert_store_add(&s, "local", &p, &e)); /* written again */
	assert_int_equal(cert_store_finish(&s, json_object(), &e), 0);
	scoped(free) char *path = xasprintf("%s/hosts/%s.crt", dir, name);
	scoped(X509_free) X509 *back = pki_read_cert(path, &e);
	assert_non_null(back);
}

static void make_link(const char *target, const char *name)
{
	scoped(free) char *path = xasprintf("%s/%s", dir, name);
	assert_int_equal(symlink(target, path), 0);
}

static void every_directory_that_can_replace_a_file_is_watched(void **state)
{
	scoped(strv) struct strv got = STRV_INIT;
	scoped(free) char *v1 = xasprintf("%s/v1", dir);
	scoped(free) char *file = xasprintf("%s/v1/tls.crt", dir);
	scoped(free) char *asked = xasprintf("%s/tls.crt", dir);
	scoped(free) char *missing = xasprintf("%s/no/such/file", dir);
	scoped(free) char *loop = xasprintf("%s/loop", dir);
	assert_int_equal(mkdir(v1, 0755), 0);
	assert_int_equal(path_write(AT_FDCWD, file, "x", 1, 0644, false), 0);
	make_link("v1", "..data"); /* as Kubernetes has it */
	make_link("..data/tls.crt", "tls.crt");
	make_link("loop", "loop");

	cert_watch_dirs(asked, &got);
	assert_int_equal(got.n, 2);
	assert_true(strv_has(&got, dir) && strv_has(&got, v1));
	cert_watch_dirs(missing, &got);
	cert_watch_dirs(loop, &got);
	assert_int_equal(got.n, 2);
}

int main(void)
{
#define WITH_DIR(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_is_believed_by_strict_clients),
		cmocka_unit_test(an_authority_signs_only_what_it_may),
		cmocka_unit_test(a_wrong_clock_makes_nothing_that_is_not_valid_yet),
		cmocka_unit_test(an_authority_of_a_clock_ahead_is_valid_now),
		cmocka_unit_test(what_begins_in_the_future_is_replaced_by_a_clock_to_believe),
		cmocka_unit_test(a_server_is_due_with_a_third_left),
		cmocka_unit_test(a_server_does_not_outlive_its_authority),
		cmocka_unit_test(a_key_of_another_certificate_is_named),
		cmocka_unit_test(a_chain_in_any_order_is_put_right),
		cmocka_unit_test(damaged_and_encrypted_files_are_named),
		WITH_DIR(an_authority_is_made_once_and_its_key_is_roots),
		WITH_DIR(an_authority_without_its_key_is_not_made_anew),
		WITH_DIR(a_power_cut_between_key_and_certificate_leaves_no_authority),
		WITH_DIR(an_authority_that_expired_is_replaced_by_a_clock_to_believe),
		WITH_DIR(a_pair_stays_for_one_change_after_it_was_wanted),
		WITH_DIR(half_a_pair_and_a_damaged_index_are_nothing),
		WITH_DIR(every_directory_that_can_replace_a_file_is_watched),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
