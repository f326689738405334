#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wherry/format.h"
#include "wherry/format_lex.h"
#include "wherry/format_node.h"

#define DEPTH_MAX 64
#define AHEAD_MAX 3

struct parser {
	const char *name;
	const char *text;
	struct lexer lexer;
	struct word ahead[AHEAD_MAX]; /* words put back, the next one last */
	int n_ahead;
	struct strv vars; /* names in scope */
	int depth;        /* of blocks and parentheses */
	int ranges;
	struct err *e;
};

static struct format_node *parse_pipe(struct parser *p, const char *context, enum word_kind end);
static struct format_node *parse_list(struct parser *p, struct word *ret_end);

/* Always NULL: the way to say what is wrong. */
PRINTF(2, 3)
static struct format_node *fail(struct parser *p, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	scoped(free) char *text = xvasprintf(fmt, args);
	va_end(args);
	int line = 1;
	for (size_t i = 0; i < p->lexer.pos; i++) {
		line += p->text[i] == '\n';
	}
	err_set(p->e, ERR_INVALID, "template: %s:%d: %s", p->name, line, text);
	return NULL;
}

static struct word next(struct parser *p)
{
	return p->n_ahead > 0 ? p->ahead[--p->n_ahead] : lexer_next(&p->lexer);
}

static void put_back(struct parser *p, struct word w)
{
	p->ahead[p->n_ahead++] = w;
}

static struct word next_solid(struct parser *p)
{
	struct word w;
	do {
		w = next(p);
	} while (w.kind == WORD_SPACE);
	return w;
}

static struct word peek(struct parser *p)
{
	struct word w = next(p);
	put_back(p, w);
	return w;
}

static struct word peek_solid(struct parser *p)
{
	struct word w = next_solid(p);
	put_back(p, w);
	return w;
}

static char *word_text(const struct parser *p, struct word w)
{
	return xstrndup(p->text + w.pos, w.len);
}

static bool is_keyword(const struct parser *p, struct word w, const char *name)
{
	return w.kind == WORD_KEYWORD && strlen(name) == w.len &&
	       memcmp(p->text + w.pos, name, w.len) == 0;
}

static struct format_node *unexpected(struct parser *p, struct word w, const char *context)
{
	if (w.kind == WORD_ERROR) {
		return fail(p, "%s", p->lexer.error);
	}
	if (w.kind == WORD_EOF) {
		return fail(p, "unexpected EOF");
	}
	const char *quote = w.kind == WORD_KEYWORD ? "" : "\"";
	const char *more = w.kind != WORD_KEYWORD && w.len > 10 ? "..." : "";
	int n = *more ? 10 : (int)w.len;
	return fail(p, "unexpected %s%.*s%s%s%s in %s", *quote ? quote : "<", n, p->text + w.pos,
		*quote ? quote : ">", more, "", context);
}

/* --- operands --- */

static struct format_node *constant(struct parser *p, struct word w, json_t *take_value)
{
	struct format_node *n = format_node_new(NODE_CONSTANT, w.pos);
	n->text = word_text(p, w);
	n->value = take_value;
	return n;
}

static struct format_node *parse_number(struct parser *p, struct word w)
{
	scoped(free) char *text = word_text(p, w);
	char *end;
	errno = 0;
	bool binary = strncasecmp(text, "0b", 2) == 0;
	bool octal = strncasecmp(text, "0o", 2) == 0;
	long long whole =
		binary || octal ? strtoll(text + 2, &end, binary ? 2 : 8) : strtoll(text, &end, 0);
	if (end != text && !*end && errno == 0) {
		return constant(p, w, json_integer(whole));
	}
	errno = 0;
	double real = strtod(text, &end);
	if (end != text && !*end && errno == 0 && strpbrk(text, "0123456789")) {
		return constant(p, w, json_real(real));
	}
	return fail(p, "illegal number syntax: \"%s\"", text);
}

