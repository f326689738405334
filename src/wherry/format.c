#include "wherry/format.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wherry/format_value.h"

#define BLOCKS_MAX 16
#define BLANKS " \t\r\n"

enum stop { STOP_TEXT_END, STOP_END, STOP_ELSE };

struct run {
	struct format_scope scope;
	struct buf *out;
	int depth;
};

static int run_block(struct run *r, const char **p, bool live, enum stop *ret_stop, struct err *e);

/* Text up to the next action, without the blanks that "{{-" takes away. */
static void put_text(struct run *r, const char *text, size_t n, bool trim_end, bool live)
{
	while (trim_end && n > 0 && strchr(BLANKS, text[n - 1])) {
		n--;
	}
	for (size_t i = 0; live && i < n; i++) {
		bool escape =
			text[i] == '\\' && i + 1 < n && (text[i + 1] == 't' || text[i + 1] == 'n');
		if (escape) {
			buf_putc(r->out, text[++i] == 't' ? '\t' : '\n');
		} else {
			buf_putc(r->out, text[i]);
		}
	}
}

/* Passes "}}" or " -}}" and, after the latter, the blanks that follow. */
static int close_action(const char **p, struct err *e)
{
	*p += strspn(*p, BLANKS);
	bool trim = text_starts(*p, "-}}");
	*p += trim;
	if (!**p) {
		return err_set(e, ERR_INVALID, "unclosed action");
	}
	if (!text_starts(*p, "}}")) {
		return err_set(e, ERR_INVALID, "unexpected \"%.16s\" in an action", *p);
	}
	*p += 2;
	*p += trim ? strspn(*p, BLANKS) : 0;
	return 0;
}

static bool keyword(const char **p, const char *word)
{
	size_t n = strlen(word);
	if (strncmp(*p, word, n) != 0 || !strchr(BLANKS "}-", (*p)[n])) {
		return false;
	}
	*p += n;
	*p += strspn(*p, BLANKS);
	return true;
}

/* "$k, $v :=" or "$v :=" before the pipeline of a range. Returns how many names were read. */
static int read_names(const char **p, char names[2][32])
{
	const char *q = *p;
	int n = 0;
	while (*q == '$' && n < 2) {
		size_t len = strcspn(q + 1, BLANKS ",:}.");
		snprintf(names[n++], 32, "%.*s", len < 31 ? (int)len : 31, q + 1);
		q += 1 + len;
		q += strspn(q, BLANKS);
		if (*q != ',') {
			break;
		}
		q += 1 + strspn(q + 1, BLANKS);
	}
	if (n == 0 || !text_starts(q, ":=")) {
		return 0;
	}
	*p = q + 2 + strspn(q + 2, BLANKS);
	return n;
}

static void set_var(struct format_scope *s, const char *name, const json_t *value)
{
	if (s->n_vars < FORMAT_VARS_MAX) {
		snprintf(s->vars[s->n_vars].name, sizeof(s->vars[0].name), "%.31s", name);
		s->vars[s->n_vars++].value = value;
	}
}

/* Runs the block at body for one element; *p ends after it. */
static int run_element(struct run *r, const char *body, const char **p, const json_t *key,
	const json_t *value, char names[2][32], int n_names, enum stop *stop, struct err *e)
{
	struct format_scope saved = r->scope;
	r->scope.dot = value;
	if (n_names == 2) {
		set_var(&r->scope, names[0], key);
	}
	if (n_names > 0) {
		set_var(&r->scope, names[n_names - 1], value);
	}
	*p = body;
	int result = run_block(r, p, true, stop, e);
	r->scope = saved;
	return result;
}

/* What is left of a block: its else part, if there is one, runs when wanted. */
static int run_else(struct run *r, const char **p, bool live, enum stop stop, struct err *e)
{
	if (stop == STOP_ELSE && (close_action(p, e) < 0 || run_block(r, p, live, &stop, e) < 0)) {
		return -1;
	}
	return stop == STOP_END ? 0 : err_set(e, ERR_INVALID, "unexpected EOF: {{end}} is missing");
}

