/* sys/nft.h - nftables tables, sets, chains, rules and elements, changed in transactions.
 *
 * Queue changes in a batch, then nft_commit applies all of them or none. Rules are lists of struct
 * nft_op, the kernel's own expressions, ended by NFT_END. All return -errno and never log.
 */
#pragma once
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define NFT_BATCH_LIMIT (4u << 20) /* bytes */

/* Types of set keys and data as nft(8) shows them; several are packed from left to right by
 * NFT_JOIN. */
enum {
	NFT_TYPE_IPV4 = 7,
	NFT_TYPE_IPV6 = 8,
	NFT_TYPE_PROTO = 12,
	NFT_TYPE_PORT = 13,
	NFT_TYPE_IFNAME = 41
};
#define NFT_JOIN(a, b) ((a) << 6 | (b))

struct nft_batch {
	struct buf bytes;
	uint32_t seq;
	uint8_t family; /* of all its tables: NFPROTO_INET, NFPROTO_IPV4 ... */
};
#define NFT_BATCH_INIT(f)     \
	{                     \
		.family = (f) \
	}
static inline void scoped_nft_batch(struct nft_batch *b)
{
	buf_deinit(&b->bytes);
}

/* A netlink socket for nftables in the namespace netns_fd (borrowed; -1: ours). Returns the fd. */
int nft_open(int netns_fd);
/* Applies and empties the batch: the first refusal of the kernel, or -EMSGSIZE, and then nothing
 * has changed. */
int nft_commit(int fd, struct nft_batch *b);

/* A socket, non-blocking, that gets readable when somebody in our namespace changes nftables. */
int nft_watch(void);
/* Reads all that it has to say; true when a table went, or when so much happened that nobody knows.
 */
bool nft_watch_read(int watch_fd);

void nft_add_table(struct nft_batch *b, const char *table);    /* one that exists is fine */
void nft_delete_table(struct nft_batch *b, const char *table); /* one that is absent is fine */

struct nft_set {
	const char *name;
	uint32_t key_type;
	uint32_t key_len; /* bytes, each part of a key rounded up to 4 */
	uint32_t data_type;
	uint32_t data_len; /* 0: a set; otherwise a map */
};
void nft_add_set(struct nft_batch *b, const char *table, const struct nft_set *s);

struct nft_element {
	const void *key;
	uint32_t key_len;
	const void *data; /* NULL in a set */
	uint32_t data_len;
};
void nft_add_element(
	struct nft_batch *b, const char *table, const char *set, const struct nft_element *e);
/* Refused by the kernel, with the whole batch, when it is absent. */
void nft_delete_element(
	struct nft_batch *b, const char *table, const char *set, const struct nft_element *e);

/* Calls fn for each element there is; -ENOENT when table or set is absent. */
typedef void nft_element_fn(void *owner, const struct nft_element *e);
int nft_each_element(int fd, uint8_t family, const char *table, const char *set, nft_element_fn *fn,
	void *owner);

/* type "filter" or "nat"; hook NF_INET_*; policy accept. */
void nft_add_chain(struct nft_batch *b, const char *table, const char *chain, const char *type,
	uint32_t hook, int32_t priority);

enum nft_op_kind {
	NFT_OP_END,
	NFT_OP_META,
	NFT_OP_PAYLOAD,
	NFT_OP_CT,
	NFT_OP_FIB,
	NFT_OP_MASK,
	NFT_OP_COMPARE,
	NFT_OP_LOOKUP,
	NFT_OP_SET,
	NFT_OP_DNAT,
	NFT_OP_MASQUERADE,
	NFT_OP_VERDICT,
};
struct nft_op {
	enum nft_op_kind kind;
	uint32_t reg;
	uint32_t a;
	uint32_t b;
	uint32_t c;
	const char *name;
	union {
		uint32_t word;
		uint8_t bytes[16];
		char text[16];
	} data;
};
/* Registers of 4 bytes, 0 to 15; a longer value fills the ones that follow. */
#define NFT_R(n) (NFT_REG32_00 + (n))
#define NFT_END                    \
	{                          \
		.kind = NFT_OP_END \
	}
#define NFT_META(r, key)                                         \
	{                                                        \
		.kind = NFT_OP_META, .reg = NFT_R(r), .a = (key) \
	}
