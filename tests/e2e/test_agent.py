# SPDX-License-Identifier: Apache-2.0
"""What only the engine inside the target does: leaving whatever happens, sampling, its limits."""
import hashlib
import os
import random
import re
import signal
import sys
import time

from harness import Proc, Skip, check, check_equal, test, wait_until
from tool import check_truth, find_through, functions, totals, trace, victim

AGENT = ["agent"]


def code_and_files(pid):
    """Its mappings of files and of code, and a digest of what the code is."""
    lines = set()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as mem:
        for line in maps:
            start, end = (int(x, 16) for x in line.split()[0].split("-"))
            if "x" in line.split()[1] and "[v" not in line:
                mem.seek(start)
                try:
                    line = f"{hashlib.sha256(mem.read(end - start)).hexdigest()} {line}"
                except OSError:
                    line = f"gone meanwhile {line}"
            elif line.split()[4] == "0":
                continue
            lines.add(line)
    return lines


def check_as_before(pid, before):
    check_equal(sorted(code_and_files(pid) ^ before), [], "mappings and code that differ")


def has_agent(pid):
    with open(f"/proc/{pid}/maps") as maps:
        return "/memfd:seep" in maps.read()


def guard_of(tool):
    with open(f"/proc/{tool.pid}/task/{tool.pid}/children") as children:
        for child in children.read().split():
            with open(f"/proc/{child}/comm") as comm:
                if comm.read() == "seep-guard\n":
                    return int(child)
    return None


@test(engines=AGENT)
def detach_takes_out_what_a_killed_run_left(env):
    v = victim(env, "deep20")
    before = code_and_files(v.pid)
    tool = trace(env, v.pid).wait_attached()
    check(code_and_files(v.pid) != before, "the functions are hooked")
    refused = env.start(Proc, [env.path("seep"), "detach", str(v.pid)])
    check_equal(refused.wait(), 3, refused.describe())
    check(f"by process {tool.pid}" in refused.stderr, refused.describe())
    os.kill(guard_of(tool), signal.SIGKILL)
    tool.signal(signal.SIGKILL)
    tool.wait()
    v.command("go 60 3")
    check(code_and_files(v.pid) != before, "nobody has cleaned up yet")
    bpf = env.start(Proc, [env.path("seep"), "trace", "--engine", "bpf", str(v.pid), "1", "1"])
    check_equal(bpf.wait(), 3, bpf.describe())
    check(f"seep detach {v.pid}" in bpf.stderr, bpf.describe())
    done = env.start(Proc, [env.path("seep"), "detach", str(v.pid)])
    check_equal(done.wait(), 0, done.describe())
    check(re.search(r"\d+ hooks taken out", done.stdout), done.describe())
    check_as_before(v.pid, before)
    v.command("go 60 3")


@test(per_engine=False)
def detach_closes_the_descriptor_that_a_run_killed_at_the_worst_instant_left(env):
    dead = env.start(Proc, ["true"])
    dead.wait()
    name = f"seep:{dead.pid}.1.{os.stat('/proc/self/ns/pid').st_ino}"
    script = f"import os, sys; print(os.memfd_create({name!r}), flush=True); sys.stdin.read()"
    left = env.start(Proc, [sys.executable, "-S", "-c", script])
    left.wait_line(re.compile(r"^\d"))
    fd = f"/proc/{left.pid}/fd/{left.out[0].strip()}"
    check(name in os.readlink(fd), "it is there")
    detach = env.start(Proc, [env.path("seep"), "detach", str(left.pid)])
    check_equal(detach.wait(), 0, detach.describe())
    check("1 descriptor closed" in detach.stdout, detach.describe())
    check(not os.path.islink(fd), "it is still there")


@test(engines=AGENT)
def attaching_again_clears_what_a_killed_run_left(env):
    v = victim(env, "deep20")
    before = code_and_files(v.pid)
    tool = trace(env, v.pid).wait_attached()
    os.kill(guard_of(tool), signal.SIGKILL)
    tool.signal(signal.SIGKILL)
    tool.wait()
    again = trace(env, v.pid).wait_attached()
    truth = v.command("go 60 3")
    check_truth(again.interrupt().json()[-1], truth)
    check_as_before(v.pid, before)


