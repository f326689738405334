#include "oci/filter.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "base/text.h"

#define FILTER_MAX (4096 * 8) /* BPF_MAXINSNS instructions: linux/bpf_common.h */
#define FILTERS_KEPT 64       /* profiles are few; a client that sends ever new ones gets no more */

void oci_filter_key(const char *profile, char ret[static OCI_FILTER_KEY_LEN + 1])
{
	uint8_t hash[32];
	sha256(profile, strlen(profile), hash);
	text_hex(hash, sizeof(hash), ret);
}

char *oci_filter_read(const char *dir, const char *key)
{
	scoped(buf) struct buf raw = BUF_INIT;
	scoped(free) char *path = xasprintf("%s/%s", dir, key);
	if (path_read(AT_FDCWD, path, FILTER_MAX, &raw) < 0 || raw.len == 0) {
		return NULL;
	}
	scoped(buf) struct buf encoded = BUF_INIT;
	base64_encode(buf_str(&raw), raw.len, &encoded);
	return xstrdup(buf_str(&encoded));
}

static bool has_room(const char *dir)
{
	scoped(strv) struct strv names = STRV_INIT;
	scoped(close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && path_list(fd, &names) == 0 && names.n < FILTERS_KEPT;
}

void oci_filter_keep(const char *dir, const char *key, const char *crun_root, const char *id)
{
	scoped(buf) struct buf raw = BUF_INIT;
	scoped(free) char *from = xasprintf("%s/%s/seccomp.bpf", crun_root, id);
	scoped(free) char *to = xasprintf("%s/%s", dir, key);
	if (path_mkdirs(dir, 0700) < 0 || !has_room(dir) ||
		path_read(AT_FDCWD, from, FILTER_MAX, &raw) < 0 || raw.len == 0 ||
		raw.len % 8 != 0) {
		return;
	}
	(void)path_write(AT_FDCWD, to, buf_str(&raw), raw.len, 0600, false);
}
