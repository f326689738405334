/* ingress/logs.h - nginx's logs: 10 MB each, the two before it kept; the job "ingress" turns them.
 */
#pragma once
#include <stdbool.h>

#define INGRESS_LOG_BYTES (10 << 20)
#define INGRESS_LOG_LOOK_MS 15000 /* while nginx runs */

/* Whether one of DIR/log is to be turned. */
bool ingress_logs_are_full(const char *dir);
