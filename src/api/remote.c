#include "api/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/parse.h"
#include "http/server.h"
#include "sys/procfs.h"
#include "user/user.h"

#define CONNS_MAX 256 /* of one certificate */

struct entrance {
	struct api_guest guest; /* its user is ours */
	struct http_server *http;
	bool wanted;
};

struct api_remote {
	uv_loop_t *loop;
	struct api *api;
	struct user_set *users;
	struct user_listener *listener;
	char *exec_root;
	gid_t gid;
	struct map *entrances; /* id of a certificate -> struct entrance */
};

/* Root, and workers of our nginx: other services of the machine run as www-data, too, and must not
 * become root by this. */
static bool is_nginx(void *owner, pid_t pid, uid_t uid)
{
	const struct api_remote *r = owner;
	scoped(buf) struct buf text = BUF_INIT;
	scoped(free) char *path = xasprintf("%s/ingress/nginx.pid", r->exec_root);
	int master;
	if (uid == 0) {
		return true;
	}
	if (path_read(AT_FDCWD, path, 32, &text) == 0 && text.len > 0) {
		text.data[strcspn(text.data, "\n")] = '\0';
	}
	bool good =
		parse_int(buf_str(&text), 2, INT_MAX, &master) == 0 && procfs_parent(pid) == master;
	if (!good) {
		log_warning("api", "not_nginx", "pid", LOG_N(pid), "uid", LOG_N(uid), NULL);
	}
	return good;
}

static void entrance_free(struct entrance *x)
{
	http_server_free(x->http);
	free((char *)x->guest.user);
	free(x);
}

static void open_entrance(struct api_remote *r, const char *id, const struct user *u)
{
	struct err e;
	scoped(free) char *path = user_api_socket(r->exec_root, id);
	struct entrance *x = xnew(struct entrance);
	x->guest = (struct api_guest){r->api, user_role(u), xstrdup(user_name(u))};
	x->wanted = true;
	x->http = http_server_new(r->loop, api_handle_guest, &x->guest);
	http_server_limit_conns(x->http, CONNS_MAX);
	http_server_check_peers(x->http, is_nginx, r);
	if (http_server_listen_unix(x->http, path, 0660, r->gid, &e) < 0) {
		log_error("api", "no_remote_socket", "user", user_name(u), "error", e.msg, NULL);
		entrance_free(x);
		return;
	}
	map_put(r->entrances, id, x);
	log_info("api", "remote_user", "user", user_name(u), "role", role_word(user_role(u)),
		"certificate", id, NULL);
}

/* One that was opened for another role is made anew: who is connected with it has to come again. */
static void want(struct api_remote *r, const struct user *u)
{
	for (size_t i = 0; user_has_api(u) && i < user_certificates(u); i++) {
		const char *id = user_certificate_id(u, i);
		struct entrance *x = map_get(r->entrances, id);
		if (x && x->guest.role == user_role(u)) {
			x->wanted = true;
			continue;
		}
		if (x) {
			map_remove(r->entrances, id);
			entrance_free(x);
		}
		open_entrance(r, id, u);
	}
}

static void sync_all(struct api_remote *r)
{
	size_t pos = 0;
	const char *id;
	map_each (r->entrances, struct entrance, x) {
		x->wanted = false;
	}
	size_t user_pos = 0;
	for (const struct user *u; (u = user_next(r->users, &user_pos));) {
		want(r, u);
	}
	for (struct entrance *x; (x = map_next(r->entrances, &pos, &id));) {
		if (!x->wanted) {
			log_info("api", "remote_user_gone", "user", x->guest.user, "certificate",
				id, NULL);
			map_remove(r->entrances, id);
			entrance_free(x);
		}
	}
}

static void changed(void *owner, const char *name, enum user_change change)
{
	if (change != USER_NEW_PASSWORD) {
		sync_all(owner);
	}
}

/* Emptied: a killed daemon leaves sockets, and one of a certificate that was taken away since then
 * must not stay. nginx's group may look names up, nobody else. */
static int make_directory(const struct api_remote *r, struct err *e)
{
	scoped(free) char *ingress = xasprintf("%s/ingress", r->exec_root);
	scoped(free) char *path = xasprintf("%s/api", ingress);
	int n = path_mkdirs(ingress, 0711);
	n = n < 0 ? n : path_mkdirs(path, 0750);
	scoped(close) int fd =
		n < 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fchown(fd, 0, r->gid) < 0 || fchmod(fd, 0750) < 0) {
		return err_sys(e, n < 0 ? -n : errno, "cannot make %s", path);
	}
	scoped(strv) struct strv names = STRV_INIT;
	n = path_list(fd, &names);
	for (size_t i = 0; i < names.n; i++) {
		(void)unlinkat(fd, names.v[i], 0);
	}
	return n < 0 ? err_sys(e, -n, "cannot look into %s", path) : 0;
}

struct api_remote *api_remote_new(uv_loop_t *l, struct api *a, struct user_set *users,
	const char *exec_root, gid_t gid, struct err *e)
{
	struct api_remote *r = xnew(struct api_remote);
	r->loop = l;
	r->api = a;
	r->users = users;
	r->exec_root = xstrdup(exec_root);
	r->gid = gid;
	r->entrances = map_new();
	if (make_directory(r, e) < 0) {
		api_remote_free(r);
		return NULL;
	}
	sync_all(r);
	r->listener = user_listen(users, changed, r);
	return r;
}

void api_remote_free(struct api_remote *r)
{
	if (!r) {
		return;
	}
	user_unlisten(r->listener);
	map_each (r->entrances, struct entrance, x) {
		entrance_free(x);
	}
	map_free(r->entrances);
	free(r->exec_root);
	free(r);
}
