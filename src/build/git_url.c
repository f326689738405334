#include "build/git_url.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "base/text.h"

#define TEXT_MAX 2048

void git_url_deinit(struct git_url *g)
{
	free(g->remote);
	free(g->shown);
	free(g->ref);
	free(g->subdir);
	free(g->checksum);
	*g = (struct git_url){0};
}

bool git_is_commit(const char *text)
{
	return text_is_hex(text, 40) || text_is_hex(text, 64);
}

/* --- what is one --- */

static bool starts_nocase(const char *text, const char *prefix)
{
	return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

bool git_url_is_http(const char *text)
{
	return starts_nocase(text, "http://") || starts_nocase(text, "https://");
}

/* "git@host:path": a user, no slash before the colon. */
static bool is_scp(const char *text)
{
	size_t user =
		strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
	if (user == 0 || text[user] != '@' || *text == '-') {
		return false;
	}
	const char *host = text + user + 1;
	size_t n = strcspn(host, ":/#?@");
	return n > 0 && host[n] == ':' && host[n + 1] && !text_starts(host + n, "://");
}

bool git_url_is(const char *text, bool context)
{
	size_t n = strcspn(text, "#?");
	if (git_url_is_http(text)) {
		return n > 4 && strncmp(text + n - 4, ".git", 4) == 0;
	}
	return starts_nocase(text, "ssh://") || starts_nocase(text, "git://") || is_scp(text) ||
	       (context && text_starts(text, "github.com/") && text[strlen("github.com/")]);
}

char *git_url_redact(const char *url)
{
	const char *scheme = strstr(url, "://");
	const char *begin = scheme ? scheme + 3 : url;
	size_t n = strcspn(begin, "/?#");
	const char *at = memrchr(begin, '@', n);
	return scheme && at ? xasprintf("%.*s%s", (int)(begin - url), url, at + 1) : xstrdup(url);
}

/* --- its parts --- */

static int bad(const char *what, struct err *e)
{
	return err_set(e, ERR_INVALID, "invalid git repository: %s", what);
}

static int check_text(const char *text, struct err *e)
{
	if (strlen(text) > TEXT_MAX) {
		return bad("the name is too long", e);
	}
	for (const char *c = text; *c; c++) {
		if (iscntrl((unsigned char)*c) || *c == ' ' || *c == '\\') {
			return bad("the name holds a blank, a control character or a backslash", e);
		}
	}
	return 0;
}

/* git-check-ref-format(1), and nothing that a program could take for an option. */
static bool valid_ref(const char *ref)
{
	if (!*ref || strchr("-/.", *ref) || strlen(ref) > 250 || strpbrk(ref, "~^:?*[\\@{ ")) {
		return false;
	}
	return !strstr(ref, "..") && !strstr(ref, "//") && !strstr(ref, "/.") &&
	       !strstr(ref, ".lock/") && !text_ends(ref, ".lock") && !text_ends(ref, "/") &&
	       !text_ends(ref, ".");
}

static int set_ref(struct git_url *g, const char *prefix, const char *value, struct err *e)
{
	if (*g->ref) {
		return bad("more than one of ref, branch, tag and commit", e);
	}
	if (*value && !valid_ref(value)) {
		return err_set(e, ERR_INVALID,
			"invalid git repository: '%.100s' is no branch, tag or commit", value);
	}
	free(g->ref);
	g->ref = *value ? xasprintf("%s%s", prefix, value) : xstrdup("");
	return 0;
}

/* ".." stays inside. */
static void set_subdir(struct git_url *g, const char *value)
{
	scoped(free) char *clean = path_join("/", value);
	free(g->subdir);
	g->subdir = xstrdup(clean + 1);
}

static int set_checksum(struct git_url *g, const char *value, struct err *e)
{
	size_t n = strspn(value, "0123456789abcdef");
	if (value[n] || n < 7 || n > 64) {
		return bad("checksum= must be 7 to 64 hex digits of a commit", e);
	}
	free(g->checksum);
	g->checksum = xstrdup(value);
	return 0;
}

static bool is_true(const char *value)
{
	return !*value || strcasecmp(value, "true") == 0 || strcmp(value, "1") == 0;
}

static int set_query(struct git_url *g, const char *key, const char *value, struct err *e)
{
	if (strcmp(key, "ref") == 0 || strcmp(key, "commit") == 0) {
		return set_ref(g, "", value, e);
	}
	if (strcmp(key, "branch") == 0) {
		return set_ref(g, "refs/heads/", value, e);
	}
	if (strcmp(key, "tag") == 0) {
		return set_ref(g, "refs/tags/", value, e);
	}
	if (strcmp(key, "checksum") == 0) {
		return set_checksum(g, value, e);
	}
	if (strcmp(key, "subdir") == 0) {
		set_subdir(g, value);
	} else if (strcmp(key, "keep-git-dir") == 0) {
		g->keep_git_dir = is_true(value);
	} else if (strcmp(key, "submodules") == 0) {
		g->no_submodules = !is_true(value);
	} else {
		return err_set(
			e, ERR_INVALID, "invalid git repository: unknown query '%.60s'", key);
	}
	return 0;
}

static int read_query(struct git_url *g, const char *text, struct err *e)
{
	scoped(strv) struct strv pairs = STRV_INIT;
	strv_split(&pairs, text, '&');
	for (size_t k = 0; k < pairs.n; k++) {
		size_t n = strcspn(pairs.v[k], "=");
		scoped(free) char *key = xstrndup(pairs.v[k], n);
		scoped(buf) struct buf value = BUF_INIT;
		const char *raw = pairs.v[k][n] ? pairs.v[k] + n + 1 : "";
		if (percent_decode(raw, strlen(raw), true, &value) < 0 ||
			check_text(buf_str(&value), e) < 0) {
			return bad("a broken query", e);
		}
		if (set_query(g, key, buf_str(&value), e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* "REF:SUBDIR" */
static int read_fragment(struct git_url *g, const char *text, struct err *e)
{
	scoped(buf) struct buf plain = BUF_INIT;
	if (percent_decode(text, strlen(text), false, &plain) < 0 ||
		check_text(buf_str(&plain), e) < 0) {
		return bad("a broken fragment", e);
	}
	const char *whole = buf_str(&plain);
	size_t n = strcspn(whole, ":");
	scoped(free) char *ref = xstrndup(whole, n);
	if (*ref && set_ref(g, "", ref, e) < 0) {
		return -1;
	}
	if (whole[n]) {
		set_subdir(g, whole + n + 1);
	}
	return 0;
}

/* A host or path that begins with '-' is an option of ssh (CVE-2017-1000117) or git. */
static int check_remote(const char *remote, struct err *e)
{
	const char *scheme = strstr(remote, "://");
	const char *authority = scheme ? scheme + 3 : remote;
	size_t n = strcspn(authority, scheme ? "/" : ":");
	const char *at = memrchr(authority, '@', n);
	const char *host = at ? at + 1 : authority;
	const char *path = authority + n;
	path += strspn(path, "/:");
	if (*authority == '-' || *host == '-' || *path == '-' || *path == '\0' ||
		host >= authority + n || (size_t)(authority + n - host) < 1) {
		return bad("its host or path is missing or begins with '-'", e);
	}
	return strstr(path, "::") ? bad("'::' in its path", e) : 0;
}

int git_url_parse(const char *text, struct git_url *ret, struct err *e)
{
	*ret = (struct git_url){.ref = xstrdup(""), .subdir = xstrdup(""), .checksum = xstrdup("")};
	if (check_text(text, e) < 0) {
		return -1;
	}
	if (!git_url_is(text, true)) {
		return bad("known are https://, http://, ssh://, git:// and git@host:path", e);
	}
	size_t remote = strcspn(text, "#?");
	const char *fragment = strchr(text + remote, '#');
	ret->remote = xasprintf(
		"%s%.*s", text_starts(text, "github.com/") ? "https://" : "", (int)remote, text);
	ret->shown = git_url_redact(ret->remote);
	if (check_remote(ret->remote, e) < 0) {
		return -1;
	}
	if (text[remote] == '?') {
		const char *query = text + remote + 1;
		size_t n = fragment ? (size_t)(fragment - query) : strlen(query);
		scoped(free) char *whole = xstrndup(query, n);
		if (read_query(ret, whole, e) < 0) {
			return -1;
		}
	}
	return fragment ? read_fragment(ret, fragment + 1, e) : 0;
}
