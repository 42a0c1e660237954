# SPDX-License-Identifier: Apache-2.0
"""seep trace --growth: which call paths make the process itself larger, to the byte, and what they gave back."""
import subprocess
from pathlib import Path

from harness import check, check_equal, test
from machine import mappings
from tool import check_no_loss, find_through, functions, totals, trace, victim

MB = 1 << 20
PAGE = 4096


def heap_size(pid):
    return sum(end - begin for begin, end, _, _, path in mappings(pid) if path == "[heap]")


def anonymous(pid):
    """Bytes of anonymous memory that are in memory, as the kernel's page tables have them."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) << 10


def watch(env, v, *args):
    """Engine bpf watches growth, whichever one trace would take by itself."""
    return trace(env, v.pid, "--growth", *args).wait_attached()


def last(t):
    report = t.wait_report().wait_report().interrupt().json()[-1]
    check_no_loss(report)
    return report


def growth(report, through, kind):
    paths = [p for p in find_through(report, through) if p["growth"] == kind]
    check(all((p["frames"][0]["function"] == "[page fault]") == (kind == "faulted") for p in paths), "faults are marked", paths)
    return sum(p["bytes"] for p in paths)


@test(engines=["bpf"])
def the_heap_grows_by_what_malloc_asks_for(env):
    v = victim(env, "segments")
    v.command("leak 100")
    t = watch(env, v)
    before, memory = heap_size(v.pid), anonymous(v.pid)
    v.command("leak 6000")
    grown, came = heap_size(v.pid) - before, anonymous(v.pid) - memory
    report = last(t)
    check(grown > 5 * MB, "the heap has grown", grown)
    check_equal(growth(report, "fill", "mapped"), grown, "bytes by brk() below fill()")
    check_equal(report["growth"]["faulted_bytes"], came, "what came into memory since the watch began")
    check(growth(report, "fill", "faulted") > 5 * MB, "nearly all of it below fill()")
    paths = [p for p in find_through(report, "fill") if p["growth"] == "mapped"]
    check(all("malloc" in functions(p) for p in paths), "malloc's own calls have whole paths", [functions(p) for p in paths])


@test(engines=["bpf"])
def what_goes_back_is_taken_off(env):
    v = victim(env, "segments")
    v.command("leak 100")
    t = watch(env, v)
    before, memory = heap_size(v.pid), anonymous(v.pid)
    v.command("map 8192")
    v.command("unmap 2048")
    v.command("fragment 9000")
    v.command("shrink")
    report = last(t)
    mapped = [p for p in find_through(report, "grow_map") if p["growth"] == "mapped"]
    check_equal(totals(mapped), (6 * MB, 1), "the mapping without its end")
    # grow_map() itself writes a variable, whose page may come by that
    check(growth(report, "grow_map", "faulted") in (4 * MB, 4 * MB + PAGE), "what of it was touched", report)
    check_equal(growth(report, "fill", "mapped"), heap_size(v.pid) - before, "the heap")
    check_equal(report["growth"]["faulted_bytes"], anonymous(v.pid) - memory, "what is left in memory")


@test(engines=["bpf"])
def a_page_belongs_to_the_path_that_faulted_it_in_last(env):
    v = victim(env, "grows")
    t = watch(env, v)
    v.command("map 1000")
    v.command("touch 500")
    v.command("forget 100")
    v.command("again 600")  # the first 100 anew, 400 that are there, 100 more
    v.command("unmap 50")
    report = last(t)
    check_equal(growth(report, "first", "faulted"), 400 * PAGE, "what first() touched and was not forgotten")
    check_equal(growth(report, "second", "faulted"), 150 * PAGE, "what second() brought, less what was unmapped")
    check_equal(growth(report, "fresh", "mapped"), 950 * PAGE, "address space")


@test(engines=["bpf"])
def faults_that_bring_no_memory_do_not_count(env):
    v = victim(env, "grows")
    v.command("map 700")
    v.command("touch 300")
    t = watch(env, v)
    v.command("fork")  # copies on write: the process has not become larger
    v.command("churn 64")
    v.command("read 400")
    report = last(t)
    check_equal(growth(report, "write_shared", "faulted") // (100 * PAGE), 0, "copies after fork")
    check_equal(find_through(report, "churn"), [], "what has come and gone")
    check_equal(growth(report, "read_into", "faulted"), 100 * PAGE, "what the kernel wrote into")


@test(engines=["bpf"])
def memory_without_a_fault_a_page_counts_whole(env):
    v = victim(env, "grows")
    t = watch(env, v)
    v.command("populate 300")
    v.command("huge")
    v.command("brk 33")
    report = last(t)
    huge = [e for e in v.events() if e["event"] == "huge"][-1]["size"]
    check_equal(growth(report, "filled", "faulted"), 300 * PAGE, "MAP_POPULATE")
    check_equal(growth(report, "huge", "faulted") // PAGE * PAGE, huge, "a huge page")
    check_equal(growth(report, "by_brk", "mapped"), 33 * PAGE, "brk() by the system call itself")


@test(engines=["bpf"])
def what_was_not_touched_is_told_from_what_is_in_memory(env):
    v = victim(env, "segments")
    t = watch(env, v, "--resident")
    v.command("map 8192")
    path = [p for p in find_through(last(t), "grow_map") if p["growth"] == "mapped"][0]
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
    check_equal(growth(report, "fill", "mapped"), 0, "blocks for which the heap did not grow")
    check(growth(report, "pthread_create", "mapped") > 64 << 10, "the stack of the new thread")


@test(per_engine=False)
def growth_is_of_running_programs_and_of_engine_bpf(env):
    for args in (["--replay", "/nowhere"], ["--engine", "agent", "1"]):
        done = subprocess.run([env.path("seep"), "trace", "--growth", *args], capture_output=True, text=True)
        check_equal((done.returncode, len(done.stderr.splitlines())), (2, 1), f"{args}: {done.stderr}")
