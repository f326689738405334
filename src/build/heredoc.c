/* Here-documents: their words and their text. */
#include <ctype.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "build/dockerfile_parts.h"

/* "3<<-'EOF'": a number, <<, a dash perhaps, and a name. Not here: "<<<", "<<" alone. */
bool part_heredoc(const char *word, struct df_heredoc *ret)
{
	const char *p = word;
	while (isdigit((unsigned char)*p)) {
		p++;
	}
	if (p[0] != '<' || p[1] != '<') {
		return false;
	}
	p += 2;
	bool strip = *p == '-';
	p += strip;
	if (!*p || strchr(p, '<')) {
		return false;
	}
	struct buf name = BUF_INIT;
	bool quoted = false;
	char quote = 0;
	for (; *p; p++) {
		if (*p == '\\' && p[1] && quote != '\'') {
			quoted = true;
			buf_putc(&name, *++p);
		} else if (quote ? *p == quote : (*p == '"' || *p == '\'')) {
			quoted = true;
			quote = quote ? 0 : *p;
		} else {
			buf_putc(&name, *p);
		}
	}
	if (quote || name.len == 0) {
		buf_deinit(&name);
		return false;
	}
	*ret = (struct df_heredoc){
		.word = xstrdup(word),
		.name = buf_take_str(&name),
		.expand = !quoted,
		.strip = strip,
	};
	return true;
}

char *df_heredoc_text(const struct df_heredoc *h)
{
	if (!h->strip) {
		return xstrdup(h->data);
	}
	struct buf out = BUF_INIT;
	bool line_start = true;
	for (const char *p = h->data; *p; p++) {
		if (line_start && *p == '\t') {
			continue;
		}
		line_start = *p == '\n';
		buf_putc(&out, *p);
	}
	return buf_take_str(&out);
}