static void put_rune(struct buf *ret, unsigned long rune)
{
	if (rune < 0x80) {
		buf_putc(ret, (char)rune);
	} else if (rune < 0x800) {
		buf_putc(ret, (char)(0xc0 | rune >> 6));
		buf_putc(ret, (char)(0x80 | (rune & 0x3f)));
	} else if (rune < 0x10000) {
		buf_putc(ret, (char)(0xe0 | rune >> 12));
		buf_putc(ret, (char)(0x80 | (rune >> 6 & 0x3f)));
		buf_putc(ret, (char)(0x80 | (rune & 0x3f)));
	} else {
		buf_putc(ret, (char)(0xf0 | (rune >> 18 & 7)));
		buf_putc(ret, (char)(0x80 | (rune >> 12 & 0x3f)));
		buf_putc(ret, (char)(0x80 | (rune >> 6 & 0x3f)));
		buf_putc(ret, (char)(0x80 | (rune & 0x3f)));
	}
}

/* "\xff", "\u00e9", "\U0001f600", "\101" after the backslash. Returns how many characters, 0 when
 * it is none. */
static size_t number_escape(const char *q, struct buf *ret)
{
	size_t n = *q == 'x' ? 2 : *q == 'u' ? 4 : *q == 'U' ? 8 : *q >= '0' && *q <= '7' ? 3 : 0;
	bool octal = n == 3;
	char digits[9] = "";
	memcpy(digits, q + !octal, strnlen(q + !octal, n));
	if (n == 0 || strspn(digits, octal ? "01234567" : "0123456789abcdefABCDEF") != n) {
		return 0;
	}
	unsigned long value = strtoul(digits, NULL, octal ? 8 : 16);
	if (n > 3 && value != 0 && value <= 0x10ffff && (value < 0xd800 || value > 0xdfff)) {
		put_rune(ret, value);
	} else if (n <= 3 && value != 0 &&
		   value < 0x80) { /* a JSON string holds UTF-8 without NUL */
		buf_putc(ret, (char)value);
	} else {
		return 0;
	}
	return n + !octal;
}

/* A word in quotes without them. */
static int unquote(const struct parser *p, struct word w, struct buf *ret)
{
	static const char from[] = "abfnrtv\\\"'";
	static const char to[] = "\a\b\f\n\r\t\v\\\"'";
	if (w.kind == WORD_RAW) {
		buf_append(ret, p->text + w.pos + 1, w.len - 2);
		return 0;
	}
	const char *end = p->text + w.pos + w.len - 1;
	for (const char *q = p->text + w.pos + 1; q < end; q++) {
		if (*q != '\\') {
			buf_putc(ret, *q);
			continue;
		}
		const char *known = strchr(from, *++q);
		size_t n = known && *known ? 1 : number_escape(q, ret);
		if (n == 0) {
			return -1;
		}
		if (known && *known) {
			buf_putc(ret, to[known - from]);
		}
		q += n - 1;
	}
	return 0;
}

static struct format_node *parse_quoted(struct parser *p, struct word w)
{
	scoped(buf) struct buf text = BUF_INIT;
	json_t *value = unquote(p, w, &text) < 0 ? NULL : json_string(buf_str(&text));
	return value ? constant(p, w, value) : fail(p, "invalid syntax");
}

static long decode_rune(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;
	int more = u[0] >= 0xf0 ? 3 : u[0] >= 0xe0 ? 2 : u[0] >= 0xc0 ? 1 : 0;
	long rune = more == 3 ? u[0] & 7 : more == 2 ? u[0] & 15 : more == 1 ? u[0] & 31 : u[0];
	for (int i = 1; i <= more && u[i]; i++) {
		rune = rune << 6 | (u[i] & 0x3f);
	}
	return rune;
}

static struct format_node *parse_char(struct parser *p, struct word w)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (unquote(p, w, &text) < 0 || text.len == 0) {
		return fail(p, "malformed character constant: %.*s", (int)w.len, p->text + w.pos);
	}
	return constant(p, w, json_integer(decode_rune(buf_str(&text))));
}

static struct format_node *parse_function(struct parser *p, struct word w)
{
	scoped(free) char *name = word_text(p, w);
	if (format_function(name) < 0) {
		return fail(p, "function \"%s\" not defined", name);
	}
	struct format_node *n = format_node_new(NODE_IDENTIFIER, w.pos);
	n->text = TAKE(name);
	return n;
}

static struct format_node *parse_variable(struct parser *p, struct word w)
{
	scoped(free) char *name = word_text(p, w);
	if (strcmp(name, "$") != 0 && !strv_has(&p->vars, name)) {
		return fail(p, "undefined variable \"%s\"", name);
	}
	struct format_node *n = format_node_new(NODE_VARIABLE, w.pos);
	strv_add(&n->names, name);
	return n;
}

