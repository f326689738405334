/* RUN --mount=type=secret and type=ssh: what the client has, in the step's tmpfs. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "worker/build_mounts.h"
#include "worker/build_secret.h"
#include "worker/build_ssh.h"

/* --- secrets --- */

static int add_env(
	struct build_mounts *m, const struct run_mount *f, const struct buf *secret, struct err *e)
{
	if (secret->len && memchr(secret->data, '\0', secret->len)) {
		return err_set(e, ERR_INVALID,
			"secret %.100s holds a NUL byte: it cannot be an environment variable",
			f->id);
	}
	strv_addf(&m->env, "%s=%.*s", f->env, (int)secret->len, secret->len ? secret->data : "");
	return build_mounts_private(m, e) ? 0
					  : -1; /* for the bundle, which holds the environment */
}

static int write_file(
	const char *path, const struct run_mount *f, const struct buf *secret, struct err *e)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	scoped(close) int fd = open(path, flags, 0400);
	int r = fd < 0 ? -errno : path_write_all(fd, secret->data, secret->len);
	if (r == 0 && (fchown(fd, f->uid, f->gid) < 0 || fchmod(fd, f->mode) < 0)) {
		r = -errno;
	}
	return r < 0 ? err_sys(e, -r, "secret %.100s: cannot be given to the step", f->id) : 0;
}

static char *secret_target(const struct build_mounts *m, const struct run_mount *f)
{
	if (f->target) {
		return build_mounts_target(m, f);
	}
	const char *slash = strrchr(f->id, '/');
	return xasprintf("/run/secrets/%s", slash ? slash + 1 : f->id);
}

static int add_file(
	struct build_mounts *m, const struct run_mount *f, const struct buf *secret, struct err *e)
{
	const char *dir = build_mounts_private(m, e);
	if (!dir) {
		return -1;
	}
	const char *path = build_mounts_keep(m, xasprintf("%s/secret-%zu", dir, m->n));
	scoped(free) char *target = secret_target(m, f);
	return write_file(path, f, secret, e) < 0
		       ? -1
		       : build_mounts_add(m, path, target, "bind",
				 "bind,rprivate,ro,nosuid,nodev,noexec", true, e);
}

int build_mount_secret(struct build_mounts *m, const struct run_mount *f, struct err *e)
{
	scoped(secret) struct buf secret = BUF_INIT;
	int found = secret_get(m->t->b, f->id, &secret, e);
	if (found < 0) {
		return -1;
	}
	if (!found) {
		return f->required
			       ? err_set(e, ERR_NOT_FOUND,
					 "secret %.100s: not found: the client has none of that id (--secret id=%.100s,...)",
					 f->id, f->id)
			       : 0;
	}
	if (f->env && add_env(m, f, &secret, e) < 0) {
		return -1;
	}
	return f->env && !f->target ? 0 : add_file(m, f, &secret, e);
}

/* --- ssh --- */

/* Bound by way of the directory's descriptor: a socket's name has at most 107 bytes. */
static int listen_at(const char *dir, const char *name, const struct run_mount *f, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	scoped(close) int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	scoped(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%.40s", dir_fd, name);
	if (dir_fd < 0 || fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		fchownat(dir_fd, name, f->uid, f->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
		fchmodat(dir_fd, name, f->mode, 0) < 0 || listen(fd, SSH_CONNECTIONS_MAX) < 0) {
		return err_sys(e, errno, "cannot make the socket of --mount=type=ssh");
	}
	return TAKE_FD(fd);
}

static char *socket_target(const struct build_mounts *m, const struct run_mount *f)
{
	return f->target ? build_mounts_target(m, f)
			 : xasprintf("/run/buildkit/ssh_agent.%zu", m->n_relays);
}

int build_mount_ssh(struct build_mounts *m, const struct run_mount *f, struct err *e)
{
	const char *dir = build_mounts_private(m, e);
	if (!dir) {
		return -1;
	}
	scoped(free) char *name = xasprintf("ssh-%zu", m->n_relays);
	scoped(free) char *target = socket_target(m, f);
	int fd = listen_at(dir, name, f, e);
	struct ssh_relay *relay;
	if (fd < 0 || ssh_relay_start(m->t->b, f->id, fd, &relay, e) < 0) {
		return -1;
	}
	if (!relay) {
		return f->required
			       ? err_set(e, ERR_NOT_FOUND,
					 "no SSH key \"%.100s\" forwarded from the client (--ssh %.100s)",
					 f->id, f->id)
			       : 0;
	}
	m->relays[m->n_relays++] = relay;
	if (m->n_relays == 1) {
		strv_addf(&m->env_defaults, "SSH_AUTH_SOCK=%s", target);
	}
	scoped(free) char *source = xasprintf("%s/%s", dir, name);
	return build_mounts_add(m, source, target, "bind", "bind,rprivate", true, e);
}
