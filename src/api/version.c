#include "api/version.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const char *version_split(const char *path, char **ret_version)
{
	*ret_version = NULL;
	if (strncmp(path, "/v", 2) != 0) {
		return path;
	}
	size_t n = strspn(path + 2, "0123456789.");
	if (n == 0 || path[2 + n] != '/') {
		return path;
	}
	*ret_version = xstrndup(path + 2, n);
	return path + 2 + n;
}

/* One number of a dotted version, cut at 9999: we only compare. */
static int next_number(const char **text)
{
	int n = 0;
	for (; **text >= '0' && **text <= '9'; (*text)++) {
		n = n < 1000 ? n * 10 + (**text - '0') : 9999;
	}
	*text += **text == '.';
	return n;
}

int version_read(const char *text, int *ret_minor, struct err *e)
{
	const char *p = text;
	int major = next_number(&p);
	int minor = next_number(&p);
	int rest = next_number(&p);
	if (major < 1 || (major == 1 && minor < API_VERSION_MIN)) {
		return err_set(e, ERR_INVALID,
			"client version %.32s is too old. Minimum supported API version is " API_VERSION_MIN_TEXT
			", please upgrade your client to a newer version",
			text);
	}
	if (major > 1 || minor > API_VERSION || (minor == API_VERSION && rest > 0)) {
		return err_set(e, ERR_INVALID,
			"client version %.32s is too new. Maximum supported API version is " API_VERSION_TEXT,
			text);
	}
	*ret_minor = minor;
	return 0;
}