#define NFT_PAYLOAD(r, from, offset, n)                                                       \
	{                                                                                     \
		.kind = NFT_OP_PAYLOAD, .reg = NFT_R(r), .a = (from), .b = (offset), .c = (n) \
	}
#define NFT_SOURCE(r) NFT_PAYLOAD(r, NFT_PAYLOAD_NETWORK_HEADER, 12, 4)
#define NFT_DESTINATION(r) NFT_PAYLOAD(r, NFT_PAYLOAD_NETWORK_HEADER, 16, 4)
#define NFT_SOURCE6(r) NFT_PAYLOAD(r, NFT_PAYLOAD_NETWORK_HEADER, 8, 16)
#define NFT_DESTINATION6(r) NFT_PAYLOAD(r, NFT_PAYLOAD_NETWORK_HEADER, 24, 16)
#define NFT_DESTINATION_PORT(r) NFT_PAYLOAD(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2)
#define NFT_CT(r, key)                                         \
	{                                                      \
		.kind = NFT_OP_CT, .reg = NFT_R(r), .a = (key) \
	}
/* The kind of address (RTN_LOCAL ...) of NFTA_FIB_F_SADDR or NFTA_FIB_F_DADDR. */
#define NFT_ADDRESS_TYPE(r, of)                                \
	{                                                      \
		.kind = NFT_OP_FIB, .reg = NFT_R(r), .a = (of) \
	}
#define NFT_MASK(r, mask)                                         \
	{                                                         \
		.kind = NFT_OP_MASK, .reg = NFT_R(r), .a = (mask) \
	}
/* A long one: as many bytes as data.bytes is to hold, of the register and those that follow. */
#define NFT_MASK_BYTES(r, n)                                   \
	{                                                      \
		.kind = NFT_OP_MASK, .reg = NFT_R(r), .b = (n) \
	}
#define NFT_COMPARE(r, op, value, n)                                                               \
	{                                                                                          \
		.kind = NFT_OP_COMPARE, .reg = NFT_R(r), .a = (op), .b = (n), .data.word = (value) \
	}
#define NFT_IS(r, value) NFT_COMPARE(r, NFT_CMP_EQ, value, 4)
#define NFT_IS_NOT(r, value) NFT_COMPARE(r, NFT_CMP_NEQ, value, 4)
#define NFT_IS_TEXT(r, value)                                                      \
	{                                                                          \
		.kind = NFT_OP_COMPARE, .reg = NFT_R(r), .a = NFT_CMP_EQ, .b = 16, \
		.data.text = value                                                 \
	}
#define NFT_IS_NOT_TEXT(r, value)                                                   \
	{                                                                           \
		.kind = NFT_OP_COMPARE, .reg = NFT_R(r), .a = NFT_CMP_NEQ, .b = 16, \
		.data.text = value                                                  \
	}
#define NFT_IN(r, set)                                                \
	{                                                             \
		.kind = NFT_OP_LOOKUP, .reg = NFT_R(r), .name = (set) \
	}
#define NFT_NOT_IN(r, set)                                                                   \
	{                                                                                    \
		.kind = NFT_OP_LOOKUP, .reg = NFT_R(r), .a = NFT_LOOKUP_F_INV, .name = (set) \
	}
#define NFT_MAP(r, map, result)                                                           \
	{                                                                                 \
		.kind = NFT_OP_LOOKUP, .reg = NFT_R(r), .b = NFT_R(result), .name = (map) \
	}
#define NFT_LOAD(r, value, n)                                                       \
	{                                                                           \
		.kind = NFT_OP_SET, .reg = NFT_R(r), .b = (n), .data.word = (value) \
	}
/* of: NFPROTO_IPV4 or NFPROTO_IPV6 */
#define NFT_DNAT(of, address, port)                                                     \
	{                                                                               \
		.kind = NFT_OP_DNAT, .reg = NFT_R(address), .a = NFT_R(port), .b = (of) \
	}
#define NFT_MASQUERADE                    \
	{                                 \
		.kind = NFT_OP_MASQUERADE \
	}
#define NFT_VERDICT(v)                           \
	{                                        \
		.kind = NFT_OP_VERDICT, .a = (v) \
	} /* NF_ACCEPT, NF_DROP */

void nft_add_rule(
	struct nft_batch *b, const char *table, const char *chain, const struct nft_op *ops);
