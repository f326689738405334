#include "device/storage_rule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "device/label.h"

#define AT_BYTES_MAX 1024

static const char *const keys[] = {
	"label", "uuid", "any", "at", "read_only", "fsck", "required", "fs", NULL};

/* Of which kernels read what strangers wrote for a living; others when they are named. */
static const char *const usual_fs[] = {"vfat", "exfat", "ext2", "ext3", "ext4", "ntfs"};
static const char *const other_fs[] = {
	"xfs", "btrfs", "f2fs", "iso9660", "udf", "squashfs", "erofs", "hfsplus"};

static const char *const fsck_words[] = {
	[STORAGE_FSCK_NO] = "no", [STORAGE_FSCK_CHECK] = "check", [STORAGE_FSCK_REPAIR] = "repair"};

const char *storage_fsck_word(enum storage_fsck f)
{
	return fsck_words[f];
}

void storage_rule_free(struct storage_rule *r)
{
	if (!r) {
		return;
	}
	free(r->name);
	free(r->label);
	free(r->uuid);
	free(r->at);
	strv_deinit(&r->fs);
	free(r);
}

/* --- reading --- */

/* The word that stands alone at the front. */
static int name_first(json_t *doc, struct err *e)
{
	json_t *word = json_object_get(doc, "");
	if (!json_is_string(word)) {
		return 0;
	}
	bool any = strcmp(json_string_value(word), "any") == 0;
	return label_name_first(
		doc, any ? "any" : "label", any ? json_true() : json_incref(word), e);
}

static int read_which(struct storage_rule *r, const json_t *doc, struct err *e)
{
	const char *label;
	const char *uuid;
	if (json_get_str(doc, "label", &label, e) < 0 || json_get_str(doc, "uuid", &uuid, e) < 0 ||
		label_get_bool(doc, "any", &r->any, e) < 0) {
		return -1;
	}
	r->label = label && *label ? xstrdup(label) : NULL;
	r->uuid = uuid && *uuid ? xstrdup(uuid) : NULL;
	return (r->label != NULL) + (r->uuid != NULL) + r->any == 1
		       ? 0
		       : err_set(e, ERR_INVALID, "one of label, uuid and any says which disk");
}

/* A mount there would be over what the kernel or the runtime put there. */
static bool is_refused_place(const char *at)
{
	static const char *const tops[] = {"/proc", "/sys", "/dev"};
	for (size_t i = 0; i < 3; i++) {
		size_t n = strlen(tops[i]);
		if (strncmp(at, tops[i], n) == 0 && (at[n] == '/' || at[n] == '\0')) {
			return true;
		}
	}
	return strcmp(at, "/") == 0;
}

static int read_at(struct storage_rule *r, const json_t *doc, struct err *e)
{
	const char *at;
	if (json_get_str(doc, "at", &at, e) < 0) {
		return -1;
	}
	if (!at || *at != '/' || strlen(at) > AT_BYTES_MAX) {
		return err_set(e, ERR_INVALID,
			"at must be an absolute path in the container, of at most %d bytes",
			AT_BYTES_MAX);
	}
	r->at = path_clean(at);
	return is_refused_place(r->at) ? err_set(e, ERR_INVALID, "at cannot be %.100s", r->at) : 0;
}

static bool is_among(const char *const *list, size_t n, const char *word, size_t len)
{
	for (size_t i = 0; i < n; i++) {
		if (strlen(list[i]) == len && strncmp(list[i], word, len) == 0) {
			return true;
		}
	}
	return false;
}

static int read_fs(struct storage_rule *r, const json_t *doc, struct err *e)
{
	const size_t n_usual = sizeof(usual_fs) / sizeof(*usual_fs);
	const size_t n_other = sizeof(other_fs) / sizeof(*other_fs);
	const char *text;
	if (json_get_str(doc, "fs", &text, e) < 0) {
		return -1;
	}
	for (size_t i = 0; !text && i < n_usual; i++) {
		strv_add(&r->fs, usual_fs[i]);
	}
	for (const char *p = text ? text : ""; *p;) {
		size_t n = strcspn(p, "+");
		if (!is_among(usual_fs, n_usual, p, n) && !is_among(other_fs, n_other, p, n)) {
			return err_set(e, ERR_INVALID,
				"fs must be names of file systems with + between, as vfat+ext4, not '%.60s'",
				text);
		}
		strv_addn(&r->fs, p, n);
		p += n + (p[n] == '+');
	}
	return r->fs.n > 0 ? 0 : err_set(e, ERR_INVALID, "fs names no file system");
}

