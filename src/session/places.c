// SPDX-License-Identifier: Apache-2.0
/*
 * Names for roots: see places.h.
 *
 * Thread-local storage: the program's own lies right below the control block (ELF TLS, variant II); of libraries the
 * vector at fs + 8 has the addresses, in the order in which they were loaded: behind a first element that is a number,
 * a pair of words for each module (glibc, whose second word of the first pair is 0) or one word (musl). What an address
 * means is only believed where it lies inside of that module's bytes.
 *
 * pthread keys: glibc's struct pthread holds the first 32 pairs {generation, value}, and right behind them the vector
 * of pointers to such blocks, whose first points back to them: so the block is found without knowing its offset.
 */
#include "session/places.h"

#include <errno.h>
#include <string.h>

#include "unwind/unwind.h"

enum {
	MAX_STACK = 8 << 20,   /* bytes of one that are copied */
	MAX_STACKS = 64 << 20, /* and of all */
	MAX_FRAMES = 100000,   /* that are passed on the way to one */
	MAX_ROWS = 8 << 20,
	TCB_BYTES = 2304, /* of struct pthread, all releases */
	KEYS_BYTES = 512, /* 32 pairs */
	KEY_BYTES = 16,
	MAX_TLS = 64 << 10, /* below a control block */
	NR_DTV = 64,
	RED_ZONE = 128,
	NAME_BYTES = 64,
};

struct thread {
	const struct sp_heap_thread *heap;
	const struct sp_scan_thread *more;
	bool has_read; /* what is below is filled in */
	uint64_t keys; /* where the first block of keys is; 0: not known */
	uint64_t dtv[NR_DTV];
	uint8_t *stack; /* from sp on; NULL: not copied */
	size_t nr_stack;
	char name[NAME_BYTES];
};

struct tls_module {
	uint64_t code, bytes, align;
};

struct sp_places {
	struct sp_scan_source *source;
	struct thread *threads;
	size_t nr_threads, nr_copied;
	struct sp_symbolizer *symbolizer;
	struct sp_unwind *unwind;
	struct sp_vec tls; /* struct tls_module: those with thread-local storage, in the order of the link map */
};

enum { MAX_TLS_MODULES = 4096 };

int sp_places_new(struct sp_scan_source *source, struct sp_places **ret)
{
	struct sp_places *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->threads = calloc(source->threads.nr + 1, sizeof(*p->threads));
	if (!p->threads) {
		free(p);
		return -ENOMEM;
	}
	p->source = source;
	sp_vec_init(&p->tls, sizeof(struct tls_module), MAX_TLS_MODULES);
	p->nr_threads = source->threads.nr;
	for (size_t i = 0; i < p->nr_threads; i++) {
		p->threads[i].heap = sp_vec_at(&source->threads, struct sp_heap_thread, i);
		p->threads[i].more = sp_vec_at(&source->more, struct sp_scan_thread, i);
	}
	*ret = p;
	return 0;
}

void sp_places_free(struct sp_places *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->nr_threads; i++)
		free(p->threads[i].stack);
	free(p->threads);
	sp_unwind_free(p->unwind);
	sp_vec_done(&p->tls);
	free(p);
}

/* ---- whose is an address? ---- */

static const struct sp_mapping *mapping_of(const struct sp_places *p, uint64_t addr)
{
	return sp_maps_find(&p->source->maps, addr);
}

/* The thread whose stack, from its stack pointer on, has the address. */
static struct thread *by_stack(const struct sp_places *p, uint64_t at)
{
	struct thread *found = NULL;

	for (size_t i = 0; i < p->nr_threads; i++) {
		struct thread *t = &p->threads[i];
		const struct sp_mapping *m = mapping_of(p, t->heap->sp);

		if (!m || at + RED_ZONE < t->heap->sp || at >= m->end || (found && t->heap->sp < found->heap->sp))
			continue;
		found = t;
	}
	return found;
}

/* The thread in whose control block, or not far below it, the address is. */
static struct thread *by_control_block(const struct sp_places *p, uint64_t at)
{
	for (size_t i = 0; i < p->nr_threads; i++) {
		uint64_t fs = p->threads[i].heap->fs;

		if (fs && (at < fs ? fs - at <= MAX_TLS : at - fs < TCB_BYTES) &&
		    mapping_of(p, at) == mapping_of(p, fs))
			return &p->threads[i];
	}
	return NULL;
}

/* ---- while the source is there ---- */

