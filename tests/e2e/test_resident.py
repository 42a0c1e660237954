# SPDX-License-Identifier: Apache-2.0
"""--resident: what was allocated and never touched is told from what is in memory."""
import re
import subprocess

from harness import check, check_equal, test
from tool import find_through, memleak, trace, victim

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
def resident_needs_a_running_program(env):
    for args in (["memleak", "--resident"], ["seep", "trace", "--resident", "--replay", "/nowhere"]):
        done = subprocess.run([env.path(args[0]), *args[1:]], capture_output=True, text=True)
        check_equal((done.returncode, len(done.stderr.splitlines())), (2, 1), f"{args}: {done.stderr}")