static struct format_node *parse_field(struct parser *p, struct word w)
{
	struct format_node *n = format_node_new(NODE_FIELD, w.pos);
	strv_addn(&n->names, p->text + w.pos + 1, w.len - 1);
	return n;
}

static struct format_node *parse_parens(struct parser *p)
{
	if (++p->depth > DEPTH_MAX) {
		return fail(p, "more than %d parentheses or blocks in one another", DEPTH_MAX);
	}
	struct format_node *pipe = parse_pipe(p, "parenthesized pipeline", WORD_RIGHT_PAREN);
	p->depth--;
	return pipe;
}

/* NULL without *ret_failed: the next word begins no operand. */
static struct format_node *parse_term(struct parser *p, bool *ret_failed)
{
	struct word w = next_solid(p);
	*ret_failed = true;
	switch (w.kind) {
	case WORD_IDENTIFIER:
		return parse_function(p, w);
	case WORD_DOT:
		return format_node_new(NODE_DOT, w.pos);
	case WORD_NIL:
		return format_node_new(NODE_NIL, w.pos);
	case WORD_VARIABLE:
		return parse_variable(p, w);
	case WORD_FIELD:
		return parse_field(p, w);
	case WORD_BOOL:
		return constant(p, w, json_boolean(p->text[w.pos] == 't'));
	case WORD_NUMBER:
		return parse_number(p, w);
	case WORD_CHAR:
		return parse_char(p, w);
	case WORD_STRING:
	case WORD_RAW:
		return parse_quoted(p, w);
	case WORD_LEFT_PAREN:
		return parse_parens(p);
	default:
		put_back(p, w);
		*ret_failed = false;
		return NULL;
	}
}

/* A term and the fields behind it, which a field or a variable takes for its own. */
static struct format_node *parse_operand(struct parser *p, bool *ret_failed)
{
	scoped(format_node) struct format_node *n = parse_term(p, ret_failed);
	if (!n || peek(p).kind != WORD_FIELD) {
		return TAKE(n);
	}
	if (n->kind == NODE_DOT || n->kind == NODE_NIL || n->kind == NODE_CONSTANT) {
		scoped(buf) struct buf text = BUF_INIT;
		format_node_put(n, &text);
		return fail(p, "unexpected . after term \"%s\"", buf_str(&text));
	}
	size_t pos = peek(p).pos;
	if (n->kind == NODE_FIELD || n->kind == NODE_VARIABLE) {
		n->pos = pos;
	} else {
		struct format_node *chain = format_node_new(NODE_CHAIN, pos);
		format_node_add(chain, TAKE(n));
		n = chain;
	}
	while (peek(p).kind == WORD_FIELD) {
		struct word w = next(p);
		strv_addn(&n->names, p->text + w.pos + 1, w.len - 1);
	}
	return TAKE(n);
}

/* --- commands and pipes --- */

static struct format_node *parse_command(struct parser *p)
{
	scoped(format_node) struct format_node *cmd =
		format_node_new(NODE_COMMAND, peek_solid(p).pos);
	for (;;) {
		bool failed;
		struct format_node *operand = parse_operand(p, &failed);
		if (operand) {
			format_node_add(cmd, operand);
		} else if (failed) {
			return NULL;
		}
		struct word w = next(p);
		if (w.kind == WORD_SPACE) {
			continue;
		}
		if (w.kind == WORD_RIGHT || w.kind == WORD_RIGHT_PAREN) {
			put_back(p, w);
		} else if (w.kind != WORD_PIPE) {
			return unexpected(p, w, "operand");
		}
		return cmd->n_kids ? TAKE(cmd) : fail(p, "empty command");
	}
}

