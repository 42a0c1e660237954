// SPDX-License-Identifier: Apache-2.0
/*
 * Enters a process, hooks its allocator, counts its calls and leaves again, as an engine does but with no agent: for
 * the tests that try to make inject/ hurt a target. It can be made to die at each of the fault points.
 *
 *   drill cycle PID N    N times in and out; 0: until it is killed
 *   drill hold PID       in; out when stdin ends
 *   drill snapshot PID N N copies
 *   drill look PID       what of ours is there
 *   drill leave PID      takes out what is there
 *   drill probe PID      could we enter?
 *   drill points         the fault points
 * Options, behind these: --die POINT (at the first time), --no-guard, --pass (hooks leave no frame), --calls N (at
 * least, before it goes out; waits five seconds for them), --max-pause MS, --patience MS (of leaving)
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engines/watch/watch.h"
#include "inject/fault.h"
#include "inject/inject.h"

enum { PAGE = 4096, CALLS_AT = 64, PASS_AT = 128, COUNT_AT = 256, US = 1000, MS = 1000000 };
#define PATIENCE_NS 20000000000ull /* of leaving; a busy machine must not fail a test */

/* Both count; one calls the original from a frame of its own, the other goes on to it. r11: the descriptor. */
static const uint8_t CALLS[] = {
    0x48, 0x83, 0xec, 0x08,                                                      /* sub rsp, 8 */
    0xf0, 0x48, 0xff, 0x05, (COUNT_AT - CALLS_AT - 12) & 0xff, 0x00, 0x00, 0x00, /* lock inc qword [count] */
    0x41, 0xff, 0x13,                                                            /* call [r11] */
    0x48, 0x83, 0xc4, 0x08,                                                      /* add rsp, 8 */
    0xc3,                                                                        /* ret */
};
static const uint8_t PASSES[] = {
    0xf0, 0x48, 0xff, 0x05, (COUNT_AT - PASS_AT - 8) & 0xff, 0x00, 0x00, 0x00, /* lock inc qword [count] */
    0x41, 0xff, 0x23,                                                          /* jmp [r11] */
};

static enum sp_inject_fault die_at;
static pid_t own_pid;

void sp_inject_fault_point(enum sp_inject_fault point)
{
	if (point == die_at && getpid() == own_pid) /* not the guard */
		(void)raise(SIGKILL);
}

struct drill {
	pid_t pid;
	struct sp_inject_opts opts;
	bool has_no_guard, passes;
	bool is_left;   /* something stayed: the guard takes it out when we have let go */
	uint64_t calls; /* to wait for */
	uint64_t patience_ns;
	struct sp_proc *p;
	struct sp_inject *in;
	struct sp_inject_guard *guard;
	struct sp_inject_hooks *hooks;
	struct sp_maps maps;
	sp_raddr code;
	struct sp_inject_pause entering;
	struct sp_inject_left left;
	uint64_t ready_ns, count;
	struct sp_why why;
};

static int add_hook(const struct sp_watch_found *f, void *arg)
{
	const struct sp_watch_fn *fn = sp_watch_fn(f->fn);
	struct drill *d = arg;
	/* An exception must find no frame that it cannot read. */
	bool passes = d->passes || fn->kind == SP_KIND_NEW;
	struct sp_inject_hook hook = {.name = fn->symbol,
				      .function = {sp_watch_address(&d->maps, f->module, f->symbol->offset)},
				      .size = f->symbol->size,
				      .nr_args = 6,
				      .entry = {d->code.v + (passes ? PASS_AT : CALLS_AT)},
				      .fallback = -1};

	if (fn->kind == SP_KIND_THROW || !hook.function.v)
		return 0;
	int rc = sp_inject_hook_add(d->hooks, &hook, &d->why);
	return rc < 0 && rc != -EEXIST ? rc : 0;
}

static int plant_code(struct drill *d)
{
	uint8_t page[PAGE] = {};
	struct sp_inject_mark mark;

	int rc =
	    sp_inject_map_near(d->in, (sp_raddr){0}, 0, PAGE, SP_PROT_R | SP_PROT_W | SP_PROT_X, &d->code, &d->why);
	if (rc < 0)
		return rc;
	sp_inject_mark_fill(d->in, SP_INJECT_CODE, PAGE, 0, &mark);
	memcpy(page, &mark, sizeof(mark));
	memcpy(page + CALLS_AT, CALLS, sizeof(CALLS));
	memcpy(page + PASS_AT, PASSES, sizeof(PASSES));
	return sp_inject_write(d->in, d->code, page, sizeof(page));
}

