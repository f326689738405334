/* compose/decode_fields.h - members of a mapping to members of a structure, from a table; for
 * decode.c. */
#pragma once
#include <stddef.h>

#include "compose/model.h"

enum field_kind { F_TEXT, F_WORDS, F_PAIRS, F_BOOL, F_TRUTH, F_INT, F_SIZE, F_DURATION };

struct field {
	const char *key;
	enum field_kind kind;
	size_t offset;
};

/* fields ends with {0}; into is the structure that the offsets are in. */
void decode_fields(struct tree *t, const struct node *map, const struct field *fields, void *into);
struct words decode_words(struct tree *t, const struct node *list); /* list may be NULL */
struct pairs decode_pairs(struct tree *t, const struct node *map);
int64_t decode_number(const char *text, enum field_kind kind); /* UNSET for NULL */
