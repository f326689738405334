#include "shim/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OUT_BYTES 65536
#define EXTRA_MAX 32768
#define WORST_LINE                                                                    \
	(LINE_MAX_BYTES * 6 + EXTRA_MAX + 128) /* every byte as \u00xx, and the frame \
						*/

struct line {
	size_t n;
	char text[LINE_MAX_BYTES];
};

struct log {
	enum log_format format;
	struct log_files files;
	struct journal *journal;
	struct log_buffer *buffer; /* then nothing else is ours */
	struct line lines[2];      /* unfinished: stdout, stderr */
	size_t out_n;
	char out[OUT_BYTES + WORST_LINE];
	size_t extra_n;
	char extra[EXTRA_MAX];
	time_t stamp_s; /* the second that stamp says */
	char stamp[40]; /* "2026-11-24T16:20:01.123456789Z", or 19 digits of ns for "local" */
};

static int read_extra(struct log *l, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return -1;
	}
	ssize_t n = read(fd, l->extra, sizeof(l->extra));
	close(fd);
	l->extra_n = n > 0 ? (size_t)n : 0;
	return n < 0 ? -1 : 0;
}

static int open_output(struct log *l, const struct log_options *o)
{
	if (o->buffer_bytes > 0) {
		l->buffer = log_buffer_new(o, o->buffer_bytes);
		return l->buffer ? 0 : -1;
	}
	if (o->extra && read_extra(l, o->extra) < 0) {
		return -1;
	}
	if (o->format == LOG_FORMAT_JOURNAL) {
		l->journal = journal_open(l->extra, l->extra_n);
		return l->journal ? 0 : -1;
	}
	return log_files_open(&l->files, o);
}

struct log *log_open(const struct log_options *o)
{
	struct log *l = calloc(1, sizeof(*l));
	if (!l) {
		return NULL;
	}
	l->format = o->format;
	l->files.fd = -1;
	if (open_output(l, o) < 0) {
		int reason = errno;
		free(l);
		errno = reason;
		return NULL;
	}
	return l;
}

void log_flush(struct log *l)
{
	if (l->buffer) {
		log_buffer_send(l->buffer);
	} else if (l->out_n > 0) {
		log_files_write(&l->files, l->out, l->out_n);
		l->out_n = 0;
	}
}

int log_fd(const struct log *l)
{
	return l->buffer ? log_buffer_fd(l->buffer) : -1;
}

void log_child_ended(struct log *l, pid_t pid, int status)
{
	if (!l->buffer && !l->journal) {
		log_files_child_ended(&l->files, pid, status);
	}
}

static void put(struct log *l, const char *text, size_t n)
{
	memcpy(l->out + l->out_n, text, n);
	l->out_n += n;
}

static void put_escape(struct log *l, unsigned c)
{
	static const char hex[] = "0123456789abcdef";
	char text[6] = {
		'\\', 'u', hex[c >> 12 & 15], hex[c >> 8 & 15], hex[c >> 4 & 15], hex[c & 15]};
	put(l, text, sizeof(text));
}

/* Length of the UTF-8 character at p (RFC 3629), 0 when it is none. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
	size_t len = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
	if (len == 0 || len > n) {
		return 0;
	}
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0u) != 0x80u) {
			return 0;
		}
	}
	bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
	bool outside = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
	return overlong || outside ? 0 : len;
}

/* The bytes that can stand in a JSON string as they are: not ", \\ and, as Docker has it, not <, >
 * and &. */
static const unsigned char plain[256] = {[' ' ... '!'] = 1,
	['#' ... '%'] = 1,
	['\'' ... ';'] = 1,
	['='] = 1,
	['?' ... '['] = 1,
	[']' ... 0x7f] = 1};

/* One byte or character that is not plain. Returns how many bytes it took. */
static size_t put_special(struct log *l, const unsigned char *p, size_t n)
{
	switch (*p) {
	case '"':
		put(l, "\\\"", 2);
		return 1;
	case '\\':
		put(l, "\\\\", 2);
		return 1;
	case '\n':
		put(l, "\\n", 2);
		return 1;
	case '\r':
		put(l, "\\r", 2);
		return 1;
	default:
		break;
	}
	if (*p < 0x80) {
		put_escape(l, *p);
		return 1;
	}
	size_t len = utf8_length(p, n);
	if (len == 0) {
		put_escape(l, 0xfffd);
		return 1;
	}
	put(l, (const char *)p, len);
	return len;
}

