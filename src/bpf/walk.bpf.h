/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The stack walk: from user registers to return addresses, by the rows of wire/rows.h.
 *
 * A frame costs one look into the row cache and one or two reads of user memory. The cache is needed because the
 * rows are found by two binary searches (ranges, then rows: some 25 dependent steps), which took 130 ns a frame.
 * An entry of the cache is ONE 64-bit word, so that programs on other CPUs never see half of one:
 *
 *      63            32 31  28 27  24 23              8 7       0
 *     +----------------+------+------+-----------------+---------+
 *     |      tag       | gen  |kind+1|     cfa_off     | rbp_off |
 *     +----------------+------+------+-----------------+---------+
 *
 * pc * ODD modulo 2^48 is a bijection on user addresses; its upper 16 bits are the index, its lower 32 the tag, so
 * tag and index together are the pc: a hit can never be another pc's row. `gen` is the lower part of that of the
 * published tables: after a dlclose and a dlopen at the same place nothing old can match. The engine empties the cache
 * before a number comes again.
 *
 * The engine may publish while a program searches, and twice while it is preempted: then the half that it searches is
 * being rewritten. So a search takes one look at ctl.gen before it begins, from which all else follows, and one after
 * it has ended; where they differ it is done again.
 *
 * Not expressible and therefore ends of a walk (counted as broken): CFA in other registers, code without rows in
 * which the frame pointer leads nowhere.
 */
#ifndef SEEP_BPF_WALK_BPF_H
#define SEEP_BPF_WALK_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct sp_bpf_ctl);
} ctl SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2 * SP_MAX_RANGES);
	__type(key, u32);
	__type(value, struct sp_row_range);
} ranges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set before loading */
	__type(key, u32);
	__type(value, struct sp_row);
} rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1 << SP_ROW_CACHE_BITS);
	__type(key, u32);
	__type(value, u64);
} row_cache SEC(".maps");

#define SP_PC_ODD  0x9e3779b97f4bULL /* 48 bits of the golden ratio, odd */
#define SP_PC_MASK 0xffffffffffffULL

/* Offsets of registers in struct ucontext as the kernel puts it on the stack (uapi/asm/sigcontext.h, ucontext.h). */
#define SP_UC_RBP 120
#define SP_UC_RSP 160
#define SP_UC_RIP 168

struct walk {
	struct sp_bpf_path *out;
	struct sp_bpf_ctl *ctl;
	u64 pc, sp, bp;
	u64 trampoline; /* where uretprobes make functions return to; 0: none in this process */
	u64 hash, check;
	u32 nr;
	u32 flags;
	bool is_exact; /* pc is where the thread was interrupted, not a return address */
	u64 until;     /* not 0: only to find out whether a frame's return address stands there */
};

/* Beside SP_PATH_*: how a walk with `until` ends. */
enum { WALK_MET = 1 << 8, WALK_PASSED = 1 << 9 };

static __always_inline u64 row_pack(u32 gen, u32 kind, u16 cfa_off, u8 rbp_off)
{
	return (u64)(gen % SP_ROW_CACHE_GENS) << 28 | (u64)(kind + 1) << 24 | (u64)cfa_off << 8 | rbp_off;
}

#define ROW_GEN(r)  ((u32)((r) >> 28 & 15))
#define ROW_KIND(r) ((u32)((r) >> 24 & 15) - 1)
#define ROW_CFA(r)  ((s64)(s16)((r) >> 8))
#define ROW_RBP(r)  ((s64)(s8)(r))

struct range_search {
	u64 pc;
	u32 lo, hi; /* first range with end > pc is in [lo, hi] */
	u32 half;
};

static long range_step(u32 i, struct range_search *s)
{
	if (s->lo >= s->hi)
		return 1;
	u32 mid = (s->lo + s->hi) / 2;
	u32 key = s->half * SP_MAX_RANGES + mid;
	struct sp_row_range *r = bpf_map_lookup_elem(&ranges, &key);
	if (!r)
		return 1;
	if (r->end > s->pc)
		s->hi = mid;
	else
		s->lo = mid + 1;
	return 0;
}

struct row_search {
	u32 pc;
	u32 lo, hi; /* last row with row.pc <= pc is in [lo, hi) */
};

static long row_step(u32 i, struct row_search *s)
{
	if (s->hi - s->lo <= 1)
		return 1;
	u32 mid = s->lo + (s->hi - s->lo) / 2;
	struct sp_row *r = bpf_map_lookup_elem(&rows, &mid);
	if (!r)
		return 1;
	if (r->pc <= s->pc)
		s->lo = mid;
	else
		s->hi = mid;
	return 0;
}

