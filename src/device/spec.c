#include "device/spec.h"

#include <string.h>

#include "base/mem.h"
#include "base/text.h"

bool device_is_permissions(const char *text)
{
	return *text && strspn(text, "rwm") == strlen(text) && strlen(text) <= 3;
}

static void split_links_name(const char *text, struct strv *ret)
{
	const char *inside = strstr(text, ":/");
	const char *access = strrchr(inside ? inside + 1 : text, ':');
	access = access && (inside || device_is_permissions(access + 1)) ? access : NULL;
	const char *end = access ? access : text + strlen(text);
	strv_addn(ret, text, (size_t)((inside ? inside : end) - text));
	strv_addn(ret, inside ? inside + 1 : end, inside ? (size_t)(end - inside - 1) : 0);
	if (access) {
		strv_add(ret, access + 1);
	}
}

void device_spec_split(const char *text, struct strv *ret)
{
	bool link = strstr(text, "/by-path/") || strstr(text, "/by-id/");
	if (link && text_starts(text, "/dev/")) {
		split_links_name(text, ret);
	} else {
		strv_split(ret, text, ':');
	}
}
