# SPDX-License-Identifier: Apache-2.0
"""seep check: a busy program with leaks of every kind, and the same program without."""
import json
import re
import subprocess
import tempfile

from harness import Proc, check, check_equal, test, wait_until
from tool import functions, victim

SIZES = {"leak_buffer": 200, "leak_ring": 80}


def seep_check(env, pid, *args):
    return env.start(Proc, [env.path("seep"), "check", "--json", "--engine", env.engine, *args, str(pid)])


def result(proc, status, timeout=60):
    check_equal(proc.wait(timeout), status, f"status of {proc.describe()}")
    check_equal(len(proc.out), 1, "lines of stdout")
    return json.loads(proc.out[0])


def by_function(report):
    """Groups with a call path, by the function of the victim that they begin in."""
    found = {}
    for g in report["groups"]:
        names = [n for n in functions(g, inlined=True) if n.startswith(("leak_", "grow_", "use_", "traffic", "start_up"))]
        if g["frames"]:
            check(names, f"a path of nobody's: {functions(g)}")
            found.setdefault(names[0], []).append(g)
    return found


def rings(v):
    return next(e["blocks"] for e in v.command("count").throughs if e["function"] == "leak_ring")


def older(report, size):
    return sum(g["blocks"] for g in report["groups"] if not g["frames"] and g["type"] is None and g["size"] in size
               and g["class"] == "leaked")


@test(timeout=90)
def every_leaking_path_is_named_whole_with_its_bytes_and_nothing_else_is_blamed(env):
    v = victim(env, "mixed")
    v.command("go")
    t = seep_check(env, v.pid, "--for", "5s")
    t.wait_for(lambda: any("ready in" in line for line in t.err), "it watches")
    before = rings(v)
    wait_until(lambda: rings(v) > before + 20, "more has leaked")
    v.command("stop")
    truth = {e["function"]: e for e in v.command("count").throughs}
    report = result(t, 1)
    found = by_function(report)
    check_equal(set(found) - {"grow_history"}, {"leak_buffer", "leak_ring", "leak_session"}, "who is blamed")
    for name, size in SIZES.items():
        (path,) = found[name]
        check_equal(path["class"], "leaked", name)
        check_equal(path["bytes"], path["blocks"] * size, f"bytes of {name}")
        check_equal(path["blocks"] + older(report, (size, size + 8)), truth[name]["blocks"], f"blocks of {name}\n{report}")
        names = functions(path)
        check_equal(names[:2], [name, "work"], "the path")
        check("start_thread" in names, f"the path is whole: {names}")
        check(path["frames"][0]["file"].endswith("mixed.cc") and path["frames"][0]["line"], f"{path['frames'][0]}")
    check_equal({p["class"] for p in found["leak_session"]}, {"leaked", "indirect"}, "a session and what it holds")
    check_equal(report["mistakes"], 0, "mistakes")
    check("leak_buffer" in report["sentence"] or "leak_session" in report["sentence"], report["sentence"])


@test(timeout=90)
def a_list_that_only_grows_is_told_from_a_cache_that_is_full_a_pool_and_traffic(env):
    v = victim(env, "mixed")
    v.command("go")
    report = result(seep_check(env, v.pid, "--for", "6s"), 1)
    found = by_function(report)
    check_equal({name for name, paths in found.items() if any(p["class"] == "growing" for p in paths)}, {"grow_history"},
                "who grows")
    check("use_cache" not in found and "use_pool" not in found and "traffic" not in found, f"blamed: {list(found)}")
    check("grow_history" in report["sentence"], report["sentence"])
    (path,) = [p for p in found["grow_history"] if p["class"] == "growing"]
    holder = path["holders"][0]
    check_equal((holder["root"]["kind"], holder["root"]["name"]), ("variable", "(anonymous namespace)::history"), "who holds them")
    check(holder["blocks"] >= 0.9 * holder["of_blocks"] and holder["of_blocks"] == path["blocks"], f"{path}")


@test(timeout=90)
def a_healthy_program_has_no_leak_and_status_0(env):
    v = victim(env, "mixed", "clean")
    v.command("go")
    report = result(seep_check(env, v.pid, "--for", "4s"), 0)
    check_equal((report["verdict"], [g for g in report["groups"] if g["class"] != "possible"]), ("none", []), "the verdict")


@test(per_engine=False)
def what_is_known_is_left_out_and_the_rest_is_written_as_other_tools_do(env):
    with tempfile.NamedTemporaryFile("w", suffix=".supp") as known:
        known.write("leak:leak_session\nleak:leak_ring\nleak:grow_history\n")
        known.flush()
        v = victim(env, "mixed")
        t = env.start(Proc, [env.path("seep"), "check", "--engine", "bpf", "--for", "3s", "--suppressions", known.name,
                             "--format", "lsan", str(v.pid)])
        t.wait_for(lambda: any("ready in" in line for line in t.err), "it watches")
        v.command("go")
        check_equal(t.wait(60), 1, f"status of {t.describe()}")
    text = "".join(t.out)
    check("ERROR: LeakSanitizer: detected memory leaks" in text and "SUMMARY: LeakSanitizer: " in text, text)
    leaks = re.findall(r"^(?:Direct|Indirect) leak of (\d+) byte\(s\) in (\d+) object\(s\) allocated from:\n"
                       r" +#0 0x[0-9a-f]+ in (\w+)\(\) \S+mixed\.cc:\d+$", text, re.M)
    check_equal([name for _, _, name in leaks], ["leak_buffer"], f"who is left\n{text}")
    check_equal(int(leaks[0][0]), int(leaks[0][1]) * SIZES["leak_buffer"], "its bytes")
    check(any("suppressed" in line and "leak:leak_session" in line for line in t.err), "what was left out is said")


@test(per_engine=False)
def check_refuses_what_it_cannot_watch_with_one_line(env):
    for args, status in (([], 2), (["999999999"], 3), (["--for", "0", "1"], 2)):
        done = subprocess.run([env.path("seep"), "check", *args], capture_output=True, text=True)
        check_equal((done.returncode, done.stdout), (status, ""), f"{args}: {done.stderr}")
        check(0 < len(done.stderr.splitlines()) <= 2, f"{args}: {done.stderr}")
