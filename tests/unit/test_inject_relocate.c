// SPDX-License-Identifier: Apache-2.0
/*
 * inject/arch: functions are hooked in this process and then called. What was moved must do what it did before: the
 * code runs, it is not only compared. First hand-made functions with everything that is hard to move; then every
 * allocator function of the libraries that are here.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "inject/arch/arch.h"
#include "wire/fns.h"

enum { PAGE = 4096, TEXT = 64 << 10, FUNCTION_AT = 0x400, NEAR_AT = 0x8000 };

/* Rights of tests: written and executed in place. */
static uint8_t *text;
static volatile long variable = 77;

static int set_up(void **state)
{
	(void)state;
	/* Near this program, whose variables the code below refers to. */
	for (uintptr_t at = (uintptr_t)&variable & ~0xffffull; !text || text == MAP_FAILED; at -= 0x100000)
		text = mmap((void *)(at - 0x100000), TEXT, PROT_READ | PROT_WRITE | PROT_EXEC,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	return text == MAP_FAILED;
}

/* jmp [r11]: what the simplest agent does. */
static const uint8_t PASS_ON[] = {0x41, 0xff, 0x23};

struct hooked {
	struct sp_relocation r;
	const char *reason;
	int rc;
};

/* Hooks the function of these bytes at text + at; stub, descriptor and trampoline as in a near region. */
static struct hooked hook_at(const uint8_t *bytes, size_t nr, size_t at, unsigned nr_args, uint64_t size)
{
	uint8_t *near = text + NEAR_AT, *desc = near + 0x100, *trampoline = near + 0x200, *entry = near + 0x40;
	struct sp_code code = {
	    .address = (uint64_t)(uintptr_t)(text + at), .bytes = bytes, .nr = nr, .size = size, .nr_args = nr_args};
	struct hooked h = {};
	uint64_t word = (uint64_t)(uintptr_t)trampoline;

	memset(text, 0xcc, TEXT);
	memcpy(text + at, bytes, nr);
	h.rc = sp_relocate_plan(&code, &h.r, &h.reason);
	if (h.rc < 0)
		return h;
	h.rc = sp_relocate_encode(&code, word, &h.r);
	if (h.rc < 0)
		return h;
	memcpy(trampoline, h.r.code, h.r.code_bytes);
	memcpy(desc, &word, sizeof(word));
	memcpy(entry, PASS_ON, sizeof(PASS_ON));
	assert_true(sp_relocate_stub(&h.r, (uint64_t)(uintptr_t)near, (uint64_t)(uintptr_t)desc,
				     (uint64_t)(uintptr_t)entry, near, SP_HOOK_STUB_BYTES) > 0);
	assert_int_equal(sp_relocate_jump(code.address + h.r.place, (uint64_t)(uintptr_t)near, text + at + h.r.place),
			 0);
	return h;
}

typedef long (*fn2)(long, long);

static long call(long a, long b)
{
	return ((fn2)(uintptr_t)(text + FUNCTION_AT))(a, b);
}

#define HOOK(nr_args, ...)                                                                                             \
	hook_at((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), FUNCTION_AT, nr_args,          \
		sizeof((const uint8_t[]){__VA_ARGS__}))

static void a_push_stays_and_is_taken_back(void **state)
{
	(void)state;
	/* push rbx; mov rbx, rdi; lea rax, [rbx + rsi]; pop rbx; ret */
	struct hooked h = HOOK(2, 0x53, 0x48, 0x89, 0xfb, 0x48, 0x8d, 0x04, 0x33, 0x5b, 0xc3);
	assert_int_equal(h.rc, 0);
	assert_int_equal(h.r.place, 1);
	assert_int_equal(h.r.at, SP_INJECT_AT_SECOND);
	assert_int_equal(text[FUNCTION_AT], 0x53);
	assert_int_equal(call(40, 2), 42);
}

static void a_stack_that_was_made_room_on_is_given_back(void **state)
{
	(void)state;
	/* sub rsp, 0x18; mov [rsp + 8], rdi; mov rax, [rsp + 8]; add rsp, 0x18; ret */
	struct hooked h = HOOK(2, 0x48, 0x83, 0xec, 0x18, 0x48, 0x89, 0x7c, 0x24, 0x08, 0x48, 0x8b, 0x44, 0x24, 0x08,
			       0x48, 0x83, 0xc4, 0x18, 0xc3);
	assert_int_equal(h.rc, 0);
	assert_int_equal(h.r.place, 4);
	assert_int_equal(call(43, 0), 43);
}

static void a_conditional_jump_grows_and_flags_live_on(void **state)
{
	(void)state;
	/* test rdi, rdi; je +4; mov rax, rsi; ret; mov eax, 5; ret */
	struct hooked h = HOOK(2, 0x48, 0x85, 0xff, 0x74, 0x04, 0x48, 0x89, 0xf0, 0xc3, 0xb8, 0x05, 0, 0, 0, 0xc3);
	assert_int_equal(h.rc, 0);
	assert_int_equal(h.r.place, 3);
	assert_int_equal(call(1, 44), 44);
	assert_int_equal(call(0, 44), 5);
}

static void a_variable_by_rip_is_the_same_variable(void **state)
{
	int32_t d = (int32_t)((intptr_t)&variable - (intptr_t)(text + FUNCTION_AT + 7));
	uint8_t code[] = {0x48, 0x8b, 0x05, 0,   0, 0, 0,        /* mov rax, [variable] */
			  0x48, 0x01, 0xf8,                      /* add rax, rdi */
			  0x48, 0x01, 0xf0, 0xc3};               /* add rax, rsi; ret */
	uint8_t compare[] = {0x48, 0x83, 0x3d, 0,   0, 0, 0, 77, /* cmp qword [variable], 77 */
			     0x0f, 0x94, 0xc0,                   /* sete al */
			     0x0f, 0xb6, 0xc0, 0xc3};            /* movzx eax, al; ret */

	(void)state;
	memcpy(code + 3, &d, sizeof(d));
	struct hooked h = hook_at(code, sizeof(code), FUNCTION_AT, 2, sizeof(code));
	assert_int_equal(h.rc, 0);
	assert_int_equal(h.r.place, 7);
	assert_int_equal(call(1, 2), 80);
	d -= 1; /* the immediate is behind the distance */
	memcpy(compare + 3, &d, sizeof(d));
	h = hook_at(compare, sizeof(compare), FUNCTION_AT, 2, sizeof(compare));
	assert_int_equal(h.rc, 0);
	assert_int_equal(call(0, 0), 1);
}

static void a_function_that_is_only_a_jump_stays_one(void **state)
{
	(void)state;
	/* jmp +11 ; 11 bytes of padding ; mov rax, rsi; ret */
	struct hooked h = HOOK(2, 0xe9, 11, 0, 0, 0, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
			       0x48, 0x89, 0xf0, 0xc3);
	assert_int_equal(h.rc, 0);
	assert_int_equal(h.r.at, SP_INJECT_AT_JUMP);
	assert_int_equal(h.r.place, 0);
	assert_int_equal(call(0, 45), 45);
}

static void an_argument_is_not_lost(void **state)
{
	(void)state;
	/* mov rsi, rdi; mov rax, rsi; nop*3; ret: rsi is an argument, so its first instruction may not stay */
	struct hooked h = HOOK(2, 0x48, 0x89, 0xfe, 0x48, 0x89, 0xf0, 0x90, 0x90, 0x90, 0xc3);
	assert_int_equal(h.rc, 0);
	assert_int_equal(h.r.at, SP_INJECT_AT_FIRST);
	assert_int_equal(call(46, 1), 46);
	/* With one argument it means nothing. */
	h = HOOK(1, 0x48, 0x89, 0xfe, 0x48, 0x89, 0xf0, 0x90, 0x90, 0x90, 0xc3);
	assert_int_equal(h.rc, 0);
	assert_int_equal(h.r.at, SP_INJECT_AT_SECOND);
	assert_int_equal(call(46, 1), 46);
}

static void memory_that_is_written_first_is_not_written_twice(void **state)
{
	int32_t d = (int32_t)((intptr_t)&variable - (intptr_t)(text + FUNCTION_AT + 7));
	uint8_t code[] = {0x48, 0xff, 0x05, 0,    0,    0,    0,     /* inc qword [variable] */
			  0x48, 0x89, 0xf8, 0x48, 0x01, 0xf0, 0xc3}; /* mov rax, rdi; add rax, rsi; ret */

	(void)state;
	memcpy(code + 3, &d, sizeof(d));
	struct hooked h = hook_at(code, sizeof(code), FUNCTION_AT, 2, sizeof(code));
	assert_int_equal(h.rc, 0);
	assert_int_equal(h.r.at, SP_INJECT_AT_FIRST);
	long before = variable;
	assert_int_equal(call(40, 7), 47);
	assert_int_equal(variable, before + 1);
	variable = 77;
}

static void a_call_in_the_moved_bytes_returns_to_the_function(void **state)
{
	(void)state;
	/* push rbx; call +6; lea rax, [rax+rdi]; pop rbx; ret;  (at 12:) mov eax, 8; ret */
	struct hooked h = HOOK(1, 0x53, 0xe8, 6, 0, 0, 0, 0x48, 0x8d, 0x04, 0x38, 0x5b, 0xc3, 0xb8, 8, 0, 0, 0, 0xc3);
	assert_int_equal(h.rc, 0);
	assert_int_equal(call(40, 0), 48);
}

static void a_system_call_in_the_moved_bytes_is_made(void **state)
{
	(void)state;
	/* mov eax, 39 (getpid); syscall; cmp rax, -4095; nop; ret */
	struct hooked h = HOOK(2, 0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, 0x90, 0xc3);
	assert_int_equal(h.rc, 0);
	assert_int_equal(h.r.place, 5);
	assert_int_equal(call(0, 0), getpid());
}

static void a_short_function_uses_its_padding(void **state)
{
	(void)state;
	/* mov rax, rdi; ret; padding (nop word [rax + rax]) */
	struct hooked h = HOOK(2, 0x48, 0x89, 0xf8, 0xc3, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0);
	assert_int_equal(h.rc, 0);
	assert_int_equal(call(50, 0), 50);
}

static void what_cannot_be_moved_is_refused(void **state)
{
	struct hooked h;

	(void)state;
	/* xor eax, eax; ret; and at once the next function */
	h = HOOK(2, 0x31, 0xc0, 0xc3, 0x53, 0x48, 0x89, 0xfb, 0x5b, 0xc3);
	assert_int_equal(h.rc, -ENOTSUP);
	assert_string_equal(h.reason, "it is shorter than a jump");
	/* mov rsi, rdi; jrcxz ... */
	h = HOOK(2, 0x48, 0x89, 0xfe, 0xe3, 0x02, 0x90, 0x90, 0x90, 0xc3);
	assert_int_equal(h.rc, -ENOTSUP);
	/* mov [rdi], rsi (no undo); then dec rsi; jnz back to the second instruction */
	h = HOOK(2, 0x48, 0x89, 0x37, 0x48, 0xff, 0xce, 0x75, 0xfb, 0xc3);
	assert_int_equal(h.rc, -ENOTSUP);
	assert_string_equal(h.reason, "it jumps back to its first instructions");
	/* mov [rdi], rsi; call [rax] */
	h = HOOK(2, 0x48, 0x89, 0x37, 0xff, 0x10, 0xc3);
	assert_int_equal(h.rc, -ENOTSUP);
	/* nothing that is code */
	h = HOOK(2, 0x06, 0x06, 0x06, 0x06, 0x06, 0x06);
	assert_int_equal(h.rc, -ENOTSUP);
}

static void a_loop_behind_the_jump_is_no_obstacle(void **state)
{
	(void)state;
	/* push rbx; xor eax, eax; mov rbx, rdi; (6:) add rax, rsi; dec rbx; jnz 6; pop rbx; ret */
	struct hooked h =
	    HOOK(2, 0x53, 0x31, 0xc0, 0x48, 0x89, 0xfb, 0x48, 0x01, 0xf0, 0x48, 0xff, 0xcb, 0x75, 0xf8, 0x5b, 0xc3);
	assert_int_equal(h.rc, 0);
	assert_int_equal(call(3, 17), 51);
}

static void a_jump_never_crosses_a_page(void **state)
{
	/* push r12; push rbx; mov rbx, rdi; mov r12, rsi; lea rax, [rbx + r12]; pop rbx; pop r12; ret */
	static const uint8_t CODE[] = {0x41, 0x54, 0x53, 0x48, 0x89, 0xfb, 0x49, 0x89, 0xf4,
				       0x4a, 0x8d, 0x04, 0x23, 0x5b, 0x41, 0x5c, 0xc3};

	(void)state;
	for (size_t at = PAGE - 16; at <= PAGE + 1; at++) {
		struct hooked h = hook_at(CODE, sizeof(CODE), at, 2, sizeof(CODE));
		if (h.rc < 0) {
			assert_string_equal(h.reason, "the jump would cross a page");
			continue;
		}
		size_t place = at + h.r.place;
		assert_int_equal(place / PAGE, (place + 4) / PAGE);
		assert_int_equal(((fn2)(uintptr_t)(text + at))(40, 12), 52);
	}
}

static void a_jump_from_elsewhere_is_seen(void **state)
{
	static const uint8_t CODE[] = {0x90, 0x90, 0xe9, 0x10, 0, 0, 0, 0x0f, 0x84, 0x20, 0, 0, 0, 0x90};

	(void)state;
	/* The first leads to 1000 + 7 + 0x10, the second to 1000 + 13 + 0x20. */
	assert_true(sp_relocate_is_reached(CODE, sizeof(CODE), 1000, 1023, 1024));
	assert_true(sp_relocate_is_reached(CODE, sizeof(CODE), 1000, 1040, 1046));
	assert_false(sp_relocate_is_reached(CODE, sizeof(CODE), 1000, 1024, 1030));
}

/* ---- the allocators that are here ---- */

struct names {
	const char *name;
	unsigned nr_args;
};

static const struct names NAMES[] = {
    {"malloc", 1},
    {"calloc", 2},
    {"realloc", 2},
    {"reallocarray", 3},
    {"memalign", 2},
    {"aligned_alloc", 2},
    {"posix_memalign", 3},
    {"valloc", 1},
    {"pvalloc", 1},
    {"free", 1},
    {"cfree", 1},
    {"_Znwm", 1},
    {"_Znam", 1},
    {"_ZnwmRKSt9nothrow_t", 2},
    {"_ZnamRKSt9nothrow_t", 2},
    {"_ZnwmSt11align_val_t", 2},
    {"_ZnamSt11align_val_t", 2},
    {"_ZdlPv", 1},
    {"_ZdaPv", 1},
    {"_ZdlPvm", 2},
    {"_ZdaPvm", 2},
    {"_ZdlPvRKSt9nothrow_t", 2},
    {"_ZdaPvRKSt9nothrow_t", 2},
    {"_ZdlPvSt11align_val_t", 2},
    {"_ZdlPvmSt11align_val_t", 3},
    {"mallocx", 2},
    {"rallocx", 3},
    {"dallocx", 2},
    {"sdallocx", 3},
    {"mmap", 6},
    {"munmap", 2},
    {"mremap", 5},
};

static const char *const LIBRARIES[] = {"libc.so.6",        "libjemalloc.so.2", "libtcmalloc_minimal.so.4",
					"libtcmalloc.so.4", "libmimalloc.so.2", "/lib/ld-musl-x86_64.so.1",
					"libstdc++.so.6"};

/* A trampoline of a loaded library's function, which is not changed. NULL: refused. */
static void *trampoline_of(const struct names *n, void *symbol, size_t size, const char *library)
{
	struct sp_relocation r;
	const char *reason = "";
	struct sp_code code = {.address = (uint64_t)(uintptr_t)symbol,
			       .bytes = symbol,
			       .nr = size < 64 ? 64 : size,
			       .size = size,
			       .nr_args = n->nr_args};

	if (sp_relocate_plan(&code, &r, &reason) < 0) {
		print_error("%s %s: %s\n", library, n->name, reason);
		return NULL;
	}
	uint8_t *page = MAP_FAILED;
	for (uintptr_t at = (uintptr_t)symbol & ~0xfffull; page == MAP_FAILED && at > 0x10000; at -= 0x10000)
		page = mmap((void *)at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	assert_int_equal(sp_relocate_encode(&code, (uint64_t)(uintptr_t)page, &r), 0);
	memcpy(page, r.code, r.code_bytes);
	print_message("  %-24s %-28s jump at %u (%s), %u bytes moved\n", library, n->name, r.place,
		      r.at == SP_INJECT_AT_SECOND ? "first instruction stays"
		      : r.at == SP_INJECT_AT_JUMP ? "a jump"
						  : "first instruction moves",
		      r.covered);
	return page;
}

static size_t size_of(void *symbol)
{
	Dl_info info;
	const ElfW(Sym) *sym = NULL;

	return dladdr1(symbol, &info, (void **)(uintptr_t)&sym, RTLD_DL_SYMENT) && sym && info.dli_saddr == symbol
		   ? sym->st_size
		   : 0;
}

/* The relocated malloc and free of a library work with its originals. */
static void try_pair(void *malloc_trampoline, void *free_trampoline, void *handle)
{
	void *(*m)(size_t) = malloc_trampoline, *(*m0)(size_t) = dlsym(handle, "malloc");
	void (*f)(void *) = free_trampoline, (*f0)(void *) = dlsym(handle, "free");

	for (size_t i = 1; i < 3000; i += 7) {
		char *a = m(i), *b = m0(i);
		assert_non_null(a);
		memset(a, 1, i);
		memset(b, 2, i);
		assert_true(a != b);
		f0(a);
		f(b);
	}
	f(NULL);
}

static void allocators_can_be_hooked(void **state)
{
	unsigned nr = 0, nr_refused = 0;

	(void)state;
	for (size_t l = 0; l < SP_ARRAY_SIZE(LIBRARIES); l++) {
		void *handle = dlmopen(LM_ID_NEWLM, LIBRARIES[l], RTLD_NOW | RTLD_LOCAL);
		void *pair[2] = {NULL, NULL};
		if (!handle) {
			print_message("  %s: not here\n", LIBRARIES[l]);
			continue;
		}
		struct link_map *map = NULL;
		assert_int_equal(dlinfo(handle, RTLD_DI_LINKMAP, &map), 0);
		for (size_t i = 0; i < SP_ARRAY_SIZE(NAMES); i++) {
			Dl_info info;
			void *symbol = dlsym(handle, NAMES[i].name);
			if (!symbol || !dladdr(symbol, &info) || (uintptr_t)info.dli_fbase != map->l_addr)
				continue; /* of a library that it needs */
			void *t = trampoline_of(&NAMES[i], symbol, size_of(symbol), LIBRARIES[l]);
			nr++;
			nr_refused += !t;
			if (!strcmp(NAMES[i].name, "malloc"))
				pair[0] = t;
			if (!strcmp(NAMES[i].name, "free"))
				pair[1] = t;
		}
		/*
		 * Nobody has started musl's libc in this process: its own malloc, called as it is, crashes here. So
		 * its functions are planned and encoded, but not run.
		 */
		if (pair[0] && pair[1] && !strstr(LIBRARIES[l], "musl"))
			try_pair(pair[0], pair[1], handle);
	}
	print_message("  %u functions, %u refused\n", nr, nr_refused);
	assert_true(nr >= 10);
	assert_int_equal(nr_refused, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_push_stays_and_is_taken_back),
	    cmocka_unit_test(a_stack_that_was_made_room_on_is_given_back),
	    cmocka_unit_test(a_conditional_jump_grows_and_flags_live_on),
	    cmocka_unit_test(a_variable_by_rip_is_the_same_variable),
	    cmocka_unit_test(a_function_that_is_only_a_jump_stays_one),
	    cmocka_unit_test(an_argument_is_not_lost),
	    cmocka_unit_test(memory_that_is_written_first_is_not_written_twice),
	    cmocka_unit_test(a_call_in_the_moved_bytes_returns_to_the_function),
	    cmocka_unit_test(a_system_call_in_the_moved_bytes_is_made),
	    cmocka_unit_test(a_short_function_uses_its_padding),
	    cmocka_unit_test(what_cannot_be_moved_is_refused),
	    cmocka_unit_test(a_loop_behind_the_jump_is_no_obstacle),
	    cmocka_unit_test(a_jump_never_crosses_a_page),
	    cmocka_unit_test(a_jump_from_elsewhere_is_seen),
	    cmocka_unit_test(allocators_can_be_hooked),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
