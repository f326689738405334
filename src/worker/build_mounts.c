#include "worker/build_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "worker/build_context.h"
#include "worker/build_mount_cache.h"
#include "worker/build_ssh.h"
#include "worker/context.h"
#include "worker/session.h"

void build_mounts_init(struct build_mounts *m, const struct build_step *t)
{
	*m = (struct build_mounts){.t = t};
}

void build_mounts_deinit(struct build_mounts *m)
{
	for (size_t k = 0; k < m->n_relays; k++) {
		ssh_relay_stop(m->relays[k]);
	}
	for (size_t k = m->mounted.n; k > 0; k--) {
		umount2(m->mounted.v[k - 1], MNT_DETACH | UMOUNT_NOFOLLOW);
	}
	build_caches_close(m);
	for (size_t k = 0; k < m->n_flags; k++) {
		run_mount_deinit(&m->flags[k]);
	}
	free(m->stubs);
	strv_deinit(&m->texts);
	strv_deinit(&m->env);
	strv_deinit(&m->env_defaults);
	strv_deinit(&m->mounted);
}

/* --- flags --- */

int build_mounts_read(struct build_mounts *m, struct err *e)
{
	const struct build_step *t = m->t;
	const struct expander x = build_config_expander(&t->s->c, t->d->escape);
	for (size_t k = 0; k < t->i->flags.n; k++) {
		const char *text = run_mount_flag(t->i->flags.v[k]);
		if (!text) {
			continue;
		}
		if (m->n_flags == BUILD_MOUNTS_MAX) {
			(void)err_set(e, ERR_INVALID, "more than %d mounts", BUILD_MOUNTS_MAX);
			return build_fail(t, e);
		}
		if (run_mount_parse(text, &x, &m->flags[m->n_flags++], e) < 0) {
			return build_fail(t, e);
		}
	}
	return 0;
}

/* --- keys --- */

static int mix_source(
	const struct build_step *t, const struct run_mount *f, char key[static 65], struct err *e)
{
	char digest[72];
	if (f->from) {
		scoped(strv) struct strv dirs = STRV_INIT;
		if (build_source_dirs(t, f->from, &dirs, digest, e) < 0) {
			return -1;
		}
	} else {
		const char *source = f->source ? f->source : ".";
		scoped(close) int there = path_open_in(t->b->context_fd, source, O_PATH, 0);
		if (there < 0) {
			(void)build_mounts_missing(f, e);
			return build_fail(t, e);
		}
		if (build_context_digest(
			    t->b, t->b->context_fd, source, false, NULL, NULL, digest, e) < 0) {
			return build_fail(t, e);
		}
	}
	build_mix(key, digest);
	return 0;
}

