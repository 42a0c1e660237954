# SPDX-License-Identifier: Apache-2.0
"""However a run ends, nothing is left behind: no BPF object, no pin, no breakpoint and no mapping in the target."""
import os
import signal
import subprocess

from harness import Proc, check, check_equal, test, wait_until
from machine import Traces, alive
from tool import Tool, engine_args, memleak, trace, victim


def attached(env, *args, name="deep20", **kwargs):
    """(victim, tool, traces) with the tool attached; kwargs go to the tool."""
    v = victim(env, name)
    traces = Traces(v.pid)
    tool = memleak(env, "-p", v.pid, *args, "200ms", **kwargs)
    tool.wait_attached()
    v.command("go")
    traces.attached(tool, env.engine)
    return v, tool, traces


def check_well(v, traces):
    """The target is as it was, and works."""
    traces.check_gone()
    v.command("go")
    check(v.popen.poll() is None, "the target lives")


@test()
def after_interrupt(env):
    v, tool, traces = attached(env)
    tool.interrupt()
    check_well(v, traces)


@test()
def after_sigterm(env):
    v, tool, traces = attached(env)
    tool.signal(signal.SIGTERM)
    check_equal(tool.wait(), 0, f"status of {tool.describe()}")
    check_well(v, traces)


@test()
def after_sighup(env):
    v, tool, traces = attached(env)
    tool.signal(signal.SIGHUP)
    check_equal(tool.wait(), 0, f"status of {tool.describe()}")
    check_well(v, traces)


@test()
def after_kill_9(env):
    v, tool, traces = attached(env)
    tool.signal(signal.SIGKILL)
    check_equal(tool.wait(), -signal.SIGKILL, "status")
    check_well(v, traces)


@test()
def after_count(env):
    v = victim(env, "deep20")
    traces = Traces(v.pid)
    tool = memleak(env, "-p", v.pid, "300ms", "4").wait_attached()
    traces.attached(tool, env.engine)
    check_equal(tool.wait(), 0, f"status of {tool.describe()}")
    check_well(v, traces)


@test()
def after_the_target_was_killed(env):
    v, tool, traces = attached(env, "-o", "0")
    v.signal(signal.SIGKILL)
    v.wait()
    check_equal(tool.wait(), 0, f"status of {tool.describe()}")
    check("chain01+0x" in tool.stdout, f"a last report with its names: {tool.describe()}")
    traces.check_gone(target_lives=False)


@test()
def after_kill_9_while_threads_allocate(env):
    v = victim(env, "threads")
    traces = Traces(v.pid)
    tool = trace(env, v.pid).wait_attached()
    traces.attached(tool, env.engine)
    v.send("go 200000")
    tool.wait_report()
    tool.signal(signal.SIGKILL)
    tool.wait()
    traces.check_gone()
    v.wait_for(lambda: any(e["event"] == "done" for e in v.events()), "the threads end their work", 30)
    v.command("go 1000")


@test()
def after_interrupt_while_threads_allocate(env):
    v = victim(env, "threads")
    traces = Traces(v.pid)
    tool = trace(env, v.pid).wait_attached()
    traces.attached(tool, env.engine)
    v.send("go 200000")
    tool.wait_report()
    tool.interrupt()
    traces.check_gone()
    v.wait_for(lambda: any(e["event"] == "done" for e in v.events()), "the threads end their work", 30)


