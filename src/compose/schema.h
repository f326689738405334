/* compose/schema.h - which keys a compose file may have, of which types, and what to say when it
 * has others.
 *
 * The rules (rules.c) are the compose specification's JSON schema as tables. Checking also settles
 * what interpolation left open: a string in a boolean or number field becomes one. `x-` keys are
 * allowed wherever keys are fixed.
 */
#pragma once
#include "base/strv.h"
#include "compose/tree.h"

#define AS(kind) (1u << (kind))
#define AS_NULL AS(NODE_NULL)
#define AS_BOOL AS(NODE_BOOL)
#define AS_INT AS(NODE_INT)
#define AS_NUM (AS(NODE_INT) | AS(NODE_FLOAT))
#define AS_STR AS(NODE_STR)
#define AS_MAP AS(NODE_MAP)
#define AS_LIST AS(NODE_LIST)
#define AS_SCALAR (AS_NULL | AS_BOOL | AS_NUM | AS_STR)
#define AS_ANY (AS_SCALAR | AS_MAP | AS_LIST)

enum rule_flag {
	RULE_DURATION = 1u << 0, /* the string is a duration; it becomes Go's spelling */
	RULE_SIZE = 1u << 1,     /* the scalar is a number of bytes; it becomes a decimal string */
	RULE_NAMES = 1u << 2,    /* free keys are names: [a-zA-Z0-9._-]+ */
	RULE_REQUIRED = 1u << 3, /* a complete mapping has it (schema_finish) */
	RULE_UNIQUE = 1u << 4,   /* no two items of the list are equal */
	RULE_WHOLE = 1u << 5,    /* a number that becomes a whole one */
	RULE_TEXT = 1u << 6,     /* a scalar that becomes a string */
	RULE_CPUS = 1u << 7,     /* a number of processors, perhaps as a string */
	RULE_MODE = 1u << 8,     /* permission bits: octal in a string */
	RULE_COUNT = 1u << 9,    /* a whole number or "all", which becomes -1 */
	RULE_GPUS = 1u << 10,    /* the only string is "all" */
	RULE_OCTAL = 1u << 11,   /* permission bits: octal in a string; they become a number */
	/* how docker compose's Go types print it */
	RULE_KEEP = 1u << 12,     /* even when it is 0, false, "" or empty */
	RULE_ALWAYS = 1u << 13,   /* in JSON always, if only as {} */
	RULE_CAPITAL = 1u << 14,  /* in JSON with a capital letter */
	RULE_NOT_JSON = 1u << 15, /* not in JSON when it is 0 */
	RULE_AGENTS = 1u << 17,   /* a mapping that is printed as a list of "KEY=VALUE" and "KEY" */
	RULE_NULL = 1u << 16,     /* in JSON always, if only as null */
};

struct rule {
	const char *key; /* NULL ends a table, and is the name of a lone rule */
	unsigned types;
	unsigned flags;
	const struct rule *fields; /* of a mapping with fixed keys */
	const struct rule *each;   /* of the values of a mapping with free keys */
	const struct rule *item;   /* of the elements of a list */
	const char *const *words;  /* the strings that are allowed; NULL: any */
};

extern const struct rule rule_project;

/* path names the place in warnings ("services.web"). */
int schema_check(struct tree *t, struct node *n, const struct rule *rule, const char *path,
	struct strv *warnings, struct err *e);

/* Of a complete document (everything is merged): mappings have what they need, and what is empty
 * where empty means nothing is taken out. */
int schema_finish(struct node *n, const struct rule *rule, const char *path, struct err *e);

/* The rule of a key in a table of fields; NULL. */
const struct rule *schema_field(const struct rule *fields, const char *key);
bool schema_is_empty(const struct node *n); /* null, false, 0, "", {}, [] */