/* Wakes the engine, once for each table that it publishes. */
static __always_inline void ask_for_look(struct sp_bpf_ctl *c)
{
	u32 gen = c->gen;

	__sync_fetch_and_add(&c->nr_unknown, 1);
	if (c->asked == gen)
		return;
	c->asked = gen;
	send_event(SP_BEV_LOOK, 0, 0, 0, 0);
}

static __always_inline u32 gen_of(struct sp_bpf_ctl *c)
{
	return *(volatile u32 *)&c->gen;
}

/*
 * The slow way: ranges, then rows. SP_ROW_NONE for code without rows, 0 outside every mapping. Good only if the tables
 * are still of generation `gen` afterwards.
 */
static __always_inline u64 row_search_once(struct sp_bpf_ctl *c, u32 gen, u64 pc)
{
	u32 nr = *(volatile u32 *)&c->nr_ranges[gen & 1];
	struct range_search rs = {.pc = pc, .lo = 0, .hi = nr, .half = gen & 1};

	bpf_loop(13, range_step, &rs, 0);
	u32 key = rs.half * SP_MAX_RANGES + rs.lo;
	struct sp_row_range *r = bpf_map_lookup_elem(&ranges, &key);
	if (!r || rs.lo >= nr || pc < r->start || pc >= r->end)
		return 0;
	if (!r->nr_rows || pc < r->base)
		return row_pack(gen, SP_ROW_NONE, 0, 0);
	struct row_search ws = {.pc = pc - r->base, .lo = r->row0, .hi = r->row0 + r->nr_rows};
	bpf_loop(26, row_step, &ws, 0);
	struct sp_row *row = bpf_map_lookup_elem(&rows, &ws.lo);
	if (!row || row->pc > ws.pc)
		return row_pack(gen, SP_ROW_NONE, 0, 0);
	return row_pack(gen, row->kind, row->cfa_off, row->rbp_off);
}

/* What is mapped at a pc that the tables do not know. */
enum code { CODE_NONE, CODE_UNSURE, CODE_ANONYMOUS, CODE_OF_FILE };

#define VM_EXEC 4 /* linux/mm.h */

static long look_at_vma(struct task_struct *task, struct vm_area_struct *vma, u32 *code)
{
	if (!(vma->vm_flags & VM_EXEC))
		*code = CODE_NONE;
	else
		*code = vma->vm_file ? CODE_OF_FILE : CODE_ANONYMOUS;
	return 0;
}

static __always_inline u32 code_at(u64 pc)
{
	u32 code = CODE_NONE;
	long err = bpf_find_vma(bpf_get_current_task_btf(), pc, look_at_vma, &code, 0);

	return err && err != -ENOENT ? CODE_UNSURE : code; /* -EBUSY: the mappings are being changed */
}

#define DO_NOT_CACHE (1ULL << 32)

/*
 * As above, good in any case. 0: code of a file mapped a moment ago. A JIT's code is known without the engine's help:
 * it comes too often. A global function: verified once, and not again for each of its callers' states.
 */
__noinline u64 row_search(u64 pc)
{
	u32 zero = 0, code;
	struct sp_bpf_ctl *c = bpf_map_lookup_elem(&ctl, &zero);

	if (!c)
		return 0;
	for (int i = 0; i < 2; i++) {
		u32 gen = gen_of(c);
		u64 row = row_search_once(c, gen, pc);
		if (row && gen == gen_of(c))
			return row;
	}
	code = code_at(pc);
	if (code == CODE_ANONYMOUS)
		return DO_NOT_CACHE | row_pack(0, SP_ROW_NONE, 0, 0);
	if (code == CODE_NONE)
		return DO_NOT_CACHE | row_pack(0, SP_ROW_BAD, 0, 0);
	ask_for_look(c);
	return 0;
}

/* The row that holds at pc, as packed in the cache; 0: pc is in no known mapping. */
static __always_inline u64 row_find(struct sp_bpf_ctl *c, u64 pc)
{
	u64 h = (pc & SP_PC_MASK) * SP_PC_ODD & SP_PC_MASK;
	u32 index = h >> 32;
	u64 *slot = bpf_map_lookup_elem(&row_cache, &index);
	if (!slot)
		return 0;
	u64 entry = *(volatile u64 *)slot;
	if (entry >> 32 == (u32)h && (u32)entry && ROW_GEN(entry) == gen_of(c) % SP_ROW_CACHE_GENS)
		return entry & 0xffffffff;
	u64 row = row_search(pc);
	if (row && !(row & DO_NOT_CACHE))
		*(volatile u64 *)slot = h << 32 | row;
	return row & 0xffffffff;
}