static int by_key(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Go ranges over maps in the order of their keys. */
static int run_map(struct run *r, const char *body, const char **p, json_t *map, char names[2][32],
	int n_names, enum stop *stop, struct err *e)
{
	scoped(free) const char **keys = xnew_array(const char *, json_object_size(map));
	size_t n = 0;
	const char *key;
	json_t *value;
	json_object_foreach (map, key, value) {
		keys[n++] = key;
	}
	qsort(keys, n, sizeof(*keys), by_key);
	for (size_t i = 0; i < n; i++) {
		scoped(json) json_t *name = json_string(keys[i]);
		if (run_element(r, body, p, name, json_object_get(map, keys[i]), names, n_names,
			    stop, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int run_range(struct run *r, const char **p, bool live, struct err *e)
{
	char names[2][32];
	int n_names = read_names(p, names);
	scoped(json) json_t *list = NULL;
	if (format_eval(&r->scope, p, &list, e) < 0 || close_action(p, e) < 0) {
		return -1;
	}
	const char *body = *p;
	enum stop stop = STOP_TEXT_END;
	bool any = live && format_truth(list);
	if (any && json_is_object(list)) {
		if (run_map(r, body, p, list, names, n_names, &stop, e) < 0) {
			return -1;
		}
	} else if (any && json_is_array(list)) {
		for (size_t i = 0; i < json_array_size(list); i++) {
			scoped(json) json_t *index = json_integer((json_int_t)i);
			if (run_element(r, body, p, index, json_array_get(list, i), names, n_names,
				    &stop, e) < 0) {
				return -1;
			}
		}
	} else if (any) {
		return err_set(e, ERR_INVALID, "range can't iterate over a single value");
	} else {
		struct format_scope saved = r->scope;
		for (int i = 0; i < n_names; i++) {
			set_var(&r->scope, names[i], NULL);
		}
		int result = run_block(r, p, false, &stop, e);
		r->scope = saved;
		if (result < 0) {
			return -1;
		}
	}
	return run_else(r, p, live && !any, stop, e);
}

/* {{if}} and {{with}}; "else if" is an if in the else part that shares its end. */
static int run_if(struct run *r, const char **p, bool live, bool is_with, struct err *e)
{
	struct format_scope saved = r->scope;
	scoped(json) json_t *value = NULL;
	if (format_eval(&r->scope, p, &value, e) < 0 || close_action(p, e) < 0) {
		return -1;
	}
	bool truth = live && format_truth(value);
	if (is_with && truth) {
		r->scope.dot = value;
	}
	enum stop stop = STOP_TEXT_END;
	int result = run_block(r, p, truth, &stop, e);
	r->scope = saved;
	if (result < 0) {
		return -1;
	}
	if (stop == STOP_ELSE && keyword(p, "if")) {
		return run_if(r, p, live && !truth, false, e);
	}
	return run_else(r, p, live && !truth, stop, e);
}

static int run_value(struct run *r, const char **p, bool live, struct err *e)
{
	struct format_scope scope = r->scope;
	scope.dry = scope.dry || !live;
	scoped(json) json_t *value = NULL;
	if (format_eval(&scope, p, &value, e) < 0 || close_action(p, e) < 0) {
		return -1;
	}
	if (live) {
		format_put(value, r->out);
	}
	return 0;
}

/* One action after its "{{". *ret_stop is set when it ends the block; "else" leaves *p before what
 * follows the word. */
static int run_action(struct run *r, const char **p, bool live, bool *ret_stops,
	enum stop *ret_stop, struct err *e)
{
	bool dry = r->scope.dry;
	int result;
	*ret_stops = false;
	if (text_starts(*p, "/*")) {
		const char *end = strstr(*p, "*/");
		*p = end ? end + 2 : *p;
		return close_action(p, e);
	}
	if (keyword(p, "end")) {
		*ret_stops = true;
		*ret_stop = STOP_END;
		return close_action(p, e);
	}
	if (keyword(p, "else")) {
		*ret_stops = true;
		*ret_stop = STOP_ELSE;
		return 0;
	}
	r->scope.dry = dry || !live;
	if (keyword(p, "range")) {
		result = run_range(r, p, live, e);
	} else if (keyword(p, "if")) {
		result = run_if(r, p, live, false, e);
	} else if (keyword(p, "with")) {
		result = run_if(r, p, live, true, e);
	} else {
		result = run_value(r, p, live, e);
	}
	r->scope.dry = dry;
	return result;
}

static int run_block(struct run *r, const char **p, bool live, enum stop *ret_stop, struct err *e)
{
	if (++r->depth > BLOCKS_MAX) {
		return err_set(e, ERR_INVALID, "more than %d blocks in one another", BLOCKS_MAX);
	}
	for (;;) {
		const char *open = strstr(*p, "{{");
		size_t n = open ? (size_t)(open - *p) : strlen(*p);
		put_text(r, *p, n, open && open[2] == '-' && strchr(BLANKS, open[3]), live);
		if (!open) {
			*p += n;
			*ret_stop = STOP_TEXT_END;
			break;
		}
		*p = open + 2 + (open[2] == '-' && strchr(BLANKS, open[3]));
		*p += strspn(*p, BLANKS);
		bool stops;
		if (run_action(r, p, live, &stops, ret_stop, e) < 0) {
			return -1;
		}
		if (stops) {
			break;
		}
	}
	r->depth--;
	return 0;
}

static int run(const char *text, const struct format_scope *scope, struct buf *out, struct err *e)
{
	struct run r = {.scope = *scope, .out = out};
	enum stop stop = STOP_TEXT_END;
	const char *p = text;
	if (run_block(&r, &p, !scope->dry, &stop, e) < 0) {
		return err_wrap(e, "template parsing error");
	}
	if (stop != STOP_TEXT_END) {
		return err_set(e, ERR_INVALID, "template parsing error: unexpected {{%s}}",
			stop == STOP_END ? "end" : "else");
	}
	return 0;
}

int format_check(const char *text, struct err *e)
{
	struct buf none = BUF_INIT;
	return run(text, &(struct format_scope){.dry = true}, &none, e);
}

int format_print(const char *text, const json_t *doc, struct buf *ret, struct err *e)
{
	return run(text, &(struct format_scope){.root = doc, .dot = doc}, ret, e);
}

int format_print_titles(const char *text, const json_t *titles, struct buf *ret, struct err *e)
{
	return run(text, &(struct format_scope){.root = titles, .dot = titles, .lenient = true},
		ret, e);
}