static int plan_hooks(struct drill *d)
{
	const struct sp_engine_config config = {.target = d->p};
	char *allocator = NULL;

	int rc = sp_proc_maps(d->p, &d->maps, &d->why);
	if (rc < 0)
		return rc;
	rc = sp_inject_hooks_new(d->in, &d->hooks, &d->why);
	if (rc == 0)
		rc = sp_watch_functions(&config, &d->maps, add_hook, d, &allocator, &d->why);
	free(allocator);
	sp_maps_done(&d->maps);
	return rc;
}

static int start(struct drill *d)
{
	int rc = sp_proc_open(NULL, d->pid, &d->p, &d->why);
	if (rc == 0)
		rc = sp_inject_open(d->p, &d->opts, &d->in, &d->why);
	return rc;
}

static void end(struct drill *d)
{
	sp_inject_hooks_free(d->hooks);
	sp_inject_close(d->in);
	sp_proc_close(d->p);
	if (d->is_left)
		sp_inject_guard_hand_over(d->guard);
	else
		sp_inject_guard_stop(d->guard);
	d->hooks = NULL;
	d->in = NULL;
	d->p = NULL;
	d->guard = NULL;
}

static int enter(struct drill *d)
{
	uint64_t start_ns = sp_watch_now_ns();

	int rc = sp_inject_probe(d->p, &d->why);
	if (rc == 0 && !d->has_no_guard)
		rc = sp_inject_guard_start(d->p, &d->guard, &d->why);
	if (rc == 0)
		rc = plant_code(d);
	if (rc == 0)
		rc = plan_hooks(d);
	if (rc == 0)
		rc = sp_inject_hooks_prepare(d->hooks, &d->why);
	if (rc == 0)
		rc = sp_inject_hooks_apply(d->hooks, &d->entering, &d->why);
	d->ready_ns = sp_watch_now_ns() - start_ns;
	return rc;
}

static void read_count(struct drill *d)
{
	if (d->code.v)
		(void)!sp_proc_read_mem(d->p, (sp_raddr){d->code.v + COUNT_AT}, &d->count, sizeof(d->count));
}

static void wait_for_calls(struct drill *d)
{
	enum { LOOKS = 5000, BETWEEN_US = 1000 };

	d->count = 0;
	for (int i = 0; i < LOOKS && d->count < d->calls; i++) {
		usleep(BETWEEN_US);
		read_count(d);
	}
}

static int leave(struct drill *d)
{
	read_count(d);
	int rc = sp_inject_leave(d->in, d->patience_ns, &d->left, &d->why);
	d->is_left = rc < 0 || d->left.nr_kept;
	return rc;
}

static int fail(struct drill *d, int rc)
{
	printf("failed %d: %s\n", rc, d->why.what);
	if (d->why.hint[0])
		printf("hint: %s\n", d->why.hint);
	end(d);
	return 3;
}

static void print_in(const struct drill *d)
{
	printf("in hooks %zu ready_us %" PRIu64 " pause_us %" PRIu64 " stops %u threads %u\n",
	       sp_inject_hooks_nr(d->hooks), d->ready_ns / US, d->entering.max_ns / US, d->entering.nr_stops,
	       d->entering.nr_threads);
	fflush(stdout);
}

static void print_out(const struct drill *d)
{
	printf("out patches %u unmapped %u kept %u pause_us %" PRIu64 " stops %u calls %" PRIu64 "\n",
	       d->left.nr_patches, d->left.nr_unmapped, d->left.nr_kept, d->left.pause.max_ns / US,
	       d->left.pause.nr_stops, d->count);
	fflush(stdout);
}

/* In, until stdin ends when it is held, out. What could not go in comes out as well. */
static int go_round(struct drill *d, bool is_held)
{
	char c;

	int rc = start(d);
	if (rc == 0)
		rc = enter(d);
	if (rc == 0)
		print_in(d);
	if (rc == 0)
		wait_for_calls(d);
	while (rc == 0 && is_held && read(STDIN_FILENO, &c, 1) == 1)
		;
	if (d->in && sp_proc_is_alive(d->p)) {
		struct sp_why first = d->why;
		int rc_left = leave(d);
		d->why = rc < 0 ? first : d->why;
		rc = rc < 0 ? rc : rc_left;
	}
	if (rc < 0)
		return fail(d, rc);
	print_out(d);
	end(d);
	return 0;
}

