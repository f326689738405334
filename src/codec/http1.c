#include "codec/http1.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

ssize_t http1_head_length(const char *data, size_t n)
{
	size_t look = n < HTTP1_HEAD_MAX ? n : HTTP1_HEAD_MAX;
	const char *end = memmem(data, look, "\r\n\r\n", 4);
	if (end) {
		return end - data + 4;
	}
	return n >= HTTP1_HEAD_MAX ? -1 : 0;
}

/* RFC 9110 5.6.2: what names and methods are made of */
static bool is_token(const char *s)
{
	static const char allowed[] =
		"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	return *s && s[strspn(s, allowed)] == '\0';
}

/* A line with only printable characters, blanks and tabs; bytes over 127 pass as opaque (RFC
 * 9110 5.5). */
static bool is_text(const char *s)
{
	for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
		if ((*p < 0x20 && *p != '\t') || *p == 0x7f) {
			return false;
		}
	}
	return true;
}

static char *trim(char *s)
{
	s += strspn(s, " \t");
	size_t n = strlen(s);
	while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t')) {
		s[--n] = '\0';
	}
	return s;
}

static int parse_header(struct http1_head *h, char *line, struct err *e)
{
	char *colon = strchr(line, ':');
	if (!colon) {
		return err_set(e, ERR_INVALID, "malformed HTTP header line");
	}
	*colon = '\0';
	if (!is_token(line)) { /* also a folded line and a blank before the colon */
		return err_set(e, ERR_INVALID, "malformed HTTP header name");
	}
	if (h->n_headers == HTTP1_HEADERS_MAX) {
		return err_set(e, ERR_INVALID, "more than %d HTTP headers", HTTP1_HEADERS_MAX);
	}
	char *value = trim(colon + 1);
	if (!is_text(value)) {
		return err_set(e, ERR_INVALID, "control character in HTTP header %s", line);
	}
	h->headers[h->n_headers++] = (struct http1_header){line, value};
	return 0;
}

/* Cuts the text into lines; the first is returned, the others become headers. */
static char *split_lines(struct http1_head *h, size_t n, struct err *e)
{
	h->text[n - 4] = '\0';
	if (memchr(h->text, '\0', n - 4)) {
		err_set(e, ERR_INVALID, "NUL in an HTTP head");
		return NULL;
	}
	char *first = h->text;
	char *end = strstr(first, "\r\n");
	char *line = end ? end + 2 : NULL;
	if (end) {
		*end = '\0';
	}
	while (line) {
		end = strstr(line, "\r\n");
		if (end) {
			*end = '\0';
		}
		if (parse_header(h, line, e) < 0) {
			return NULL;
		}
		line = end ? end + 2 : NULL;
	}
	return first;
}

const char *http1_header(const struct http1_head *h, const char *name)
{
	for (size_t i = 0; i < h->n_headers; i++) {
		if (strcasecmp(h->headers[i].name, name) == 0) {
			return h->headers[i].value;
		}
	}
	return NULL;
}

/* True when a comma list in any header of that name has the word. */
static bool list_has(const struct http1_head *h, const char *name, const char *word)
{
	size_t n = strlen(word);
	for (size_t i = 0; i < h->n_headers; i++) {
		if (strcasecmp(h->headers[i].name, name) != 0) {
			continue;
		}
		for (const char *p = h->headers[i].value; *p;
			p += strcspn(p, ","), p += *p == ',') {
			p += strspn(p, " \t");
			if (strncasecmp(p, word, n) == 0 && strchr(" \t,", p[n])) {
				return true;
			}
		}
	}
	return false;
}

static int parse_length(const char *text, uint64_t *ret)
{
	uint64_t value = 0;
	if (!*text) {
		return -1;
	}
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || value > (INT64_MAX - 9) / 10) {
			return -1;
		}
		value = value * 10 + (uint64_t)(*text - '0');
	}
	*ret = value;
	return 0;
}

