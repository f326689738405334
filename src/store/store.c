/* Invariants
 * 1. depth counts open store_begin calls; the SQL transaction is open exactly while depth > 0.
 * 2. Once a nested part has rolled back (failed), the outermost commit rolls back too.
 * 3. The file is locked exclusively from open to close: a second daemon on the same root is
 * refused.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scoped.h"

#define DB_CHUNK_BYTES (256 << 10)
#define WAL_RESERVE_BYTES (2 << 20) /* twice what wal_autocheckpoint lets it grow to */

static const char *const table_names[STORE_MAX] = {
	[STORE_CONTAINERS] = "containers",
	[STORE_IMAGES] = "images",
	[STORE_REFS] = "refs",
	[STORE_LAYERS] = "layers",
	[STORE_NETWORKS] = "networks",
	[STORE_VOLUMES] = "volumes",
	[STORE_BUILD_CACHE] = "build_cache",
	[STORE_BLOBS] = "blobs",
	[STORE_MANIFESTS] = "manifests",
	[STORE_INDEXES] = "indexes",
	[STORE_USERS] = "users",
	[STORE_SESSIONS] = "sessions",
};

/* Migration n brings a file of version n to n + 1. Never edit one that was released: add another.
 */
static const char *const migrations[] = {
	"CREATE TABLE containers  (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL);"
	"CREATE TABLE images      (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL);"
	"CREATE TABLE refs        (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL);"
	"CREATE TABLE layers      (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL);"
	"CREATE TABLE networks    (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL);"
	"CREATE TABLE volumes     (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL);"
	"CREATE TABLE build_cache (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL);",
	/* parentheses: clang takes two literals for a forgotten comma */
	("CREATE TABLE blobs       (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL);"
	 "CREATE TABLE manifests   (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL);"),
	"CREATE TABLE indexes     (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL);",
	("CREATE TABLE users       (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL);"
	 "CREATE TABLE sessions    (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL);"),
};
#define SCHEMA_VERSION ((int)(sizeof(migrations) / sizeof(*migrations)))

struct store {
	sqlite3 *db;
	sqlite3_stmt *put[STORE_MAX];
	sqlite3_stmt *del[STORE_MAX];
	int depth;
	bool failed;
};

static int fail(struct store *s, const char *doing, struct err *e)
{
	int code = sqlite3_errcode(s->db) & 0xff;
	if (code == SQLITE_FULL) {
		return err_set(e, ERR_SYSTEM, "%s: no space left on device", doing);
	}
	return err_set(e, ERR_SYSTEM, "%s: %s", doing, sqlite3_errmsg(s->db));
}

static int run(struct store *s, const char *sql, const char *doing, struct err *e)
{
	if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK) {
		return fail(s, doing, e);
	}
	return 0;
}

static int read_version(struct store *s, int *ret, struct err *e)
{
	sqlite3_stmt *stmt;
	if (sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &stmt, NULL) != SQLITE_OK) {
		return fail(s, "cannot read the state file", e);
	}
	int r = sqlite3_step(stmt) == SQLITE_ROW ? 0 : fail(s, "cannot read the state file", e);
	if (r == 0) {
		*ret = sqlite3_column_int(stmt, 0);
	}
	sqlite3_finalize(stmt);
	return r;
}

