/* codec/path_stat.h - what HEAD and GET /containers/x/archive say about a file:
 * X-Docker-Container-Path-Stat, base64 of {"name","size","mode","mtime","linkTarget"}.
 *
 * The mode has Go's bits (io/fs FileMode), which are not those of stat(2): a directory is 1<<31, a
 * link 1<<27, setuid 1<<23. Docker API v1.45 ContainerArchiveInfo.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define PATH_STAT_HEADER "X-Docker-Container-Path-Stat"
#define PATH_STAT_TEXT_MAX 16384

struct path_stat {
	char *name;
	int64_t size;
	mode_t mode; /* as stat(2) */
	int64_t mtime_ns;
	char *link_target; /* resolved in the container; "" for what is no link */
};

void path_stat_deinit(struct path_stat *s);
static inline void scoped_path_stat(struct path_stat *s)
{
	path_stat_deinit(s);
}

uint32_t go_mode_from_stat(mode_t mode);
mode_t go_mode_to_stat(uint32_t go_mode); /* bits without a meaning here are dropped */

json_t *path_stat_json(const struct path_stat *s); /* new */
char *path_stat_header(const json_t *doc);         /* the header's value; the caller's */
int path_stat_parse(const char *header, struct path_stat *ret, struct err *e);
