# SPDX-License-Identifier: Apache-2.0
"""What is hard for the bpf engine itself: odd calls, odd files, programs that change while they are watched."""
import glob
import platform
import random
import signal
import sys
import time

from harness import Skip, check, check_equal, test
from tool import (Victim, check_no_loss, check_truth, find_through, functions, show, totals, trace, victim,
                  wait_watched, watch_victim)


def library(pattern):
    found = sorted(glob.glob(f"/usr/lib/*/{pattern}") + glob.glob(f"/lib/*/{pattern}"))
    if not found:
        raise Skip(f"{pattern} is not installed")
    return found[0]


def has_sessions():
    """uprobe sessions came with Linux 6.13."""
    return tuple(int(n) for n in platform.release().split(".")[:2]) >= (6, 13)


# ---- calls ----

@test()
def a_call_that_never_returns_hides_no_later_ones(env):
    _, truth, report = watch_victim(env, "inner", "jump")
    check_truth(report, truth)
    check_no_loss(report)


@test()
def calls_on_small_stacks_beside_each_other(env):
    _, truth, report = watch_victim(env, "inner", "coroutines")
    check_truth(report, truth)


@test()
def a_handler_on_a_lower_stack_allocates_while_malloc_is_interrupted(env):
    _, truth, report = watch_victim(env, "inner", "signal low")
    check_truth(report, truth)


@test()
def a_handler_on_a_higher_stack_does_no_harm(env):
    """bpf: without sessions the kernel would end the program there; with them the handler's call is counted, not
    followed."""
    if env.engine == "bpf" and not has_sessions():
        raise Skip("the kernel has no uprobe sessions (Linux 6.13)")
    v, truth, report = watch_victim(env, "inner", "signal high" if env.engine == "bpf" else "signal high seen")
    check(v.popen.poll() is None, "the victim lives")
    check_truth(report, truth)
    check_equal(report["lost"], {"nested": 1} if env.engine == "bpf" else {}, "what was not followed")


@test()
def sizes_at_the_edge(env):
    _, truth, report = watch_victim(env, "sizes")
    check_truth(report, truth)
    check_no_loss(report)


def check_throwing(env, preload):
    v, truth, report = watch_victim(env, "throws", preload=preload)
    check(v.popen.poll() is None, "the victim lives")
    check_truth(report, truth)


@test()
def bad_alloc_is_caught_under_jemalloc(env):
    check_throwing(env, library("libjemalloc.so.2"))


@test()
def bad_alloc_is_caught_under_tcmalloc(env):
    check_throwing(env, library("libtcmalloc_minimal.so.4"))


@test()
def bad_alloc_is_caught_under_glibc(env):
    check_throwing(env, None)


@test()
def bad_alloc_is_caught_while_another_process_is_watched_too(env):
    """The kernel then replaces return addresses in either process also for the sake of the other's watcher."""
    preload = library("libjemalloc.so.2")
    victims = [victim(env, "throws", preload=preload) for _ in range(2)]
    tools = [trace(env, v.pid).wait_attached() for v in victims]
    for v, t in zip(victims, tools):
        truth = v.command("go")
        check_truth(t.interrupt().json()[-1], truth)
        v.command("go")


# ---- files ----

@test()
def static_pie(env):
    _, truth, report = watch_victim(env, "deep20-static-pie")
    check_truth(report, truth)
    check_no_loss(report)


@test()
def static_program_linked_with_lld(env):
    _, truth, report = watch_victim(env, "deep20-lld-static")
    check_truth(report, truth)
    check_no_loss(report)


@test()
def small_library_linked_with_lld(env):
    """Its text ends in its first page, where its data begin."""
    v = victim(env, "dlopener")
    v.command(f"load {env.victim_path('plugin-lld.so')}")
    t = trace(env, v.pid).wait_attached()
    truth = v.command("call")
    report = t.interrupt().json()[-1]
    check_truth(report, truth)
    check_no_loss(report)


@test()
def libraries_that_take_turns_at_one_address(env):
    """Some stacks cannot be walked, so fast goes it; none is wrong without being counted."""
    v = victim(env, "taketurns")
    t = trace(env, v.pid).wait_attached()
    v.command(f"go 40 20 {env.victim_path('plugin.so')} {env.victim_path('plugin-plain.so')}", 30)
    report = t.interrupt().json()[-1]
    # The names inside may be the other library's, which stands there now.
    whole = totals([p for p in find_through(report, "take_turn") if functions(p)[3:5] == ["take_turn", "main"]])[1]
    every = totals([p for p in report["paths"] if p["bytes"] == 2048 * p["blocks"]])[1]
    check_equal(every, 40 * 3, f"blocks\n{show(report)}")
    check_equal(whole + report["lost"].get("stack_broken", 0), every, f"whole and counted stacks\n{show(report)}")


