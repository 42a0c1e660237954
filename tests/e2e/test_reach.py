# SPDX-License-Identifier: Apache-2.0
"""Where we can go in, and what is said where we cannot: other C libraries and allocators, many threads, filters, stops."""
import glob
import os
import re
import signal

import harm
from harm import check_looks, drill, looks, numbers, rounds, run_drill, wait_clean
from harness import Proc, Skip, check, check_equal, find_program, test, wait_until

HOST = ("tests", "unit", "inject_inputs", "inject_host")
RESTLESS = ("tests", "harm", "restless")


def start(env, *parts, args=(), preload=None, before=()):
    path = env.path(*parts)
    if not os.path.exists(path):
        raise Skip(f"{parts[-1]} is not built (its compiler is missing)")
    environment = {**os.environ, "LD_PRELOAD": preload} if preload else None
    return env.start(harm.Host, *before, path, *args, env=environment)


def in_and_out(env, h, nr, *options, pid=None):
    """Some rounds; nothing is left of them."""
    pid = pid or h.pid
    before = looks(pid)
    lines = run_drill(env, "cycle", pid, nr, "--calls", "20", *options, timeout=60)
    outs = [numbers(line) for line in lines if line[0] == "out"]
    check_equal([o["kept"] for o in outs], [0] * nr, "regions kept")
    check(all(o["calls"] >= 20 for o in outs), f"no calls came by: {outs}")
    check_looks(before, pid)
    h.check_well()


def refused(env, pid, verb="hold"):
    """The reason and the hint."""
    lines = [" ".join(line) for line in run_drill(env, verb, pid, status=3)]
    return "\n".join(lines)


def library(pattern):
    found = sorted(glob.glob(f"/usr/lib/x86_64-linux-gnu/{pattern}"))
    if not found:
        raise Skip(f"{pattern} is not installed")
    return found[0]


# ---- programs ----

@test(per_engine=False)
def a_static_program(env):
    in_and_out(env, start(env, "tests", "harm", "host-static", args=["2", "3", "waiters"]), 3)


@test(per_engine=False)
def a_program_on_musl(env):
    in_and_out(env, start(env, "tests", "harm", "host-musl", args=["2", "3", "waiters"]), 3)


@test(per_engine=False)
def a_static_program_on_musl(env):
    in_and_out(env, start(env, "tests", "harm", "host-musl-static", args=["2", "3", "waiters"]), 3)


def preloaded(env, pattern):
    in_and_out(env, start(env, *HOST, args=["2", "3", "waiters"], preload=library(pattern)), 3)


@test(per_engine=False)
def a_program_on_jemalloc(env):
    preloaded(env, "libjemalloc.so.2")


@test(per_engine=False)
def a_program_on_tcmalloc(env):
    preloaded(env, "libtcmalloc_minimal.so.4")


@test(per_engine=False)
def a_program_on_mimalloc(env):
    preloaded(env, "libmimalloc.so.2*")


@test(per_engine=False)
def two_hundred_threads(env):
    h = start(env, *HOST, args=["4", "196"])
    in_and_out(env, h, 3, "--max-pause", "2000")  # a busy machine needs a while to stop so many
    h.finish()


@test(per_engine=False, timeout=rounds(90, 400))
def threads_forks_spawns_signals_and_coroutines_go_on(env):
    h = start(env, *RESTLESS)
    before = looks_of_code(h.pid)
    # A thread stops when the child that it made by vfork has called exec; that takes a while on a busy machine.
    run_drill(env, "cycle", h.pid, rounds(6, 100), "--max-pause", "2000", timeout=rounds(80, 350))
    check_equal(looks_of_code(h.pid), before, "code and mappings of files")
    h.check_well()
    h.finish()


@test(per_engine=False, timeout=rounds(90, 400))
def threads_forks_spawns_signals_and_coroutines_survive_our_death(env):
    h = start(env, "tests", "harm", "restless-static")
    before = looks_of_code(h.pid)
    for i in range(rounds(5, 60)):
        harm.kill_later(drill(env, "cycle", h.pid, 0), 100 + i, 1.0)
        wait_clean(env, h.pid)
        h.check_well()
    check_equal(looks_of_code(h.pid), before, "code and mappings of files")
    h.finish()


def looks_of_code(pid):
    """Of a program whose threads and children come and go."""
    return harm.mappings(pid), harm.code_hash(pid)


# ---- states ----

@test(per_engine=False)
def a_stopped_program_is_refused_and_stays_stopped(env):
    h = start(env, *HOST, args=["2", "2"])
    before = looks(h.pid)
    h.signal(signal.SIGSTOP)
    wait_until(lambda: harm.state(h.pid) == "T", "it is stopped")
    said = refused(env, h.pid)
    check(f"kill -CONT {h.pid}" in said, said)
    check_equal(harm.state(h.pid), "T", "state afterwards")
    check_looks(before, h.pid)
    h.signal(signal.SIGCONT)
    h.check_well()
    h.finish()


@test(per_engine=False)
def a_program_that_is_stopped_while_hooked_is_left_when_it_goes_on(env):
    h = start(env, *HOST, args=["2", "2"])
    before = looks(h.pid)
    d = drill(env, "hold", h.pid, "--patience", 1000)
    d.wait_line(re.compile("^in "))
    h.signal(signal.SIGSTOP)
    wait_until(lambda: harm.state(h.pid) == "T", "it is stopped")
    d.popen.stdin.close()
    # Its code can be put back while it is stopped, or not even that; what is mapped is the guard's, later.
    check(d.wait(60) in (0, 3), f"status: {d.describe()}")
    h.signal(signal.SIGCONT)
    wait_clean(env, h.pid)
    check_looks(before, h.pid)
    h.check_well()
    h.finish()


