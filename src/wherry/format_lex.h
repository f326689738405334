/* wherry/format_lex.h - a template as words. Go text/template/parse/lex.go has the grammar. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum word_kind {
	WORD_EOF,
	WORD_ERROR,
	WORD_TEXT,
	WORD_LEFT,  /* {{ */
	WORD_RIGHT, /* }} */
	WORD_SPACE,
	WORD_IDENTIFIER,
	WORD_KEYWORD,
	WORD_FIELD,    /* .Name */
	WORD_VARIABLE, /* $ or $name */
	WORD_DOT,
	WORD_NIL,
	WORD_BOOL,
	WORD_NUMBER,
	WORD_CHAR,   /* 'a' */
	WORD_STRING, /* "a" */
	WORD_RAW,    /* `a` */
	WORD_PIPE,
	WORD_LEFT_PAREN,
	WORD_RIGHT_PAREN,
	WORD_DECLARE, /* := */
	WORD_ASSIGN,  /* = */
	WORD_OTHER,   /* a comma ... */
};

struct word {
	enum word_kind kind;
	size_t pos, len; /* in the template */
};

struct lexer {
	const char *text;
	size_t pos;
	bool inside; /* of {{ }} */
	int parens;
	char error[96]; /* of WORD_ERROR */
};

/* The next word; after WORD_EOF or WORD_ERROR the same again. */
struct word lexer_next(struct lexer *l);