static void put_text(struct log *l, const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text;
	const unsigned char *end = p + n;
	while (p < end) {
		const unsigned char *run = p;
		while (p < end && plain[*p]) {
			p++;
		}
		put(l, (const char *)run, (size_t)(p - run));
		if (p < end) {
			p += put_special(l, p, (size_t)(end - p));
		}
	}
}

static void put_json(struct log *l, int stream, const char *text, size_t n)
{
	put(l, "{\"log\":\"", 8);
	put_text(l, text, n);
	if (stream == 1) {
		put(l, "\",\"stream\":\"stdout\",", 20);
	} else {
		put(l, "\",\"stream\":\"stderr\",", 20);
	}
	put(l, l->extra, l->extra_n);
	put(l, "\"time\":\"", 8);
	put(l, l->stamp, strlen(l->stamp));
	put(l, "\"}\n", 3);
}

/* doc/log-format.md: 19 digits, a letter, the bytes as they are: there is no newline among them. */
static void put_local(struct log *l, int stream, const char *text, size_t n)
{
	bool part = text[n - 1] != '\n';
	put(l, l->stamp, strlen(l->stamp));
	put(l, stream == 1 ? (part ? "O" : "o") : (part ? "E" : "e"), 1);
	put(l, text, n);
	if (part) {
		put(l, "\n", 1);
	}
}

static void put_line(struct log *l, int stream, const char *text, size_t n)
{
	if (l->journal) {
		bool part = text[n - 1] != '\n';
		journal_send(l->journal, stream, text, part ? n : n - 1, part);
		return;
	}
	/* a file that is full now is the last line's: the next one is the next file's */
	if (l->out_n >= OUT_BYTES || log_files_full(&l->files, l->out_n)) {
		log_flush(l);
	}
	if (l->format == LOG_FORMAT_LOCAL) {
		put_local(l, stream, text, n);
	} else {
		put_json(l, stream, text, n);
	}
}

static void put_digits(char *to, int n, int64_t value)
{
	for (int i = n - 1; i >= 0; i--) {
		to[i] = (char)('0' + value % 10);
		value /= 10;
	}
}

static void take_stamp(struct log *l)
{
	struct timespec now;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &now);
	if (l->format == LOG_FORMAT_LOCAL) {
		put_digits(l->stamp, 19, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
		return;
	}
	if (now.tv_sec != l->stamp_s || !l->stamp[0]) {
		gmtime_r(&now.tv_sec, &tm);
		strftime(l->stamp, sizeof(l->stamp), "%Y-%m-%dT%H:%M:%S.123456789Z", &tm);
		l->stamp_s = now.tv_sec;
	}
	put_digits(l->stamp + strlen(l->stamp) - 10, 9, now.tv_nsec);
}

static void finish_line(struct log *l, int stream)
{
	struct line *line = &l->lines[stream - 1];
	if (line->n > 0) {
		put_line(l, stream, line->text, line->n);
		line->n = 0;
	}
}

void log_write(struct log *l, int stream, const char *data, size_t n)
{
	struct line *line = &l->lines[stream - 1];
	if (l->buffer) {
		log_buffer_put(l->buffer, stream, data, n);
		return;
	}
	take_stamp(l);
	while (n > 0) {
		size_t room = LINE_MAX_BYTES - line->n;
		size_t look = n < room ? n : room;
		const char *newline = memchr(data, '\n', look);
		size_t part = newline ? (size_t)(newline - data) + 1 : look;
		if (line->n == 0 && newline) { /* the usual case: a whole line, no copy */
			put_line(l, stream, data, part);
		} else {
			memcpy(line->text + line->n, data, part);
			line->n += part;
			if (newline || line->n == LINE_MAX_BYTES) {
				finish_line(l, stream);
			}
		}
		data += part;
		n -= part;
	}
}

void log_end(struct log *l)
{
	if (l->buffer) {
		log_buffer_end(l->buffer);
		return;
	}
	take_stamp(l);
	finish_line(l, 1);
	finish_line(l, 2);
	log_flush(l);
}

void log_free(struct log *l)
{
	if (l) {
		log_buffer_free(l->buffer);
		journal_free(l->journal);
		log_files_close(&l->files);
		free(l);
	}
}
