// SPDX-License-Identifier: Apache-2.0
/* inject/: hooks in a program that goes on allocating; taken out, nothing of them is left, whoever takes them out. */
#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>

#include "inject_fixture.h"

enum { PAGE = 4096, CODE_AT = SP_INJECT_MARK_BYTES, COUNT_AT = 128, ROUNDS = 50, NR_FUNCTIONS = 5 };
#define PATIENCE_NS 10000000000ull

static const struct function {
	const char *name;
	unsigned nr_args;
} FUNCTIONS[NR_FUNCTIONS] = {{"malloc", 1}, {"calloc", 2}, {"realloc", 2}, {"posix_memalign", 3}, {"free", 1}};

/* lock inc qword [rip + 56]; jmp [r11]: counts, and lets the original run. The count is at COUNT_AT. */
static const uint8_t COUNT_AND_PASS_ON[] = {0xf0, 0x48, 0xff, 0x05, COUNT_AT - CODE_AT - 8, 0, 0, 0, 0x41, 0xff, 0x23};

struct hooked {
	struct sp_proc *p;
	struct sp_inject *in;
	struct sp_inject_hooks *hooks;
	sp_raddr entry; /* the region of the code above */
	struct sp_why why;
};

/* The target runs with the same libc file as we: where it is there. */
static uint64_t libc_base(struct hooked *h, const char *path)
{
	struct sp_maps maps;
	uint64_t base = 0;

	MUST(h, sp_proc_maps(h->p, &maps, &h->why));
	for (size_t i = 0; i < maps.nr && !base; i++)
		if (!strcmp(maps.list[i].path, path) && !maps.list[i].offset)
			base = maps.list[i].start;
	sp_maps_done(&maps);
	assert_true(base > 0);
	return base;
}

static void add_hook(struct hooked *h, const struct function *f)
{
	struct sp_inject_hook hook = {.name = f->name, .nr_args = f->nr_args, .fallback = -1};
	const ElfW(Sym) *sym = NULL;
	char path[PATH_MAX];
	Dl_info info;

	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD); /* not what a sanitizer puts before it */
	assert_non_null(libc);
	void *symbol = dlsym(libc, f->name);
	assert_int_not_equal(dladdr1(symbol, &info, (void **)(uintptr_t)&sym, RTLD_DL_SYMENT), 0);
	assert_non_null(realpath(info.dli_fname, path));
	hook.function.v = libc_base(h, path) + ((uintptr_t)symbol - (uintptr_t)info.dli_fbase);
	hook.size = sym->st_size;
	hook.entry.v = h->entry.v + CODE_AT;
	MUST(h, sp_inject_hook_add(h->hooks, &hook, &h->why));
	assert_int_equal(sp_inject_hook_add(h->hooks, &hook, NULL), -EEXIST);
	dlclose(libc);
}

static void open_target(struct hooked *h, pid_t pid)
{
	const struct sp_inject_opts opts = {.max_pause_ns = 5000000000ull}; /* the machine may be busy */

	*h = (struct hooked){};
	MUST(h, sp_proc_open(NULL, pid, &h->p, &h->why));
	MUST(h, sp_inject_open(h->p, &opts, &h->in, &h->why));
}

static void close_target(struct hooked *h)
{
	sp_inject_hooks_free(h->hooks);
	sp_inject_close(h->in);
	sp_proc_close(h->p);
}

static void put_in(struct hooked *h)
{
	uint8_t region[PAGE] = {};
	struct sp_inject_pause pause;
	struct sp_inject_mark mark;

	MUST(h,
	     sp_inject_map_near(h->in, (sp_raddr){0}, 0, PAGE, SP_PROT_R | SP_PROT_W | SP_PROT_X, &h->entry, &h->why));
	sp_inject_mark_fill(h->in, SP_INJECT_CODE, PAGE, 0, &mark);
	memcpy(region, &mark, sizeof(mark));
	memcpy(region + CODE_AT, COUNT_AND_PASS_ON, sizeof(COUNT_AND_PASS_ON));
	MUST(h, sp_inject_write(h->in, h->entry, region, sizeof(region)));
	MUST(h, sp_inject_hooks_new(h->in, &h->hooks, &h->why));
	for (size_t i = 0; i < NR_FUNCTIONS; i++)
		add_hook(h, &FUNCTIONS[i]);
	MUST(h, sp_inject_hooks_prepare(h->hooks, &h->why));
	MUST(h, sp_inject_hooks_apply(h->hooks, &pause, &h->why));
	assert_int_equal(sp_inject_hooks_nr(h->hooks), NR_FUNCTIONS);
}

static uint64_t count(struct hooked *h)
{
	uint64_t n;

	assert_int_equal(sp_inject_read(h->in, h->entry.v + COUNT_AT, &n, sizeof(n)), 0);
	return n;
}

