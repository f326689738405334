/* wherry/rows.h - what the rows of several tables have in common. */
#pragma once
#include <jansson.h>

/* Members "Labels" ("a=1,b=2", sorted) and "_labels". labels may be NULL or JSON null. */
void rows_put_labels(json_t *row, json_t *labels);
/* By a text member, numbers inside it by value: web2 before web10. */
void rows_sort(json_t *rows, const char *key);
/* By the bytes of a text member. */
void rows_sort_plain(json_t *rows, const char *key);
