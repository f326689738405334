/* compose/merge.h - compose specification, "Merge and override": one canonical document onto
 * another. */
#pragma once
#include "compose/tree.h"

/* Merges over onto base and returns base (or over, when there is no base). Both belong to t; over
 * must not be used again. merge_service does the same for two services. */
struct node *merge_project(struct tree *t, struct node *base, struct node *over);
struct node *merge_service(struct tree *t, struct node *base, struct node *over);

/* Of entries of one service's list with the same key (ports, mounts, devices ...) only the last
 * stays. */
void merge_unique(struct tree *t, struct node *root);
/* Carries out `!reset` where nothing was left to reset, and forgets the tags. */
void merge_finish(struct node *n);
