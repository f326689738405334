/* wherry/build_url.h - contexts that are not on this machine. */
#pragma once
#include <stdbool.h>

/* "https://...", "git://...", "git@host:repo", "github.com/..."; a directory of that name does not
 * matter here. */
bool build_url_is_remote(const char *text);