@test(engines=AGENT, timeout=120)
def guard_cleans_up_after_a_dozen_kills(env):
    """At random moments of attaching, watching and leaving, while three threads allocate."""
    v = victim(env, "threads")
    before = code_and_files(v.pid)
    v.send("go 300000")
    for _ in range(12):
        tool = trace(env, v.pid)
        time.sleep(random.uniform(0, 0.5))
        if random.random() < 0.3:
            tool.signal(signal.SIGINT)
        tool.signal(signal.SIGKILL)
        tool.wait()
        wait_until(lambda: not has_agent(v.pid), "the guard has cleaned up", 30)
    wait_until(lambda: code_and_files(v.pid) == before, "mappings and code are as before")
    v.wait_for(lambda: any(e["event"] == "done" for e in v.events()), "the victim goes on")


@test(engines=AGENT)
def sampling_by_bytes_is_unbiased(env):
    """20,000 blocks, a sample every 16 KiB: the estimate is within five standard errors."""
    v = victim(env, "deep20")
    t = trace(env, v.pid, "--sample=16K").wait_attached()
    v.command("go 1000 20000")
    report = t.interrupt().json()[-1]
    (size, blocks) = totals(find_through(report, "chain01"))
    check_equal(report["sample_bytes"], 16384, "the sampling")
    errors = [p["error_bytes"] for p in find_through(report, "chain01")]
    check(0 < errors[0] < 2e6, f"standard error {errors}")
    check(abs(size - 20e6) < 5 * errors[0], f"{size} bytes, {blocks} blocks, error {errors}")


@test(engines=AGENT)
def a_hash_holds_what_the_shadow_holds(env):
    v = victim(env, "threads")
    t = trace(env, v.pid, "--table", "hash").wait_attached()
    truth = v.command("go")
    check_truth(t.interrupt().json()[-1], truth)


@test(engines=AGENT)
def too_little_memory_turns_exact_into_sampled_and_says_so(env):
    v = victim(env, "many")
    t = trace(env, v.pid, "--max-memory", "2M").wait_attached()
    v.command("fill", 60)
    report = t.interrupt(60).json()[-1]
    check(any("used up" in line for line in t.err), t.describe())
    check_equal(report["sample_bytes"], 512 << 10, "the sampling")
    check(report["totals"]["bytes"] > 0, report["totals"])


@test(per_engine=False)
def in_a_cgroup_that_is_nearly_full_the_tables_are_made_at_our_expense(env):
    v = victim(env, "many")
    folder = cgroup(env, v)
    with open(f"{folder}/memory.usage_in_bytes") as f:
        limit = int(f.read()) + (30 << 20)
    with open(f"{folder}/memory.limit_in_bytes", "w") as f:
        f.write(str(limit))
    t = trace(env, v.pid).wait_attached()
    check(any("engine agent, " in line for line in t.err), t.describe())
    with open(f"{folder}/memory.usage_in_bytes") as f:
        check(int(f.read()) < limit - (24 << 20), "who pays for the tables")
    truth = v.command("fill 10000")
    check_equal(sum(p["blocks"] for p in truth.paths), 10000, "blocks")
    check_truth(t.interrupt().json()[-1], truth)


def cgroup(env, v):
    """A memory cgroup of its own for a process; what it has already stays where it is."""
    v1 = "/sys/fs/cgroup/memory"
    if not os.access(f"{v1}/memory.limit_in_bytes", os.R_OK):
        raise Skip("the memory controller is not mounted as version 1")
    folder = f"{v1}/seep-test-agent-{os.getpid()}"
    try:
        os.mkdir(folder)
    except OSError as error:
        raise Skip(f"cannot make a cgroup: {error}") from None
    env.stack.callback(wait_until, lambda: not os.path.exists(folder) or os.rmdir(folder) is None, "the cgroup is gone")
    with open(f"{folder}/cgroup.procs", "w") as f:
        f.write(str(v.pid))
    env.stack.callback(v.stop)  # before the cgroup goes
    return folder


def answer(env, engine, name, command):
    """What an engine says of a program's work: per call path, its functions, bytes and blocks."""
    env.engine = engine
    v = victim(env, name)
    t = trace(env, v.pid).wait_attached()
    v.command(command)
    report = t.interrupt().json()[-1]
    check_equal(report["engine"], engine, "the engine")
    return sorted((functions(p), p["bytes"], p["blocks"]) for p in report["paths"])


@test(per_engine=False, timeout=120)
def both_engines_give_the_same_answer_for_the_same_work(env):
    for name, command in (("deep20", "go 100 7"), ("mmaps", "go"), ("cxx", "go"), ("realloc_fail", "go")):
        agent = answer(env, "agent", name, command)
        check(agent, name, "leaks nothing")
        check_equal(agent, answer(env, "bpf", name, command), name)
