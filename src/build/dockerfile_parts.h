/* build/dockerfile_parts.h - what dockerfile.c is made of: the words of one instruction. Nobody
 * else includes it. */
#pragma once
#include <stdbool.h>

#include "build/dockerfile.h"

static inline bool part_is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

static inline const char *part_skip_blanks(const char *p)
{
	while (part_is_blank(*p)) {
		p++;
	}
	return p;
}

/* Words between blanks; quotes and escapes guard blanks and stay in the word. */
void part_split_quoted(struct strv *ret, const char *p, char escape);
/* i->args into i->words as its kind wants it. */
int part_words(const struct dockerfile *d, struct df_instruction *i, struct err *e);
/* Flags at p into i->flags: what follows them. */
const char *part_flags(struct df_instruction *i, const char *p, char escape);
/* "<<-'EOF'" as it stands in an instruction: false when the word is no here-document. */
bool part_heredoc(const char *word, struct df_heredoc *ret);