#define MAX_RETURNS 64 /* the kernel's limit of nested uretprobes (MAX_URETPROBE_DEPTH) */

struct ri_search {
	struct return_instance *ri;
	u64 slot, found;
};

static long ri_step(u32 i, struct ri_search *s)
{
	struct return_instance *ri = s->ri;

	if (!ri)
		return 1;
	if (BPF_CORE_READ(ri, stack) == s->slot) {
		s->found = BPF_CORE_READ(ri, orig_ret_vaddr); /* of tail calls too: the kernel keeps the first */
		return 1;
	}
	s->ri = BPF_CORE_READ(ri, next);
	return 0;
}

/* The return address that a uretprobe has replaced in `slot`. 0: not found. */
static __noinline u64 replaced_return(u64 slot)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct ri_search s = {.ri = BPF_CORE_READ(task, utask, return_instances), .slot = slot};

	bpf_loop(MAX_RETURNS, ri_step, &s, 0);
	return s.found;
}

static __always_inline u64 trampoline_of_current(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	return BPF_CORE_READ(task, mm, uprobes_state.xol_area, vaddr);
}

static __always_inline bool read_word(u64 addr, u64 *ret)
{
	return bpf_probe_read_user(ret, sizeof(*ret), (void *)addr) == 0;
}

static __always_inline long walk_end(struct walk *w, u32 flag)
{
	w->flags |= flag;
	return 1;
}

/* Over a signal frame: all registers are on the stack. */
static __always_inline long step_signal(struct walk *w)
{
	u64 uc = w->sp;

	if (!read_word(uc + SP_UC_RBP, &w->bp) || !read_word(uc + SP_UC_RIP, &w->pc) ||
	    !read_word(uc + SP_UC_RSP, &w->sp))
		return walk_end(w, SP_PATH_BROKEN);
	w->is_exact = true;
	return 0;
}

/* gcc's realigned stack: the CFA and the caller's rbp are both found through rbp. */
static __always_inline bool deref_cfa(struct walk *w, u64 row, u64 *cfa)
{
	u64 bp;

	if (!read_word(w->bp + ROW_CFA(row), cfa) || !read_word(w->bp, &bp))
		return false;
	w->bp = bp;
	return true;
}

/*
 * The canonical frame address of the frame at w by its row, and where the caller's rbp is from there (in 8 bytes).
 * False: it cannot be known.
 */
static __always_inline bool frame_cfa(struct walk *w, u64 row, u64 *cfa, s64 *rbp_off)
{
	*rbp_off = ROW_RBP(row);
	switch (ROW_KIND(row)) {
	case SP_ROW_RSP:
		*cfa = w->sp + ROW_CFA(row);
		return true;
	case SP_ROW_RBP:
		*cfa = w->bp + ROW_CFA(row);
		return true;
	case SP_ROW_NONE: /* by the frame pointer: JIT code, or code built without unwind data */
		*cfa = w->bp + 16;
		*rbp_off = -2;
		return w->bp >= w->sp && !(w->bp & 7);
	case SP_ROW_PLT:
		*cfa = w->sp + 8 + ((w->pc & 15) >= (u64)ROW_CFA(row) ? 8 : 0);
		return true;
	case SP_ROW_RBP_DEREF:
		*rbp_off = SP_ROW_RBP_SAME;
		return deref_cfa(w, row, cfa);
	default:
		return false;
	}
}