@test(per_engine=False, needs=["gdb"])
def a_program_under_a_debugger_is_refused_by_the_debuggers_name(env):
    h = start(env, *HOST, args=["2", "2"])
    gdb = env.start(Proc, [find_program("gdb"), "-q", "-nx", "-batch", "-p", h.pid, "-ex", "echo here\\n", "-ex",
                           "shell sleep 60"])
    gdb.wait_line(re.compile("here"))
    said = refused(env, h.pid)
    check("gdb" in said, said)
    gdb.stop()
    wait_until(lambda: harm.state(h.pid) != "t", "gdb has let go")
    in_and_out(env, h, 1)
    h.finish()


@test(per_engine=False, needs=["gdb"])
def a_debugger_that_comes_while_hooked_delays_leaving(env):
    h = start(env, *HOST, args=["2", "2"])
    before = looks(h.pid)
    d = drill(env, "hold", h.pid)
    d.wait_line(re.compile("^in "))
    gdb = env.start(Proc, [find_program("gdb"), "-q", "-nx", "-batch", "-p", h.pid, "-ex", "echo here\\n", "-ex",
                           "shell sleep 60"])
    gdb.wait_line(re.compile("here"))
    d.signal(signal.SIGKILL)
    gdb.stop()
    wait_clean(env, h.pid)
    check_looks(before, h.pid)
    h.check_well()
    h.finish()


# ---- rights ----

def filtered(env, action):
    return start(env, *HOST, args=["2", "2"], before=[env.path("tests", "harm", "filtered"), action])


@test(per_engine=False)
def a_filter_that_allows_what_we_need_lets_us_in(env):
    in_and_out(env, filtered(env, "allow"), 2)


@test(per_engine=False)
def a_filter_that_would_refuse_or_kill_is_named_before_anything_is_done(env):
    for action in ("errno", "kill"):
        h = filtered(env, action)
        before = looks(h.pid)
        said = refused(env, h.pid)
        check("seccomp" in said and "memfd_create" in said and "--engine bpf" in said, said)
        check_looks(before, h.pid)
        h.check_well()
        h.finish()


@test(per_engine=False, needs=["setpriv"])
def one_goes_into_ones_own_programs_without_being_root(env):
    as_user = [find_program("setpriv"), "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    h = start(env, *HOST, args=["2", "2"], before=as_user)
    own = env.start(Proc, [*as_user, env.path("tests", "harm", "drill"), "cycle", h.pid, "2"])
    if own.wait(60) == 3 and "ptrace is forbidden" in own.stdout:
        raise Skip("ptrace is forbidden to users here")
    check_equal(own.popen.returncode, 0, own.describe())
    check(harm.is_clean(env, h.pid), "something is left")
    h.check_well()
    h.finish()


@test(per_engine=False, needs=["setpriv"])
def somebody_elses_program_is_refused(env):
    h = start(env, *HOST, args=["1", "0"])
    as_user = [find_program("setpriv"), "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    other = env.start(Proc, [*as_user, env.path("tests", "harm", "drill"), "cycle", h.pid, "1"])
    check_equal(other.wait(), 3, other.describe())
    check("permit" in other.stdout or "forbidden" in other.stdout, other.stdout)
    h.check_well()
    h.finish()


@test(per_engine=False, needs=["unshare"])
def a_program_in_namespaces_of_its_own(env):
    h = start(env, *HOST, args=["2", "2", "waiters"],
              before=[find_program("unshare"), "--mount", "--pid", "--ipc", "--fork", "--kill-child"])
    with open(f"/proc/{h.pid}/task/{h.pid}/children", encoding="utf-8") as f:
        inner = int(f.read().split()[0])
    in_and_out(env, h, 2, pid=inner)


# ---- other tools ----

def bpftrace_on(env, pid, function):
    libc = next(m[4] for m in harm.mappings(pid) if "/libc.so" in m[4])
    b = env.start(Proc, [find_program("bpftrace"), "-p", pid, "-e",
                         f"uprobe:{libc}:{function} {{ @n = count(); }} interval:ms:200 {{ print(@n); }}"])
    b.wait_line(re.compile(r"^@n: [1-9]"), timeout=40)
    return b


@test(per_engine=False, needs=["bpftrace"], timeout=120)
def a_uprobe_that_somebody_plants_on_a_hooked_function_hurts_nobody(env):
    h = start(env, *HOST, args=["1", "1"])
    before = looks(h.pid)
    for function in ("malloc", "free"):
        d = drill(env, "hold", h.pid)
        d.wait_line(re.compile("^in "))
        b = bpftrace_on(env, h.pid, function)
        h.check_well()
        d.popen.stdin.close()  # the hooks go first, the probe after them
        check_equal(d.wait(60), 0, d.describe())
        h.check_well()
        b.signal(signal.SIGINT)
        b.wait(40)
    check_looks(before, h.pid)
    h.check_well()
    h.finish()


@test(per_engine=False, needs=["bpftrace"], timeout=120)
def a_function_with_somebodys_uprobe_is_refused_by_name(env):
    h = start(env, *HOST, args=["1", "1"])
    b = bpftrace_on(env, h.pid, "malloc")
    said = refused(env, h.pid)
    check("malloc" in said and "breakpoint" in said, said)
    check(harm.is_clean(env, h.pid), "something is left")
    h.check_well()
    b.signal(signal.SIGINT)
    b.wait(40)
    in_and_out(env, h, 1)
    h.finish()
