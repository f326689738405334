#include "sys/device_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/scoped.h"

#define INSNS_OF_RULE 8
#define INSNS_AROUND 8
#define PROGRAMS_MAX 8

/* --- the program --- */

/* Registers: 1 the context, then a scratch one; 2 type, 3 access, 4 major, 5 minor. */
struct program {
	struct bpf_insn *v;
	size_t n;
};

static void put(struct program *p, unsigned code, unsigned dst, unsigned src, int off, int imm)
{
	p->v[p->n++] = (struct bpf_insn){.code = (__u8)code,
		.dst_reg = (__u8)(dst & 0xf),
		.src_reg = (__u8)(src & 0xf),
		.off = (__s16)off,
		.imm = imm};
}

static void put_load(struct program *p, unsigned dst, size_t at)
{
	put(p, BPF_LDX | BPF_MEM | BPF_W, dst, BPF_REG_1, (int)at, 0);
}

static void put_begin(struct program *p)
{
	put_load(p, BPF_REG_2, offsetof(struct bpf_cgroup_dev_ctx, access_type));
	put_load(p, BPF_REG_4, offsetof(struct bpf_cgroup_dev_ctx, major));
	put_load(p, BPF_REG_5, offsetof(struct bpf_cgroup_dev_ctx, minor));
	put(p, BPF_ALU | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_2, 0, 0);
	put(p, BPF_ALU | BPF_RSH | BPF_K, BPF_REG_3, 0, 0, 16);
	put(p, BPF_ALU | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff);
}

static void put_answer(struct program *p, bool allow)
{
	put(p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, allow);
	put(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* Its jumps lead behind the rule, wherever that is. */
static void put_rule(struct program *p, const struct device_filter_rule *r)
{
	struct program rule = {(struct bpf_insn[INSNS_OF_RULE]){{0}}, 0};
	if (r->type == 'b' || r->type == 'c') {
		int type = r->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
		put(&rule, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_2, 0, 0, type);
	}
	if (r->access != DEVICE_ACCESS_ALL) {
		put(&rule, BPF_ALU | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_3, 0, 0);
		put(&rule, BPF_ALU | BPF_AND | BPF_K, BPF_REG_1, 0, 0, (int)r->access);
		put(&rule, BPF_JMP | BPF_JNE | BPF_X, BPF_REG_1, BPF_REG_3, 0, 0);
	}
	if (r->major >= 0) {
		put(&rule, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_4, 0, 0, (int)r->major);
	}
	if (r->minor >= 0) {
		put(&rule, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_5, 0, 0, (int)r->minor);
	}
	put_answer(&rule, r->allow);
	for (size_t i = 0; i < rule.n; i++) {
		unsigned code = rule.v[i].code;
		if (BPF_CLASS(code) == BPF_JMP && BPF_OP(code) == BPF_JNE) {
			rule.v[i].off = (__s16)(rule.n - i - 1);
		}
		p->v[p->n++] = rule.v[i];
	}
}

static bool counts_always(const struct device_filter_rule *r)
{
	return r->type != 'b' && r->type != 'c' && r->access == DEVICE_ACCESS_ALL && r->major < 0 &&
	       r->minor < 0;
}

/* --- the kernel --- */

static int call_bpf(int command, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, command, attr, sizeof(*attr));
	return r < 0 ? -errno : (int)r;
}

static int load(const struct device_filter_rule *v, size_t n)
{
	/* before 5.11 programs count as locked memory */
	const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
	struct program p = {xnew_array(struct bpf_insn, n * INSNS_OF_RULE + INSNS_AROUND), 0};
	bool more = true; /* the kernel refuses what can never run */
	put_begin(&p);
	for (size_t i = n; more && i-- > 0;) {
		put_rule(&p, &v[i]);
		more = !counts_always(&v[i]);
	}
	if (more) {
		put_answer(&p, false);
	}
	(void)setrlimit(RLIMIT_MEMLOCK, &all);
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
		.insn_cnt = (__u32)p.n,
		.insns = (__u64)(uintptr_t)p.v,
		.license = (__u64)(uintptr_t) "Apache-2.0",
	};
	int fd = call_bpf(BPF_PROG_LOAD, &attr);
	free(p.v);
	return fd;
}

/* The program of the group itself: -ENOENT without one. */
static int open_present(int group)
{
	__u32 ids[PROGRAMS_MAX];
	union bpf_attr query = {
		.query = {.target_fd = (__u32)group,
			.attach_type = BPF_CGROUP_DEVICE,
			.prog_ids = (__u64)(uintptr_t)ids,
			.prog_cnt = PROGRAMS_MAX},
	};
	int r = call_bpf(BPF_PROG_QUERY, &query);
	if (r < 0) {
		return r == -ENOSPC ? -EEXIST : r;
	}
	if (query.query.prog_cnt != 1) {
		return query.query.prog_cnt == 0 ? -ENOENT : -EEXIST;
	}
	union bpf_attr one = {.prog_id = ids[0]};
	return call_bpf(BPF_PROG_GET_FD_BY_ID, &one);
}

int device_filter_set(const char *folder, const struct device_filter_rule *v, size_t n)
{
	scoped(close) int group = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (group < 0) {
		return -errno;
	}
	scoped(close) int old = open_present(group);
	if (old < 0 && old != -ENOENT) {
		return old;
	}
	scoped(close) int filter = load(v, n);
	if (filter < 0) {
		return filter;
	}
	union bpf_attr attr = {
		.target_fd = (__u32)group,
		.attach_bpf_fd = (__u32)filter,
		.attach_type = BPF_CGROUP_DEVICE,
		.attach_flags = BPF_F_ALLOW_MULTI | (old >= 0 ? BPF_F_REPLACE : 0),
		.replace_bpf_fd = (__u32)(old >= 0 ? old : 0),
	};
	return call_bpf(BPF_PROG_ATTACH, &attr);
}
