#include "build/history.h"

#include <stdint.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "build/config.h"

/* --- Go's way to print --- */

/* The character at p, its bytes in *ret_n; -1 with *ret_n 1 for what is not UTF-8. */
static int32_t read_rune(const char *p, size_t *ret_n)
{
	const unsigned char *u = (const unsigned char *)p;
	size_t n = *u < 0x80 ? 1 : *u >= 0xf0 ? 4 : *u >= 0xe0 ? 3 : *u >= 0xc2 ? 2 : 0;
	int32_t rune = n == 1 ? *u : *u & (0x7f >> n);
	*ret_n = 1;
	for (size_t k = 1; k < n; k++) {
		if ((u[k] & 0xc0) != 0x80) {
			return -1;
		}
		rune = rune << 6 | (u[k] & 0x3f);
	}
	static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	if (n == 0 || rune < least[n] || rune > 0x10ffff || (rune >= 0xd800 && rune < 0xe000)) {
		return -1;
	}
	*ret_n = n;
	return rune;
}

/* strconv.IsPrint, but for characters that nobody has assigned yet. */
static bool is_printed(int32_t rune)
{
	static const struct {
		int32_t first, last;
	} hidden[] = {{0, 0x1f}, {0x7f, 0xa0}, {0xad, 0xad}, {0x1680, 0x1680}, {0x2000, 0x200f},
		{0x2028, 0x202f}, {0x205f, 0x206f}, {0x3000, 0x3000}, {0xe000, 0xf8ff},
		{0xfeff, 0xfeff}, {0xfff0, 0xfffb}, {0xfffe, 0xffff}, {0xe0000, 0x10ffff}};
	for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++) {
		if (rune >= hidden[i].first && rune <= hidden[i].last) {
			return false;
		}
	}
	return true;
}

static void put_utf8(struct buf *ret, int32_t rune)
{
	if (rune < 0x80) {
		buf_putc(ret, (char)rune);
		return;
	}
	int more = rune < 0x800 ? 1 : rune < 0x10000 ? 2 : 3;
	static const int first[] = {0, 0xc0, 0xe0, 0xf0};
	buf_putc(ret, (char)(first[more] | rune >> 6 * more));
	while (more-- > 0) {
		buf_putc(ret, (char)(0x80 | (rune >> 6 * more & 0x3f)));
	}
}

/* One character between quotes. */
static void put_rune(struct buf *ret, int32_t rune, char quote)
{
	static const char letters[] = "abtnvfr"; /* of 7 to 13 */
	if (rune == '\\' || rune == quote) {
		buf_printf(ret, "\\%c", (char)rune);
	} else if (rune >= 7 && rune <= 13) {
		buf_printf(ret, "\\%c", letters[rune - 7]);
	} else if (is_printed(rune)) {
		put_utf8(ret, rune);
	} else if (rune < 0x80) {
		buf_printf(ret, "\\x%02x", (unsigned)rune);
	} else {
		buf_printf(ret, rune < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)rune);
	}
}

static void put_quoted(struct buf *ret, const char *text)
{
	size_t n;
	buf_putc(ret, '"');
	for (const char *p = text; *p; p += n) {
		int32_t rune = read_rune(p, &n);
		if (rune < 0) {
			buf_printf(ret, "\\x%02x", (unsigned char)*p);
		} else {
			put_rune(ret, rune, '"');
		}
	}
	buf_putc(ret, '"');
}

void history_list(struct buf *ret, const struct strv *v)
{
	buf_putc(ret, '[');
	for (size_t k = 0; k < v->n; k++) {
		buf_printf(ret, "%s%s", k ? " " : "", v->v[k]);
	}
	buf_putc(ret, ']');
}

void history_quoted_list(struct buf *ret, const struct strv *v)
{
	buf_putc(ret, '[');
	for (size_t k = 0; k < v->n; k++) {
		buf_puts(ret, k ? " " : "");
		put_quoted(ret, v->v[k]);
	}
	buf_putc(ret, ']');
}

/* &{["CMD" "true"] "5s" "0s" "0s" "0s" '\x02'}: %q of the structure, whose number prints as a
 * character. */