static int parse_framing(struct http1_head *h, struct err *e)
{
	size_t lengths = 0;
	size_t codings = 0;
	for (size_t i = 0; i < h->n_headers; i++) {
		if (strcasecmp(h->headers[i].name, "Content-Length") == 0) {
			lengths++;
			if (parse_length(h->headers[i].value, &h->length) < 0) {
				return err_set(e, ERR_INVALID, "invalid Content-Length");
			}
		} else if (strcasecmp(h->headers[i].name, "Transfer-Encoding") == 0) {
			codings++;
			if (strcasecmp(h->headers[i].value, "chunked") != 0) {
				return err_set(e, ERR_INVALID, "unsupported Transfer-Encoding");
			}
		}
	}
	if (lengths + codings > 1) {
		return err_set(e, ERR_INVALID, "more than one Content-Length or Transfer-Encoding");
	}
	h->body = codings ? HTTP1_CHUNKED : lengths ? HTTP1_LENGTH : HTTP1_NO_BODY;
	bool close = list_has(h, "Connection", "close");
	h->keep_alive = h->minor > 0 ? !close : list_has(h, "Connection", "keep-alive") && !close;
	h->upgrade = list_has(h, "Connection", "upgrade") && http1_header(h, "Upgrade");
	h->expect_continue = h->minor > 0 && list_has(h, "Expect", "100-continue");
	return 0;
}

/* "HTTP/1.x" */
static int parse_version(const char *text, int *ret_minor)
{
	if (strncmp(text, "HTTP/1.", 7) != 0 || (text[7] != '0' && text[7] != '1') || text[8]) {
		return -1;
	}
	*ret_minor = text[7] - '0';
	return 0;
}

static int parse_request_line(struct http1_head *h, char *line, struct err *e)
{
	char *target = strchr(line, ' ');
	char *version = target ? strchr(target + 1, ' ') : NULL;
	if (!version) {
		return err_set(e, ERR_INVALID, "malformed HTTP request line");
	}
	*target++ = '\0';
	*version++ = '\0';
	if (!is_token(line) || parse_version(version, &h->minor) < 0) {
		return err_set(e, ERR_INVALID, "malformed HTTP request line");
	}
	if (strncmp(target, "http://", 7) == 0) { /* absolute form: the path is what matters */
		target = strchrnul(target + 7, '/');
	}
	if (*target != '/' || !is_text(target)) {
		return err_set(e, ERR_INVALID, "malformed HTTP request target");
	}
	char *query = strchr(target, '?');
	if (query) {
		*query++ = '\0';
	}
	h->method = line;
	h->path = target;
	h->query = query ? query : "";
	return 0;
}

static int parse_status_line(struct http1_head *h, char *line, struct err *e)
{
	char *status = strchr(line, ' ');
	if (!status) {
		return err_set(e, ERR_INVALID, "malformed HTTP status line");
	}
	*status++ = '\0';
	size_t digits = strspn(status, "0123456789");
	if (parse_version(line, &h->minor) < 0 || digits != 3 || (status[3] && status[3] != ' ')) {
		return err_set(e, ERR_INVALID, "malformed HTTP status line");
	}
	h->status = (status[0] - '0') * 100 + (status[1] - '0') * 10 + (status[2] - '0');
	return 0;
}

typedef int first_line_fn(struct http1_head *h, char *line, struct err *e);

static int parse_head(
	struct http1_head *h, const char *data, size_t n, first_line_fn *fn, struct err *e)
{
	*h = (struct http1_head){.text = xstrndup("", 0)};
	h->text = xrealloc(h->text, n + 1, 1);
	memcpy(h->text, data, n);
	h->text[n] = '\0';
	char *first = split_lines(h, n, e);
	if (!first || fn(h, first, e) < 0 || parse_framing(h, e) < 0) {
		http1_head_deinit(h);
		return -1;
	}
	return 0;
}

int http1_parse_request(struct http1_head *ret, const char *data, size_t n, struct err *e)
{
	return parse_head(ret, data, n, parse_request_line, e);
}

