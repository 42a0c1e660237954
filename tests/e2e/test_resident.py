# SPDX-License-Identifier: Apache-2.0
"""--resident: what was allocated and never touched is told from what is in memory."""
import json
import re
import subprocess

from harness import check, check_equal, test
from tool import Tool, find_through, memleak, trace, victim

MB = 1 << 20


@test()
def only_what_was_touched_is_in_memory(env):
    v = victim(env, "touched")
    t = trace(env, v.pid, "--resident").wait_attached()
    v.command("go")
    report = t.wait_report().interrupt().json()[-1]
    for name, touched in (("leak_touched", 8 * MB), ("leak_untouched", 0), ("leak_in_part", 3 * MB)):
        path = find_through(report, name)[0]
        check_equal(path["bytes"], 8 * MB, f"bytes of {name}")
        check(abs(path["resident"] - touched) <= 4 * 4096, f"{name}: {path['resident']} resident, {touched} touched")


@test()
def memleak_says_it_behind_each_stack(env):
    v = victim(env, "touched")
    t = memleak(env, "-p", v.pid, "-o", "0", "--resident", "1").wait_attached()
    v.command("go")
    t.wait_report().wait_report().interrupt()
    sizes = [int(m[1]) for m in re.finditer(r"^\t8388608 bytes in 1 allocations from stack \((\d+) resident\)$", t.stdout, re.M)]
    check(len(sizes) >= 3 and max(sizes) > 8 * MB - 4 * 4096 and min(sizes) <= 4 * 4096, f"sizes: {sizes}\n{t.stdout}")


@test(per_engine=False)
def check_says_it_of_what_is_lost(env):
    v = victim(env, "touched")
    v.command("go")  # lost before the watch: without a call path
    p = env.start(Tool, [env.path("seep"), "check", "--resident", "--json", "--for", "2s", str(v.pid)]).wait_attached()
    v.command("go")
    v.command("go")
    p.wait()
    report = json.loads(p.stdout)
    for name, touched in (("leak_touched", 8 * MB), ("leak_untouched", 0)):  # a register may still hold the last block
        group = find_through({"paths": [g for g in report["groups"] if g["frames"]]}, name)[0]
        check(abs(group["resident"] - touched * group["blocks"]) <= 8 * 4096, f"{name}: {group}, {touched} touched")
    before = [g for g in report["groups"] if not g["frames"]]
    check(abs(sum(g["resident"] for g in before) - 11 * MB) <= 16 * 4096, f"what was lost before: {before}")


@test(per_engine=False)
def resident_needs_a_running_program(env):
    for args in (["memleak", "--resident"], ["seep", "trace", "--resident", "--replay", "/nowhere"]):
        done = subprocess.run([env.path(args[0]), *args[1:]], capture_output=True, text=True)
        check_equal((done.returncode, len(done.stderr.splitlines())), (2, 1), f"{args}: {done.stderr}")
