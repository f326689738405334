/* build/dockerfile.h - the Dockerfile language: text in, a list of instructions out.
 *
 * Parser directives, continuation lines with comments inside, here-documents, JSON forms and flags,
 * as BuildKit's frontend reads them. Nothing is expanded here (build/expand.h) and nothing is
 * looked up. Every error begins with "FILE:LINE: ". Reference:
 * docs.docker.com/reference/dockerfile; the odd cases follow moby/buildkit
 * frontend/dockerfile/parser.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/strv.h"

#define DF_TEXT_MAX (4u << 20)
#define DF_INSTRUCTIONS_MAX 5000
#define DF_HEREDOCS_MAX 32 /* of one instruction */

enum df_kind {
	DF_ADD,
	DF_ARG,
	DF_CMD,
	DF_COPY,
	DF_ENTRYPOINT,
	DF_ENV,
	DF_EXPOSE,
	DF_FROM,
	DF_HEALTHCHECK,
	DF_LABEL,
	DF_MAINTAINER,
	DF_ONBUILD,
	DF_RUN,
	DF_SHELL,
	DF_STOPSIGNAL,
	DF_USER,
	DF_VOLUME,
	DF_WORKDIR,
	DF_KINDS
};

struct df_heredoc {
	char *word;  /* as it stands in args: "<<-'EOF'" */
	char *name;  /* "EOF" */
	char *data;  /* lines as written, each with its newline */
	bool expand; /* the name was not quoted */
	bool strip;  /* "<<-": leading tabs go */
};

struct df_instruction {
	enum df_kind kind;
	int line;          /* of its first line, from 1 */
	int end_line;      /* of its last one, here-documents included */
	char *text;        /* the joined line, for people: "RUN apk add  x" */
	struct strv flags; /* "--from=build", without quotes */
	char *args;        /* what follows keyword and flags */
	bool json;         /* args is a JSON array of strings: words are its elements */
	/* Otherwise: ENV, LABEL: name, value, name, value ... (quotes kept); ARG: "name" or
	 * "name=value"; ADD, COPY, EXPOSE, FROM, VOLUME: words between blanks; the rest: args
	 * alone. HEALTHCHECK: json and words are those of the command. */
	struct strv words;
	struct strv comments; /* the lines of comments right above, without "#" */
	bool legacy_pair;     /* "ENV name value" */
	bool broken_json;     /* it was meant to be JSON, and is not */
	bool empty_lines;     /* between its continuation lines */
	struct df_heredoc *heredocs;
	size_t n_heredocs;
};

struct dockerfile {
	char *name; /* for messages */
	char *text; /* the whole file, for excerpts */
	char escape;
	char *check; /* of the directive "# check=skip=...;error=true", or NULL */
	struct df_instruction *v;
	size_t n;
};

/* Returns 0, or -1 with *e (ERR_INVALID). dockerfile_deinit is right after either. */
int dockerfile_parse(
	const char *text, size_t n, const char *name, struct dockerfile *ret, struct err *e);
void dockerfile_deinit(struct dockerfile *d);
static inline void scoped_dockerfile(struct dockerfile *d)
{
	dockerfile_deinit(d);
}

/* One instruction that an image's ONBUILD list holds. */
int dockerfile_parse_trigger(
	const char *text, const char *image, struct dockerfile *ret, struct err *e);

const char *df_keyword(enum df_kind kind);
/* The value of --name=value, "" for --name alone, NULL when absent; borrowed. */
const char *df_flag(const struct df_instruction *i, const char *name);
/* Refuses a flag that is not in allowed (NULL-terminated) and one that is given twice, except
 * "mount". */
int df_check_flags(const struct dockerfile *d, const struct df_instruction *i,
	const char *const *allowed, struct err *e);
/* --name, --name=true or =false; *ret stays when it is absent. */
int df_flag_bool(const struct dockerfile *d, const struct df_instruction *i, const char *name,
	bool *ret, struct err *e);
/* The word that the instruction begins with, as written: "from"; the caller's. */
char *df_written_keyword(const struct df_instruction *i);
/* Sets *e to "FILE:LINE: ..." and returns -1. */
int df_error(const struct dockerfile *d, int line, struct err *e, const char *fmt, ...)
	PRINTF(4, 5);
/* A here-document's content without leading tabs where "<<-" asks for it; the caller's. */
char *df_heredoc_text(const struct df_heredoc *h);
