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
	RULE_IGNORED = 1u << 0,     /* accepted with a warning */
	RULE_UNSUPPORTED = 1u << 1, /* refused with a sentence of its own */
	RULE_DURATION = 1u << 2,    /* the string is a Go duration */
	RULE_SIZE = 1u << 3,        /* the scalar is a number of bytes */
	RULE_NAMES = 1u << 4,       /* free keys are names: [a-zA-Z0-9._-]+ */
};

struct rule {
	const char *key; /* NULL ends a table, and is the name of a lone rule */
	unsigned types;
	unsigned flags;
	const struct rule *fields; /* of a mapping with fixed keys */
	const struct rule *each;   /* of the values of a mapping with free keys */
	const struct rule *item;   /* of the elements of a list */
};

extern const struct rule rule_project;

/* path names the place in warnings ("services.web"). */
int schema_check(struct tree *t, struct node *n, const struct rule *rule, const char *path,
	struct strv *warnings, struct err *e);
