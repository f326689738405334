/* Beside NAME.json is NAME.line: what the list shows of it, with the size and the time of the
 * document that it was made from, so that a start reads no document. One that does not fit, or is
 * not there, is made again from the document. */
#include "project/project.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strv.h"
#include "base/text.h"

#define NAME_MAX_BYTES 200
#define SUFFIX ".json"
#define LINE_SUFFIX ".line"
#define TEMP_SUFFIX ".tmp"         /* of path_write */
#define LINE_BYTES_MAX (64u << 10) /* all but its config: kept in memory */
#define LINE_FILE_MAX (LINE_BYTES_MAX + 1024)

struct project_store {
	int dirfd;
	struct map *lines; /* name -> json_t, the document without its config */
};

/* compose-spec 05-version-and-name.md: lower case letters, digits, '-' and '_', a letter or digit
 * first. */
static int check_name(const char *name, struct err *e)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t n = strlen(name);
	if (n == 0 || n > NAME_MAX_BYTES || strspn(name, letters) != n || strchr("-_", *name)) {
		return err_set(e, ERR_INVALID,
			"invalid project name: lower case letters, digits, '-' and '_' are expected, a letter or digit first");
	}
	return 0;
}

static char *file_of(const char *name)
{
	return xasprintf("%s" SUFFIX, name);
}

static char *line_file_of(const char *name)
{
	return xasprintf("%s" LINE_SUFFIX, name);
}

static int check_words(const json_t *doc, const char *key, struct err *e)
{
	scoped(strv) struct strv words = STRV_INIT;
	return json_get_strv(doc, key, &words, e);
}

static int check(const json_t *doc, const char *name, struct err *e)
{
	const char *given;
	const char *dir;
	json_t *config;
	if (check_name(name, e) < 0 || json_get_str(doc, "name", &given, e) < 0 ||
		json_get_str(doc, "working_dir", &dir, e) < 0 ||
		json_get_object(doc, "config", &config, e) < 0 ||
		check_words(doc, "config_files", e) < 0 ||
		check_words(doc, "environment_files", e) < 0 ||
		check_words(doc, "profiles", e) < 0) {
		return -1;
	}
	if (!given || strcmp(given, name) != 0) {
		return err_set(e, ERR_INVALID, "name must be \"%s\", as in the path", name);
	}
	return config ? 0 : err_set(e, ERR_INVALID, "config is missing");
}

/* All but its config. */
static json_t *line_of(const json_t *doc)
{
	static const char *const kept[] = {
		"name", "working_dir", "config_files", "environment_files", "profiles", "updated"};
	json_t *line = json_object();
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
		json_put(line, kept[i], json_deep_copy(json_object_get(doc, kept[i])));
	}
	return line;
}

static int check_line(const json_t *doc, struct err *e)
{
	scoped(json) json_t *line = line_of(doc);
	scoped(free) char *text = json_text(line);
	return strlen(text) <= LINE_BYTES_MAX
		       ? 0
		       : err_set(e, ERR_INVALID,
				 "the project without its config is larger than 64 KiB");
}

/* --- the lines on disk --- */

