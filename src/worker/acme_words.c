#include "worker/acme_words.h"

#include <ctype.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/text.h"

#define WORDS_MAX 400
#define TOKEN_MAX 255

/* The text of the last member of that name, as JSON has it, without its quotes. */
static bool last_member(const char *text, const char *name, struct buf *ret)
{
	scoped(free) char *key = xasprintf("\"%s\": \"", name);
	const char *found = NULL;
	for (const char *at = text; (at = strstr(at, key)); at++) {
		found = at + strlen(key);
	}
	buf_clear(ret);
	for (; found && *found && *found != '"' && ret->len < WORDS_MAX; found++) {
		if (*found == '\\' && found[1]) {
			found++;
			buf_putc(ret, *found == 'n' || *found == 't' ? ' ' : *found);
		} else if ((unsigned char)*found >= ' ') {
			buf_putc(ret, *found);
		}
	}
	return ret->len > 0;
}

/* "urn:ietf:params:acme:error:connection" to "connection". */
static const char *short_type(const char *urn)
{
	const char *colon = strrchr(urn, ':');
	return colon ? colon + 1 : urn;
}

/* The line, without the program's name, that says most: the first failure of a connection, else the
 * last line. */
static char *own_words(const char *text)
{
	scoped(strv) struct strv lines = STRV_INIT;
	const char *best = "uacme failed and said nothing";
	strv_split(&lines, text, '\n');
	for (size_t i = 0; i < lines.n; i++) {
		if (!text_starts(lines.v[i], "uacme: ")) {
			continue;
		}
		best = lines.v[i] + strlen("uacme: ");
		if (text_starts(best, "curl_get: GET") || text_starts(best, "curl_post: POST")) {
			best += strcspn(best, " ") + 1;
			break;
		}
	}
	return xstrndup(best, WORDS_MAX);
}

char *acme_words(const char *text, size_t n)
{
	scoped(free) char *copy = xstrndup(text, n);
	scoped(buf) struct buf detail = BUF_INIT;
	scoped(buf) struct buf type = BUF_INIT;
	if (last_member(copy, "detail", &detail)) {
		return last_member(copy, "type", &type)
			       ? xasprintf("%s (%s)", buf_str(&detail), short_type(buf_str(&type)))
			       : buf_take_str(&detail);
	}
	if (strstr(copy, "no challenge completed")) {
		return xstrdup(
			"the authority offers no challenge that can be met here: http-01, or "
			"dns-01 with ingress.acme.dns-hook");
	}
	return own_words(copy);
}

bool acme_wants_account(const char *text)
{
	return strstr(text, "no account associated with") || strstr(text, "accountDoesNotExist");
}

static bool is_base64url(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)s[i]) && s[i] != '-' && s[i] != '_') {
			return false;
		}
	}
	return n > 0 && n <= TOKEN_MAX;
}

bool acme_token_is_valid(const char *token)
{
	return is_base64url(token, strlen(token));
}

bool acme_authorization_is_valid(const char *text)
{
	size_t n = strcspn(text, ".");
	return is_base64url(text, n) && (!text[n] || acme_token_is_valid(text + n + 1));
}
