/* Configs and secrets given by `content:` or `environment:` are put into the created container as a
 * tar archive (Docker API PutContainerArchive), because there is no file of this machine to mount.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "compose/content.h"
#include "compose/refusal.h"
#include "wherry/auth.h"
#include "wherry/compose.h"
#include "wherry/engine.h"

#define BLOCK 512u
#define TEXT_BYTES_MAX (1u << 20)

/* Digits and a NUL; what does not fit loses its high digits. */
static void put_octal(unsigned char *field, size_t width, uint64_t value)
{
	for (size_t i = width - 1; i-- > 0; value >>= 3) {
		field[i] = (unsigned char)('0' + (value & 7));
	}
}

/* POSIX.1-1988 ustar header; names of at most 255 bytes, split at a slash when longer than 100. */
static int add_header(
	struct buf *tar, const char *path, const struct file_use *f, size_t size, struct err *e)
{
	unsigned char h[BLOCK] = {0};
	size_t n = strlen(path);
	const char *name = path;
	if (n > 100) {
		name = strchr(path + (n - 101), '/');
		if (!name || name - path > 155) {
			return err_set(e, ERR_INVALID, "the path %s is too long", f->target);
		}
		memcpy(h + 345, path, (size_t)(name - path));
		name++;
	}
	memcpy(h, name, strlen(name));
	put_octal(h + 100, 8, f->mode == UNSET ? 0444 : (uint64_t)f->mode & 07777);
	put_octal(h + 108, 8, f->uid == UNSET ? 0 : (uint64_t)f->uid);
	put_octal(h + 116, 8, f->gid == UNSET ? 0 : (uint64_t)f->gid);
	put_octal(h + 124, 12, size);
	put_octal(h + 136, 12, 0);
	memset(h + 148, ' ', 8);
	h[156] = '0';
	memcpy(h + 257, "ustar\00000", 8);
	unsigned sum = 0;
	for (size_t i = 0; i < BLOCK; i++) {
		sum += h[i];
	}
	put_octal(h + 148, 7, sum);
	h[154] = '\0';
	buf_append(tar, h, BLOCK);
	return 0;
}

static int add_text(
	struct buf *tar, const struct file_use *f, const char *data, size_t size, struct err *e)
{
	static const char zeros[BLOCK];
	const char *path = f->target + strspn(f->target, "/");
	if (add_header(tar, path, f, size, e) < 0) {
		return -1;
	}
	buf_append(tar, data, size);
	buf_append(tar, zeros, (BLOCK - size % BLOCK) % BLOCK);
	return 0;
}

static int add_file(struct buf *tar, const struct file_use *f, struct err *e)
{
	scoped(buf) struct buf data = BUF_INIT;
	if (!f->path) {
		return add_text(tar, f, f->content, strlen(f->content), e);
	}
	int r = path_read(AT_FDCWD, f->path, TEXT_BYTES_MAX, &data);
	if (r < 0) {
		return err_sys(e, -r, "cannot read %s", f->path);
	}
	return add_text(tar, f, buf_str(&data), data.len, e);
}

/* What use_api_socket gives: the registry logins of this machine, as a config.json. */
static int add_logins(struct buf *tar, struct cli *cli, struct err *e)
{
	static const struct file_use use = {.target = REQUEST_LOGINS_DIR "/config.json",
		.uid = UNSET,
		.gid = UNSET,
		.mode = UNSET};
	scoped(json) json_t *auths = json_object();
	scoped(json) json_t *all = auth_all(cli);
	const char *server;
	json_t *v;
	json_object_foreach (all, server, v) {
		json_put(auths, server, auth_entry(v));
	}
	scoped(json) json_t *config = json_pack("{s:O}", "auths", auths);
	scoped(free) char *text = json_text(config);
	return add_text(tar, &use, text, strlen(text), e);
}

struct cursor {
	const struct buf *from;
	size_t at;
};

static long read_buf(void *owner, char *data, size_t n)
{
	struct cursor *c = owner;
	size_t left = c->from->len - c->at;
	n = n < left ? n : left;
	memcpy(data, c->from->data + c->at, n);
	c->at += n;
	return (long)n;
}

static int add_all(struct buf *tar, const struct service *s, const struct file_use *uses, size_t n,
	struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		if (file_use_is_copied(s, &uses[i]) && add_file(tar, &uses[i], e) < 0) {
			return -1;
		}
	}
	return 0;
}

char *compose_read_text(void *owner, const char *path, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	int r = path_read(AT_FDCWD, path, TEXT_BYTES_MAX, &text);
	if (r < 0) {
		(void)err_sys(e, -r, "cannot read %s", path);
		return NULL;
	}
	return buf_take_str(&text);
}

int compose_put_files(struct compose *c, const struct service *s, const char *id, struct err *e)
{
	static const char end[2 * BLOCK];
	scoped(buf) struct buf tar = BUF_INIT;
	if (add_all(&tar, s, s->configs, s->n_configs, e) < 0 ||
		add_all(&tar, s, s->secrets, s->n_secrets, e) < 0 ||
		(s->use_api_socket && add_logins(&tar, c->cli, e) < 0)) {
		return -1;
	}
	if (tar.len == 0) {
		return 0;
	}
	buf_append(&tar, end, sizeof(end));
	scoped(buf) struct buf path = BUF_INIT;
	path_add(&path, "/containers/", id, "/archive?path=%2F&wherryBeforeStart=1");
	struct cursor cursor = {&tar, 0};
	const struct http_source source = {read_buf, &cursor};
	const struct http_call call = {.method = "PUT",
		.path = buf_str(&path),
		.headers = "Content-Type: application/x-tar\r\n",
		.source = &source};
	if (engine_send(c->cli->http, &call, NULL, e) < 0) {
		if (s->read_only && strstr(e->msg, "marked read-only")) { /* dockerd */
			return err_set(e, ERR_INVALID,
				"cannot create configs and secrets in read-only service %s: `file` is the sole supported option",
				s->name);
		}
		return err_wrap(
			e, "cannot put the configs and secrets of %s into its container", s->name);
	}
	http_client_skip(c->cli->http);
	return 0;
}

/* A pipe or a device is not opened for long enough to block. */
static int read_regular(void *owner, const char *path, size_t max, struct buf *ret)
{
	struct stat st;
	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)max) {
		return -ENOENT;
	}
	return path_read(AT_FDCWD, path, max, ret);
}

char *compose_content(const struct service *s)
{
	return content_label(s, read_regular, NULL);
}