static int read_policy(struct storage_rule *r, const json_t *doc, struct err *e)
{
	const char *fsck;
	r->required = !r->any; /* nobody can say which one it would wait for */
	if (label_get_bool(doc, "read_only", &r->read_only, e) < 0 ||
		label_get_bool(doc, "required", &r->required, e) < 0 ||
		json_get_str(doc, "fsck", &fsck, e) < 0) {
		return -1;
	}
	for (int i = 0; fsck && i < 3; i++) {
		if (strcmp(fsck, fsck_words[i]) == 0) {
			r->fsck = (enum storage_fsck)i;
			return 0;
		}
	}
	return fsck ? err_set(e, ERR_INVALID, "fsck must be no, check or repair") : 0;
}

static int read_rule(struct storage_rule *r, const char *text, struct err *e)
{
	if (!label_is_name(r->name)) {
		return err_set(e, ERR_INVALID,
			"what follows " STORAGE_LABEL
			" must be a name of letters, digits, '_', '.' and '-'");
	}
	if (strlen(text) > STORAGE_RULE_BYTES_MAX) {
		return err_set(e, ERR_INVALID, "longer than %d bytes", STORAGE_RULE_BYTES_MAX);
	}
	scoped(json) json_t *doc = label_parse(text, e);
	if (!doc || name_first(doc, e) < 0 || label_check_keys(doc, keys, e) < 0 ||
		read_which(r, doc, e) < 0 || read_at(r, doc, e) < 0 || read_fs(r, doc, e) < 0) {
		return -1;
	}
	return read_policy(r, doc, e);
}

struct storage_rule *storage_rule_parse(const char *name, const char *text, struct err *e)
{
	scoped(storage_rule_free) struct storage_rule *r = xnew(struct storage_rule);
	r->name = xstrdup(name);
	if (read_rule(r, text, e) < 0) {
		(void)err_wrap(e, STORAGE_LABEL "%.64s", name);
		return NULL;
	}
	return TAKE(r);
}

void storage_rules_free(struct storage_rule **rules, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		storage_rule_free(rules[i]);
	}
	free(rules);
}

static int add_rule(
	struct storage_rule ***list, size_t *n, const char *key, const char *text, struct err *e)
{
	const char *name = key + strlen(STORAGE_LABEL);
	if (*n == STORAGE_RULES_MAX) {
		return err_set(e, ERR_INVALID, "more than %d labels " STORAGE_LABEL "NAME",
			STORAGE_RULES_MAX);
	}
	struct storage_rule *r = storage_rule_parse(name, text, e);
	if (!r) {
		return -1;
	}
	*list = xrealloc(*list, *n + 1, sizeof(struct storage_rule *));
	(*list)[(*n)++] = r;
	for (size_t i = 0; i + 1 < *n; i++) {
		if (strcmp((*list)[i]->at, r->at) == 0) {
			return err_set(e, ERR_INVALID, "Duplicate mount point: %.300s", r->at);
		}
	}
	return 0;
}

