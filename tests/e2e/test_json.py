# SPDX-License-Identifier: Apache-2.0
"""--json: one object a line, as doc/json.md describes it; and seep's own text."""
import json
import os
import re

from harness import check, check_equal, find_program, test
from tool import Tool, engine_args, find_through, totals, trace, victim

DOC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "doc", "json.md")
HEX = re.compile(r"^0x[0-9a-f]+$")


def keys_of(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_of(inner)


def reports_of(env, *args):
    v = victim(env, "cxx")
    t = trace(env, v.pid, *args).wait_attached()
    v.command("go")
    t.wait_report().wait_report().interrupt()
    return v, t.json()


@test()
def reports_obey_the_description(env):
    v, reports = reports_of(env, "-a")
    for nr, r in enumerate(reports, 1):
        check(r["schema"] and r["kind"] == "outstanding", f"schema and kind: {r['schema']} {r['kind']}")
        check_equal((r["pid"], r["engine"], r["report"]), (v.pid, env.engine, nr), "pid, engine, number")
        check(re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", r["time"]), f"time: {r['time']}")
        check_equal(r["last"], nr == len(reports), "last")
        check(isinstance(r["lost"], dict), "lost")
        check_equal(totals(r["paths"]), (r["totals"]["bytes"], r["totals"]["blocks"]), "sum of the paths")
        for p in r["paths"]:
            check(p["bytes"] >= p["blocks"] >= 1 and p["frames"], f"path: {p}")
            check_equal((sum(b["size"] for b in p["list"]), len(p["list"])), (p["bytes"], p["blocks"]), "a path's list")
            for f in p["frames"]:
                check({"function", "offset", "module", "file", "line", "address", "inlined"} <= f.keys(), f"frame: {f}")
                check(HEX.match(f["address"]) and isinstance(f["inlined"], bool), f"frame: {f}")
            for b in p["list"]:
                check(HEX.match(b["address"]) and b["size"] >= 0 and b["age_ms"] >= 0, f"block: {b}")


@test()
def every_key_is_described(env):
    _, reports = reports_of(env, "-a")
    with open(DOC) as f:
        described = set(re.findall(r"`\"?([a-z_]+)\"?`", f.read()))
    check_equal(sorted(set(keys_of(reports)) - described), [], "keys that doc/json.md does not name")


@test()
def growth_and_age(env):
    v = victim(env, "deep20")
    t = trace(env, v.pid, interval="300ms").wait_attached()
    v.command("go 100 5")
    t.wait_report().wait_report()
    v.command("go 100 3")
    t.wait_report()
    t.interrupt()
    rows = [p for r in t.json() for p in find_through(r, "chain01")]
    check_equal(sum(p["growth_bytes"] for p in rows), 800, "growth from report to report")
    check_equal((rows[-1]["bytes"], rows[-1]["total_growth_bytes"]), (800, 800), "bytes and growth in all")
    check(rows[-1]["oldest_ms"] >= 300, f"age of the oldest block: {rows[-1]['oldest_ms']}")


@test()
def launch_mode(env):
    t = env.start(Tool, [env.path("seep"), "trace", *engine_args(env), "--json", "--older", "0", "5", "--",
                         env.victim_path("exiter"), "0"])
    check_equal(t.wait(), 0, f"status of {t.describe()}")
    lines = [line for line in t.out if '"kind":"outstanding"' in line]
    check(lines, t.describe())
    report = json.loads(lines[-1])
    check(report["last"] and report["target_ended"], "the last report says so")
    check_equal(totals(find_through(report, "late_leak")), (5 * 1234, 5), "main's leak")
    check_equal(totals(find_through(report, "early_leak")), (3 * 111, 3), "the constructor's leak")


def gate(env, supp, *command):
    """seep trace --fail-on-leak on a command; its last report and status."""
    path = os.path.join(env.tmp, "supp")
    with open(path, "w") as f:
        f.write(supp)
    t = env.start(Tool, [env.path("seep"), "trace", *engine_args(env), "--json", "--fail-on-leak", "--suppressions", path,
                         "--", *command])
    status = t.wait()
    lines = [line for line in t.out if '"kind":"outstanding"' in line]
    check_equal(len(lines), 1, f"reports of {t.describe()}")
    return json.loads(lines[0]), status, t


@test()
def a_gate_fails_for_what_is_left_and_not_for_what_is_suppressed(env):
    report, status, t = gate(env, "", env.victim_path("exiter"))
    check_equal(status, 1, f"status of {t.describe()}")
    check_equal(totals(find_through(report, "late_leak")), (5 * 1234, 5), "main's leak")
    report, status, t = gate(env, "leak:^late_leak$\n", env.victim_path("exiter"))
    check_equal((status, report["totals"]["bytes"]), (1, 3 * 111), f"status, what is left of {t.describe()}")
    report, status, t = gate(env, "# both\nleak:^late_leak$\nleak:early\n", env.victim_path("exiter"))
    check_equal((status, report["totals"]["blocks"]), (0, 0), f"status, blocks of {t.describe()}")
    check(report["suppressed"]["bytes"] >= 5 * 1234 + 3 * 111, f"suppressed: {report['suppressed']}")
    check("5 blocks: leak:^late_leak$" in t.stderr, f"rules that took something: {t.stderr}")
    _, status, t = gate(env, "", env.victim_path("exiter"), "9")
    check_equal(status, 9, f"a program's own failure is passed on: {t.describe()}")


@test(needs=["jq"])
def works_with_jq(env):
    v = victim(env, "deep20")
    script = f'{env.path("seep")} trace --engine {env.engine} --json --older 0 {v.pid} 100ms 2 | jq -c .totals.bytes'
    out = env.run([find_program("sh"), "-c", script])
    check_equal(len(out.split()), 2, f"jq's output: {out!r}")


@test()
def own_text_names_lines_and_goes_to_stdout_only(env):
    v = victim(env, "cxx")
    t = env.start(Tool, [env.path("seep"), "trace", *engine_args(env), "--older", "0", str(v.pid), "300ms"])
    t.wait_for(lambda: len(t.out) > 0, "the first report")
    v.command("go")
    before = len(t.out)
    t.wait_for(lambda: any("leak_map" in line for line in t.out[before:]), "a report that names the leak")
    t.interrupt()
    text = t.stdout
    check(re.search(r"leak_map\(int\).*cxx\.cc:\d+", text), f"function and line: {text[-3000:]}")
    check("\x1b" not in text, "no colours into a pipe")
    check(all("bytes in" not in line for line in t.err), "results are not on stderr")