static int cycle(struct drill *d, unsigned long nr)
{
	int rc = 0;

	for (unsigned long i = 0; rc == 0 && (!nr || i < nr); i++)
		rc = go_round(d, false);
	return rc;
}

static int snapshots(struct drill *d, unsigned long nr)
{
	int rc = start(d);

	for (unsigned long i = 0; rc == 0 && (!nr || i < nr); i++) {
		struct sp_inject_snapshot *s = NULL;
		rc = sp_inject_snapshot_take(d->in, &s, &d->why);
		if (rc < 0)
			break;
		printf("snapshot threads %zu pause_us %" PRIu64 "\n", sp_inject_snapshot_threads(s)->nr,
		       sp_inject_snapshot_pause(s)->max_ns / US);
		fflush(stdout);
		sp_inject_snapshot_release(s);
	}
	if (rc < 0)
		return fail(d, rc);
	end(d);
	return 0;
}

static int look(struct drill *d)
{
	struct sp_inject_leftovers found = {};

	int rc = start(d);
	if (rc == 0)
		rc = sp_inject_leftovers_find(d->p, &found, &d->why);
	if (rc < 0)
		return fail(d, rc);
	printf("there regions %u patches %u alive %d\n", found.nr_regions, found.nr_patches, found.is_owner_alive);
	end(d);
	return 0;
}

static int leave_only(struct drill *d)
{
	int rc = start(d);
	if (rc == 0)
		rc = leave(d);
	if (rc < 0)
		return fail(d, rc);
	print_out(d);
	end(d);
	return 0;
}

static int probe(struct drill *d)
{
	int rc = start(d);
	if (rc == 0)
		rc = sp_inject_probe(d->p, &d->why);
	if (rc < 0)
		return fail(d, rc);
	printf("yes\n");
	end(d);
	return 0;
}

static int points(void)
{
#define ROW(id, when) printf("%d %s %s\n", SP_FAULT_POINT_##id, #id, when);
	SP_FAULT_POINTS(ROW)
#undef ROW
	return 0;
}

static bool parse_options(struct drill *d, char **arg)
{
	for (; *arg; arg++) {
		if (!strcmp(*arg, "--no-guard"))
			d->has_no_guard = true;
		else if (!strcmp(*arg, "--pass"))
			d->passes = true;
		else if (!strcmp(*arg, "--die") && arg[1])
			die_at = (enum sp_inject_fault)strtoul(*++arg, NULL, 10);
		else if (!strcmp(*arg, "--calls") && arg[1])
			d->calls = strtoull(*++arg, NULL, 10);
		else if (!strcmp(*arg, "--max-pause") && arg[1])
			d->opts.max_pause_ns = strtoull(*++arg, NULL, 10) * MS;
		else if (!strcmp(*arg, "--patience") && arg[1])
			d->patience_ns = strtoull(*++arg, NULL, 10) * MS;
		else
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	struct drill d = {.pid = argc > 2 ? (pid_t)strtol(argv[2], NULL, 10) : 0, .patience_ns = PATIENCE_NS};
	bool takes_nr = !strcmp(verb, "cycle") || !strcmp(verb, "snapshot");
	unsigned long nr = takes_nr && argc > 3 ? strtoul(argv[3], NULL, 10) : 0;

	own_pid = getpid();
	if (!strcmp(verb, "points"))
		return points();
	if (argc >= 3 + takes_nr && parse_options(&d, argv + 3 + takes_nr)) {
		if (!strcmp(verb, "cycle"))
			return cycle(&d, nr);
		if (!strcmp(verb, "hold"))
			return go_round(&d, true);
		if (!strcmp(verb, "snapshot"))
			return snapshots(&d, nr);
		if (!strcmp(verb, "look"))
			return look(&d);
		if (!strcmp(verb, "leave"))
			return leave_only(&d);
		if (!strcmp(verb, "probe"))
			return probe(&d);
	}
	fprintf(stderr, "drill: see the head of tests/harm/drill.c\n");
	return 2;
}