int storage_rules_read(
	const json_t *labels, struct storage_rule ***ret, size_t *ret_n, struct err *e)
{
	struct storage_rule **list = NULL;
	size_t n = 0;
	scoped(strv) struct strv names = STRV_INIT;
	label_find(labels, STORAGE_LABEL, &names);
	for (size_t i = 0; i < names.n; i++) {
		if (add_rule(&list, &n, names.v[i], json_str(labels, names.v[i]), e) < 0) {
			storage_rules_free(list, n);
			return -1;
		}
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

char *storage_rule_words(const struct storage_rule *r)
{
	return r->label  ? xasprintf("disk labelled %s", r->label)
	       : r->uuid ? xasprintf("disk %s", r->uuid)
			 : xstrdup("a disk");
}

json_t *storage_rule_json(const struct storage_rule *r)
{
	scoped(buf) struct buf fs = BUF_INIT;
	for (size_t i = 0; i < r->fs.n; i++) {
		buf_printf(&fs, "%s%s", i > 0 ? "+" : "", r->fs.v[i]);
	}
	json_t *o = json_pack("{ss sb sb ss ss}", "at", r->at, "read_only", r->read_only,
		"required", r->required, "fsck", fsck_words[r->fsck], "fs", buf_str(&fs));
	if (r->label) {
		json_put_str(o, "label", r->label);
	} else if (r->uuid) {
		json_put_str(o, "uuid", r->uuid);
	} else {
		json_put(o, "any", json_true());
	}
	return o;
}

/* --- matching --- */

bool storage_rule_matches(const struct storage_rule *r, const char *label, const char *uuid,
	const char *fstype, bool comes_and_goes)
{
	if (!strv_has(&r->fs, fstype)) {
		return false;
	}
	if (r->any) {
		return comes_and_goes;
	}
	return r->label ? strcmp(r->label, label) == 0 : strcasecmp(r->uuid, uuid) == 0;
}

/* --- names --- */

/* How many bytes the UTF-8 character at p has; 0: none begins there, or it is no such (overlong,
 * a surrogate: RFC 3629). */
static size_t character(const unsigned char *p)
{
	static const struct {
		unsigned char mask, lead;
		unsigned min;
	} forms[] = {
		{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
	for (size_t n = 1; n <= 4; n++) {
		if ((*p & forms[n - 1].mask) != forms[n - 1].lead) {
			continue;
		}
		unsigned code = *p & (unsigned char)~forms[n - 1].mask;
		for (size_t i = 1; i < n; i++) {
			if ((p[i] & 0xc0) != 0x80) {
				return 0;
			}
			code = code << 6 | (p[i] & 0x3f);
		}
		bool control = code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 ||
			       code == 0x2029 || (code >= 0x202a && code <= 0x202e) ||
			       (code >= 0x2066 && code <= 0x2069);
		bool valid = code >= forms[n - 1].min && code <= 0x10ffff &&
			     (code < 0xd800 || code > 0xdfff);
		return valid && !control ? n : 0;
	}
	return 0;
}

/* Whole characters of text into at most max bytes; what cannot stand in a name is '_'. */
static void put_safe(const char *text, size_t max, char *ret)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t len = 0;
	while (*p) {
		size_t n = character(p);
		size_t takes = n > 0 ? n : 1;
		if (len + takes >= max) {
			break;
		}
		if (n > 0 && *p != '/' && *p != '\\') {
			memcpy(ret + len, p, n);
		} else {
			ret[len] = '_';
		}
		len += takes;
		p += takes;
	}
	while (len > 0 && ret[len - 1] == ' ') { /* vfat pads with them */
		len--;
	}
	ret[len] = '\0';
	if (ret[0] == '.') { /* "..", and nothing that is hidden */
		ret[0] = '_';
	}
}

void storage_dir_name(const char *label, const char *uuid, const char *kernel,
	bool (*taken)(void *arg, const char *name), void *arg, char ret[static STORAGE_NAME_MAX])
{
	char base[STORAGE_NAME_MAX - 16]; /* "-nvme0n1p128" fits behind it */
	char own[16];
	put_safe(kernel, sizeof(own) - 1, own);
	put_safe(label, sizeof(base), base);
	if (!*base) {
		put_safe(uuid, sizeof(base), base);
	}
	if (!*base) {
		put_safe(own, sizeof(base), base);
	}
	snprintf(ret, STORAGE_NAME_MAX, "%s", base);
	if (taken(arg, ret)) {
		snprintf(ret, STORAGE_NAME_MAX, "%s-%s", base, own);
	}
}
