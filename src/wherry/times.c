#include "wherry/times.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/parse.h"

static const char *print(int64_t ns, char ret[static TIMES_TEXT_MAX])
{
	snprintf(ret, TIMES_TEXT_MAX, "%" PRId64 ".%09" PRId64, ns / NS_PER_SEC, ns % NS_PER_SEC);
	return ret;
}

/* "2013-01-02T13:23:37", "2013-01-02T13:23", "2013-01-02": in the zone of this machine. */
static int parse_local(const char *text, int64_t *ret_ns)
{
	static const char *const layouts[] = {
		"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H", "%Y-%m-%d"};
	for (size_t i = 0; i < sizeof(layouts) / sizeof(*layouts); i++) {
		struct tm tm = {.tm_isdst = -1};
		const char *end = strptime(text, layouts[i], &tm);
		if (end && !*end) {
			*ret_ns = (int64_t)mktime(&tm) * NS_PER_SEC;
			return 0;
		}
	}
	return -1;
}

int times_parse(const char *name, const char *text, char ret[static TIMES_TEXT_MAX], struct err *e)
{
	int64_t ns;
	*ret = '\0';
	if (!text || !*text) {
		return 0;
	}
	size_t digits = strspn(text, "0123456789");
	size_t fraction = text[digits] == '.' ? 1 + strspn(text + digits + 1, "0123456789") : 0;
	if (digits > 0 && digits < 19 && fraction < 20 && !text[digits + fraction]) {
		snprintf(ret, TIMES_TEXT_MAX, "%s", text);
		return 0;
	}
	if (parse_duration(text, &ns) == 0) {
		print(clock_real_ns() - ns, ret);
		return 0;
	}
	if (clock_parse(text, &ns) == 0 || parse_local(text, &ns) == 0) {
		print(ns, ret);
		return 0;
	}
	return err_set(e, ERR_INVALID, "%s%s%sfailed to parse value as time or duration: \"%s\"",
		*name ? "invalid value for \"" : "", name, *name ? "\": " : "", text);
}

const char *times_local(int64_t seconds, char ret[static TIMES_TEXT_MAX])
{
	time_t t = (time_t)seconds;
	struct tm tm;
	localtime_r(&t, &tm);
	strftime(ret, TIMES_TEXT_MAX, "%Y-%m-%d %H:%M:%S %z %Z", &tm);
	return ret;
}

const char *times_rfc3339(int64_t seconds, char ret[static TIMES_TEXT_MAX])
{
	time_t t = (time_t)seconds;
	struct tm tm;
	char zone[8];
	localtime_r(&t, &tm);
	size_t n = strftime(ret, TIMES_TEXT_MAX - sizeof(zone), "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm); /* "+0100" */
	if (tm.tm_gmtoff == 0) {
		snprintf(ret + n, TIMES_TEXT_MAX - n, "Z");
	} else {
		snprintf(ret + n, TIMES_TEXT_MAX - n, "%.3s:%.2s", zone, zone + 3);
	}
	return ret;
}

const char *times_from_api(const char *text, char ret[static TIMES_TEXT_MAX])
{
	int64_t ns;
	char seconds[TIMES_TEXT_MAX];
	if (clock_parse(text, &ns) < 0) {
		snprintf(ret, TIMES_TEXT_MAX, "%s", text);
		return ret;
	}
	char fraction[16];
	int n = snprintf(fraction, sizeof(fraction), ".%09d", (int)(ns % NS_PER_SEC));
	while (n > 0 && (fraction[n - 1] == '0' || fraction[n - 1] == '.')) {
		fraction[--n] = '\0';
	}
	times_local(ns / NS_PER_SEC, seconds);
	snprintf(ret, TIMES_TEXT_MAX, "%.19s%.10s%.16s", seconds, fraction, seconds + 19);
	return ret;
}
