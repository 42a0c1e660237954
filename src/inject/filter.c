// SPDX-License-Identifier: Apache-2.0
/*
 * Runs a seccomp filter as the kernel would: classic BPF, the subset of kernel/seccomp.c, seccomp_check_filter(). Jumps
 * only lead forward, so a run ends; anything the kernel would not have accepted is -EINVAL.
 */
#include "inject/impl.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>

struct machine {
	uint32_t a, x;
	uint32_t mem[BPF_MEMWORDS];
	const struct seccomp_data *data;
};

static bool load_data(const struct machine *m, uint32_t offset, uint32_t *ret)
{
	if (offset % sizeof(uint32_t) || offset > sizeof(*m->data) - sizeof(uint32_t))
		return false;
	memcpy(ret, (const char *)m->data + offset, sizeof(*ret));
	return true;
}

static bool load(struct machine *m, const struct sock_filter *f, uint32_t *reg)
{
	switch (BPF_MODE(f->code)) {
	case BPF_ABS:
		return BPF_SIZE(f->code) == BPF_W && reg == &m->a && load_data(m, f->k, reg);
	case BPF_LEN:
		*reg = sizeof(*m->data);
		return true;
	case BPF_IMM:
		*reg = f->k;
		return true;
	case BPF_MEM:
		if (f->k >= BPF_MEMWORDS)
			return false;
		*reg = m->mem[f->k];
		return true;
	default:
		return false;
	}
}

static bool store(struct machine *m, const struct sock_filter *f, uint32_t value)
{
	if (f->k >= BPF_MEMWORDS)
		return false;
	m->mem[f->k] = value;
	return true;
}

/* False: unknown, or a division by zero, at which the kernel's filter ends with 0: the strictest answer. */
static bool compute(struct machine *m, const struct sock_filter *f)
{
	uint32_t v = BPF_SRC(f->code) == BPF_X ? m->x : f->k;

	switch (BPF_OP(f->code)) {
	case BPF_ADD:
		m->a += v;
		return true;
	case BPF_SUB:
		m->a -= v;
		return true;
	case BPF_MUL:
		m->a *= v;
		return true;
	case BPF_OR:
		m->a |= v;
		return true;
	case BPF_AND:
		m->a &= v;
		return true;
	case BPF_XOR:
		m->a ^= v;
		return true;
	case BPF_LSH:
		m->a = v < 32 ? m->a << v : 0;
		return true;
	case BPF_RSH:
		m->a = v < 32 ? m->a >> v : 0;
		return true;
	case BPF_NEG:
		m->a = -m->a;
		return true;
	case BPF_DIV:
		if (!v)
			return false;
		m->a /= v;
		return true;
	default:
		return false;
	}
}

/* How many instructions to skip; -1: unknown. */
static int64_t jump(const struct machine *m, const struct sock_filter *f)
{
	uint32_t v = BPF_SRC(f->code) == BPF_X ? m->x : f->k;

	switch (BPF_OP(f->code)) {
	case BPF_JA:
		return f->k;
	case BPF_JEQ:
		return m->a == v ? f->jt : f->jf;
	case BPF_JGT:
		return m->a > v ? f->jt : f->jf;
	case BPF_JGE:
		return m->a >= v ? f->jt : f->jf;
	case BPF_JSET:
		return m->a & v ? f->jt : f->jf;
	default:
		return -1;
	}
}

static bool misc(struct machine *m, const struct sock_filter *f)
{
	if (BPF_MISCOP(f->code) == BPF_TAX)
		m->x = m->a;
	else if (BPF_MISCOP(f->code) == BPF_TXA)
		m->a = m->x;
	else
		return false;
	return true;
}

/* One instruction that is no return. Moves *at. */
static bool step(struct machine *m, const struct sock_filter *f, size_t *at)
{
	int64_t skip = 0;
	bool ok;

	switch (BPF_CLASS(f->code)) {
	case BPF_LD:
		ok = load(m, f, &m->a);
		break;
	case BPF_LDX:
		ok = load(m, f, &m->x);
		break;
	case BPF_ST:
		ok = store(m, f, m->a);
		break;
	case BPF_STX:
		ok = store(m, f, m->x);
		break;
	case BPF_ALU:
		ok = compute(m, f);
		break;
	case BPF_MISC:
		ok = misc(m, f);
		break;
	default: /* BPF_JMP; BPF_RET does not come here */
		skip = jump(m, f);
		ok = skip >= 0;
	}
	*at += 1 + (size_t)skip;
	return ok;
}

int sp_filter_run(const struct sock_filter *insns, size_t nr, const struct seccomp_data *data, uint32_t *ret)
{
	struct machine m = {.data = data};
	size_t at = 0;

	while (at < nr) {
		const struct sock_filter *f = &insns[at];
		if (BPF_CLASS(f->code) == BPF_RET) {
			if (BPF_RVAL(f->code) == BPF_X)
				return -EINVAL;
			*ret = BPF_RVAL(f->code) == BPF_A ? m.a : f->k;
			return 0;
		}
		if (!step(&m, f, &at))
			return -EINVAL;
	}
	return -EINVAL;
}
