/* base/log.h - one line an event: a module, an event whose spelling never changes, then keys and
 * values.
 *
 * log_info("container", "started", "id", c->id, NULL) prints
 *   2026-11-24T16:20:01.123Z info container started id=4f2c...
 * Keys and values are strings (LOG_N formats a number); values with blanks or control characters
 * are quoted. A key whose value is NULL is left out. Passwords, tokens and environment values never
 * have a key. The level is the one mutable global of the project.
 */
#pragma once

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
void log_event(enum log_level level, const char *module, const char *event, ...)
	__attribute__((sentinel));

#define log_error(...) log_event(LOG_ERROR, __VA_ARGS__)     /* a person must act */
#define log_warning(...) log_event(LOG_WARNING, __VA_ARGS__) /* we coped */
#define log_info(...) log_event(LOG_INFO, __VA_ARGS__)       /* a few lines in a container's life */
#define log_debug(...) log_event(LOG_DEBUG, __VA_ARGS__)

/* A number as a value; the text lives until the end of the enclosing block. */
#define LOG_N(n) log_number((char[24]){0}, (long long)(n))
const char *log_number(char text[static 24], long long n);