/* "$x :=", "$x =", "$i, $x :=" in front of a pipe. Leaves what is none as it was. */
static int parse_names(struct parser *p, struct format_node *pipe, const char *context)
{
	for (;;) {
		struct word v = next_solid(p);
		if (v.kind != WORD_VARIABLE) {
			put_back(p, v);
			return 0;
		}
		struct word after = next(p);
		struct word solid = after.kind == WORD_SPACE ? next_solid(p) : after;
		bool comma = solid.kind == WORD_OTHER && p->text[solid.pos] == ',';
		if (solid.kind != WORD_ASSIGN && solid.kind != WORD_DECLARE && !comma) {
			put_back(p, solid);
			if (after.kind == WORD_SPACE) {
				put_back(p, after);
			}
			put_back(p, v);
			return 0;
		}
		strv_addn(&pipe->names, p->text + v.pos, v.len);
		if (!comma) {
			pipe->assigns = solid.kind == WORD_ASSIGN;
			return 0;
		}
		if (strcmp(context, "range") != 0 || pipe->names.n >= 2) {
			fail(p, "too many declarations in %s", context);
			return -1;
		}
	}
}

static int check_pipe(struct parser *p, const struct format_node *pipe, const char *context)
{
	if (pipe->n_kids == 0) {
		fail(p, "missing value for %s", context);
		return -1;
	}
	for (size_t i = 1; i < pipe->n_kids; i++) {
		enum format_node_kind kind = pipe->kids[i]->kids[0]->kind;
		if (kind == NODE_DOT || kind == NODE_NIL || kind == NODE_CONSTANT) {
			fail(p, "non executable command in pipeline stage %zu", i + 1);
			return -1;
		}
	}
	for (size_t i = 0; i < pipe->names.n; i++) {
		if (pipe->assigns && !strv_has(&p->vars, pipe->names.v[i])) {
			fail(p, "undefined variable \"%s\"", pipe->names.v[i]);
			return -1;
		}
		if (!pipe->assigns) {
			strv_add(&p->vars, pipe->names.v[i]);
		}
	}
	return 0;
}

static bool begins_operand(enum word_kind kind)
{
	return kind == WORD_BOOL || kind == WORD_CHAR || kind == WORD_DOT || kind == WORD_FIELD ||
	       kind == WORD_IDENTIFIER || kind == WORD_NUMBER || kind == WORD_NIL ||
	       kind == WORD_RAW || kind == WORD_STRING || kind == WORD_VARIABLE ||
	       kind == WORD_LEFT_PAREN;
}

static struct format_node *parse_pipe(struct parser *p, const char *context, enum word_kind end)
{
	scoped(format_node) struct format_node *pipe =
		format_node_new(NODE_PIPE, peek_solid(p).pos);
	if (parse_names(p, pipe, context) < 0) {
		return NULL;
	}
	for (;;) {
		struct word w = next_solid(p);
		if (w.kind == end) {
			return check_pipe(p, pipe, context) < 0 ? NULL : TAKE(pipe);
		}
		if (!begins_operand(w.kind)) {
			return unexpected(p, w, context);
		}
		put_back(p, w);
		struct format_node *cmd = parse_command(p);
		if (!cmd) {
			return NULL;
		}
		format_node_add(pipe, cmd);
	}
}

/* --- blocks --- */

static struct format_node *parse_control(
	struct parser *p, enum format_node_kind kind, const char *context, size_t pos);

/* The else part of n: a list, or an if (a with) that shares the end. w: the "else" that was read.
 */
static int parse_else(struct parser *p, struct format_node *n, const char *context)
{
	struct word w = next_solid(p);
	if (n->kind != NODE_RANGE && is_keyword(p, w, context)) {
		n->else_list = format_node_new(NODE_LIST, w.pos);
		struct format_node *nested = parse_control(p, n->kind, context, w.pos);
		if (!nested) {
			return -1;
		}
		format_node_add(n->else_list, nested);
		return 0;
	}
	if (w.kind != WORD_RIGHT) {
		unexpected(p, w, "else");
		return -1;
	}
	struct word end;
	n->else_list = parse_list(p, &end);
	if (n->else_list && !is_keyword(p, end, "end")) {
		fail(p, "expected end; found {{else}}");
		return -1;
	}
	return n->else_list ? 0 : -1;
}

static void leave_scope(struct parser *p, size_t n_vars)
{
	while (p->vars.n > n_vars) {
		free(p->vars.v[--p->vars.n]);
		p->vars.v[p->vars.n] = NULL;
	}
}