int http1_parse_response(
	struct http1_head *ret, const char *data, size_t n, bool to_head, struct err *e)
{
	if (parse_head(ret, data, n, parse_status_line, e) < 0) {
		return -1;
	}
	int s = ret->status;
	if (to_head || s / 100 == 1 || s == 204 || s == 304) {
		ret->body = HTTP1_NO_BODY;
	} else if (ret->body == HTTP1_NO_BODY) {
		ret->body = HTTP1_UNTIL_CLOSE; /* RFC 9112 6.3, 8 */
		ret->keep_alive = false;
	}
	return 0;
}

void http1_head_deinit(struct http1_head *h)
{
	free(h->text);
	*h = (struct http1_head){0};
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#define CHUNK_EXTRA_MAX 8192

/* One byte of framing. -1 when it cannot stand here. */
static int framing_byte(struct http1_chunked *d, char c)
{
	switch (d->state) {
	case CHUNK_SIZE:
		if (hex_value(c) >= 0) {
			d->left = d->left << 4 | (unsigned)hex_value(c);
			return ++d->digits > 15 ? -1 : 0;
		}
		if (d->digits == 0 || (c != '\r' && c != ';')) {
			return -1;
		}
		d->state = c == '\r' ? CHUNK_SIZE_END : CHUNK_EXTENSION;
		return 0;
	case CHUNK_EXTENSION:
		if (c == '\r') {
			d->state = CHUNK_SIZE_END;
		}
		return c == '\n' || ++d->extra > CHUNK_EXTRA_MAX ? -1 : 0;
	case CHUNK_SIZE_END:
		d->state = d->left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
		d->digits = 0;
		d->line_empty = true;
		return c == '\n' ? 0 : -1;
	case CHUNK_DATA_CR:
		d->state = CHUNK_DATA_LF;
		return c == '\r' ? 0 : -1;
	case CHUNK_DATA_LF:
		d->state = CHUNK_SIZE;
		return c == '\n' ? 0 : -1;
	case CHUNK_TRAILER:
		if (c == '\r') {
			d->state = CHUNK_TRAILER_LF;
			return 0;
		}
		d->line_empty = false;
		return c == '\n' || ++d->extra > CHUNK_EXTRA_MAX ? -1 : 0;
	case CHUNK_TRAILER_LF:
		d->state = d->line_empty ? CHUNK_DONE : CHUNK_TRAILER;
		d->line_empty = true;
		return c == '\n' ? 0 : -1;
	default:
		return -1;
	}
}

ssize_t http1_chunked_decode(
	struct http1_chunked *d, const char *data, size_t n, const char **ret_data, size_t *ret_n)
{
	size_t i = 0;
	*ret_data = data;
	*ret_n = 0;
	while (i < n && d->state != CHUNK_DONE) {
		if (d->state != CHUNK_DATA) {
			if (framing_byte(d, data[i]) < 0) {
				return -1;
			}
			i++;
			continue;
		}
		size_t take = n - i < d->left ? n - i : (size_t)d->left;
		*ret_data = data + i;
		*ret_n = take;
		d->left -= take;
		if (d->left == 0) {
			d->state = CHUNK_DATA_CR;
		}
		return (ssize_t)(i + take);
	}
	return (ssize_t)i;
}

const char *http1_reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} reasons[] = {{101, "UPGRADED"}, {200, "OK"}, {201, "Created"}, {204, "No Content"},
		{303, "See Other"}, {304, "Not Modified"}, {400, "Bad Request"},
		{401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
		{405, "Method Not Allowed"}, {406, "Not Acceptable"}, {409, "Conflict"},
		{413, "Payload Too Large"}, {415, "Unsupported Media Type"},
		{429, "Too Many Requests"}, {431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"}, {501, "Not Implemented"},
		{503, "Service Unavailable"}};
	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
		if (reasons[i].status == status) {
			return reasons[i].text;
		}
	}
	return "Status";
}
