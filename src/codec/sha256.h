/* codec/sha256.h - SHA-256 (FIPS 180-4) of small texts.
 *
 * For the daemon, which hashes an image configuration of a few kilobytes now and then and would
 * otherwise map OpenSSL for it. Workers hash layers with OpenSSL, which uses the processor's
 * instructions.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

void sha256(const void *data, size_t n, uint8_t ret[static 32]);
/* "sha256:" and 64 hex digits. */
void sha256_digest(const void *data, size_t n, char ret[static 72]);
