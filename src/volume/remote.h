/* volume/remote.h - file systems whose server may be away: what a volume's options and labels ask
 * for, and what is given to mount(2). Pure.
 *
 * Settings are driver options or labels of the volume (an option goes first):
 *   wherry.wait         "true": a container's start waits until it is mounted; "false": it starts
 *                       without, and gets it when it is there. Without this a start fails, as
 *                       docker's. Any kind of volume with options may have it.
 *   wherry.credentials  a file of the host with lines username=, password=, domain=, for cifs.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define REMOTE_WAIT "wherry.wait"
#define REMOTE_CREDENTIALS "wherry.credentials"
#define REMOTE_CREDENTIALS_MAX 4096 /* bytes of a file */

enum remote_start { REMOTE_START_FAILS, REMOTE_START_WAITS, REMOTE_START_WITHOUT };

bool remote_type_is_cifs(const char *type); /* cifs, smb3 */
bool remote_type_is_nfs(const char *type);  /* nfs, nfs4 */

/* The value of a setting, "" without; borrowed from options or labels, either may be no object. */
const char *remote_setting(const json_t *options, const json_t *labels, const char *key);
/* ERR_INVALID: a setting that makes no sense, for a volume with these options. */
int remote_check(const json_t *options, const json_t *labels, struct err *e);
/* It is kept mounted, looked after and told as states: a network's, or one with wherry.wait. */
bool remote_is_watched(const json_t *options, const json_t *labels);
enum remote_start remote_start_of(const json_t *options, const json_t *labels);

/* "o" with what makes a dead server an error and not an endless wait, unless it says hard or soft:
 * nfs soft,timeo=50,retrans=2; cifs soft,echo_interval=10; "addr=" of "server:/path" for nfs. The
 * caller's. */
char *remote_options(const char *type, const char *device, const char *o);
/* text: a credentials file's. "username=x,password=y" for mount(2), each comma of a value doubled
 * as the kernel reads it; the caller's, to be wiped. NULL with *e, which never has a value. */
char *remote_credentials(const char *text, struct err *e);
/* o with each password as stars, for messages; the caller's. */
char *remote_shown(const char *o);

/* What an errno of mount(2), or of a look at what is mounted, means to a person; static text, NULL
 * when strerror says it as well. */
const char *remote_reason(const char *type, int errnum);