static int migrate(struct store *s, struct err *e)
{
	int version = 0;
	if (read_version(s, &version, e) < 0) {
		return -1;
	}
	if (version > SCHEMA_VERSION) {
		return err_set(e, ERR_SYSTEM,
			"the state file was written by a newer wherryd (schema %d, this one knows %d)",
			version, SCHEMA_VERSION);
	}
	for (; version < SCHEMA_VERSION; version++) {
		char set_version[48];
		snprintf(set_version, sizeof(set_version), "PRAGMA user_version = %d", version + 1);
		if (store_begin(s, e) < 0) {
			return -1;
		}
		if (run(s, migrations[version], "cannot update the schema", e) < 0 ||
			run(s, set_version, "cannot update the schema", e) < 0) {
			store_rollback(s);
			return -1;
		}
		if (store_commit(s, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int prepare(struct store *s, struct err *e)
{
	for (int t = 0; t < STORE_MAX; t++) {
		scoped(free) char *put = xasprintf(
			"INSERT INTO %s(id, doc) VALUES(?1, ?2) ON CONFLICT(id) DO UPDATE SET doc = "
			"excluded.doc WHERE doc <> excluded.doc",
			table_names[t]);
		scoped(free) char *del = xasprintf("DELETE FROM %s WHERE id = ?1", table_names[t]);
		if (sqlite3_prepare_v3(
			    s->db, put, -1, SQLITE_PREPARE_PERSISTENT, &s->put[t], NULL) ||
			sqlite3_prepare_v3(
				s->db, del, -1, SQLITE_PREPARE_PERSISTENT, &s->del[t], NULL)) {
			return fail(s, "cannot read the state file", e);
		}
	}
	return 0;
}

/* Room that the file has already, so that what is there can be removed and ends can be recorded on
 * a full disk: the journal's next turns (a reader ignores the zeros, their checksums are wrong) and
 * some pages of the file itself. */
static void reserve_room(struct store *s, const char *path)
{
	int on = 1;
	int chunk = DB_CHUNK_BYTES;
	scoped(free) char *wal = xasprintf("%s-wal", path);
	sqlite3_file_control(s->db, "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk);
	sqlite3_file_control(s->db, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
	scoped(close) int fd = open(wal, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && fallocate(fd, 0, 0, WAL_RESERVE_BYTES) < 0) {
		log_debug("store", "no_reserve", "reason", strerror(errno), NULL);
	}
}

/* Environments and the hashes of passwords are in it. SQLite gives the journal the mode of the
 * file, and an earlier daemon has made both for everybody. */
static void keep_private(const char *path)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	if (*path == ':') {
		return;
	}
	int made = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	scoped_close(&made); /* what failed is said by SQLite */
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
		scoped(free) char *name = xasprintf("%s%s", path, suffixes[i]);
		if (chmod(name, 0600) < 0 && errno != ENOENT) {
			log_warning("store", "not_private", "file", name, "reason", strerror(errno),
				NULL);
		}
	}
}

struct store *store_open(const char *path, struct err *e)
{
	keep_private(path);
	struct store *s = xnew(struct store);
	/* A small page cache and no memory map: the file is read once. EXCLUSIVE keeps the WAL
	 * index in our memory and the file lock until close (invariant 3). */
	static const char pragmas[] = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; "
				      "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -256; "
				      "PRAGMA wal_autocheckpoint = 256; BEGIN IMMEDIATE; COMMIT;";
	if (sqlite3_open_v2(path, &s->db,
		    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
		    NULL) != SQLITE_OK) {
		err_set(e, ERR_SYSTEM, "cannot open %s: %s", path,
			s->db ? sqlite3_errmsg(s->db) : "out of memory");
		store_close(s);
		return NULL;
	}
	if (sqlite3_exec(s->db, pragmas, NULL, NULL, NULL) != SQLITE_OK) {
		if ((sqlite3_errcode(s->db) & 0xff) == SQLITE_BUSY) {
			err_set(e, ERR_CONFLICT, "%s is in use by another wherryd", path);
		} else {
			fail(s, "cannot open the state file", e);
			err_wrap(e, "%s", path);
		}
		store_close(s);
		return NULL;
	}
	if (migrate(s, e) < 0 || prepare(s, e) < 0) {
		err_wrap(e, "%s", path);
		store_close(s);
		return NULL;
	}
	reserve_room(s, path);
	return s;
}

void store_close(struct store *s)
{
	if (!s) {
		return;
	}
	for (int t = 0; t < STORE_MAX; t++) {
		sqlite3_finalize(s->put[t]);
		sqlite3_finalize(s->del[t]);
	}
	sqlite3_close(s->db);
	free(s);
}

char *store_journal(const struct store *s)
{
	const char *path = sqlite3_db_filename(s->db, "main");
	return path && *path ? xasprintf("%s-wal", path) : xstrdup("");
}

/* Runs a prepared statement with its parameters bound, and makes it ready for the next use. */
static int step(struct store *s, sqlite3_stmt *stmt, const char *doing, struct err *e)
{
	int r = 0;
	if (sqlite3_step(stmt) != SQLITE_DONE) {
		r = fail(s, doing, e);
	}
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return r;
}

int store_put(struct store *s, enum store_table t, const char *id, const json_t *doc, struct err *e)
{
	scoped(free) char *text = json_text(doc);
	sqlite3_bind_text(s->put[t], 1, id, -1, SQLITE_STATIC);
	sqlite3_bind_text(s->put[t], 2, text, -1, SQLITE_STATIC);
	return step(s, s->put[t], "cannot save the state", e);
}

int store_delete(struct store *s, enum store_table t, const char *id, struct err *e)
{
	sqlite3_bind_text(s->del[t], 1, id, -1, SQLITE_STATIC);
	return step(s, s->del[t], "cannot save the state", e);
}

int store_get(struct store *s, enum store_table t, const char *id, json_t **ret_doc, struct err *e)
{
	scoped(free) char *sql = xasprintf("SELECT doc FROM %s WHERE id = ?1", table_names[t]);
	sqlite3_stmt *stmt;
	if (sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL) != SQLITE_OK) {
		return fail(s, "cannot read the state file", e);
	}
	sqlite3_bind_text(stmt, 1, id, -1, SQLITE_STATIC);
	int code = sqlite3_step(stmt);
	int r = 0;
	json_t *doc = NULL;
	if (code == SQLITE_ROW) {
		doc = json_parse((const char *)sqlite3_column_text(stmt, 0),
			(size_t)sqlite3_column_bytes(stmt, 0), table_names[t], e);
		r = doc ? 0 : -1;
	} else if (code != SQLITE_DONE) {
		r = fail(s, "cannot read the state file", e);
	}
	sqlite3_finalize(stmt);
	if (r == 0) {
		*ret_doc = doc;
	}
	return r;
}

int store_each(struct store *s, enum store_table t, store_row_fn *fn, void *owner, struct err *e)
{
	scoped(free) char *sql = xasprintf("SELECT id, doc FROM %s ORDER BY seq", table_names[t]);
	sqlite3_stmt *stmt;
	if (sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL) != SQLITE_OK) {
		return fail(s, "cannot read the state file", e);
	}
	int r = 0;
	int code = SQLITE_DONE;
	while (r == 0 && (code = sqlite3_step(stmt)) == SQLITE_ROW) {
		const char *id = (const char *)sqlite3_column_text(stmt, 0);
		const char *text = (const char *)sqlite3_column_text(stmt, 1);
		size_t n = (size_t)sqlite3_column_bytes(stmt, 1);
		scoped(json) json_t *doc = json_parse(text, n, table_names[t], e);
		r = doc ? fn(owner, id, doc, e) : -1;
	}
	if (r == 0 && code != SQLITE_DONE) {
		r = fail(s, "cannot read the state file", e);
	}
	sqlite3_finalize(stmt);
	return r;
}

int store_begin(struct store *s, struct err *e)
{
	if (s->depth == 0) {
		if (run(s, "BEGIN IMMEDIATE", "cannot save the state", e) < 0) {
			return -1;
		}
		s->failed = false;
	}
	s->depth++;
	return 0;
}

int store_commit(struct store *s, struct err *e)
{
	if (--s->depth > 0) {
		return 0;
	}
	if (!s->failed && run(s, "COMMIT", "cannot save the state", e) == 0) {
		return 0;
	}
	if (s->failed) {
		err_set(e, ERR_SYSTEM, "cannot save the state: a part of the change failed");
	}
	sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}

void store_rollback(struct store *s)
{
	s->failed = true;
	if (--s->depth == 0) {
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	}
}
