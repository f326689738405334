/* Messages of the protocol; modes are Go's fs.FileMode on the wire. */
#include <string.h>

#include "base/mem.h"
#include "buildkit/fsutil.h"
#include "fsutil.pb-c.h"

/* go/src/io/fs/fs.go */
enum {
	GO_DIR = 1u << 31,
	GO_LINK = 1u << 27,
	GO_DEVICE = 1u << 26,
	GO_FIFO = 1u << 25,
	GO_SOCKET = 1u << 24,
	GO_SETUID = 1u << 23,
	GO_SETGID = 1u << 22,
	GO_CHAR = 1u << 21,
	GO_STICKY = 1u << 20,
	GO_IRREGULAR = 1u << 19,
	GO_TYPES = GO_DIR | GO_LINK | GO_DEVICE | GO_FIFO | GO_SOCKET | GO_CHAR | GO_IRREGULAR,
};

static const struct {
	mode_t type;
	uint32_t go;
} types[] = {
	{S_IFREG, 0},
	{S_IFDIR, GO_DIR},
	{S_IFLNK, GO_LINK},
	{S_IFIFO, GO_FIFO},
	{S_IFSOCK, GO_SOCKET},
	{S_IFBLK, GO_DEVICE},
	{S_IFCHR, GO_DEVICE | GO_CHAR},
};

#define TYPES (sizeof(types) / sizeof(*types))

static const struct {
	mode_t bit;
	uint32_t go;
} bits[] = {{S_ISUID, GO_SETUID}, {S_ISGID, GO_SETGID}, {S_ISVTX, GO_STICKY}};

#define BITS (sizeof(bits) / sizeof(*bits))

static uint32_t mode_to_go(mode_t mode)
{
	uint32_t go = mode & 0777;
	for (size_t i = 0; i < TYPES; i++) {
		go |= (mode & S_IFMT) == types[i].type ? types[i].go : 0;
	}
	for (size_t i = 0; i < BITS; i++) {
		go |= mode & bits[i].bit ? bits[i].go : 0;
	}
	return go;
}

static int mode_from_go(uint32_t go, mode_t *ret)
{
	mode_t mode = go & 0777;
	for (size_t i = 0; i < BITS; i++) {
		mode |= go & bits[i].go ? bits[i].bit : 0;
	}
	for (size_t i = 0; i < TYPES; i++) {
		if ((go & GO_TYPES) == types[i].go) {
			*ret = mode | types[i].type;
			return 0;
		}
	}
	return -1;
}

/* --- reading --- */

static int read_xattrs(const Wherry__Fsutil__Stat *from, struct fsutil_stat *to, struct err *e)
{
	if (from->n_xattrs > FSUTIL_XATTRS_MAX) {
		return err_set(e, ERR_INVALID,
			"invalid file list: '%.200s' has more than %d attributes", from->path,
			FSUTIL_XATTRS_MAX);
	}
	if (from->n_xattrs == 0) {
		return 0;
	}
	struct fsutil_xattr *v = xnew_array(struct fsutil_xattr, from->n_xattrs);
	for (size_t i = 0; i < from->n_xattrs; i++) {
		const Wherry__Fsutil__Xattr *x = from->xattrs[i];
		v[i] = (struct fsutil_xattr){x->key, x->value.data, x->value.len};
	}
	to->n_xattrs = from->n_xattrs;
	to->xattrs = v;
	return 0;
}

static int read_stat(const Wherry__Fsutil__Stat *from, struct fsutil_stat *to, struct err *e)
{
	*to = (struct fsutil_stat){
		.path = from->path,
		.uid = from->uid,
		.gid = from->gid,
		.size = from->size,
		.mtime_ns = from->mod_time,
		.link = from->linkname,
		.dev_major = (unsigned)from->devmajor,
		.dev_minor = (unsigned)from->devminor,
	};
	if (mode_from_go(from->mode, &to->mode) < 0) {
		return err_set(e, ERR_INVALID,
			"invalid file list: '%.200s' is of an unknown type (%o)", from->path,
			from->mode);
	}
	if (from->size < 0) {
		return err_set(e, ERR_INVALID, "invalid file list: '%.200s' has a negative size",
			from->path);
	}
	return read_xattrs(from, to, e);
}

int fsutil_packet_read(const void *data, size_t n, struct fsutil_packet *ret, struct err *e)
{
	Wherry__Fsutil__Packet *m = wherry__fsutil__packet__unpack(NULL, n, data);
	if (!m) {
		return err_set(e, ERR_INVALID, "invalid file list: a message is damaged");
	}
	struct fsutil_packet p = {
		.id = m->id, .data = m->data.data, .n = m->data.len, .message = m};
	p.type = (enum fsutil_type)m->type;
	p.has_stat = m->stat != NULL;
	if (m->type < 0 || p.type > FSUTIL_ERR || (m->stat && read_stat(m->stat, &p.stat, e) < 0)) {
		if (m->type < 0 || p.type > FSUTIL_ERR) {
			(void)err_set(
				e, ERR_INVALID, "invalid file list: unknown message %d", m->type);
		}
		fsutil_packet_free(&p);
		return -1;
	}
	*ret = p;
	return 0;
}

void fsutil_packet_free(struct fsutil_packet *p)
{
	free((void *)p->stat.xattrs);
	p->stat.xattrs = NULL;
	if (p->message) {
		wherry__fsutil__packet__free_unpacked(p->message, NULL);
		p->message = NULL;
	}
}

/* --- writing --- */

static void write_stat(const struct fsutil_stat *from, Wherry__Fsutil__Stat *to)
{
	wherry__fsutil__stat__init(to);
	to->path = (char *)from->path;
	to->mode = mode_to_go(from->mode);
	to->uid = from->uid;
	to->gid = from->gid;
	to->size = from->size;
	to->mod_time = from->mtime_ns;
	to->linkname = (char *)from->link;
	to->devmajor = from->dev_major;
	to->devminor = from->dev_minor;
}

static void pack(const Wherry__Fsutil__Packet *m, struct buf *ret)
{
	size_t n = wherry__fsutil__packet__get_packed_size(m);
	buf_clear(ret);
	wherry__fsutil__packet__pack(m, (uint8_t *)buf_room(ret, n));
	buf_added(ret, n);
}

void fsutil_packet_write(const struct fsutil_packet *p, struct buf *ret)
{
	Wherry__Fsutil__Packet m = WHERRY__FSUTIL__PACKET__INIT;
	Wherry__Fsutil__Stat stat;
	Wherry__Fsutil__Xattr xattrs[FSUTIL_XATTRS_MAX];
	Wherry__Fsutil__Xattr *list[FSUTIL_XATTRS_MAX];
	m.type = (Wherry__Fsutil__Packet__Type)p->type;
	m.id = p->id;
	m.data = (ProtobufCBinaryData){p->n, (uint8_t *)p->data};
	if (p->has_stat) {
		write_stat(&p->stat, &stat);
		m.stat = &stat;
		stat.n_xattrs =
			p->stat.n_xattrs < FSUTIL_XATTRS_MAX ? p->stat.n_xattrs : FSUTIL_XATTRS_MAX;
		stat.xattrs = list;
		for (size_t i = 0; i < stat.n_xattrs; i++) {
			const struct fsutil_xattr *x = &p->stat.xattrs[i];
			wherry__fsutil__xattr__init(&xattrs[i]);
			xattrs[i].key = (char *)x->key;
			xattrs[i].value = (ProtobufCBinaryData){x->n, (uint8_t *)x->value};
			list[i] = &xattrs[i];
		}
	}
	pack(&m, ret);
}
