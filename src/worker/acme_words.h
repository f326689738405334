/* worker/acme_words.h - what uacme's messages mean, in one sentence. Pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* From what it wrote to standard error: the authority's own words where it said any (the last
 * "detail" of a problem document, RFC 8555 6.7, with its type), else uacme's. The caller's. */
char *acme_words(const char *text, size_t n);
/* The account key is one that the authority does not know. */
bool acme_wants_account(const char *text);
/* RFC 8555 8.1: base64url; and that with a '.' between two of them. */
bool acme_token_is_valid(const char *token);
bool acme_authorization_is_valid(const char *text);
