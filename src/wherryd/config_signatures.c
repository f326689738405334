#include "wherryd/config_signatures.h"

#include <fcntl.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strv.h"
#include "base/text.h"
#include "codec/ref.h"
#include "codec/sha256.h"

#define KEY "image-signatures"
#define RULES_MAX 256
#define KEYS_MAX 16
#define PEM_MAX (16u << 10)
#define PEM_BEGIN "-----BEGIN PUBLIC KEY-----"
#define PEM_END "-----END PUBLIC KEY-----"

/* --- names --- */

/* The beginning of names: what a name that goes on with "x" is completed to. */
static int complete_prefix(const char *text, size_t n, struct buf *ret, struct err *e)
{
	struct ref r;
	char name[REF_TEXT_MAX];
	scoped(free) char *sample = xasprintf("%.*sx", (int)n, text);
	bool host_only = !strchr(sample, '/') && strpbrk(sample, ".:");
	if (host_only || ref_parse(sample, &r, e) < 0 || *r.tag || *r.digest) {
		return err_set(e, ERR_INVALID,
			KEY
			": \"%.100s\" is not the beginning of repositories' names; for all of a registry: HOST/*",
			text);
	}
	ref_name(&r, name);
	buf_append(ret, name, strlen(name) - 1);
	buf_putc(ret, '*');
	return 0;
}

/* "nginx" to "docker.io/library/nginx", "registry.example/app*" as it is. The caller's, or NULL. */
static char *complete_name(const char *text, struct err *e)
{
	struct ref r;
	char name[REF_TEXT_MAX];
	size_t n = strlen(text);
	scoped(buf) struct buf prefix = BUF_INIT;
	if (strcmp(text, "*") == 0) {
		return xstrdup(text);
	}
	if (n > 0 && text[n - 1] == '*') {
		return complete_prefix(text, n - 1, &prefix, e) < 0 ? NULL : buf_take_str(&prefix);
	}
	if (ref_parse(text, &r, e) < 0 || *r.tag || *r.digest) {
		(void)err_set(e, ERR_INVALID,
			KEY
			": \"%.100s\" is not a repository: a name without a tag, which may end in *",
			text);
		return NULL;
	}
	return xstrdup(ref_name(&r, name));
}

/* --- keys --- */

/* The key itself, without what the text around it may say; it names the key for good. */
static int key_id(const char *pem, char ret[static 72])
{
	const char *begin = strstr(pem, PEM_BEGIN);
	const char *end = begin ? strstr(begin, PEM_END) : NULL;
	scoped(buf) struct buf text = BUF_INIT;
	scoped(buf) struct buf der = BUF_INIT;
	if (!end) {
		return -1;
	}
	for (const char *p = begin + strlen(PEM_BEGIN); p < end; p++) {
		if (!strchr(" \t\r\n", *p)) {
			buf_putc(&text, *p);
		}
	}
	if (base64_decode(buf_str(&text), text.len, &der) < 0 || der.len < 32) {
		return -1;
	}
	sha256_digest(der.data, der.len, ret);
	return 0;
}

static json_t *read_key(const char *path, struct err *e)
{
	char id[72];
	scoped(buf) struct buf pem = BUF_INIT;
	if (*path != '/') {
		(void)err_set(
			e, ERR_INVALID, KEY ": the key %.100s must be an absolute path", path);
		return NULL;
	}
	int r = path_read(AT_FDCWD, path, PEM_MAX, &pem);
	if (r < 0) {
		(void)err_sys(e, -r, KEY ": cannot read the key %.200s", path);
		return NULL;
	}
	if (key_id(buf_str(&pem), id) < 0) {
		(void)err_set(e, ERR_INVALID,
			KEY ": %.200s holds no public key in PEM (\"" PEM_BEGIN "\")", path);
		return NULL;
	}
	return json_pack("{ss ss ss}", "path", path, "id", id, "pem", buf_str(&pem));
}

static json_t *read_keys(const json_t *rule, struct err *e)
{
	scoped(strv) struct strv paths = STRV_INIT;
	scoped(json) json_t *keys = json_array();
	if (json_get_strv(rule, "keys", &paths, e) < 0) {
		return NULL;
	}
	if (paths.n == 0 || paths.n > KEYS_MAX) {
		(void)err_set(e, ERR_INVALID, KEY ": a rule needs 1 to %d keys", KEYS_MAX);
		return NULL;
	}
	for (size_t i = 0; i < paths.n; i++) {
		json_t *key = read_key(paths.v[i], e);
		if (!key) {
			return NULL;
		}
		json_array_append_new(keys, key);
	}
	return TAKE(keys);
}

/* --- rules --- */

static int check_members(const json_t *rule, struct err *e)
{
	static const char *const known[] = {"repository", "signed-as", "keys", "enforce"};
	const char *key;
	json_t *v;
	if (!json_is_object(rule)) {
		return err_set(e, ERR_INVALID, KEY " must be a list of objects");
	}
	json_object_foreach ((json_t *)rule, key, v) {
		bool found = false;
		for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
			found = found || strcmp(known[i], key) == 0;
		}
		if (!found) {
			return err_set(e, ERR_INVALID, KEY ": unknown member \"%.64s\"", key);
		}
	}
	return 0;
}

/* Where a rule says that its images are signed under other names, a star stands for the same. */
static int read_signed_as(const char *text, const char *repository, char **ret, struct err *e)
{
	scoped(free) char *as = complete_name(text, e);
	if (!as) {
		return -1;
	}
	if (text_ends(as, "*") && !text_ends(repository, "*")) {
		return err_set(e, ERR_INVALID,
			KEY ": signed-as \"%.100s\" has a star that its repository has not", text);
	}
	*ret = TAKE(as);
	return 0;
}

static json_t *read_rule(const json_t *rule, struct err *e)
{
	const char *repository, *as;
	bool enforce;
	if (check_members(rule, e) < 0 || json_get_str(rule, "repository", &repository, e) < 0 ||
		json_get_str(rule, "signed-as", &as, e) < 0 ||
		json_get_bool(rule, "enforce", true, &enforce, e) < 0) {
		return NULL;
	}
	scoped(free) char *name = complete_name(repository ? repository : "", e);
	scoped(free) char *signed_as = NULL;
	if (!name || (as && read_signed_as(as, name, &signed_as, e) < 0)) {
		return NULL;
	}
	json_t *keys = read_keys(rule, e);
	return keys ? json_pack("{ss ss sb so}", "repository", name, "signed-as",
			      signed_as ? signed_as : "", "enforce", enforce, "keys", keys)
		    : NULL;
}

json_t *config_signatures(const json_t *merged, struct err *e)
{
	const json_t *rules = json_object_get(merged, KEY);
	scoped(json) json_t *list = json_array();
	size_t i;
	json_t *item;
	if (json_array_size(rules) > RULES_MAX) {
		(void)err_set(e, ERR_INVALID, KEY ": more than %d rules", RULES_MAX);
		return NULL;
	}
	json_array_foreach (rules, i, item) {
		json_t *rule = read_rule(item, e);
		if (!rule) {
			return NULL;
		}
		json_array_append_new(list, rule);
	}
	return TAKE(list);
}
