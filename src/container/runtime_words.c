#include "container/runtime_words.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"

#define ARG0_SHOWN 140 /* twice, and the sentence around it fits struct err */

enum {
	EXIT_CANNOT_RUN = 126,
	EXIT_NOT_FOUND = 127,
	EXIT_UNKNOWN = 128,
};

/* Go's %q, for what people call programs. */
static void put_quoted(struct buf *b, const char *text, size_t n)
{
	buf_putc(b, '"');
	for (size_t i = 0; i < n && text[i]; i++) {
		unsigned char ch = (unsigned char)text[i];
		if (ch == '"' || ch == '\\') {
			buf_putc(b, '\\');
			buf_putc(b, (char)ch);
		} else if (ch < ' ' || ch == 127) {
			buf_printf(b, "\\x%02x", ch);
		} else {
			buf_putc(b, (char)ch);
		}
	}
	buf_putc(b, '"');
}

/* "No such file or directory" at the end of the text as Go writes it: without the capital. */
static void lower_reason(char *text)
{
	char *colon = NULL;
	for (char *at = text; (at = strstr(at, ": ")); at++) {
		colon = at;
	}
	char *reason = colon ? colon + 2 : NULL;
	if (reason && isupper((unsigned char)reason[0]) && islower((unsigned char)reason[1])) {
		*reason = (char)tolower((unsigned char)*reason);
	}
}

static const char *reason_of(const char *text)
{
	const char *reason = text;
	for (const char *at = text; (at = strstr(at, ": ")); at++) {
		reason = at + 2;
	}
	return reason;
}

/* What stands between the n-th pair of back quotes; false when there are not that many. */
static bool quoted(const char *text, int n, const char **ret, size_t *ret_n)
{
	for (; n >= 0; n--) {
		const char *from = strchr(text, '`');
		const char *to = from ? strchr(from + 1, '`') : NULL;
		if (!to) {
			return false;
		}
		*ret = from + 1;
		*ret_n = (size_t)(to - from - 1);
		text = to + 1;
	}
	return true;
}

/* crun 1.8 says "open executable: Operation not permitted" of what is no regular file, newer ones
 * that the path "exists but it is not executable" of what has no x. */
static bool put_executable(struct buf *b, const char *arg0, const char *text)
{
	if (!text_starts(text, "open executable") && !text_starts(text, "executable ") &&
		!strstr(text, "exists but it is not executable")) {
		return false;
	}
	const char *reason = reason_of(text);
	buf_puts(b, "exec: ");
	put_quoted(b, arg0, ARG0_SHOWN * 2);
	if (!strchr(arg0, '/')) { /* a word to be looked for */
		buf_puts(b, ": executable file not found in $PATH");
	} else if (strcmp(reason, "operation not permitted") == 0) {
		buf_puts(b, ": is a directory");
	} else if (strstr(text, "not executable") || strcmp(reason, "permission denied") == 0) {
		buf_puts(b, ": permission denied");
	} else {
		bool missing = text_starts(text, "executable ") || reason == text;
		buf_clear(b);
		buf_puts(b, "exec: ");
		put_quoted(b, arg0, ARG0_SHOWN);
		buf_printf(b, ": stat %.*s: %s", ARG0_SHOWN, arg0,
			missing ? "no such file or directory" : reason);
	}
	return true;
}

static bool put_chdir(struct buf *b, const char *text)
{
	const char *dir;
	size_t n;
	if (!text_starts(text, "chdir ") || !quoted(text, 0, &dir, &n)) {
		return false;
	}
	buf_puts(b, "chdir to cwd (");
	put_quoted(b, dir, n);
	buf_printf(b, ") set in config.json failed: %s", reason_of(text));
	return true;
}

static bool put_mount(struct buf *b, const char *text)
{
	const char *source;
	const char *target;
	size_t n_source;
	size_t n_target;
	if (!text_starts(text, "mount `") || !quoted(text, 0, &source, &n_source) ||
		!quoted(text, 1, &target, &n_target)) {
		return false;
	}
	buf_puts(b, "error during container init: error mounting ");
	put_quoted(b, source, n_source);
	buf_printf(b, " to rootfs at \"%s%.*s\": %s", *target == '/' ? "" : "/", (int)n_target,
		target, reason_of(text));
	return true;
}

static int judge(struct err *e)
{
	static const char *const missing[] = {"executable file not found",
		"no such file or directory", "failed to run runc create/exec call"};
	size_t n = strlen(e->msg);
	e->kind = ERR_INVALID;
	if (strstr(e->msg, "permission denied")) {
		return EXIT_CANNOT_RUN;
	}
	if (strstr(e->msg, "is a directory")) { /* the CLI knows only the other words */
		snprintf(e->msg + n, sizeof(e->msg) - n, ": permission denied");
		return EXIT_CANNOT_RUN;
	}
	if (strstr(e->msg, "not a directory")) {
		snprintf(e->msg + n, sizeof(e->msg) - n,
			": Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type");
		return EXIT_NOT_FOUND;
	}
	for (size_t i = 0; i < sizeof(missing) / sizeof(*missing); i++) {
		if (strstr(e->msg, missing[i])) {
			return EXIT_NOT_FOUND;
		}
	}
	e->kind = ERR_SYSTEM;
	return EXIT_UNKNOWN;
}

int runtime_failure(enum runtime_task task, const char *arg0, const char *text, struct err *ret_e)
{
	static const char *const fronts[][2] = {
		[RUNTIME_CREATE] =
			{"failed to create task for container: failed to create shim task: OCI runtime create failed: ",
				"runc create failed: unable to start container process: "},
		[RUNTIME_EXEC] = {"OCI runtime exec failed: ",
			"exec failed: unable to start container process: "},
	};
	scoped(buf) struct buf words = BUF_INIT;
	scoped(free) char *line = xstrdup(text);
	lower_reason(line);
	if (put_executable(&words, arg0, line) || put_chdir(&words, line) ||
		put_mount(&words, line)) {
		(void)err_set(ret_e, ERR_INVALID, "%s%s%.350s: unknown", fronts[task][0],
			fronts[task][1], buf_str(&words));
	} else if (text_starts(line, "runc ") || text_starts(line, "exec failed: ")) {
		(void)err_set(ret_e, ERR_INVALID, "%s%.380s: unknown", fronts[task][0], line);
	} else {
		(void)err_set(ret_e, ERR_INVALID, "%scrun: %.300s: unknown", fronts[task][0], line);
	}
	return judge(ret_e);
}
