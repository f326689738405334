#include "base/timestamp.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/parse.h"

int timestamp_unix(const char *text, int64_t *ret_ns)
{
	char whole[24];
	size_t n = strcspn(text, ".");
	if (n >= sizeof(whole)) {
		return -EINVAL;
	}
	memcpy(whole, text, n);
	whole[n] = '\0';
	int64_t ns = 0;
	if (text[n] == '.' && text[n + 1]) {
		size_t digits = strlen(text + n + 1);
		if (digits > 9 || parse_i64(text + n + 1, 0, 999999999, &ns) < 0) {
			return -EINVAL;
		}
		for (; digits < 9; digits++) {
			ns *= 10;
		}
	}
	int64_t seconds;
	if (parse_i64(whole, 0, INT64_MAX / NS_PER_SEC - 1, &seconds) < 0) {
		return -EINVAL;
	}
	*ret_ns = seconds * NS_PER_SEC + ns;
	return 0;
}

/* A date that lacks the offset, or the time of day from some place on. */
static int parse_partial(const char *text, int64_t *ret_ns)
{
	static const char *const formats[] = {
		"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H", "%Y-%m-%d"};
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
		struct tm tm = {.tm_isdst = -1};
		const char *end = strptime(text, formats[i], &tm);
		if (!end || (*end && strcmp(end, "Z") != 0)) {
			continue;
		}
		time_t t = *end ? timegm(&tm) : mktime(&tm);
		if (t < 0 || t > INT64_MAX / NS_PER_SEC - 1) {
			return -EINVAL;
		}
		*ret_ns = (int64_t)t * NS_PER_SEC;
		return 0;
	}
	return -EINVAL;
}

int timestamp_parse(const char *text, int64_t now_ns, int64_t *ret_ns)
{
	int64_t span;
	if (strcmp(text, "0") != 0 && parse_duration(text, &span) == 0) { /* "0" is 1970 */
		return __builtin_sub_overflow(now_ns, span, ret_ns) ? -EINVAL : 0;
	}
	if (clock_parse(text, ret_ns) == 0 || parse_partial(text, ret_ns) == 0) {
		return 0;
	}
	return timestamp_unix(text, ret_ns);
}
