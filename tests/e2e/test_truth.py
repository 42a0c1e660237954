# SPDX-License-Identifier: Apache-2.0
"""What seep says is what the victim says of itself: call path, bytes, blocks."""
from harness import check, check_equal, test, wait_until
from tool import (check_no_loss, check_truth, find_paths, find_through, functions, listed_blocks, memleak, show, totals,
                  trace, victim, watch_victim)


@test()
def deep_chain_without_frame_pointers_is_named_whole(env):
    _, truth, report = watch_victim(env, "deep20")
    check_truth(report, truth)
    check_no_loss(report)


@test()
def static_program_with_symbols(env):
    _, truth, report = watch_victim(env, "deep20-static")
    check_truth(report, truth)


@test()
def musl_program(env):
    _, truth, report = watch_victim(env, "deep20-musl")
    check_truth(report, truth)


@test()
def musl_static_program(env):
    _, truth, report = watch_victim(env, "deep20-musl-static")
    check_truth(report, truth)


@test()
def cxx_through_operator_new(env):
    _, truth, report = watch_victim(env, "cxx", "go", "go")
    check_truth(report, truth)
    check_no_loss(report)


@test()
def inlined_frames_are_marked(env):
    _, _, report = watch_victim(env, "cxx")
    paths = find_through(report, "inlined_new")
    check(paths, f"inlined_new is nowhere\n{show(report)}")
    for path in paths:
        marked = [f for f in path["frames"] if f["function"].startswith("inlined_new")]
        check(all(f["inlined"] for f in marked), f"not marked as inlined: {marked}")
        check(all(f["file"].endswith("cxx.cc") and f["line"] > 0 for f in marked), f"without its line: {marked}")


@test()
def threads_at_random(env):
    _, truth, report = watch_victim(env, "threads", "go 20000", timeout=40)
    check_truth(report, truth)
    check_no_loss(report)
    check_equal(sum(truth.blocks.values()), sum(t["bytes"] for t in truth.throughs), "the victim's own sum")


@test()
def list_of_blocks_equals_the_truth(env):
    _, truth, report = watch_victim(env, "threads", "go 5000", trace_args=["-a"], timeout=40)
    listed = listed_blocks(report)
    missing = {hex(a): s for a, s in truth.blocks.items() if listed.get(a) != s}
    check(not missing, f"{len(missing)} of {len(truth.blocks)} blocks are not listed: {list(missing.items())[:5]}")
    ours = {b["address"] for name in ("make_red", "make_green", "make_blue") for p in find_through(report, name)
            for b in p.get("list", [])}
    if ours:
        check_equal(len(ours), len(truth.blocks), "blocks listed under the victim's functions")


@test()
def freed_blocks_leave_nothing(env):
    v = victim(env, "threads")
    t = trace(env, v.pid).wait_attached()
    for _ in range(3):
        truth = v.command("go 3000", 30)
    report = t.interrupt().json()[-1]
    check_truth(report, truth)


@test()
def failing_realloc_keeps_its_block(env):
    _, truth, report = watch_victim(env, "realloc_fail", "go", "go", "go")
    check_truth(report, truth)
    check_no_loss(report)


@test()
def library_calls_name_their_caller_and_count_once(env):
    _, truth, report = watch_victim(env, "nested", "go", "go")
    check_truth(report, truth)


@test()
def mappings_cut_moved_and_mapped_over(env):
    _, truth, report = watch_victim(env, "mmaps")
    check_truth(report, truth)


@test()
def thread_stacks_are_no_leak(env):
    _, _, report = watch_victim(env, "mmaps")
    stack = [p for p in report["paths"] if any("pthread_create" in (f or "") for f in functions(p))]
    check(totals(stack)[0] < 1 << 20, f"a thread's stack is counted: {totals(stack)}\n{show(report)}")


@test()
def allocations_in_signal_handlers_and_jumps_out(env):
    _, truth, report = watch_victim(env, "sigjmp", "go", "go")
    check_truth(report, truth)


@test()
def short_lived_threads(env):
    _, truth, report = watch_victim(env, "thread_exit", "go 400", timeout=40)
    check_truth(report, truth)
    check_no_loss(report)


@test(timeout=120)
def leak_among_very_many_blocks(env):
    v = victim(env, "many")
    t = trace(env, v.pid, interval="1").wait_attached()
    v.command("fill", 60)
    truth = v.command("leak", 30)
    report = t.interrupt(60).json()[-1]
    check_truth(report, truth)
    check_no_loss(report)


@test(timeout=120)
def very_many_call_paths(env):
    v = victim(env, "paths")
    t = trace(env, v.pid, "--no-lines", interval="2").wait_attached()
    truth = v.command("go", 60)
    report = t.interrupt(60).json()[-1]
    check_truth(report, truth)
    check_no_loss(report)
    check_equal(len(find_through(report, "leak_here")), 40000, "different call paths")


