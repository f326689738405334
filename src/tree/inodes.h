/* tree/inodes.h - a set of inode numbers of one filesystem, 16 bytes each at most. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct inodes {
	ino_t *v; /* 0: free */
	size_t room, n;
};

void inodes_add(struct inodes *s, ino_t ino); /* ino > 0 */
bool inodes_has(const struct inodes *s, ino_t ino);
void inodes_deinit(struct inodes *s);
