#include "shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* dockerd cuts longer lines there: a part has no newline at its end. */
#define LINE_MAX_BYTES 16384
#define OUT_BYTES 131072
#define WORST_LINE (LINE_MAX_BYTES * 6 + 128) /* every byte as \u00xx, and the frame */

struct line {
	size_t n;
	char text[LINE_MAX_BYTES];
};

struct log {
	char path[4096];
	int fd;
	int64_t size, max_bytes;
	int files;
	struct line lines[2]; /* unfinished: stdout, stderr */
	size_t out_n;
	char out[OUT_BYTES + WORST_LINE];
	char stamp[40]; /* "2026-11-24T16:20:01.123456789Z" */
};

struct log *log_open(const char *path, int64_t max_bytes, int files)
{
	if (strlen(path) + 16 > sizeof(((struct log *)0)->path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	struct log *l = calloc(1, sizeof(*l));
	if (!l) {
		return NULL;
	}
	strcpy(l->path, path);
	l->max_bytes = max_bytes;
	l->files = files;
	l->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	struct stat st;
	if (l->fd < 0 || fstat(l->fd, &st) < 0) {
		int reason = errno;
		free(l);
		errno = reason;
		return NULL;
	}
	l->size = st.st_size;
	return l;
}

/* path -> path.1 -> path.2 ...; the oldest goes */
static void rotate(struct log *l)
{
	char from[sizeof(l->path) + 16];
	char to[sizeof(l->path) + 16];
	for (int i = l->files - 1; i >= 1; i--) {
		snprintf(to, sizeof(to), "%s.%d", l->path, i);
		if (i == 1) {
			snprintf(from, sizeof(from), "%s", l->path);
		} else {
			snprintf(from, sizeof(from), "%s.%d", l->path, i - 1);
		}
		rename(from, to);
	}
	int fd = open(l->path, O_WRONLY | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	if (fd >= 0) {
		close(l->fd);
		l->fd = fd;
	}
	l->size = 0;
}

/* The disk took only a part: what it has of the last line goes, or the next line would be torn with
 * it. end is where the written part of l->out ends. */
static void cut_torn_line(struct log *l, const char *end)
{
	const char *p = end;
	while (p > l->out && p[-1] != '\n') {
		p--;
	}
	off_t size = lseek(l->fd, 0, SEEK_END);
	if (p < end && size >= end - p && ftruncate(l->fd, size - (end - p)) == 0) {
		l->size -= end - p;
	}
}

void log_flush(struct log *l)
{
	if (l->out_n == 0) {
		return;
	}
	if (l->max_bytes > 0 && l->size >= l->max_bytes) {
		rotate(l);
	}
	const char *p = l->out;
	size_t left = l->out_n;
	while (left > 0) {
		ssize_t n = write(l->fd, p, left);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) { /* a full disk must not stop the container: these lines are lost */
			cut_torn_line(l, p);
			break;
		}
		p += n;
		left -= (size_t)n;
		l->size += n;
	}
	l->out_n = 0;
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

static void put_line(struct log *l, int stream, const char *text, size_t n)
{
	bool full = l->max_bytes > 0 && l->size + (int64_t)l->out_n >=
						l->max_bytes; /* the next line is the next file's */
	if (l->out_n >= OUT_BYTES || full) {
		log_flush(l);
	}
	put(l, "{\"log\":\"", 8);
	put_text(l, text, n);
	if (stream == 1) {
		put(l, "\",\"stream\":\"stdout\",\"time\":\"", 28);
	} else {
		put(l, "\",\"stream\":\"stderr\",\"time\":\"", 28);
	}
	put(l, l->stamp, strlen(l->stamp));
	put(l, "\"}\n", 3);
}

static void take_stamp(struct log *l)
{
	struct timespec now;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	size_t n = strftime(l->stamp, sizeof(l->stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(l->stamp + n, sizeof(l->stamp) - n, ".%09ldZ", now.tv_nsec);
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
	take_stamp(l);
	finish_line(l, 1);
	finish_line(l, 2);
	log_flush(l);
}

void log_free(struct log *l)
{
	if (l) {
		close(l->fd);
		free(l);
	}
}
