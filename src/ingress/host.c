#include "ingress/host.h"

#include <stdlib.h>
#include <string.h>

#include "base/ip.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "ingress/route.h"

#define LABEL_MAX 63
#define LABEL_BYTES "abcdefghijklmnopqrstuvwxyz0123456789-"

static bool is_label(const char *p, size_t n)
{
	return n > 0 && n <= LABEL_MAX && strspn(p, LABEL_BYTES) >= n && p[0] != '-' &&
	       p[n - 1] != '-';
}

bool host_is_label(const char *text)
{
	return is_label(text, strlen(text));
}

static void lower(char *text)
{
	for (char *p = text; *p; p++) {
		*p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
	}
}

/* What people write that is no name, each with what they would rather write. */
static int explain(const char *text, struct err *e)
{
	struct ip ip;
	if (strchr(text, '/')) {
		return err_set(
			e, ERR_INVALID, "is a name, not an address of a page: '%.100s'", text);
	}
	if (*text && (ip_parse(text, &ip) == 0 || text[strspn(text, "0123456789.")] == '\0')) {
		return err_set(e, ERR_INVALID,
			"'%.100s' is an address; '.' stands for the device's own names and addresses",
			text);
	}
	if (strchr(text, ':')) {
		return err_set(e, ERR_INVALID, "has no port: '%.100s'", text);
	}
	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p >= 0x80) {
			return err_set(e, ERR_INVALID,
				"must be in its ASCII form (xn--...), not '%.100s'", text);
		}
	}
	if (strchr(text, '*')) {
		return err_set(e, ERR_INVALID,
			"'%.100s': a * stands for what is before the first dot, as in *.example.org",
			text);
	}
	return err_set(e, ERR_INVALID,
		"'%.100s' is not a host's name: letters, digits and '-', with dots between", text);
}

static bool is_name(const char *name)
{
	size_t n = strlen(name);
	for (const char *p = name; n <= HOST_NAME_MAX_BYTES;) {
		size_t label = strcspn(p, ".");
		if (!is_label(p, label)) {
			return false;
		}
		if (!p[label]) { /* a last label of digits is an address (WHATWG URL, "ends in a
				    number") */
			return strspn(p, "0123456789") < label;
		}
		p += label + 1;
	}
	return false;
}

char *host_read(const char *text, struct err *e)
{
	if (strcmp(text, ".") == 0 || strcmp(text, "@") == 0) {
		return xstrdup(ROUTE_HOST_OWN);
	}
	size_t n = strlen(text);
	if (n > HOST_NAME_MAX_BYTES + 1) {
		(void)err_set(e, ERR_INVALID, "is longer than %d bytes: '%.60s...'",
			HOST_NAME_MAX_BYTES, text);
		return NULL;
	}
	scoped(free) char *name = xstrndup(text, n > 1 && text[n - 1] == '.' ? n - 1 : n);
	lower(name);
	bool any = text_starts(name, "*.");
	if (!is_name(any ? name + 2 : name)) {
		(void)explain(text, e);
		return NULL;
	}
	return TAKE(name);
}

char *host_label(const char *name)
{
	scoped(free) char *label = xstrdup(name);
	lower(label);
	size_t n = 0;
	for (const char *p = label; *p && n < LABEL_MAX; p++) {
		bool fits = strchr(LABEL_BYTES, *p) && *p != '-';
		if (fits || (n > 0 && label[n - 1] != '-')) {
			label[n++] = (char)(fits ? *p : '-');
		}
	}
	while (n > 0 && label[n - 1] == '-') {
		n--;
	}
	label[n] = '\0';
	return n > 0 ? TAKE(label) : NULL;
}