/* From the frame whose CFA this is to its caller's. */
static __always_inline long step_out(struct walk *w, u64 cfa, s64 rbp_off)
{
	u64 pair[2]; /* the caller's rbp, the return address */

	if (cfa <= w->sp) /* stacks grow down: a caller's frame lies above */
		return walk_end(w, SP_PATH_BROKEN);
	if (w->until && cfa - 8 >= w->until)
		return walk_end(w, cfa - 8 == w->until ? WALK_MET : WALK_PASSED);
	if (rbp_off == -2) { /* push %rbp at entry: it lies beside the return address */
		if (bpf_probe_read_user(pair, sizeof(pair), (void *)(cfa - 16)))
			return walk_end(w, SP_PATH_BROKEN);
		w->bp = pair[0];
	} else {
		if (!read_word(cfa - 8, &pair[1]))
			return walk_end(w, SP_PATH_BROKEN);
		if (rbp_off != SP_ROW_RBP_SAME && !read_word(cfa + 8 * rbp_off, &w->bp))
			return walk_end(w, SP_PATH_BROKEN);
	}
	w->pc = pair[1];
	w->sp = cfa;
	if (w->trampoline && w->pc == w->trampoline) {
		w->pc = replaced_return(cfa - 8);
		if (!w->pc)
			return walk_end(w, SP_PATH_BROKEN);
	}
	if (!w->pc) /* a bottom of home-made stacks, or nonsense */
		return walk_end(w, w->bp ? SP_PATH_BROKEN : 0);
	return 0;
}

/* Records w->pc and moves on to its caller. */
static long walk_step(u32 i, struct walk *w)
{
	u32 n = w->nr;
	s64 rbp_off;
	u64 row, cfa;

	if (n >= SP_MAX_FRAMES)
		return walk_end(w, SP_PATH_CUT);
	w->out->pcs[n] = w->pc;
	w->nr = n + 1;
	path_mix(&w->hash, &w->check, w->pc);

	row = row_find(w->ctl, w->is_exact ? w->pc : w->pc - 1);
	if (!row && w->ctl->stacks_left)
		return walk_end(w, SP_PATH_UNKNOWN);
	if (!row) { /* a guess, and said to be one */
		w->flags |= SP_PATH_BROKEN;
		row = row_pack(0, SP_ROW_NONE, 0, 0);
	}
	w->is_exact = false;
	if (ROW_KIND(row) == SP_ROW_END)
		return walk_end(w, 0);
	if (ROW_KIND(row) == SP_ROW_NONE && !w->bp) /* the ABI's mark of the outermost frame (3.4.1): musl's _start */
		return walk_end(w, 0);
	if (ROW_KIND(row) == SP_ROW_SIG)
		return step_signal(w);
	if (!frame_cfa(w, row, &cfa, &rbp_off))
		return walk_end(w, SP_PATH_BROKEN);
	return step_out(w, cfa, rbp_off);
}

/*
 * Walks from where *w stands (pc being a return address) into *out: pcs, nr, flags, check. Returns the path's hash.
 * Different `seed`s give different hashes (one per program that the target has executed).
 */
static __always_inline u64 walk_stack(struct walk *w, struct sp_bpf_ctl *c, struct sp_bpf_path *out, u64 seed)
{
	w->out = out;
	w->ctl = c;
	w->hash = seed;
	w->check = ~seed;
	w->trampoline = trampoline_of_current();
	bpf_loop(SP_MAX_FRAMES + 1, walk_step, w, 0);
	out->nr = w->nr;
	out->flags = w->flags;
	out->check = w->check;
	return w->hash;
}

/* As much as can be read of the stack above sp. */
static __always_inline u32 copy_stack(void *dst, u64 sp)
{
	for (u32 len = SP_STACK_BYTES; len >= 256; len /= 2)
		if (!bpf_probe_read_user(dst, len, (void *)sp))
			return len;
	return 0;
}

/*
 * Hands a walk that stopped at unknown code to the engine. Returns the key by which blocks shall name the path, 0 when
 * that was not possible.
 */
static __always_inline u64 send_stack(struct walk *w)
{
	u32 left = w->ctl->stacks_left;

	if (!left)
		return 0;
	w->ctl->stacks_left = left - 1; /* may lose a race: a few too many do no harm */
	struct sp_bpf_stack *s = bpf_ringbuf_reserve(&events, sizeof(*s), 0);
	if (!s)
		return 0;
	u64 key = w->hash ^ bpf_ktime_get_ns() * 0x9e3779b97f4a7c15ULL ^ (u64)bpf_get_prandom_u32() << 32;
	fill_event(&s->event, SP_BEV_STACK, 0, 0, 0, key);
	s->sp = w->sp;
	s->bp = w->bp;
	s->nr = w->nr;
	s->is_exact = w->is_exact;
	s->pad = 0;
	bpf_probe_read_kernel(s->pcs, sizeof(s->pcs), w->out->pcs);
	s->len = copy_stack(s->bytes, w->sp);
	bpf_ringbuf_submit(s, BPF_RB_NO_WAKEUP); /* SP_BEV_LOOK has woken the engine */
	return key;
}

#endif
