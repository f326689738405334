/* --help, as spf13/pflag prints it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "wherry/commands.h"
#include "wherry/flags.h"

#define COLUMNS 80
#define SLOP 5    /* a short last word may stand out */
#define NARROW 24 /* less room than this is no column */
#define BLOCK_INDENT 16

const char *flag_type_word(const struct flag *f)
{
	static const char *const words[] = {
		[FLAG_BOOL] = "",
		[FLAG_STRING] = "string",
		[FLAG_INT] = "int",
		[FLAG_LIST] = "list",
		[FLAG_FILTER] = "filter",
		[FLAG_SIZE] = "bytes",
		[FLAG_DURATION] = "duration",
		[FLAG_DECIMAL] = "decimal",
		[FLAG_UINT16] = "uint16",
		[FLAG_CHECKED] = "list",
	};
	return f->type ? f->type : words[f->kind];
}

/* How much of text is the next line of at most room characters; *ret_skip: what separates it from
 * the rest. */
static size_t line_length(const char *text, size_t room, size_t *ret_skip)
{
	size_t n = strlen(text);
	*ret_skip = 0;
	if (room + SLOP > n) {
		return n;
	}
	size_t blank = 0;
	size_t newline = 0;
	for (size_t i = 0; i < room; i++) {
		blank = strchr(" \t\n", text[i]) ? i : blank;
		newline = text[i] == '\n' ? i : newline;
	}
	if (blank == 0) {
		return n;
	}
	*ret_skip = 1;
	return newline > 0 && newline < blank ? newline : blank;
}

static void put_indented(const char *text, size_t n, size_t indent, struct buf *ret)
{
	for (size_t i = 0; i < n; i++) {
		buf_putc(ret, text[i]);
		if (text[i] == '\n') {
			buf_printf(ret, "%*s", (int)indent, "");
		}
	}
}

/* text in the columns from indent to width. */
static void put_wrapped(const char *text, size_t indent, size_t width, struct buf *ret)
{
	if (width == 0 || width < BLOCK_INDENT + NARROW) {
		put_indented(text, strlen(text), indent, ret);
		return;
	}
	if (width < indent + NARROW) {
		indent = BLOCK_INDENT;
		buf_printf(ret, "\n%*s", (int)indent, "");
	}
	size_t room = width - indent - SLOP;
	for (bool first = true; *text || first; first = false) {
		size_t skip;
		size_t n = line_length(text, room, &skip);
		if (!first) {
			buf_printf(ret, "\n%*s", (int)indent, "");
		}
		put_indented(text, n, indent, ret);
		text += n + skip;
	}
}

static char *left_part(const struct flag *f)
{
	char letter[8] = "    ";
	const char *type = flag_type_word(f);
	if (f->letter) {
		snprintf(letter, sizeof(letter), "-%c, ", f->letter);
	}
	return xasprintf("  %s--%s%s%s", letter, f->name, *type ? " " : "", type);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(
		(*(const struct flag *const *)a)->name, (*(const struct flag *const *)b)->name);
}

/* Those with a help text, sorted. The caller's, *ret_n of them. */
static const struct flag **shown_flags(const struct flag *flags, size_t *ret_n)
{
	size_t n = 0;
	size_t all = 0;
	while (flags[all].name) {
		all++;
	}
	const struct flag **list = xnew_array(const struct flag *, all + 1);
	for (const struct flag *f = flags; f->name; f++) {
		if (f->help) {
			list[n++] = f;
		}
	}
	if (n > 0) {
		qsort(list, n, sizeof(void *), by_name);
	}
	*ret_n = n;
	return list;
}

void flags_list(const struct flag *flags, size_t width, struct buf *ret)
{
	size_t n;
	size_t indent = 0;
	scoped(free) const struct flag **list = shown_flags(flags, &n);
	for (size_t i = 0; i < n; i++) {
		scoped(free) char *left = left_part(list[i]);
		indent = strlen(left) > indent ? strlen(left) : indent;
	}
	for (size_t i = 0; i < n; i++) {
		scoped(free) char *left = left_part(list[i]);
		buf_printf(ret, "%-*s   ", (int)indent, left);
		put_wrapped(list[i]->help, indent + 3, width, ret);
		buf_putc(ret, '\n');
	}
}

/* One less than the terminal's, as docker. */
size_t flags_width(void)
{
	struct winsize size;
	bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
	return (known ? size.ws_col : COLUMNS) - 1;
}

static void print_aliases(const char *name)
{
	scoped(free) char *aliases = commands_aliases(name);
	if (aliases) {
		printf("\nAliases:\n  %s\n", aliases);
	}
}

void flags_help(const struct syntax *s, const char *name, const struct flag *flags)
{
	scoped(buf) struct buf list = BUF_INIT;
	printf("Usage:  wherry %s%s%s\n\n%s\n", name, *s->operands ? " " : "", s->operands,
		s->summary);
	print_aliases(name);
	flags_list(flags, flags_width(), &list);
	if (list.len > 0) {
		printf("\nOptions:\n%s", buf_str(&list));
	}
}

void flags_describe(const struct syntax *s, const struct flag *flags, struct buf *ret)
{
	size_t n;
	scoped(free) const struct flag **list = shown_flags(flags, &n);
	buf_printf(ret, "%s\n", s->operands);
	for (size_t i = 0; i < n; i++) {
		const struct flag *f = list[i];
		scoped(free) char *help = xstrdup(f->help);
		for (char *p = help; (p = strchr(p, '\n'));) {
			*p = FLAGS_NEWLINE;
		}
		buf_printf(ret, "%s\t%c\t%d\t%s\t%s\n", f->name, f->letter ? f->letter : '-',
			f->kind != FLAG_BOOL, flag_type_word(f), help);
	}
}