/* What a line says of the document that it was made from: size and time. -errno. */
static int document_stamp(const struct project_store *s, const char *name, char ret[static 64])
{
	struct stat st;
	scoped(free) char *file = file_of(name);
	if (fstatat(s->dirfd, file, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return -errno;
	}
	snprintf(ret, 64, "%lld %lld.%09ld", (long long)st.st_size, (long long)st.st_mtim.tv_sec,
		st.st_mtim.tv_nsec);
	return 0;
}

/* The line of the document as it is now; NULL when it must be made again. */
static json_t *read_line(const struct project_store *s, const char *name, const char *stamp)
{
	struct err ignored;
	scoped(buf) struct buf text = BUF_INIT;
	scoped(free) char *file = line_file_of(name);
	scoped(json) json_t *kept =
		path_read(s->dirfd, file, LINE_FILE_MAX, &text) < 0
			? NULL
			: json_parse(buf_str(&text), text.len, "the line", &ignored);
	json_t *line = json_object_get(kept, "line");
	bool fits = strcmp(json_str(kept, "of"), stamp) == 0 &&
		    strcmp(json_str(line, "name"), name) == 0 && check_line(line, &ignored) == 0;
	return fits ? json_incref(line) : NULL;
}

/* A failure costs the next start a moment. */
static void write_line(const struct project_store *s, const char *name, json_t *line)
{
	char stamp[64];
	if (document_stamp(s, name, stamp) < 0) {
		return;
	}
	scoped(json) json_t *kept = json_pack("{ss sO}", "of", stamp, "line", line);
	scoped(free) char *text = json_text(kept);
	scoped(free) char *file = line_file_of(name);
	(void)path_write(s->dirfd, file, text, strlen(text), 0600, false);
}

static void put_line(struct project_store *s, const char *name, const json_t *doc)
{
	json_t *line = line_of(doc);
	json_decref(map_put(s->lines, name, line));
	write_line(s, name, line);
}

static json_t *make_line(struct project_store *s, const char *name)
{
	struct err e;
	scoped(buf) struct buf text = BUF_INIT;
	scoped(free) char *file = file_of(name);
	int r = path_read(s->dirfd, file, PROJECT_BYTES_MAX, &text);
	scoped(json) json_t *doc =
		r < 0 ? NULL : json_parse(buf_str(&text), text.len, "the project", &e);
	if (r < 0) {
		(void)err_sys(&e, -r, "cannot read %s", file);
	}
	if (!doc || check(doc, name, &e) < 0 || check_line(doc, &e) < 0) {
		log_warning("project", "not_read", "file", file, "error", e.msg, NULL);
		return NULL;
	}
	json_t *line = line_of(doc);
	write_line(s, name, line);
	return line;
}

static void load(struct project_store *s, const char *file)
{
	char stamp[64];
	scoped(free) char *name = xstrndup(file, strlen(file) - strlen(SUFFIX));
	json_t *line = document_stamp(s, name, stamp) < 0 ? NULL : read_line(s, name, stamp);
	line = line ? line : make_line(s, name);
	if (line) {
		json_decref(map_put(s->lines, name, line));
	}
}

/* What a killed daemon left half-written. Other files are somebody else's. */
static void remove_leftover(struct project_store *s, const char *file)
{
	if (text_ends(file, SUFFIX TEMP_SUFFIX) || text_ends(file, LINE_SUFFIX TEMP_SUFFIX)) {
		(void)unlinkat(s->dirfd, file, 0);
	}
	if (text_ends(file, LINE_SUFFIX)) {
		char stamp[64];
		scoped(free) char *name = xstrndup(file, strlen(file) - strlen(LINE_SUFFIX));
		if (document_stamp(s, name, stamp) == -ENOENT) {
			(void)unlinkat(s->dirfd, file, 0);
		}
	}
}

struct project_store *project_store_new(const char *data_root, struct err *e)
{
	scoped(free) char *path = xasprintf("%s/projects", data_root);
	scoped(strv) struct strv files = STRV_INIT;
	int r = path_mkdirs(path, 0700);
	int fd = r < 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		r = path_list(fd, &files);
	}
	if (fd < 0 || r < 0) {
		(void)err_sys(e, r < 0 ? -r : errno, "cannot open %s", path);
		return NULL;
	}
	struct project_store *s = xnew(struct project_store);
	s->dirfd = fd;
	s->lines = map_new();
	for (size_t i = 0; i < files.n && map_count(s->lines) < PROJECTS_MAX; i++) {
		if (text_ends(files.v[i], SUFFIX)) {
			load(s, files.v[i]);
		} else {
			remove_leftover(s, files.v[i]);
		}
	}
	return s;
}

void project_store_free(struct project_store *s)
{
	if (!s) {
		return;
	}
	map_each (s->lines, json_t, line) {
		json_decref(line);
	}
	map_free(s->lines);
	close(s->dirfd);
	free(s);
}

/* Not synced: a power cut gives the earlier document or this one (ext4 auto_da_alloc), and the
 * containers can still be found by their labels. */
int project_store_put(
	struct project_store *s, const char *name, const json_t *doc, bool *ret_new, struct err *e)
{
	if (check(doc, name, e) < 0 || check_line(doc, e) < 0) {
		return -1;
	}
	bool is_new = !map_get(s->lines, name);
	if (is_new && map_count(s->lines) >= PROJECTS_MAX) {
		return err_set(e, ERR_DENIED, "%d projects are kept already", PROJECTS_MAX);
	}
	char now[CLOCK_TEXT_MAX];
	scoped(json) json_t *dated = json_copy((json_t *)doc);
	json_put_str(dated, "updated", clock_format(clock_real_ns(), now));
	scoped(free) char *text = json_text(dated);
	scoped(free) char *file = file_of(name);
	size_t n = strlen(text);
	if (n > PROJECT_BYTES_MAX) {
		return err_set(e, ERR_INVALID, "the project is larger than 4 MiB");
	}
	int r = path_write(s->dirfd, file, text, n, 0600, false);
	if (r < 0) {
		return err_sys(e, -r, "cannot write the project %s", name);
	}
	put_line(s, name, dated);
	*ret_new = is_new;
	return 0;
}

static int not_found(const char *name, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "no such project: %.200s", name);
}

int project_store_get(
	const struct project_store *s, const char *name, struct buf *ret, struct err *e)
{
	if (!map_get(s->lines, name)) {
		return not_found(name, e);
	}
	scoped(free) char *file = file_of(name);
	int r = path_read(s->dirfd, file, PROJECT_BYTES_MAX, ret);
	return r < 0 ? err_sys(e, -r, "cannot read the project %s", name) : 0;
}

int project_store_remove(struct project_store *s, const char *name, struct err *e)
{
	json_t *line = map_get(s->lines, name);
	if (!line) {
		return not_found(name, e);
	}
	scoped(free) char *file = file_of(name);
	if (unlinkat(s->dirfd, file, 0) < 0 && errno != ENOENT) {
		return err_sys(e, errno, "cannot remove the project %s", name);
	}
	scoped(free) char *line_file = line_file_of(name);
	(void)unlinkat(s->dirfd, line_file, 0);
	map_remove(s->lines, name);
	json_decref(line);
	return 0;
}

json_t *project_store_list(const struct project_store *s)
{
	json_t *list = json_array();
	map_each (s->lines, json_t, line) {
		json_array_append(list, line);
	}
	return list;
}
