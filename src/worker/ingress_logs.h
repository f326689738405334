/* worker/ingress_logs.h - nginx's logs are turned when they are large, or kept apart at its start.
 */
#pragma once

/* Renames those of DIR/log of at least limit bytes: NAME.log to NAME.log.1, that to NAME.log.2.
 * nginx writes on into the renamed ones until it is told (SIGUSR1). */
void ingress_logs_turn(const char *dir, long long limit);
/* Moves all of them into DIR/log/DATE_TIME, in UTC. */
void ingress_logs_archive(const char *dir);