/* The code says so, and the calls come by. */
static void is_hooked(struct hooked *h)
{
	struct sp_inject_leftovers found;
	uint64_t before = count(h);

	for (size_t i = 0; i < NR_FUNCTIONS; i++) {
		uint8_t now[SP_HOOK_JUMP_BYTES];
		struct sp_inject_plan plan;
		sp_inject_hook_plan(h->hooks, i, &plan);
		assert_int_equal(sp_inject_read(h->in, plan.place.v, now, sizeof(now)), 0);
		uint64_t to = sp_relocate_jump_target(plan.place.v, now);
		assert_int_equal(to, plan.desc.v - SP_HOOK_STUB_BYTES);
	}
	MUST(h, sp_inject_leftovers_find(h->p, &found, &h->why));
	assert_int_equal(found.nr_patches, NR_FUNCTIONS);
	assert_true(found.nr_regions >= 2);
	assert_true(found.is_owner_alive);
	for (int i = 0; count(h) == before && i < 2000; i++)
		usleep(5000);
	assert_true(count(h) > before);
}

/* Our handle's own mailbox stays until it is closed: somebody else looks. */
static void is_clean(struct hooked *h)
{
	struct sp_inject_leftovers found;
	uint64_t word;

	sp_inject_close(h->in);
	MUST(h, sp_inject_open(h->p, NULL, &h->in, &h->why));
	MUST(h, sp_inject_leftovers_find(h->p, &found, &h->why));
	assert_int_equal(found.nr_patches, 0);
	assert_int_equal(found.nr_regions, 0);
	if (h->entry.v)
		assert_true(sp_inject_read(h->in, h->entry.v, &word, sizeof(word)) < 0);
}

static void hooks_go_in_and_out_and_nothing_is_left(void **state)
{
	struct looks before, after;
	struct sp_inject_left left;
	struct host host;
	struct hooked h;

	(void)state;
	HOST_START(&host, "2", "2");
	host_is_well(&host);
	for (int round = 0; round < ROUNDS; round++) {
		look(host.pid, &before);
		open_target(&h, host.pid);
		MUST(&h, sp_inject_probe(h.p, &h.why));
		put_in(&h);
		look(host.pid, &after);
		assert_int_not_equal(before.code, after.code);
		free(after.maps);
		is_hooked(&h);
		host_is_well(&host);
		MUST(&h, sp_inject_leave(h.in, PATIENCE_NS, &left, &h.why));
		assert_int_equal(left.nr_patches, NR_FUNCTIONS);
		assert_int_equal(left.nr_kept, 0);
		is_clean(&h);
		close_target(&h);
		look(host.pid, &after);
		looks_equal(&before, &after);
		host_is_well(&host);
	}
	assert_int_equal(host_end(&host), 7);
}

_Noreturn static void hook_and_be_killed(pid_t pid)
{
	struct sp_inject_guard *guard;
	struct hooked h;

	open_target(&h, pid);
	MUST(&h, sp_inject_guard_start(h.p, &guard, &h.why));
	put_in(&h);
	is_hooked(&h);
	(void)raise(SIGKILL);
	_exit(1);
}

static void the_guard_leaves_when_we_are_killed(void **state)
{
	struct sp_inject_leftovers found = {.nr_regions = 1};
	struct looks before, after;
	struct host host;
	struct hooked h;
	int status;

	(void)state;
	HOST_START(&host, "2", "2");
	host_is_well(&host);
	look(host.pid, &before);
	pid_t pid = fork();
	if (pid == 0)
		hook_and_be_killed(host.pid);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	open_target(&h, host.pid);
	for (int i = 0; (found.nr_regions || found.nr_patches) && i < 2000; i++) {
		usleep(5000);
		MUST(&h, sp_inject_leftovers_find(h.p, &found, &h.why));
	}
	is_clean(&h);
	close_target(&h);
	host_is_well(&host);
	look(host.pid, &after);
	looks_equal(&before, &after);
	assert_int_equal(host_end(&host), 7);
}

static void a_guard_that_is_sent_home_leaves_hooks_alone(void **state)
{
	struct sp_inject_guard *guard;
	struct sp_inject_left left;
	struct host host;
	struct hooked h;

	(void)state;
	HOST_START(&host, "1", "0");
	open_target(&h, host.pid);
	MUST(&h, sp_inject_guard_start(h.p, &guard, &h.why));
	put_in(&h);
	sp_inject_guard_stop(guard);
	is_hooked(&h);
	MUST(&h, sp_inject_leave(h.in, PATIENCE_NS, &left, &h.why));
	is_clean(&h);
	close_target(&h);
	host_is_well(&host);
	assert_int_equal(host_end(&host), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hooks_go_in_and_out_and_nothing_is_left),
	    cmocka_unit_test(the_guard_leaves_when_we_are_killed),
	    cmocka_unit_test(a_guard_that_is_sent_home_leaves_hooks_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
