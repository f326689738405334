/* worker/ingress_files.h - what the ingress has on disk beside nginx's own: directories,
 * generations of its configuration, pages, password files.
 *
 * nginx's workers are www-data and may read pages, challenges and password files; keys and the
 * configuration are its master's, who is root.
 */
#pragma once
#include <jansson.h>
#include <stdint.h>

#include "base/err.h"

int ingress_directories(const char *dir, const char *run, struct err *e);

/* The configuration as DIR/conf/GENERATION/nginx.conf; *ret: its path, the caller's. */
int ingress_write_conf(
	const char *dir, uint64_t generation, const char *text, char **ret, struct err *e);
/* Which generation `current` leads to; 0: none. */
uint64_t ingress_current(const char *dir);
/* `current` leads to that one from now on, 0: nowhere. */
int ingress_set_current(const char *dir, uint64_t generation, struct err *e);
void ingress_remove_others(const char *dir); /* generations that are not the current one */

/* files: names below dir to texts. Afterwards dir's htpasswd/ has no others. */
int ingress_write_files(const char *dir, const json_t *files, struct err *e);
void ingress_remove_files(const char *dir, const json_t *files);
/* Pages that are not as this version has them. */
int ingress_write_pages(const char *dir, struct err *e);
