/* The value of a label wherry.storage.NAME, and what a stranger wrote as the label of a file
 * system: a rule that is taken stays out of the kernel's places and means the same to the worker; a
 * directory's name is one. The first line is the rule, the second the label, the third the UUID. */
#include "device/storage_rule.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool taken(void *arg, const char *name)
{
	return *(const bool *)arg;
}

static void check_name(const char *label, const char *uuid, bool is_taken)
{
	char name[STORAGE_NAME_MAX];
	storage_dir_name(label, uuid, "sda1", taken, &is_taken, name);
	assert(path_is_component(name) && *name != '.' && strlen(name) < sizeof(name));
	scoped(json) json_t *text = json_string(name); /* UTF-8 */
	assert(text);
}

static void check_rule(const struct storage_rule *r, const char *label, const char *uuid)
{
	struct err e;
	scoped(json) json_t *doc = storage_rule_json(r);
	scoped(free) char *text = json_text(doc);
	scoped(storage_rule_free) struct storage_rule *again = storage_rule_parse("x", text, &e);
	scoped(free) char *clean = path_clean(r->at);
	scoped(free) char *words = storage_rule_words(r);
	assert(again && strcmp(again->at, r->at) == 0 && again->fsck == r->fsck &&
		again->read_only == r->read_only && again->required == r->required);
	assert(strcmp(clean, r->at) == 0 && *r->at == '/' && r->at[1]);
	assert(strncmp(r->at, "/proc/", 6) != 0 && strcmp(r->at, "/sys") != 0);
	assert(r->any + (r->label != NULL) + (r->uuid != NULL) == 1 && *words);
	assert(storage_rule_matches(r, label, uuid, "ext4", true) ==
		storage_rule_matches(again, label, uuid, "ext4", true));
}

static const char *next_line(char **text)
{
	char *line = *text;
	char *end = strchr(line, '\n');
	*text = end ? end + 1 : line + strlen(line);
	if (end) {
		*end = '\0';
	}
	return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = {0};
	scoped(free) char *all = xstrndup((const char *)data, size);
	char *p = all;
	const char *rule = next_line(&p);
	const char *label = next_line(&p);
	const char *uuid = next_line(&p);
	scoped(storage_rule_free) struct storage_rule *r = storage_rule_parse("x", rule, &e);
	assert(r || (e.kind == ERR_INVALID && *e.msg));
	check_name(label, uuid, false);
	check_name(label, uuid, true);
	if (r) {
		check_rule(r, label, uuid);
	}
	return 0;
}