static size_t read_all(const struct sp_places *p, uint64_t addr, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = p->source->heap.read(p->source->heap.arg, addr + done, (char *)buf + done, len - done);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

static void find_keys(const struct sp_places *p, struct thread *t)
{
	uint64_t words[TCB_BYTES / 8], fs = t->heap->fs;
	size_t nr = read_all(p, fs, words, sizeof(words)) / 8;

	for (size_t i = KEYS_BYTES / 8; i < nr && !t->keys; i++)
		if (words[i] == fs + i * 8 - KEYS_BYTES)
			t->keys = words[i];
}

static void read_dtv(const struct sp_places *p, struct thread *t)
{
	uint64_t dtv, words[2 * NR_DTV];
	size_t nr, stride;

	if (read_all(p, t->heap->fs + 8, &dtv, sizeof(dtv)) < sizeof(dtv))
		return;
	nr = read_all(p, dtv, words, sizeof(words)) / 8;
	stride = nr > 1 && !words[1] ? 2 : 1;
	for (size_t i = 0; i < NR_DTV && i * stride < nr; i++)
		t->dtv[i] = words[i * stride];
}

static void read_thread(const struct sp_places *p, struct thread *t)
{
	if (t->has_read || !t->heap->fs)
		return;
	t->has_read = true;
	find_keys(p, t);
	read_dtv(p, t);
}

static int copy_stack(struct sp_places *p, struct thread *t, uint64_t end)
{
	size_t len = (size_t)(end - t->heap->sp);

	if (t->stack || len > MAX_STACK || p->nr_copied + len > MAX_STACKS)
		return 0;
	t->stack = malloc(len);
	if (!t->stack)
		return -ENOMEM;
	t->nr_stack = read_all(p, t->heap->sp, t->stack, len);
	p->nr_copied += len;
	return 0;
}

int sp_places_note(struct sp_places *p, uint64_t at)
{
	struct thread *t = at < SP_HEAP_AT_THREADS ? by_control_block(p, at) : NULL;

	if (t)
		read_thread(p, t);
	t = at < SP_HEAP_AT_THREADS ? by_stack(p, at) : NULL;
	return t ? copy_stack(p, t, mapping_of(p, t->heap->sp)->end) : 0;
}

/* ---- opening: files, not memory ---- */

/* An address in the module's code. 0: none. */
static uint64_t code_of(const struct sp_maps *maps, const struct sp_module *m)
{
	for (size_t i = m->mapping; i < maps->nr && maps->list[i].start < m->end; i++)
		if (maps->list[i].prot & SP_PROT_X)
			return maps->list[i].start;
	return 0;
}

static int list_tls(struct sp_places *p)
{
	struct sp_modules modules = {};
	int rc = sp_proc_modules(p->source->proc, &p->source->maps, &modules);

	for (size_t i = 0; i < modules.nr && rc == 0; i++) {
		struct tls_module m = {.code = code_of(&p->source->maps, &modules.list[i])};

		m.bytes = m.code ? sp_symbolize_tls_bytes(p->symbolizer, m.code, &m.align) : 0;
		if (m.bytes && sp_vec_push(&p->tls, &m) == -ENOMEM)
			rc = -ENOMEM;
	}
	sp_modules_done(&modules);
	return rc == -ENOMEM ? rc : 0; /* without the list these places have no names */
}

int sp_places_open(struct sp_places *p, struct sp_symbolizer *s, struct sp_why *why)
{
	bool has_stacks = false, has_tls = false;
	int rc = 0;

	p->symbolizer = s;
	for (size_t i = 0; i < p->nr_threads; i++) {
		has_stacks |= p->threads[i].stack != NULL;
		has_tls |= p->threads[i].has_read;
	}
	if (has_tls)
		rc = list_tls(p);
	if (rc == 0 && has_stacks)
		rc = sp_unwind_new(MAX_ROWS, &p->unwind);
	if (rc == 0 && has_stacks)
		rc = sp_unwind_update(p->unwind, p->source->proc, &p->source->maps);
	return rc == 0 ? 0 : sp_why_set(why, SP_FAULT_OURS, -rc, "cannot name the holders: %s", strerror(-rc));
}

/* ---- names ---- */

static void set_thread(const struct sp_places *p, struct thread *t, struct sp_place *ret)
{
	char raw[NAME_BYTES];

	if (!t->name[0] && sp_proc_tid_status(p->source->proc, t->more->tid, "Name", raw, sizeof(raw)))
		sp_text_printable(t->name, sizeof(t->name), raw + strspn(raw, " \t"));
	ret->tid = t->more->tid;
	ret->thread = t->name[0] ? t->name : NULL;
}

static bool name_outside(const struct sp_places *p, uint64_t at, struct sp_place *ret)
{
	static const char *const names[] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
					    "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
	size_t word = (size_t)(at - SP_HEAP_AT_WORDS) / 8;

	if (at < SP_HEAP_AT_THREADS)
		return false;
	if (at < SP_HEAP_AT_WORDS) {
		ret->kind = SP_PLACE_THREAD;
		if (at - SP_HEAP_AT_THREADS < p->nr_threads)
			set_thread(p, &p->threads[at - SP_HEAP_AT_THREADS], ret);
		return true;
	}
	ret->kind = SP_PLACE_KERNEL;
	for (size_t i = 0; i < p->nr_threads; i++) {
		const struct sp_heap_thread *t = p->threads[i].heap;

		if (word < t->first || word - t->first >= t->nr)
			continue;
		ret->kind = SP_PLACE_REGISTER;
		ret->name = word - t->first < SP_ARRAY_SIZE(names) ? names[word - t->first] : "a vector register";
		set_thread(p, &p->threads[i], ret);
	}
	return true;
}

/* Where the storage of the module with this number begins for a thread; 0: not known. */
static uint64_t tls_start(const struct sp_places *p, const struct thread *t, size_t number)
{
	const struct tls_module *m = sp_vec_at(&p->tls, struct tls_module, number);

	if (number + 1 < NR_DTV && t->dtv[number + 1] && t->dtv[number + 1] != UINT64_MAX)
		return t->dtv[number + 1];
	if (number == 0 && m->align && !(m->align & (m->align - 1)))
		return t->heap->fs - ((m->bytes + m->align - 1) & ~(m->align - 1));
	return 0;
}

static bool name_thread_variable(const struct sp_places *p, struct thread *t, uint64_t at, struct sp_place *ret)
{
	struct sp_variable v;

	for (size_t i = 0; i < p->tls.nr; i++) {
		const struct tls_module *m = sp_vec_at(&p->tls, struct tls_module, i);
		uint64_t start = tls_start(p, t, i);

		if (!start || at < start || at - start >= m->bytes ||
		    !sp_symbolize_thread_variable(p->symbolizer, m->code, at - start, &v))
			continue;
		ret->kind = SP_PLACE_THREAD_VARIABLE;
		ret->name = v.name;
		ret->offset = v.name ? v.offset : at - start;
		ret->module = v.module;
		set_thread(p, t, ret);
		return true;
	}
	return false;
}

static bool name_in_thread(const struct sp_places *p, uint64_t at, struct sp_place *ret)
{
	struct thread *t = by_control_block(p, at);

	if (!t)
		return false;
	if (at < t->heap->fs)
		return name_thread_variable(p, t, at, ret);
	ret->kind = SP_PLACE_THREAD;
	ret->offset = at - t->heap->fs;
	if (t->keys && at >= t->keys && at - t->keys < KEYS_BYTES) {
		ret->kind = SP_PLACE_KEY;
		ret->key = (unsigned)((at - t->keys) / KEY_BYTES);
	}
	set_thread(p, t, ret);
	return true;
}

/* The pc of the function whose frame has the address; a frame ends where its caller's begins. 0: not known. */
static uint64_t frame_around(const struct sp_places *p, const struct thread *t, uint64_t at, bool *ret_exact)
{
	struct sp_walk w = {.pc = t->more->pc, .sp = t->heap->sp, .bp = t->more->bp, .is_exact = true};
	const struct sp_stack_copy stack = {.addr = t->heap->sp, .bytes = t->stack, .len = t->nr_stack};

	for (unsigned i = 0; i < MAX_FRAMES; i++) {
		bool is_exact = w.is_exact;
		uint64_t pc;
		unsigned nr;
		enum sp_walk_end end = sp_unwind_walk(p->unwind, &w, &stack, &pc, 1, &nr);

		if (!nr || end == SP_WALK_BROKEN)
			return 0;
		*ret_exact = is_exact;
		if (end == SP_WALK_WHOLE || at < w.sp)
			return pc;
	}
	return 0;
}

static bool name_in_stack(const struct sp_places *p, uint64_t at, struct sp_place *ret)
{
	struct thread *t = by_stack(p, at);
	struct sp_frame frames[16];
	bool is_exact;

	if (!t)
		return false;
	ret->kind = SP_PLACE_STACK;
	set_thread(p, t, ret);
	uint64_t pc = t->stack && p->unwind ? frame_around(p, t, at, &is_exact) : 0;
	if (!pc)
		return true;
	/* the physical function: its frame is one, whatever is inlined into it */
	unsigned nr = sp_symbolize(p->symbolizer, pc, !is_exact, frames, SP_ARRAY_SIZE(frames));
	ret->frame = frames[nr - 1];
	return true;
}

static bool name_variable(const struct sp_places *p, uint64_t at, struct sp_place *ret)
{
	struct sp_variable v;

	if (!sp_symbolize_variable(p->symbolizer, at, &v))
		return false;
	ret->kind = SP_PLACE_VARIABLE;
	ret->name = v.name;
	ret->offset = v.name ? v.offset : v.module_offset;
	ret->module = v.module;
	return true;
}

static void name_mapping(const struct sp_places *p, uint64_t at, struct sp_place *ret)
{
	const struct sp_mapping *m = mapping_of(p, at);

	ret->kind = SP_PLACE_MAPPING;
	ret->name = m && m->path[0] ? m->path : NULL;
	ret->offset = m ? at - m->start : 0;
}

void sp_places_name(struct sp_places *p, uint64_t at, struct sp_place *ret)
{
	*ret = (struct sp_place){.kind = SP_PLACE_NOTHING};
	if (!at || name_outside(p, at, ret))
		return;
	ret->address = at;
	if (!name_in_thread(p, at, ret) && !name_in_stack(p, at, ret) && !name_variable(p, at, ret))
		name_mapping(p, at, ret);
}
