/* wherryd/wiring.h - what users add to what nginx serves: sign-in at every host, and the API for
 * those who have certificates. */
#pragma once

struct hosts;
struct ingress;
struct user_set;
struct wiring;

/* All are borrowed and outlive it. data_root: where the authority of people's certificates is. */
struct wiring *wiring_new(
	struct ingress *g, struct user_set *users, struct hosts *hosts, const char *data_root);
void wiring_free(struct wiring *w); /* NULL is fine; after ingress_end */
