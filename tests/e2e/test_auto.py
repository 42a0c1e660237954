# SPDX-License-Identifier: Apache-2.0
"""Which engine `auto` takes, and that it says why."""
import re
import signal

from harness import check, check_equal, test
from tool import Victim, check_truth, memleak, trace, victim


def engine_line(tool):
    lines = [line for line in tool.err if " watching " in line]
    check_equal(len(lines), 1, tool.describe())
    return re.sub(r"\d{2,}", "N", lines[0])


def check_watched(tool, v):
    truth = v.command("go")
    check_truth(tool.interrupt().json()[-1], truth)


@test(per_engine=False)
def auto_takes_the_agent(env):
    v = victim(env, "deep20")
    t = trace(env, v.pid).wait_attached()
    check("engine agent, " in engine_line(t), engine_line(t))
    check_watched(t, v)


@test(per_engine=False)
def auto_takes_bpf_for_a_stopped_program_and_says_so(env):
    v = victim(env, "deep20")
    v.signal(signal.SIGSTOP)
    t = trace(env, v.pid).wait_attached()
    check("engine bpf (no thread of process N can be made to work for us now: it is stopped by a signal), " in
          engine_line(t), engine_line(t))
    v.signal(signal.SIGCONT)
    check_watched(t, v)


@test(per_engine=False)
def auto_takes_bpf_where_a_filter_forbids_the_agent_and_says_so(env):
    argv = [env.path("tests", "harm", "filtered"), "errno", env.victim_path("deep20")]
    v = env.start(Victim, argv).wait_ready()
    t = trace(env, v.pid).wait_attached()
    check("engine bpf (" in engine_line(t) and "seccomp" in engine_line(t), engine_line(t))
    check_watched(t, v)


@test(per_engine=False)
def auto_takes_bpf_for_what_the_agent_cannot_do_and_says_so(env):
    v = victim(env, "deep20")
    t = memleak(env, "-p", v.pid, "-t", "200ms").wait_attached()
    check("engine bpf (engine agent cannot print each call), " in engine_line(t), engine_line(t))
    v.command("go")
    t.wait_for(lambda: any("alloc entered" in line for line in t.out), "calls are printed")

