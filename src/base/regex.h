/* base/regex.h - which regular expressions of strangers glibc can be asked to compile in the loop.
 *
 * Go's expressions, which Docker's users write, need linear time and memory. glibc's regcomp(3)
 * copies what a repetition repeats ("((a{255}){255}){255}" takes gigabytes) and recurses for each
 * parenthesis; its regexec(3) takes exponential time for back references. Pure.
 */
#pragma once
#include <stdbool.h>

/* True: do not compile it. */
bool regex_is_costly(const char *pattern);