int build_mounts_key(const struct build_mounts *m, char key[static 65], struct err *e)
{
	const struct build_step *t = m->t;
	for (size_t k = 0; k < t->i->flags.n; k++) {
		const char *text = run_mount_flag(t->i->flags.v[k]);
		if (text) {
			build_mix(key, text);
		}
	}
	for (size_t k = 0; k < m->n_flags; k++) {
		const struct run_mount *f = &m->flags[k];
		bool wanted = f->type == RUN_MOUNT_BIND || (f->type == RUN_MOUNT_CACHE && f->from);
		if (wanted && mix_source(t, f, key, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* --- places --- */

const char *build_mounts_keep(struct build_mounts *m, char *take_text)
{
	strv_take(&m->texts, take_text);
	return take_text;
}

int build_mounts_add(struct build_mounts *m, const char *source, const char *target,
	const char *type, const char *options, bool is_file, struct err *e)
{
	if (m->n == BUILD_MOUNTS_MAX) {
		return err_set(e, ERR_INVALID, "more than %d mounts", BUILD_MOUNTS_MAX);
	}
	m->is_file[m->n] = is_file;
	m->v[m->n++] = (struct oci_mount){.source = build_mounts_keep(m, xstrdup(source)),
		.target = build_mounts_keep(m, xstrdup(target)),
		.type = build_mounts_keep(m, xstrdup(type)),
		.options = build_mounts_keep(m, xstrdup(options))};
	return 0;
}

static const char *new_place(struct build_mounts *m, const char *what)
{
	/* texts only grows: no two places of a step have one name */
	return build_mounts_keep(
		m, xasprintf("%s/mount-%zu-%s", m->t->s->place.dir, m->texts.n, what));
}

const char *build_mounts_dir(struct build_mounts *m, const char *what, struct err *e)
{
	const char *dir = new_place(m, what);
	scoped(free) char *name = xstrdup(strrchr(dir, '/') + 1);
	path_remove_tree(m->t->s->place.fd, name); /* of the step before */
	if (mkdir(dir, 0755) < 0) {
		(void)err_sys(e, errno, "cannot make a directory for a mount");
		return NULL;
	}
	return dir;
}

static int mount_private(struct build_mounts *m, const char *at, struct err *e)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	/* noswap is Linux 6.4's */
	if (mount("tmpfs", at, "tmpfs", flags, "mode=0711,noswap") < 0 &&
		mount("tmpfs", at, "tmpfs", flags, "mode=0711") < 0) {
		return err_sys(e, errno, "cannot make a place for secrets");
	}
	strv_add(&m->mounted, at);
	return 0;
}

/* place/NAME is then a directory of the tmpfs. */
static int cover_place(struct build_mounts *m, const char *name, struct err *e)
{
	scoped(free) char *inside = xasprintf("%s/%s", m->private, name);
	scoped(free) char *outside = xasprintf("%s/%s", m->t->s->place.dir, name);
	if (build_place_mkdir(&m->t->s->place, name, 0700, e) < 0) {
		return -1;
	}
	if (mkdir(inside, 0700) < 0 || mount(inside, outside, NULL, MS_BIND, NULL) < 0) {
		return err_sys(e, errno, "cannot make a place for secrets");
	}
	strv_add(&m->mounted, outside);
	return 0;
}

const char *build_mounts_private(struct build_mounts *m, struct err *e)
{
	if (m->private) {
		return m->private;
	}
	const char *at = build_mounts_dir(m, "private", e);
	if (!at || mount_private(m, at, e) < 0) {
		return NULL;
	}
	m->private = at;
	return cover_place(m, "bundle", e) < 0 || cover_place(m, "crun", e) < 0 ? NULL : at;
}

const char *build_mounts_by_fd(
	struct build_mounts *m, int fd, bool is_file, const char *what, struct err *e)
{
	const char *at = is_file ? new_place(m, what) : build_mounts_dir(m, what, e);
	if (!at) {
		return NULL;
	}
	if (is_file && mknod(at, S_IFREG | 0600, 0) < 0 && errno != EEXIST) {
		(void)err_sys(e, errno, "cannot make a place for a mount");
		return NULL;
	}
	char source[64];
	snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
	if (mount(source, at, NULL, MS_BIND | MS_REC, NULL) < 0) {
		(void)err_sys(e, errno, "cannot mount the source of --mount");
		return NULL;
	}
	strv_add(&m->mounted, at);
	return at;
}

char *build_mounts_target(const struct build_mounts *m, const struct run_mount *f)
{
	scoped(free) char *path = path_join(build_config_workdir(&m->t->s->c), f->target);
	return path_join("/", path);
}

/* --- sources --- */

static int open_tmpfs(struct build_mounts *m, const struct run_mount *f, struct err *e)
{
	scoped(free) char *target = build_mounts_target(m, f);
	scoped(free) char *size =
		f->size ? xasprintf(",size=%lld", (long long)f->size) : xstrdup("");
	scoped(free) char *options =
		xasprintf("nosuid,nodev,mode=1777%s%s", size, f->readonly ? ",ro" : "");
	return build_mounts_add(m, "tmpfs", target, "tmpfs", options, false, e);
}

/* A session has what BuildKit's clients offer. */
static int check_session(const struct build_mounts *m, const struct run_mount *f, struct err *e)
{
	return session_is_there(m->t->b)
		       ? 0
		       : err_set(e, ERR_INVALID,
				 "--mount=type=%s is not supported by the classic build call, which has no way to send %s: build with DOCKER_BUILDKIT=1",
				 run_mount_type_name(f->type),
				 f->type == RUN_MOUNT_SSH ? "an agent" : "secrets");
}

static int open_flag(struct build_mounts *m, const struct run_mount *f, struct err *e)
{
	switch (f->type) {
	case RUN_MOUNT_BIND:
		return build_mount_bind(m, f, e);
	case RUN_MOUNT_CACHE:
		return build_mount_cache(m, f, e);
	case RUN_MOUNT_TMPFS:
		return open_tmpfs(m, f, e);
	case RUN_MOUNT_SECRET:
		return check_session(m, f, e) < 0 ? -1 : build_mount_secret(m, f, e);
	case RUN_MOUNT_SSH:
		return check_session(m, f, e) < 0 ? -1 : build_mount_ssh(m, f, e);
	}
	return err_set(e, ERR_SYSTEM, "a mount has no type");
}

int build_mounts_open(struct build_mounts *m, struct err *e)
{
	if (build_caches_open(m, e) < 0) {
		return build_fail(m->t, e);
	}
	for (size_t k = 0; k < m->n_flags; k++) {
		if (open_flag(m, &m->flags[k], e) < 0) {
			return build_fail(m->t, e);
		}
	}
	return 0;
}
