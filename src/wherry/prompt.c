#include "wherry/prompt.h"

#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

#define LINE_MAX_BYTES 16384

char *prompt_line(FILE *in)
{
	scoped(free) char *line = NULL;
	size_t cap = 0;
	ssize_t n = getline(&line, &cap, in);
	if (n < 0 || n > LINE_MAX_BYTES) {
		return NULL;
	}
	line[strcspn(line, "\r\n")] = '\0';
	return TAKE(line);
}

char *prompt_ask(const char *prompt, bool hidden)
{
	struct termios old;
	bool changed = hidden && tcgetattr(STDIN_FILENO, &old) == 0;
	printf("%s: ", prompt);
	fflush(stdout);
	if (changed) {
		struct termios quiet = old;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(STDIN_FILENO, TCSADRAIN, &quiet);
	}
	char *line = prompt_line(stdin);
	if (changed) {
		tcsetattr(STDIN_FILENO, TCSADRAIN, &old);
		putchar('\n');
	}
	return line;
}

char *prompt_all(void)
{
	struct buf text = BUF_INIT;
	char data[4096];
	size_t n;
	while ((n = fread(data, 1, sizeof(data), stdin)) > 0 && text.len < LINE_MAX_BYTES) {
		buf_append(&text, data, n);
	}
	for (const char *end = "\n\r"; *end; end++) { /* one of each, in this order, as docker */
		if (text.len > 0 && text.data[text.len - 1] == *end) {
			text.data[--text.len] = '\0';
		}
	}
	return buf_take_str(&text);
}

char *prompt_new_password(const char *whose, struct err *e)
{
	if (!isatty(STDIN_FILENO)) {
		char *line = prompt_line(stdin);
		if (!line) {
			(void)err_set(e, ERR_INVALID, "no password on stdin");
		}
		return line;
	}
	scoped(free) char *first_words = xasprintf("New password of %s", whose);
	scoped(free) char *first = prompt_ask(first_words, true);
	scoped(free) char *again = first ? prompt_ask("The same again", true) : NULL;
	if (!first || !again) {
		(void)err_set(e, ERR_INVALID, "no password");
		return NULL;
	}
	if (strcmp(first, again) != 0) {
		(void)err_set(e, ERR_INVALID, "the passwords differ");
		return NULL;
	}
	return TAKE(first);
}
