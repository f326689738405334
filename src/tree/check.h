/* tree/check.h - is a layer's directory what its tar says? Names, kinds, sizes, modes, owners,
 * times, links, devices, attributes; and nothing else in it.
 *
 * The contents of files are not looked at: they are in the digest of the tar that the recipe
 * re-creates from them.
 */
#pragma once
#include "base/err.h"

struct stream;

#define CHECK_WORDS_MAX 256

/* tar: plain; every entry of it as tree/unpack.h makes it. 0: the same; 1: not the same, ret says
 * what is wrong; -1 with *e: the tar, or the directory, cannot be read. */
int check_directory(
	int root_fd, struct stream *tar, char ret[static CHECK_WORDS_MAX], struct err *e);