static struct format_node *parse_control(
	struct parser *p, enum format_node_kind kind, const char *context, size_t pos)
{
	scoped(format_node) struct format_node *n = format_node_new(kind, pos);
	size_t n_vars = p->vars.n;
	if (++p->depth > DEPTH_MAX) {
		return fail(p, "more than %d parentheses or blocks in one another", DEPTH_MAX);
	}
	n->pipe = parse_pipe(p, context, WORD_RIGHT);
	if (!n->pipe) {
		return NULL;
	}
	struct word end;
	p->ranges += kind == NODE_RANGE;
	n->list = parse_list(p, &end);
	p->ranges -= kind == NODE_RANGE;
	if (!n->list || (is_keyword(p, end, "else") && parse_else(p, n, context) < 0)) {
		return NULL;
	}
	leave_scope(p, n_vars);
	p->depth--;
	return TAKE(n);
}

/* break and continue. */
static struct format_node *parse_jump(struct parser *p, enum format_node_kind kind, struct word w)
{
	struct word right = next_solid(p);
	int n = (int)w.len;
	if (right.kind != WORD_RIGHT) {
		scoped(free) char *context = xasprintf("{{%.*s}}", n, p->text + w.pos);
		return unexpected(p, right, context);
	}
	return p->ranges > 0 ? format_node_new(kind, w.pos)
			     : fail(p, "{{%.*s}} outside {{range}}", n, p->text + w.pos);
}

static struct format_node *parse_action(struct parser *p, struct word w)
{
	if (is_keyword(p, w, "if")) {
		return parse_control(p, NODE_IF, "if", w.pos);
	}
	if (is_keyword(p, w, "range")) {
		return parse_control(p, NODE_RANGE, "range", w.pos);
	}
	if (is_keyword(p, w, "with")) {
		return parse_control(p, NODE_WITH, "with", w.pos);
	}
	if (is_keyword(p, w, "break")) {
		return parse_jump(p, NODE_BREAK, w);
	}
	if (is_keyword(p, w, "continue")) {
		return parse_jump(p, NODE_CONTINUE, w);
	}
	if (w.kind == WORD_KEYWORD) {
		return fail(p, "{{%.*s}} is not supported", (int)w.len, p->text + w.pos);
	}
	put_back(p, w);
	struct format_node *pipe = parse_pipe(p, "command", WORD_RIGHT);
	if (!pipe) {
		return NULL;
	}
	struct format_node *n = format_node_new(NODE_ACTION, w.pos);
	n->pipe = pipe;
	return n;
}

/* Nodes up to the end of the text, or an {{end}} or {{else}}, whose keyword *ret_end is. NULL when
 * it failed; where the text must not end here the caller's *ret_end says so. */
static struct format_node *parse_nodes(struct parser *p, struct word *ret_end)
{
	scoped(format_node) struct format_node *list = format_node_new(NODE_LIST, peek(p).pos);
	for (;;) {
		struct word w = next(p);
		*ret_end = w;
		if (w.kind == WORD_EOF) {
			return TAKE(list);
		}
		if (w.kind == WORD_TEXT) {
			struct format_node *text = format_node_new(NODE_TEXT, w.pos);
			text->text = word_text(p, w);
			format_node_add(list, text);
			continue;
		}
		if (w.kind != WORD_LEFT) {
			return unexpected(p, w, "input");
		}
		w = next_solid(p);
		*ret_end = w;
		if (is_keyword(p, w, "else")) {
			return TAKE(list);
		}
		if (is_keyword(p, w, "end")) {
			struct word right = next_solid(p);
			return right.kind == WORD_RIGHT ? TAKE(list) : unexpected(p, right, "end");
		}
		struct format_node *n = parse_action(p, w);
		if (!n) {
			return NULL;
		}
		format_node_add(list, n);
	}
}

static struct format_node *parse_list(struct parser *p, struct word *ret_end)
{
	scoped(format_node) struct format_node *list = parse_nodes(p, ret_end);
	return list && ret_end->kind == WORD_EOF ? fail(p, "unexpected EOF") : TAKE(list);
}

struct format_node *format_parse(const char *name, const char *text, struct err *e)
{
	struct parser p = {.name = name, .text = text, .lexer = {.text = text}, .e = e};
	struct word end;
	scoped(format_node) struct format_node *list = parse_nodes(&p, &end);
	strv_deinit(&p.vars);
	if (list && end.kind != WORD_EOF) {
		return fail(&p, "unexpected {{%.*s}}", (int)end.len, text + end.pos);
	}
	return TAKE(list);
}
