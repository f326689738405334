#include "compose/duration.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"

/* One "1.5h" of a duration: its length in bytes, or 0. */
static size_t part_length(const char *text)
{
	size_t number = strspn(text, "0123456789.");
	size_t unit = strcspn(text + number, "0123456789.");
	return number > 0 && unit > 0 ? number + unit : 0;
}

/* Days and weeks are hours to Go's parser. */
static int parse_part(const char *text, size_t n, int64_t *ret)
{
	int64_t hours = n > 1 && text[n - 1] == 'd' ? 24 : n > 1 && text[n - 1] == 'w' ? 168 : 0;
	scoped(free) char *part = xstrndup(text, n);
	if (hours > 0) {
		part[n - 1] = 'h';
	}
	int64_t ns;
	int r = parse_duration(part, &ns);
	if (r < 0) {
		return r;
	}
	return __builtin_mul_overflow(ns, hours > 0 ? hours : 1, ret) ? -1 : 0;
}

int duration_parse(const char *text, int64_t *ret_ns)
{
	bool negative = *text == '-';
	text += *text == '-' || *text == '+';
	int64_t sum = 0;
	if (strcmp(text, "0") == 0) {
		*ret_ns = 0;
		return 0;
	}
	if (!*text) {
		return -1;
	}
	while (*text) {
		size_t n = part_length(text);
		int64_t ns;
		if (n == 0 || parse_part(text, n, &ns) < 0 ||
			__builtin_add_overflow(sum, ns, &sum)) {
			return -1;
		}
		text += n;
	}
	*ret_ns = negative ? -sum : sum;
	return 0;
}

const char *duration_format(struct tree *t, int64_t ns)
{
	static const struct {
		int64_t ns;
		const char *unit;
	} small[] = {{1000000, "ms"}, {1000, "µs"}, {1, "ns"}};
	char fraction[16];
	const char *sign = ns < 0 ? "-" : "";
	uint64_t left = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
	int64_t unit = 1000000000;
	const char *word = "s";
	for (size_t i = 0; left > 0 && left < 1000000000 && i < 3; i++) {
		if (left >= (uint64_t)small[i].ns) {
			unit = small[i].ns;
			word = small[i].unit;
			break;
		}
	}
	/* nine digits of the part below the unit, without the zeros at the end */
	int digits = unit == 1000000000 ? 9 : unit == 1000000 ? 6 : unit == 1000 ? 3 : 0;
	snprintf(fraction, sizeof(fraction), ".%0*llu", digits,
		(unsigned long long)(left % (uint64_t)unit));
	for (size_t n = strlen(fraction);
		n > 0 && (fraction[n - 1] == '0' || fraction[n - 1] == '.'); n--) {
		fraction[n - 1] = '\0';
	}
	unsigned long long whole = left / (uint64_t)unit;
	if (whole < 60 || unit != 1000000000) {
		return tree_printf(t, "%s%llu%s%s", sign, whole, fraction, word);
	}
	return whole < 3600
		       ? tree_printf(t, "%s%llum%llu%ss", sign, whole / 60, whole % 60, fraction)
		       : tree_printf(t, "%s%lluh%llum%llu%ss", sign, whole / 3600, whole / 60 % 60,
				 whole % 60, fraction);
}
