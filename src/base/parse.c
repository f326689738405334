#include "base/parse.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"

int parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret)
{
	if (!isdigit((unsigned char)text[0]) &&
		!(text[0] == '-' && isdigit((unsigned char)text[1]))) {
		return -EINVAL;
	}
	char *end;
	errno = 0;
	long long value = strtoll(text, &end, 10);
	if (*end) {
		return -EINVAL;
	}
	if (errno == ERANGE || value < min || value > max) {
		return -ERANGE;
	}
	*ret = value;
	return 0;
}

int parse_int(const char *text, int min, int max, int *ret)
{
	int64_t value;
	int r = parse_i64(text, min, max, &value);
	if (r == 0) {
		*ret = (int)value;
	}
	return r;
}

int parse_u16(const char *text, uint16_t *ret)
{
	int64_t value;
	int r = parse_i64(text, 0, UINT16_MAX, &value);
	if (r == 0) {
		*ret = (uint16_t)value;
	}
	return r;
}

/* A decimal number with an optional fraction, as mantissa / scale; NULL when there is none or it is
 * too long. */
static const char *decimal(const char *p, int64_t *ret_mantissa, int64_t *ret_scale)
{
	int64_t mantissa = 0;
	int64_t scale = 1;
	bool any = false;
	bool fraction = false;
	for (;; p++) {
		if (*p == '.' && !fraction) {
			fraction = true;
			continue;
		}
		if (!isdigit((unsigned char)*p)) {
			break;
		}
		any = true;
		if (fraction && scale >= 1000000000) {
			continue; /* digits below a billionth change nothing */
		}
		if (__builtin_mul_overflow(mantissa, 10, &mantissa) ||
			__builtin_add_overflow(mantissa, *p - '0', &mantissa)) {
			return NULL;
		}
		scale *= fraction ? 10 : 1;
	}
	*ret_mantissa = mantissa;
	*ret_scale = scale;
	return any ? p : NULL;
}

/* mantissa * unit / scale without losing what fits in 64 bits; -ERANGE otherwise. */
static int scaled(int64_t mantissa, int64_t scale, int64_t unit, int64_t *ret)
{
	int64_t whole;
	if (__builtin_mul_overflow(mantissa / scale, unit, &whole)) {
		return -ERANGE;
	}
	double fraction = (double)(mantissa % scale) * (double)unit / (double)scale;
	return __builtin_add_overflow(whole, (int64_t)fraction, ret) ? -ERANGE : 0;
}

static int size_in(const char *text, int64_t step, int64_t *ret_bytes)
{
	int64_t mantissa;
	int64_t scale;
	const char *p = decimal(text, &mantissa, &scale);
	if (!p) {
		return -EINVAL;
	}
	while (*p == ' ') {
		p++;
	}
	int64_t unit = 1;
	const char *letters = "kmgtp";
	const char *letter = *p ? strchr(letters, tolower((unsigned char)*p)) : NULL;
	if (letter) {
		for (long i = letter - letters; i >= 0; i--) {
			unit *= step;
		}
		p++;
		if (*p == 'i' || *p == 'I') {
			p++;
			if (*p != 'b' && *p != 'B') {
				return -EINVAL;
			}
		}
	}
	if (*p == 'b' || *p == 'B') {
		p++;
	}
	if (*p) {
		return -EINVAL;
	}
	return scaled(mantissa, scale, unit, ret_bytes);
}

int parse_size(const char *text, int64_t *ret_bytes)
{
	return size_in(text, 1024, ret_bytes);
}

int parse_size_decimal(const char *text, int64_t *ret_bytes)
{
	return size_in(text, 1000, ret_bytes);
}

int parse_duration(const char *text, int64_t *ret_ns)
{
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = {{"ns", 1}, {"us", 1000}, {"µs", 1000}, {"ms", NS_PER_MS}, {"s", NS_PER_SEC},
		{"m", 60 * NS_PER_SEC}, {"h", 3600 * NS_PER_SEC}};

	const char *p = text;
	int64_t sign = 1;
	if (*p == '-' || *p == '+') {
		sign = *p++ == '-' ? -1 : 1;
	}
	if (strcmp(p, "0") == 0) {
		*ret_ns = 0;
		return 0;
	}
	if (!*p) {
		return -EINVAL;
	}
	int64_t total = 0;
	while (*p) {
		int64_t mantissa;
		int64_t scale;
		p = decimal(p, &mantissa, &scale);
		if (!p) {
			return -EINVAL;
		}
		size_t name_len = strcspn(p, "0123456789.");
		int64_t part = -1;
		for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
			if (strlen(units[i].name) == name_len &&
				memcmp(units[i].name, p, name_len) == 0 &&
				scaled(mantissa, scale, units[i].ns, &part) < 0) {
				return -ERANGE;
			}
		}
		if (part < 0) {
			return -EINVAL;
		}
		if (__builtin_add_overflow(total, part, &total)) {
			return -ERANGE;
		}
		p += name_len;
	}
	*ret_ns = sign * total;
	return 0;
}

bool parse_query_bool(const char *text)
{
	static const char *const no[] = {"", "0", "no", "false", "none"};
	if (!text) {
		return false;
	}
	for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++) {
		if (strcasecmp(text, no[i]) == 0) {
			return false;
		}
	}
	return true;
}

int parse_signal(const char *text, int *ret_signal)
{
	if (isdigit((unsigned char)text[0])) {
		return parse_int(text, 1, 64, ret_signal);
	}
	if (strncasecmp(text, "SIG", 3) == 0) {
		text += 3;
	}
	for (int i = 1; i < NSIG; i++) {
		const char *name = sigabbrev_np(i);
		if (name && strcasecmp(name, text) == 0) {
			*ret_signal = i;
			return 0;
		}
	}
	int n;
	if (strncasecmp(text, "RTMIN+", 6) == 0 && parse_int(text + 6, 0, 30, &n) == 0) {
		*ret_signal = 34 + n;
		return 0;
	}
	return -EINVAL;
}

int parse_mac(const char *text, uint8_t ret[6])
{
	uint8_t mac[6];
	if (strlen(text) != 17) {
		return -EINVAL;
	}
	for (size_t i = 0; i < 6; i++) {
		const char *p = text + 3 * i;
		if (!isxdigit((unsigned char)p[0]) || !isxdigit((unsigned char)p[1]) ||
			(i < 5 && p[2] != ':' && p[2] != '-')) {
			return -EINVAL;
		}
		mac[i] = (uint8_t)strtoul(p, NULL, 16);
	}
	if (mac[0] & 1) {
		return -EINVAL;
	}
	memcpy(ret, mac, sizeof(mac));
	return 0;
}

int parse_go_bool(const char *text, bool *ret)
{
	static const char *const words[2][6] = {{"0", "f", "F", "false", "FALSE", "False"},
		{"1", "t", "T", "true", "TRUE", "True"}};
	for (int truth = 0; truth < 2; truth++) {
		for (size_t i = 0; i < 6; i++) {
			if (strcmp(text, words[truth][i]) == 0) {
				*ret = truth;
				return 0;
			}
		}
	}
	return -EINVAL;
}
