/* api/version.h - which versions of the Docker Engine API are spoken: the numbers, and the "/v1.xx"
 * in front of a path. What a version changes in an answer is asked where the answer is made, by
 * call->version.
 */
#pragma once
#include "base/err.h"

#define API_VERSION 45     /* 1.45 */
#define API_VERSION_MIN 24 /* 1.24 */
#define API_VERSION_TEXT "1.45"
#define API_VERSION_MIN_TEXT "1.24"

/* Takes "/v1.45" off the front of path. Returns the rest; *ret_version is "1.45", the caller's, or
 * NULL when there is none ("/version" is not one: digits and dots only, as in dockerd's routes). */
const char *version_split(const char *path, char **ret_version);
/* The minor number of a version we speak; ERR_INVALID in dockerd's words for others. */
int version_read(const char *text, int *ret_minor, struct err *e);
