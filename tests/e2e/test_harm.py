# SPDX-License-Identifier: Apache-2.0
"""Nobody is hurt: entered and left again and again, killed at any instant, a target goes on as if it had been alone."""
import signal

import harm
from harm import check_looks, drill, host, looks, numbers, rounds, run_drill, wait_clean
from harness import check, check_equal, test, wait_until


def lines_of(lines, word):
    return [numbers(line) for line in lines if line[0] == word]


@test(per_engine=False, timeout=rounds(60, 3600))
def in_and_out_many_times_a_hot_target_is_as_before(env):
    h = host(env, "3", "3", "waiters")
    before = looks(h.pid)
    nr = rounds(25, 1000)
    lines = run_drill(env, "cycle", h.pid, nr, "--max-pause", "2000", timeout=rounds(50, 3400))
    ins, outs = lines_of(lines, "in"), lines_of(lines, "out")
    check_equal((len(ins), len(outs)), (nr, nr), "rounds in and out")
    check(all(i["hooks"] >= 10 for i in ins), f"hooks: {ins[0]}")
    check(any(o["calls"] for o in outs), "no call came by")
    for i, o in zip(ins, outs):
        check_equal((o["patches"], o["kept"]), (i["hooks"], 0), "functions given back, regions kept")
    check_looks(before, h.pid)
    h.check_well()
    h.finish()


@test(per_engine=False, timeout=rounds(90, 1200))
def killed_at_random_instants_the_tool_leaves_a_well_target(env):
    h = host(env, "3", "3", "waiters")
    before = looks(h.pid)
    cycle = numbers(run_drill(env, "cycle", h.pid, 1)[0])["ready_us"] / 1e6
    eintr = 0
    for i in range(rounds(20, 300)):
        d = drill(env, "cycle", h.pid, 0)
        harm.kill_later(d, i, 2 * cycle)
        wait_clean(env, h.pid)
        eintr += 1  # killed between the stop of a thread and the mending of its call
        h.check_well(eintr)
    check_looks(before, h.pid)
    h.finish(eintr)


def fault_points(env):
    out = env.run([env.path("tests", "harm", "drill"), "points"])
    return [line.split()[:2] for line in out.splitlines()]


def dies_at(env, h, verb, number, name, *args):
    d = drill(env, verb, h.pid, 0, "--die", number, *args)
    check_equal(d.wait(60), -signal.SIGKILL, f"{name} is never reached: {d.describe()}")
    wait_clean(env, h.pid)
    wait_until(lambda: not harm.zombies(h.pid), f"killed at {name}: no dead child of the target's", timeout=5)
    h.check_well(eintr=2)


@test(per_engine=False, timeout=rounds(90, 300))
def killed_at_each_fault_point_the_tool_leaves_a_well_target(env):
    h = host(env, "2", "2")
    before = looks(h.pid)
    for number, name in fault_points(env):
        if name != "MOVED_PC":
            dies_at(env, h, "snapshot" if name in ("CLONED", "SNAPSHOT") else "cycle", number, name)
    check_looks(before, h.pid)
    h.finish()


@test(per_engine=False, timeout=rounds(60, 600))
def a_thread_among_a_functions_first_instructions_goes_on_in_the_trampoline(env):
    h = env.start(harm.Host, env.path("tests", "harm", "brink"), skip=(77, "no userfaultfd, or a calloc() that begins otherwise"))
    before = looks(h.pid)
    for line in run_drill(env, "cycle", h.pid, rounds(10, 200), "--pass", timeout=rounds(40, 500)):
        check_equal(numbers(line).get("kept", 0), 0, "regions kept")
    moved = next(number for number, name in fault_points(env) if name == "MOVED_PC")
    dies_at(env, h, "cycle", moved, "MOVED_PC", "--pass")
    check_looks(before, h.pid)
    h.finish()
