/* __manual: the pages of wherry-commands(1), made from the tables that parse the words. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "wherry/commands.h"
#include "wherry/flags.h"
#include "wherry/globals.h"

/* roff: a hyphen that may be copied, no control character at the start of a line. */
static void put_roff(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool line_start = i == 0 || text[i - 1] == FLAGS_NEWLINE;
		if (line_start && (text[i] == '.' || text[i] == '\'')) {
			printf("\\&");
		}
		if (text[i] == FLAGS_NEWLINE) {
			printf("\n.br\n");
		} else if (text[i] == '-') {
			printf("\\-");
		} else if (text[i] == '\\') {
			printf("\\e");
		} else {
			putchar(text[i]);
		}
	}
}

static void put_text(const char *text)
{
	put_roff(text, strlen(text));
}

/* "name\tletter\twants value\ttype\thelp" */
static void put_flag(char *line)
{
	const char *part[5];
	for (int i = 0; i < 5; i++) {
		part[i] = strsep(&line, "\t");
		if (!part[i]) {
			return;
		}
	}
	printf(".TP\n\\fB");
	if (*part[1] != '-') {
		printf("\\-%s\\fR, \\fB", part[1]);
	}
	put_text("--");
	put_text(part[0]);
	printf("\\fR%s\\fI%s\\fR\n", *part[3] ? " " : "", part[3]);
	put_text(part[4]);
	putchar('\n');
}

/* described: the operands, then the flags, a line each. */
static void put_flags(char *described)
{
	strsep(&described, "\n");
	for (char *line; (line = strsep(&described, "\n"));) {
		put_flag(line);
	}
}

static void put_command(struct cli *cli, const struct command *c)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (commands_describe(cli, c->run, c->name, NULL, &text) < 0) {
		return;
	}
	scoped(free) char *described = buf_take_str(&text);
	scoped(free) char *aliases = commands_aliases(c->name);
	printf(".SS wherry ");
	put_text(c->name);
	printf(" \\fR%.*s\n", (int)strcspn(described, "\n"), described);
	put_text(c->summary);
	printf(".\n");
	if (aliases) {
		printf(".br\nAlso: %s.\n", aliases);
	}
	put_flags(described);
}

int command_manual(struct cli *cli, int argc, char **argv)
{
	const struct command *c;
	scoped(buf) struct buf globals = BUF_INIT;
	printf(".TH WHERRY-COMMANDS 1 \"\" \"wherry " WHERRY_VERSION "\" \"User Commands\"\n"
	       ".SH NAME\nwherry-commands \\- all commands of wherry and their options\n"
	       ".SH DESCRIPTION\nThis is what\n.B wherry\n.I COMMAND\n.B \\-\\-help\nprints, for all commands.\n"
	       ".SH BEFORE THE COMMAND\n");
	globals_describe(&globals);
	scoped(free) char *own = buf_take_str(&globals);
	put_flags(own);
	printf(".SH COMMANDS\n");
	for (size_t i = 0; (c = commands_at(i)); i++) {
		if (c->group != GROUP_HIDDEN) {
			put_command(cli, c);
		}
	}
	printf(".SH SEE ALSO\n.BR wherry (1),\n.BR wherry-compose (1)\n");
	return 0;
}
