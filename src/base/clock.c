#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t clock_mono_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

int64_t clock_mono_ms(void)
{
	return clock_mono_ns() / NS_PER_MS;
}

int64_t clock_real_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

/* Writes "2026-11-24T16:20:01" and returns the nanoseconds left over. */
static int64_t format_seconds(int64_t real_ns, char text[static CLOCK_TEXT_MAX])
{
	int64_t sec = real_ns / NS_PER_SEC;
	int64_t ns = real_ns % NS_PER_SEC;
	if (ns < 0) {
		ns += NS_PER_SEC;
		sec--;
	}
	time_t t = (time_t)sec;
	struct tm tm;
	gmtime_r(&t, &tm);
	strftime(text, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	return ns;
}

static const char *format_digits(
	int64_t real_ns, int digits, int64_t unit, char text[static CLOCK_TEXT_MAX])
{
	int64_t ns = format_seconds(real_ns, text);
	size_t n = strlen(text);
	snprintf(text + n, CLOCK_TEXT_MAX - n, ".%0*lldZ", digits, (long long)(ns / unit));
	return text;
}

const char *clock_format_ms(int64_t real_ns, char text[static CLOCK_TEXT_MAX])
{
	return format_digits(real_ns, 3, NS_PER_MS, text);
}

const char *clock_format_ns(int64_t real_ns, char text[static CLOCK_TEXT_MAX])
{
	return format_digits(real_ns, 9, 1, text);
}

const char *clock_format(int64_t real_ns, char text[static CLOCK_TEXT_MAX])
{
	if (real_ns == 0) {
		return strcpy(text, "0001-01-01T00:00:00Z");
	}
	clock_format_ns(real_ns, text);
	size_t n = strlen(text) - 1; /* the Z */
	while (text[n - 1] == '0') {
		n--;
	}
	if (text[n - 1] == '.') {
		n--;
	}
	text[n] = 'Z';
	text[n + 1] = '\0';
	return text;
}

/* Reads exactly n digits; -1 when one of them is none. */
static int digits(const char **p, int n)
{
	int value = 0;
	for (int i = 0; i < n; i++) {
		if (**p < '0' || **p > '9') {
			return -1;
		}
		value = value * 10 + (**p - '0');
		(*p)++;
	}
	return value;
}

/* Reads the "+hh:mm", "-hh:mm" or "Z" at the end as seconds east of Greenwich. */
static int parse_offset(const char *p, int *ret_seconds)
{
	if ((*p == 'Z' || *p == 'z') && p[1] == '\0') {
		*ret_seconds = 0;
		return 0;
	}
	if (*p != '+' && *p != '-') {
		return -EINVAL;
	}
	int sign = *p++ == '-' ? -1 : 1;
	int hours = digits(&p, 2);
	if (hours < 0 || hours > 23 || *p++ != ':') {
		return -EINVAL;
	}
	int minutes = digits(&p, 2);
	if (minutes < 0 || minutes > 59 || *p) {
		return -EINVAL;
	}
	*ret_seconds = sign * (hours * 3600 + minutes * 60);
	return 0;
}

int clock_parse(const char *text, int64_t *ret_real_ns)
{
	if (strcmp(text, "0001-01-01T00:00:00Z") == 0) {
		*ret_real_ns = 0;
		return 0;
	}
	const char *p = text;
	static const struct {
		int n, min, max;
		char after;
	} parts[] = {{4, 1970, 2261, '-'}, {2, 1, 12, '-'}, {2, 1, 31, 'T'}, {2, 0, 23, ':'},
		{2, 0, 59, ':'}, {2, 0, 60, '\0'}};
	int value[6];
	for (size_t i = 0; i < 6; i++) {
		value[i] = digits(&p, parts[i].n);
		if (value[i] < parts[i].min || value[i] > parts[i].max) {
			return -EINVAL;
		}
		if (parts[i].after && *p++ != parts[i].after) {
			return -EINVAL;
		}
	}

	int64_t ns = 0;
	if (*p == '.') {
		p++;
		int64_t unit = NS_PER_SEC / 10;
		if (*p < '0' || *p > '9') {
			return -EINVAL;
		}
		for (; *p >= '0' && *p <= '9'; p++, unit /= 10) {
			ns += (*p - '0') * unit;
		}
	}
	int offset;
	if (parse_offset(p, &offset) < 0) {
		return -EINVAL;
	}
	struct tm tm = {.tm_year = value[0] - 1900,
		.tm_mon = value[1] - 1,
		.tm_mday = value[2],
		.tm_hour = value[3],
		.tm_min = value[4],
		.tm_sec = value[5]};
	*ret_real_ns = ((int64_t)timegm(&tm) - offset) * NS_PER_SEC + ns;
	return 0;
}

const char *clock_human(int64_t seconds, char text[static CLOCK_TEXT_MAX])
{
	int64_t minutes = seconds / 60;
	int64_t hours = (seconds + 1800) / 3600;
	const char *fixed = NULL;
	if (seconds < 1) {
		fixed = "Less than a second";
	} else if (seconds == 1) {
		fixed = "1 second";
	} else if (seconds >= 60 && minutes == 1) {
		fixed = "About a minute";
	} else if (minutes >= 60 && hours == 1) {
		fixed = "About an hour";
	}
	if (fixed) {
		return strcpy(text, fixed);
	}

	static const struct {
		int64_t below_hours, unit_hours;
		const char *name;
	} units[] = {{48, 1, "hours"}, {24 * 7 * 2, 24, "days"}, {24 * 30 * 2, 24 * 7, "weeks"},
		{24 * 365 * 2, 24 * 30, "months"}, {INT64_MAX, 24 * 365, "years"}};
	if (seconds < 60) {
		snprintf(text, CLOCK_TEXT_MAX, "%lld seconds", (long long)seconds);
	} else if (minutes < 60) {
		snprintf(text, CLOCK_TEXT_MAX, "%lld minutes", (long long)minutes);
	} else {
		size_t i = 0;
		while (hours >= units[i].below_hours) {
			i++;
		}
		snprintf(text, CLOCK_TEXT_MAX, "%lld %s", (long long)(hours / units[i].unit_hours),
			units[i].name);
	}
	return text;
}

const char *clock_go_span(int64_t ms, char text[static CLOCK_TEXT_MAX])
{
	const long long s = ms / 1000;
	char fraction[8] = "";
	if (ms < 1000) {
		snprintf(text, CLOCK_TEXT_MAX, "%lldms", (long long)ms);
		return text;
	}
	if (ms % 1000) {
		size_t n = (size_t)snprintf(fraction, sizeof(fraction), ".%03d", (int)(ms % 1000));
		while (n > 0 && fraction[n - 1] == '0') {
			fraction[--n] = '\0';
		}
	}
	if (s >= 3600) {
		snprintf(text, CLOCK_TEXT_MAX, "%lldh%lldm%lld%ss", s / 3600, s / 60 % 60, s % 60,
			fraction);
	} else if (s >= 60) {
		snprintf(text, CLOCK_TEXT_MAX, "%lldm%lld%ss", s / 60, s % 60, fraction);
	} else {
		snprintf(text, CLOCK_TEXT_MAX, "%lld%ss", s, fraction);
	}
	return text;
}
