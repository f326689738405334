#include "wherryd/wiring.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strv.h"
#include "ingress/hosts.h"
#include "ingress/ingress.h"
#include "user/user.h"

struct wiring {
	struct ingress *ingress;
	struct user_set *users;
	struct hosts *hosts;
	struct user_listener *listener;
	char *clients; /* file of the authority: made with the first certificate */
	struct strv names;
};

static void set_parts(struct wiring *w)
{
	strv_clear(&w->names);
	user_api_names(w->users, &w->names);
	const struct ingress_parts parts = {.certificate = hosts_certificate,
		.owner = w->hosts,
		.prepare = hosts_prepare,
		.served = hosts_served,
		.show = hosts_show,
		.login = true,
		.api_ca = access(w->clients, F_OK) == 0 ? w->clients : NULL,
		.api_users = &w->names};
	ingress_set_parts(w->ingress, &parts);
}

/* nginx is told of certificates alone: who may sign in it asks each time. */
static void user_changed(void *owner, const char *name, enum user_change change)
{
	struct wiring *w = owner;
	scoped(strv) struct strv names = STRV_INIT;
	user_api_names(w->users, &names);
	bool same = names.n == w->names.n;
	for (size_t i = 0; same && i < names.n; i++) {
		same = strv_has(&w->names, names.v[i]);
	}
	if (!same) {
		set_parts(w);
	}
}

struct wiring *wiring_new(
	struct ingress *g, struct user_set *users, struct hosts *hosts, const char *data_root)
{
	struct wiring *w = xnew(struct wiring);
	w->ingress = g;
	w->users = users;
	w->hosts = hosts;
	w->clients = xasprintf("%s/tls/clients.crt", data_root);
	w->listener = user_listen(users, user_changed, w);
	set_parts(w);
	return w;
}

void wiring_free(struct wiring *w)
{
	if (w) {
		user_unlisten(w->listener);
		strv_deinit(&w->names);
		free(w->clients);
		free(w);
	}
}
