/* buildkit/fsutil.h - trees of files over a stream of messages: the DiffCopy protocol of fsutil.
 *
 * The sender walks a tree in order and says what is there; the receiver asks for the contents that
 * it does not have. Used both ways: a client sends its build context (FileSync) and receives the
 * files that a build is asked to put out (FileSend), the build worker is the other end of both.
 * Nothing is kept of a tree but names (the sender) and what is on its way (the receiver).
 * Protocol: tonistiigi/fsutil receive.go, and the messages in fsutil.proto.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

#define FSUTIL_PATH_MAX 4096
#define FSUTIL_DEPTH_MAX 256
#define FSUTIL_ENTRIES_MAX 2000000
#define FSUTIL_XATTRS_MAX 64
#define FSUTIL_CHUNK (32u << 10) /* of a file in one message, when we send */

/* The stream: whole messages, blocking, as grpc/grpc.h has them; a thread may send while another
 * receives. */
struct fsutil_stream {
	/* more: another one follows at once, this one may wait for it */
	int (*send)(void *owner, const void *data, size_t n, bool more, struct err *e);
	/* 1: one message replaced *ret's bytes; 0: the peer sends no more; -1 with *e */
	int (*recv)(void *owner, struct buf *ret, struct err *e);
	void *owner;
};
struct grpc_call;
struct fsutil_stream fsutil_over_call(struct grpc_call *borrowed);

struct fsutil_xattr {
	const char *key;
	const void *value;
	size_t n;
};

/* One file as the protocol tells it; borrowed. */
struct fsutil_stat {
	const char *path; /* relative, clean */
	mode_t mode;      /* as in struct stat, with its type */
	uid_t uid;
	gid_t gid;
	int64_t size;
	int64_t mtime_ns;
	const char *link; /* a link's target; the first name of a file that has several; else "" */
	unsigned dev_major, dev_minor;
	size_t n_xattrs;
	const struct fsutil_xattr *xattrs;
};

/* --- the sender --- */

enum { FSUTIL_SEND = 1u << 0, FSUTIL_ENTER = 1u << 1 };

struct fsutil_send_options {
	/* Which of the two a path gets (ENTER: a directory is looked into, its own entry goes when
	 * something in it does). NULL: everything. */
	unsigned (*filter)(void *owner, const char *path, bool is_dir);
	/* May change what is told of a file; may be NULL. */
	void (*change)(void *owner, struct fsutil_stat *st);
	/* Bytes of all messages so far, now and then; from another thread. May be NULL. */
	void (*progress)(void *owner, int64_t bytes, bool last);
	void *owner;
	/* A directory of its own that everything goes into, "" for none: its stat is like's. */
	const char *below;
	const struct stat *like;
	bool xattrs; /* user.* and security.capability */
};

/* Sends the tree and whatever is asked for, until the receiver has all. Names that vanish while it
 * walks are left out; links are sent, not followed; sockets are left out. */
int fsutil_send(const struct fsutil_stream *s, int root_fd, const struct fsutil_send_options *o,
	struct err *e);

/* --- the receiver --- */

struct fsutil_receiver {
	/* The next entry, in order, checked: its path is clean and relative, its parent was told
	 * before and is a directory, a hard link's first name was told before. *ret_want: its
	 * content shall be sent (of regular files only; false before). */
	int (*entry)(void *owner, uint32_t id, const struct fsutil_stat *st, bool *ret_want,
		struct err *e);
	/* Content of a wanted file; n 0 is its end. Pieces of several files come in turns. */
	int (*data)(void *owner, uint32_t id, const void *data, size_t n, struct err *e);
	/* That was the last entry; contents may follow. May be NULL. */
	int (*listed)(void *owner, struct err *e);
	void *owner;
	/* All contents have come. The sender is told afterwards, and may be gone at once. May be
	 * NULL. */
	int (*complete)(void *owner, struct err *e);
};

/* Receives until the sender has closed: 0, or -1 with *e, which the peer is told. */
int fsutil_receive(const struct fsutil_stream *s, const struct fsutil_receiver *r, struct err *e);

/* A tree into the directory root_fd, which may hold other files: what has the same name is replaced
 * (fsutil_tree.c). Everything becomes uid's and gid's, (uid_t)-1: the caller's own. */
int fsutil_receive_tree(
	const struct fsutil_stream *s, int root_fd, uid_t uid, gid_t gid, struct err *e);

/* --- one message (fsutil_packet.c), for both ends --- */

enum fsutil_type { FSUTIL_STAT, FSUTIL_REQ, FSUTIL_DATA, FSUTIL_FIN, FSUTIL_ERR };

struct fsutil_packet {
	enum fsutil_type type;
	uint32_t id;
	bool has_stat;
	struct fsutil_stat stat;
	const void *data;
	size_t n;
	void *message; /* what owns the rest */
};

/* ERR_INVALID for what is no packet; free *ret after success. */
int fsutil_packet_read(const void *data, size_t n, struct fsutil_packet *ret, struct err *e);
void fsutil_packet_free(struct fsutil_packet *p);
static inline void scoped_fsutil_packet(struct fsutil_packet *p)
{
	fsutil_packet_free(p);
}
/* Replaces ret's bytes. */
void fsutil_packet_write(const struct fsutil_packet *p, struct buf *ret);

/* --- the order of entries (fsutil_order.c) --- */

struct fsutil_order;
struct fsutil_order *fsutil_order_new(void);
void fsutil_order_free(struct fsutil_order *o); /* NULL is fine */
static inline void scoped_fsutil_order(struct fsutil_order **o)
{
	fsutil_order_free(*o);
}
/* Whether the entry may follow those before it; ERR_INVALID. */
int fsutil_order_check(struct fsutil_order *o, const struct fsutil_stat *st, struct err *e);
/* Paths by their components: "a" < "a/b" < "a-b". As strcmp. */
int fsutil_path_compare(const char *a, const char *b);
