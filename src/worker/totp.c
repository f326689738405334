#include "worker/totp.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "codec/form.h"

#define SECRET_BYTES_MAX 64

static int letter_value(unsigned char c)
{
	c = (unsigned char)toupper(c);
	return c >= 'A' && c <= 'Z' ? c - 'A' : c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

/* RFC 4648 6; the bits that do not fill a byte are dropped. */
static int read_secret(
	const char *text, uint8_t ret[static SECRET_BYTES_MAX], size_t *ret_n, struct err *e)
{
	uint32_t bits = 0;
	unsigned have = 0;
	*ret_n = 0;
	for (; *text && *text != '='; text++) {
		int value = letter_value((unsigned char)*text);
		if (*text == ' ') {
			continue;
		}
		if (value < 0 || *ret_n >= SECRET_BYTES_MAX) {
			return err_set(e, ERR_INVALID, "the secret is not base32");
		}
		bits = bits << 5 | (uint32_t)value;
		have += 5;
		if (have >= 8) {
			have -= 8;
			ret[(*ret_n)++] = (uint8_t)(bits >> have);
		}
	}
	return *ret_n > 0 ? 0 : err_set(e, ERR_INVALID, "the secret is empty");
}

int totp_code(const char *secret, int64_t step, char ret[static TOTP_DIGITS + 1], struct err *e)
{
	uint8_t key[SECRET_BYTES_MAX];
	uint8_t counter[8];
	uint8_t sum[EVP_MAX_MD_SIZE];
	size_t key_n;
	unsigned n = 0;
	if (read_secret(secret, key, &key_n, e) < 0) {
		return -1;
	}
	for (int i = 0; i < 8; i++) {
		counter[i] = (uint8_t)((uint64_t)step >> (56 - 8 * i));
	}
	if (!HMAC(EVP_sha1(), key, (int)key_n, counter, sizeof(counter), sum, &n) || n != 20) {
		return err_set(e, ERR_SYSTEM, "cannot compute a code");
	}
	const uint8_t *p = sum + (sum[19] & 15); /* RFC 4226 5.3 */
	uint32_t number =
		(uint32_t)(p[0] & 0x7f) << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	snprintf(ret, TOTP_DIGITS + 1, "%06u", number % 1000000);
	return 0;
}

int totp_find(const char *secret, const char *code, int64_t now_s, int64_t *ret, struct err *e)
{
	static const int64_t near[] = {-1, 1, 0};
	int64_t found = -1;
	for (size_t i = 0; i < sizeof(near) / sizeof(*near); i++) {
		char right[TOTP_DIGITS + 1];
		int64_t step = now_s / TOTP_STEP_S + near[i];
		if (totp_code(secret, step, right, e) < 0) {
			return -1;
		}
		found = text_equal_slowly(right, code) ? step : found;
	}
	*ret = found;
	return 0;
}
