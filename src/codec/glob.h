/* codec/glob.h - patterns of names as Go's path.Match: '*' and '?' stop at '/', "[a-c]", "[^x]",
 * '\\'.
 *
 * Time is bounded by the product of the two lengths, whatever the pattern.
 */
#pragma once
#include <stdbool.h>

int glob_check(const char *pattern);                    /* 0, or -EINVAL when it is no pattern */
bool glob_match(const char *pattern, const char *text); /* false for one that is none */