@test()
def after_the_reader_of_stdout_has_gone(env):
    v = victim(env, "deep20")
    traces = Traces(v.pid)
    reading, writing = os.pipe()
    tool = env.start(Tool, [env.path("memleak"), *engine_args(env), "-p", v.pid, "100ms"], stdout=writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        check(b"Attaching" in pipe.readline(), "the first line")
        check(b"Top 10" in pipe.readline(), "the first report")
        traces.attached(tool, env.engine)
    status = tool.wait()
    check(status in (0, -signal.SIGPIPE), f"status {status}: {tool.describe()}")
    check(len(tool.err) <= 1, f"at most one line: {tool.describe()}")
    check_well(v, traces)


@test()
def after_stdout_was_closed_from_the_start(env):
    v = victim(env, "deep20")
    traces = Traces(v.pid)
    tool = env.start(Proc, ["sh", "-c", f'exec {env.path("memleak")} --engine {env.engine} -p {v.pid} 100ms 3 >&-'])
    status = tool.wait()
    check(0 <= status < 128, f"status {status}: {tool.describe()}")
    check_well(v, traces)


@test()
def after_a_full_disk(env):
    v = victim(env, "deep20")
    traces = Traces(v.pid)
    for argv in (["memleak", *engine_args(env), "-p", str(v.pid), "100ms"],
                 ["seep", "trace", *engine_args(env), "--json", str(v.pid), "100ms"]):
        with open("/dev/full", "wb") as full:
            tool = env.start(Tool, [env.path(argv[0]), *argv[1:]], stdout=full)
        status = tool.wait()
        check(status not in (0, 2) and 0 < status < 128, f"status {status}: {tool.describe()}")
        lines = [line for line in tool.err if line.strip()]
        check(lines and "space" in lines[-1], f"the reason: {tool.describe()}")
        check_well(v, traces)


@test(timeout=90)
def after_being_killed_while_attaching(env):
    """At eight different moments of the start: by what has been seen of it, not by a clock."""
    v = victim(env, "deep20")
    traces = Traces(v.pid)
    for moment in range(8):
        tool = memleak(env, "-p", v.pid, "1")
        wait_until(lambda: tool.popen.poll() is not None or progress(tool.pid) >= moment * 4 or tool.nr_reports(),
                   "some progress", every=0.001)
        tool.signal(signal.SIGKILL)
        tool.wait()
        traces.check_gone()
    v.command("go")


def progress(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 1 << 30


@test(engines=["bpf"])
def target_stopped_by_its_user(env):
    """A stopped target can be watched and stays stopped."""
    v = victim(env, "deep20")
    v.signal(signal.SIGSTOP)
    traces = Traces(v.pid)
    tool = memleak(env, "-p", v.pid, "200ms").wait_attached()
    tool.interrupt()
    wait_until(lambda: not alive(traces.held), "BPF objects are gone")
    with open(f"/proc/{v.pid}/stat") as f:
        check_equal(f.read().rsplit(")", 1)[1].split()[0], "T", "the target's state")
    v.signal(signal.SIGCONT)
    v.command("go")


@test(engines=["bpf"])
def two_tools_at_one_target(env):
    v = victim(env, "deep20")
    traces = Traces(v.pid)
    first = trace(env, v.pid).wait_attached()
    second = trace(env, v.pid).wait_attached()
    v.command("go 60 3")
    for tool in (first, second):
        report = tool.interrupt().json()[-1]
        check_equal(sum(p["bytes"] for p in report["paths"] if p["frames"][0]["function"] == "chain01"), 180, "bytes")
    check_well(v, traces)


@test(engines=["agent"])
def a_second_tool_is_told_who_watches(env):
    v = victim(env, "deep20")
    traces = Traces(v.pid)
    first = trace(env, v.pid).wait_attached()
    for engine in ("agent", "bpf", "auto"):
        second = env.start(Proc, [env.path("seep"), "trace", "--engine", engine, str(v.pid), "1", "1"])
        check_equal(second.wait(), 3, f"status of {second.describe()}")
        check(f"by process {first.pid}" in second.stderr, second.describe())
    v.command("go 60 3")
    report = first.interrupt().json()[-1]
    check_equal(sum(p["bytes"] for p in report["paths"] if p["frames"][0]["function"] == "chain01"), 180, "bytes")
    check_well(v, traces)


@test()
def a_file_that_fills_up(env):
    """A limit on the file's size: an error, not a signal's core."""
    v = victim(env, "deep20")
    traces = Traces(v.pid)
    out = os.path.join(env.tmp, "out")
    script = f'ulimit -f 1; exec {env.path("memleak")} --engine {env.engine} -p {v.pid} -T 0 -o 0 50ms > {out}'
    tool = env.start(Proc, ["sh", "-c", script])
    wait_until(lambda: tool.popen.poll() is not None, "it ends", 30)
    status = tool.wait()
    check(status > 0 or status == -signal.SIGXFSZ, f"status {status}: {tool.describe()}")
    check_well(v, traces)


@test()
def child_of_the_tool_gets_no_signals_blocked(env):
    """A launched program starts with the signal mask and dispositions that the user's shell gives it."""
    script = "grep -E 'Sig(Blk|Ign)' /proc/self/status"
    direct = subprocess.run(["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"], capture_output=True, text=True,
                            timeout=20, restore_signals=True).stdout
    tool = memleak(env, "-c", script, "5")
    check_equal(tool.wait(), 0, f"status of {tool.describe()}")
    got = "".join(line for line in tool.out if line.startswith("Sig"))
    check_equal(got, direct, "signal mask and dispositions of the child")
