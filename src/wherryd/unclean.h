/* wherryd/unclean.h - did the machine go down under the last daemon?
 *
 * A file in the data directory names the boot in which a daemon runs. One that ends removes it; one
 * that is killed leaves it, and the kernel still writes what it had written. Only when the file
 * names another boot the power went.
 */
#pragma once
#include <stdbool.h>

bool unclean_begin(const char *data_root); /* true: the power went; leaves the mark of this boot */
void unclean_end(const char *data_root);
