/* base/parse.h - numbers and sizes from text; the whole text must be one. All return 0 or
 * -EINVAL/-ERANGE. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

int parse_int(const char *text, int min, int max, int *ret);
int parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret);
int parse_u16(const char *text, uint16_t *ret); /* a port, 0 to 65535 */

/* "64m", "1.5g", "1024", "10 MB", "2kib": 1024-based, as docker/go-units RAMInBytes. */
int parse_size(const char *text, int64_t *ret_bytes);

/* The same with 1000, as FromHumanSize: the sizes of logs. */
int parse_size_decimal(const char *text, int64_t *ret_bytes);

/* Go's time.ParseDuration: "1m30s", "1.5h", "300ms", "0"; a bare number other than 0 is -EINVAL. */
int parse_duration(const char *text, int64_t *ret_ns);

/* Docker's query booleans: everything but "", "0", "no", "false", "none" is true; NULL is false. */
bool parse_query_bool(const char *text);
/* Go's strconv.ParseBool: 1 t T true TRUE True 0 f F false FALSE False; else -EINVAL. */
int parse_go_bool(const char *text, bool *ret);

/* "SIGTERM", "TERM", "term" or "15" (1 to 64) as a signal number. */
int parse_signal(const char *text, int *ret_signal);

/* "02:42:ac:11:00:02", of one interface, not of a group. */
int parse_mac(const char *text, uint8_t ret[6]);