@test()
def forked_child_is_not_seen_and_parent_is_right(env):
    _, truth, report = watch_victim(env, "forker", "go", "go")
    check_truth(report, truth)


@test()
def exec_starts_over(env):
    v = victim(env, "execer", env.victim_path("deep20"))
    t = trace(env, v.pid).wait_attached()
    before = v.command("go")
    t.wait_report().wait_report()
    check_truth(t.json()[-1], before)
    v.send("exec")
    v.wait_ready(2)
    truth = v.command("go")
    t.wait_report().wait_report()
    after = v.command("go")
    report = t.interrupt().json()[-1]
    check_equal(totals(find_through(report, "before_exec")), (0, 0), "blocks of the program before exec")
    found = totals(find_paths(report, ["chain01", "chain02", "chain03"]))
    check(found[1] >= after.paths[0]["blocks"] - truth.paths[0]["blocks"],
          f"the new program's blocks are missing: {found}\n{show(report)}")


@test()
def library_loaded_after_attaching(env):
    """Once it is noticed, its call paths are whole; that holds after it is unloaded, too."""
    v = victim(env, "dlopener")
    t = trace(env, v.pid).wait_attached()
    v.command(f"load {env.victim_path('plugin.so')}")

    def whole():
        return totals(find_paths(t.json()[-1], ["plugin_inner", "plugin_middle", "plugin_outer", "main"]))

    def noticed():
        v.command("call 1")
        t.wait_report().wait_report()
        return whole() != (0, 0)

    wait_until(noticed, "a whole call path in the library", 10)
    before = whole()
    v.command("call 9")
    t.wait_report().wait_report()
    check_equal(whole(), (before[0] + 9 * 2048, before[1] + 9), "call paths in the library")
    v.command("unload")
    t.wait_report().wait_report()
    t.interrupt()
    check_equal(whole(), (before[0] + 9 * 2048, before[1] + 9), "call paths in the library after dlclose")


@test()
def library_that_leaks_the_moment_it_is_loaded(env):
    """Its code is unknown to the walkers at that moment: those stacks are finished outside."""
    v = victim(env, "dlopener")
    t = trace(env, v.pid).wait_attached()
    v.send(f"load {env.victim_path('plugin.so')}")
    v.send("call")
    v.wait_for(lambda: len(v.out) >= 4, "both commands are done")
    truth = [e for e in v.events() if e["event"] == "path"]
    report = t.interrupt().json()[-1]
    whole = totals(find_paths(report, truth[0]["functions"]))
    check_equal(whole, (truth[0]["bytes"], truth[0]["blocks"]), show(report))
    check_no_loss(report)


@test()
def attach_while_the_loader_is_at_work(env):
    v = victim(env, "slowstart")
    t = trace(env, v.pid).wait_attached()
    truth = v.command("continue")
    report = t.interrupt().json()[-1]
    check_truth(report, truth)


@test()
def sums_of_paths_equal_the_totals_of_blocks(env):
    _, _, report = watch_victim(env, "threads", "go 3000", trace_args=["-a"])
    listed = listed_blocks(report)
    check_equal(totals(report["paths"]), (sum(listed.values()), len(listed)), "sum of the paths and of the blocks")


@test()
def size_filters(env):
    v = victim(env, "deep20")
    t = trace(env, v.pid, "-z", "1000", "-Z", "2000").wait_attached()
    for size, count in ((999, 3), (1000, 4), (2000, 5), (2001, 6)):
        v.command(f"go {size} {count}")
    report = t.interrupt().json()[-1]
    check_equal(totals(find_through(report, "chain01")), (4 * 1000 + 5 * 2000, 9), "blocks of 1000 to 2000 bytes")


@test()
def young_blocks_are_left_out(env):
    v = victim(env, "deep20")
    t = memleak(env, "-p", v.pid, "-o", "3600000", "200ms").wait_attached()
    v.command("go")
    last = t.interrupt().texts()[-1]
    check(not last.stacks and not last.blocks, f"blocks younger than an hour are shown: {t.describe()}")


@test(timeout=120)
def sampling_is_scaled_without_bias(env):
    v = victim(env, "many")
    t = trace(env, v.pid, "-s", "50", interval="1").wait_attached()
    truth = v.command("fill 1000000", 60)
    report = t.interrupt(60).json()[-1]
    for wanted in truth.paths:
        if not wanted["blocks"]:
            continue
        got = totals(find_paths(report, wanted["functions"]))
        # One in 50 of at least 400,000: the standard error is about 1.1 %; five of them.
        for value, true in zip(got, (wanted["bytes"], wanted["blocks"])):
            check(abs(value - true) < 0.055 * true, f"{wanted['functions'][0]}: {got}, truth {wanted}")
    check(any("sampl" in line for line in t.err) or report.get("scale") or report.get("sample"),
          f"it does not say that the numbers are sampled: {t.stderr}")
