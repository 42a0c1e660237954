# SPDX-License-Identifier: Apache-2.0
"""seep trace --growth: which call paths make the process itself larger, to the byte, and what they gave back."""
import subprocess

from harness import check, check_equal, test
from machine import mappings
from tool import check_no_loss, find_through, functions, totals, trace, victim

MB = 1 << 20


def heap_size(pid):
    return sum(end - begin for begin, end, _, _, path in mappings(pid) if path == "[heap]")


def watch(env, v, *args):
    """Engine bpf watches growth, whichever one trace would take by itself."""
    return trace(env, v.pid, "--growth", *args).wait_attached()


def last(t):
    report = t.wait_report().wait_report().interrupt().json()[-1]
    check_no_loss(report)
    return report


@test(engines=["bpf"])
def the_heap_grows_by_what_malloc_asks_for(env):
    v = victim(env, "segments")
    v.command("leak 100")
    before = heap_size(v.pid)
    t = watch(env, v)
    v.command("leak 6000")
    grown = heap_size(v.pid) - before
    paths = find_through(last(t), "fill")
    check(grown > 5 * MB, "the heap has grown", grown)
    check_equal(totals(paths)[0], grown, "bytes by sbrk() below fill()")
    check(all("malloc" in functions(p) for p in paths), "malloc's own calls have whole paths", [functions(p) for p in paths])


@test(engines=["bpf"])
def what_goes_back_is_taken_off(env):
    v = victim(env, "segments")
    v.command("leak 100")
    t = watch(env, v)
    before = heap_size(v.pid)
    v.command("map 8192")
    v.command("unmap 2048")
    v.command("fragment 9000")
    v.command("shrink")
    report = last(t)
    check_equal(totals(find_through(report, "grow_map")), (6 * MB, 1), "the mapping without its end")
    left = heap_size(v.pid) - before
    check(abs(totals(find_through(report, "fill"))[0] - left) <= 0, "the heap", totals(find_through(report, "fill")), left)


@test(engines=["bpf"])
def what_was_not_touched_is_told_from_what_is_in_memory(env):
    v = victim(env, "segments")
    t = watch(env, v, "--resident")
    v.command("map 8192")
    path = find_through(last(t), "grow_map")[0]
    check_equal((path["bytes"], path["resident"]), (8 * MB, 4 * MB), "bytes, in memory")


@test(engines=["bpf"])
def a_threads_stack_counts_and_small_blocks_do_not(env):
    v = victim(env, "segments")
    v.command("leak 1000")
    v.command("fragment 900")  # room in the heap for what comes
    t = watch(env, v)
    v.command("leak 100")
    v.command("spin")
    report = last(t)
    check_equal(find_through(report, "fill"), [], "blocks for which the heap did not grow")
    check(totals(find_through(report, "pthread_create"))[0] > 64 << 10, "the stack of the new thread")


@test(per_engine=False)
def growth_is_of_running_programs_and_of_engine_bpf(env):
    for args in (["--replay", "/nowhere"], ["--engine", "agent", "1"]):
        done = subprocess.run([env.path("seep"), "trace", "--growth", *args], capture_output=True, text=True)
        check_equal((done.returncode, len(done.stderr.splitlines())), (2, 1), f"{args}: {done.stderr}")