@test()
def blocks_of_a_library_whose_place_another_one_took(env):
    """Both call paths have the same addresses; each keeps the names of the library that allocated."""
    v = victim(env, "dlopener")
    t = trace(env, v.pid).wait_attached()
    truths, places = {}, set()

    def see():
        """What the dynamic linker does tells both engines; a look takes a moment."""
        for _ in range(2):
            t.wait_report()

    for name, n in (("plugin", 3), ("lodger", 5), ("plugin", 2)):
        v.command(f"load {env.victim_path(name + '.so')}")
        see()  # of libraries that follow each other at once it sees the last
        truths[name] = v.command(f"call {n}")
        places |= {e["address"] for e in v.events() if e["event"] == "place"}
        see()
        v.command("unload")
    check_equal(len(places), 1, f"places where the libraries were: {places}")
    report = t.interrupt().json()[-1]
    for truth in truths.values():
        check_truth(report, truth)


@test()
def a_library_that_came_and_went_between_two_looks_is_not_named_by_its_successor(env):
    v = victim(env, "dlopener")
    t = trace(env, v.pid).wait_attached().wait_report()
    t.signal(signal.SIGSTOP)  # no look in the middle
    v.command(f"load {env.victim_path('plugin.so')}")
    v.command("call 3")
    v.command("unload")
    v.command(f"load {env.victim_path('lodger.so')}")
    truth = v.command("call 5")
    places = {e["address"] for e in v.events() if e["event"] == "place"}
    t.signal(signal.SIGCONT)
    check_equal(len(places), 1, f"places where the libraries were: {places}")
    report = t.interrupt().json()[-1]
    check_truth(report, truth)
    check_equal(sum(p["blocks"] for p in report["paths"] if p["bytes"] == 2048 * p["blocks"]), 3 + 5, f"blocks\n{show(report)}")
    check(report["lost"].get("unseen"), f"what was not seen is counted\n{show(report)}")


# ---- programs that change ----

@test(timeout=120)
def a_program_that_executes_another_while_it_is_attached_to(env):
    for _ in range(6):
        script = f"import os, time; time.sleep({random.random() * 0.2}); os.execv({env.victim_path('deep20')!r}, ['deep20'])"
        v = env.start(Victim, [sys.executable, "-S", "-c", script])
        t = trace(env, v.pid).wait_attached()
        v.wait_ready()
        wait_watched(t, v, env.engine)
        truth = v.command("go")
        t.wait_report().wait_report()
        check_truth(t.interrupt().json()[-1], truth)
        v.stop()


@test()
def blocks_of_programs_before_make_room(env):
    v = victim(env, "reexec")
    t = trace(env, v.pid, "--max-blocks", "100000").wait_attached()
    for i in range(4):
        truth = v.command("go 60000")
        t.wait_report().wait_report()
        report = t.json()[-1]
        check_equal(totals(find_through(report, "leak_many"))[1], 60000, f"blocks of program {i}\n{show(report)}")
        check(not report["lost"].get("blocks_full"), report["lost"])
        v.send("exec")
        v.wait_ready(i + 2)
        wait_watched(t, v, env.engine)
    check(truth, "a truth")
    t.interrupt()


@test(engines=["bpf"])
def call_paths_of_freed_blocks_make_room(env):
    v = victim(env, "newpaths")
    t = trace(env, v.pid, "--max-paths", "1000").wait_attached()
    for i in range(5):
        v.command(f"go {i * 1000} 300")
        truth = v.command(f"leak {i * 1000 + 500} 20")
        enough = time.monotonic() + 1.5  # how full the table is, is looked at once a second; who stays unused goes then
        while time.monotonic() < enough:
            t.wait_report()
    report = t.interrupt().json()[-1]
    check_truth(report, truth)
    check_no_loss(report)


@test()
def five_hundred_threads(env):
    _, truth, report = watch_victim(env, "crowd", "threads 500")
    check_truth(report, truth)
    check_no_loss(report)


@test()
def children_beside_threads(env):
    _, truth, report = watch_victim(env, "crowd", "fork 30")
    check_truth(report, truth)
    check_no_loss(report)


@test()
def mappings_in_a_hurry(env):
    _, truth, report = watch_victim(env, "crowd", "maps 10000")
    check_truth(report, truth)
    check_no_loss(report)


@test(timeout=120)
def mappings_that_are_gone_when_events_were_lost(env):
    v = victim(env, "crowd")
    t = trace(env, v.pid).wait_attached()
    t.signal(signal.SIGSTOP)
    truth = v.command("maps 60000", 60)
    t.signal(signal.SIGCONT)
    t.wait_report().wait_report()
    report = t.interrupt().json()[-1]
    check(report["lost"].get("events"), "no event was lost: more are needed for this test")
    check_truth(report, truth)