void history_health(struct buf *ret, const json_t *health)
{
	static const char *const spans[] = {"Interval", "Timeout", "StartPeriod", "StartInterval"};
	scoped(strv) struct strv test = STRV_INIT;
	struct err ignored;
	(void)json_get_strv(health, "Test", &test, &ignored);
	buf_puts(ret, "&{");
	history_quoted_list(ret, &test);
	for (size_t i = 0; i < sizeof(spans) / sizeof(*spans); i++) {
		char text[CLOCK_TEXT_MAX];
		int64_t ms = json_i64(health, spans[i], 0) / NS_PER_MS;
		buf_printf(ret, " \"%s\"", ms ? clock_go_span(ms, text) : "0s");
	}
	buf_puts(ret, " '");
	put_rune(ret, (int32_t)json_i64(health, "Retries", 0), '\'');
	buf_puts(ret, "'}");
}

void history_ports(struct build_history *ret, const struct strv *written, const json_t *ports)
{
	scoped(strv) struct strv sorted = STRV_INIT;
	buf_puts(&ret->text, "EXPOSE");
	if (ret->classic) {
		strv_copy(&sorted, written);
	} else {
		const char *key;
		json_t *value;
		json_object_foreach ((json_t *)ports, key, value) {
			strv_addf(&sorted, "%s:{}", key);
		}
	}
	strv_sort(&sorted);
	if (!ret->classic) {
		buf_puts(&ret->text, " map");
		history_list(&ret->text, &sorted);
		return;
	}
	for (size_t k = 0; k < sorted.n; k++) {
		buf_printf(&ret->text, " %s", sorted.v[k]);
	}
}

/* --- entries --- */

char *history_nop(const struct build_config *c, bool classic, bool one_word, const char *text)
{
	scoped(strv) struct strv shell = STRV_INIT;
	if (!classic) {
		return xstrdup(text);
	}
	struct buf whole = BUF_INIT;
	build_config_argv(c, false, NULL, "#(nop) ", &shell);
	for (size_t k = 0; k < shell.n; k++) {
		buf_printf(&whole, "%s%s", shell.v[k], one_word || k + 1 < shell.n ? "" : " ");
		buf_puts(&whole, k + 1 < shell.n ? " " : "");
	}
	buf_puts(&whole, text);
	return buf_take_str(&whole);
}

/* "NAME=value" of the stage's arguments; the classic builder leaves out what has no value and what
 * an ENV has replaced, and sorts. */
static void list_args(const struct build_config *c, bool classic, struct strv *ret)
{
	scoped(strv) struct strv env = STRV_INIT;
	struct err ignored;
	(void)json_get_strv(json_object_get(c->image, "config"), "Env", &env, &ignored);
	for (size_t k = 0; k < c->own_args.n; k++) {
		const char *name = c->own_args.v[k];
		const char *value = strv_env_get(&c->env, name);
		if (!classic || (value && !strv_env_get(&env, name))) {
			strv_addf(ret, "%s=%s", name, value ? value : "");
		}
	}
	if (classic) {
		strv_sort(ret);
	}
}

char *history_run(const struct build_config *c, bool classic, const struct strv *argv)
{
	scoped(strv) struct strv words = STRV_INIT;
	scoped(strv) struct strv args = STRV_INIT;
	list_args(c, classic, &args);
	if (args.n) {
		strv_addf(&words, "|%zu", args.n);
	}
	strv_copy(&words, &args);
	strv_copy(&words, argv);
	struct buf text = BUF_INIT;
	buf_puts(&text, classic ? "" : "RUN ");
	for (size_t k = 0; k < words.n; k++) {
		buf_printf(&text, "%s%s", k ? " " : "", words.v[k]);
	}
	buf_puts(&text, classic ? "" : " # buildkit");
	return buf_take_str(&text);
}

void build_config_history(struct build_config *c, const char *created, const char *created_by,
	const char *comment, bool empty_layer)
{
	json_t *entry = json_pack("{ss ss}", "created", created, "created_by", created_by);
	if (!entry) { /* not UTF-8: the history is for people only */
		entry = json_pack("{ss ss}", "created", created, "created_by", "?");
	}
	if (*comment) {
		json_put_str(entry, "comment", comment);
	}
	if (empty_layer) {
		json_put(entry, "empty_layer", json_true());
	}
	json_array_append_new(json_object_get(c->image, "history"), entry);
}
