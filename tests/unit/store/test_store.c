#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "store/store.h"

struct fixture {
	char folder[64];
	char path[96];
	struct store *store;
};

static int open_store(void **state)
{
	struct fixture *f = xnew(struct fixture);
	struct err e;
	strcpy(f->folder, "/tmp/wherry-store-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/wherry.db", f->folder);
	f->store = store_open(f->path, &e);
	assert_non_null(f->store);
	*state = f;
	return 0;
}

static int close_store(void **state)
{
	struct fixture *f = *state;
	store_close(f->store);
	path_remove_tree(AT_FDCWD, f->folder);
	free(f);
	return 0;
}

static void reopen(struct fixture *f)
{
	struct err e;
	store_close(f->store);
	f->store = store_open(f->path, &e);
	assert_non_null(f->store);
}

static int put(struct fixture *f, const char *id, int n)
{
	struct err e;
	scoped(json) json_t *doc = json_pack("{si}", "n", n);
	return store_put(f->store, STORE_VOLUMES, id, doc, &e);
}

static int collect(void *owner, const char *id, json_t *doc, struct err *e)
{
	struct buf *b = owner;
	buf_printf(b, "%s=%d ", id, (int)json_i64(doc, "n", -1));
	return 0;
}

static char *contents(struct fixture *f)
{
	struct err e;
	struct buf b = BUF_INIT;
	assert_int_equal(store_each(f->store, STORE_VOLUMES, collect, &b, &e), 0);
	return buf_take_str(&b);
}

static void rows_come_back_in_order_after_reopening(void **state)
{
	struct fixture *f = *state;
	struct err e;
	put(f, "b", 1);
	put(f, "a", 2);
	put(f, "b", 3);
	put(f, "c", 4);
	assert_int_equal(store_delete(f->store, STORE_VOLUMES, "a", &e), 0);
	assert_int_equal(store_delete(f->store, STORE_VOLUMES, "never there", &e), 0);

	reopen(f);

	scoped(free) char *text = contents(f);
	assert_string_equal(text, "b=3 c=4 ");
}

static void a_rolled_back_change_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct err e;
	assert_int_equal(store_begin(f->store, &e), 0);
	put(f, "a", 1);
	store_rollback(f->store);

	scoped(free) char *text = contents(f);
	assert_string_equal(text, "");
}

static void a_failed_part_undoes_the_whole(void **state)
{
	struct fixture *f = *state;
	struct err e;
	assert_int_equal(store_begin(f->store, &e), 0);
	put(f, "outer", 1);
	assert_int_equal(store_begin(f->store, &e), 0);
	put(f, "inner", 2);
	store_rollback(f->store);

	assert_int_equal(store_commit(f->store, &e), -1);
	scoped(free) char *text = contents(f);
	assert_string_equal(text, "");
}

static void one_row_is_found_by_its_id(void **state)
{
	struct fixture *f = *state;
	struct err e;
	scoped(json) json_t *doc = json_pack("{si}", "n", 7);
	json_t *found = NULL;
	assert_int_equal(store_put(f->store, STORE_BLOBS, "a", doc, &e), 0);

	assert_int_equal(store_get(f->store, STORE_BLOBS, "a", &found, &e), 0);
	assert_true(json_equal(found, doc));
	json_decref(found);
	assert_int_equal(store_get(f->store, STORE_BLOBS, "b", &found, &e), 0);
	assert_null(found);
	assert_int_equal(store_get(f->store, STORE_MANIFESTS, "a", &found, &e), 0);
	assert_null(found);
}

static void a_second_daemon_is_refused(void **state)
{
	struct fixture *f = *state;
	struct err e;

	assert_null(store_open(f->path, &e));
	assert_int_equal(e.kind, ERR_CONFLICT);
}

static void a_file_from_the_future_is_refused(void **state)
{
	struct fixture *f = *state;
	struct err e;
	store_close(f->store);
	f->store = NULL;
	sqlite3 *db;
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);

	assert_null(store_open(f->path, &e));
	assert_non_null(strstr(e.msg, "newer wherryd"));
}

static void a_damaged_file_is_an_error_not_a_crash(void **state)
{
	struct fixture *f = *state;
	struct err e;
	store_close(f->store);
	f->store = NULL;
	char wal[4096];
	snprintf(wal, sizeof(wal), "%s-wal", f->path);
	assert_int_equal(unlink(wal), 0); /* it is kept, and would heal what the next lines break */
	char junk[8192];
	memset(junk, 'x', sizeof(junk));
	assert_int_equal(path_write(AT_FDCWD, f->path, junk, sizeof(junk), 0600, false), 0);

	assert_null(store_open(f->path, &e));
	assert_int_equal(e.kind, ERR_SYSTEM);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(rows_come_back_in_order_after_reopening),
		WITH_STORE(a_rolled_back_change_leaves_nothing),
		WITH_STORE(a_failed_part_undoes_the_whole),
		WITH_STORE(one_row_is_found_by_its_id),
		WITH_STORE(a_second_daemon_is_refused),
		WITH_STORE(a_file_from_the_future_is_refused),
		WITH_STORE(a_damaged_file_is_an_error_not_a_crash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
