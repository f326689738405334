/* device/storage_rule.h - what a label wherry.storage.NAME asks for: which file systems, where in
 * the container, and how they are treated. Pure. The words are in doc/devices.md.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/scoped.h"
#include "base/strv.h"

#define STORAGE_LABEL "wherry.storage."
#define STORAGE_RULES_MAX 16 /* of one container */
#define STORAGE_RULE_BYTES_MAX 4096
#define STORAGE_NAME_MAX 64 /* of a directory below a place, with its NUL */

enum storage_fsck {
	STORAGE_FSCK_NO,
	STORAGE_FSCK_CHECK,  /* one that has errors is mounted read-only */
	STORAGE_FSCK_REPAIR, /* what can be repaired without a question is */
};

struct storage_rule {
	char *name;
	char *label, *uuid; /* one of them, or */
	bool any;           /* all that come and go, each in a directory of its own below at */
	char *at;           /* absolute, clean */
	bool read_only;
	bool required; /* the container waits for it */
	enum storage_fsck fsck;
	struct strv fs; /* file systems as blkid calls them */
};

/* text: a JSON object, or "key=value,key=value" whose first word may be "any" or a label. NULL with
 * ERR_INVALID, whose sentence begins with the label's name. */
struct storage_rule *storage_rule_parse(const char *name, const char *text, struct err *e);
void storage_rule_free(struct storage_rule *r); /* NULL is fine */
SCOPED(struct storage_rule *, storage_rule_free)

/* The rules of an object of labels, in the order of their names; *ret gets an array of *ret_n that
 * is the caller's (storage_rules_free). ERR_INVALID also when two are at one place. */
int storage_rules_read(
	const json_t *labels, struct storage_rule ***ret, size_t *ret_n, struct err *e);
void storage_rules_free(struct storage_rule **rules, size_t n);

/* "disk labelled MEDIA", "disk 1234-ABCD", "a disk": what a container waits for; the caller's. */
char *storage_rule_words(const struct storage_rule *r);

/* As the worker gets it, and back. */
json_t *storage_rule_json(const struct storage_rule *r);
const char *storage_fsck_word(enum storage_fsck f);

/* The texts are what the file system says of itself, "" when nothing. */
bool storage_rule_matches(const struct storage_rule *r, const char *label, const char *uuid,
	const char *fstype, bool comes_and_goes);

/* The name of a directory for a file system that says this of itself, which is whatever a stranger
 * wrote into it: no '/', no control characters, not "..", valid UTF-8, short. kernel: "sda1", when
 * there is neither. taken(arg, name): whether another one has it already; then kernel's name is
 * added. */
void storage_dir_name(const char *label, const char *uuid, const char *kernel,
	bool (*taken)(void *arg, const char *name), void *arg, char ret[static STORAGE_NAME_MAX]);
