/* worker/ingress_pages.h - the pages that are shown where an app's are not: pure text.
 *
 * Each is whole in itself, for nothing else can be fetched when it is shown. nginx puts in what
 * SSI variables stand for (ingress/conf.h): "status", "host", "request_id", "wherry_app".
 */
#pragma once
#include <stddef.h>

#define INGRESS_PAGES 4
const char *ingress_page_name(size_t i); /* "error.html"; static */
char *ingress_page_text(size_t i);       /* the caller's */
