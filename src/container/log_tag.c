#include <string.h>

#include "base/scoped.h"
#include "container/log_options.h"

#define FIELD_MAX 64

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t')) {
		p++;
	}
	return p;
}

/* What stands between the braces: one field. */
static int expand_action(const char *p, const char *end, log_tag_fn *look, void *owner,
	struct buf *ret, struct err *e)
{
	char field[FIELD_MAX] = "";
	p = skip_blanks(p, end);
	const char *name = p < end && *p == '.' ? p + 1 : NULL;
	size_t n = 0;
	while (name && name + n < end && name[n] != ' ' && name[n] != '\t') {
		n++;
	}
	if (!name || n == 0 || n >= sizeof(field) || skip_blanks(name + n, end) != end) {
		return err_set(e, ERR_SYSTEM,
			"template: log-tag:1: \"%.*s\": only fields as {{.Name}} are known",
			(int)(end - p < 100 ? end - p : 100), p);
	}
	memcpy(field, name, n);
	const char *value = look(owner, field);
	if (!value) {
		return err_set(e, ERR_SYSTEM,
			"template: log-tag:1:2: executing \"log-tag\" at <.%s>: can't evaluate field %s in type "
			"*logger.Info",
			field, field);
	}
	buf_puts(ret, value);
	return 0;
}

int log_tag_expand(const char *text, log_tag_fn *look, void *owner, struct buf *ret, struct err *e)
{
	for (;;) {
		const char *open = strstr(text, "{{");
		if (!open) {
			buf_puts(ret, text);
			return 0;
		}
		const char *close = strstr(open, "}}");
		if (!close) {
			return err_set(e, ERR_SYSTEM, "template: log-tag:1: unclosed action");
		}
		buf_append(ret, text, (size_t)(open - text));
		if (expand_action(open + 2, close, look, owner, ret, e) < 0) {
			return -1;
		}
		text = close + 2;
	}
}
