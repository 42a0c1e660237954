# SPDX-License-Identifier: Apache-2.0
"""seep map: each segment is what its owner knows it to be, numbers are pmap's and smem's, the heap's inside is told."""
import json
import os
import re
import signal
import subprocess
import sys

from harness import Failed, Proc, Skip, check, check_equal, find_program, test
from machine import HUGE, dead_pid, kernel_thread, need_huge_pages
from tool import victim

MB = 1 << 20


def run_map(env, *args, wanted=0):
    done = subprocess.run([env.path("seep"), "map", *map(str, args)], capture_output=True, text=True, timeout=20)
    check_equal(done.returncode, wanted, f"status: {done.stderr}{done.stdout}")
    return done


def look(env, pid, *args):
    return json.loads(run_map(env, "--json", *args, pid).stdout)


def segment(report, name):
    found = [s for s in report["segments"] if s["segment"] == name]
    return found[0] if found else {"resident": 0, "size": 0, "growth": 0}


def at(report, address):
    return next(m for m in report["maps"] if int(m["start"], 16) <= address < int(m["end"], 16))


@test(per_engine=False)
def every_segment_is_what_its_owner_knows_it_to_be(env):
    v = victim(env, "segments")
    truth = v.command(f"all {env.path('seep')}")
    report = look(env, v.pid, "-v")
    for e in truth.events:
        if e["event"] == "segment":
            m = at(report, e["address"])
            check_equal(m["segment"], e["kind"], f"segment of {e}: {m}")
            check(m["resident"] >= e["resident"], f"resident of {e}: {m}")
    tid = next(e["tid"] for e in truth.events if e["event"] == "thread")
    check_equal([m["segment"] for m in report["maps"] if m["tid"] == tid], ["thread_stack"], "the thread's stack")
    check_equal([m["segment"] for m in report["maps"] if m["tid"] == v.pid], ["stack"], "the first thread's stack")
    check_equal(sum(s["resident"] for s in report["segments"]), report["total"]["resident"], "the sum of the segments")
    check_equal(at(report, next(e["address"] for e in truth.events if e.get("kind") == "malloc"))["owner"], "glibc",
                "who owns a large block")
    leaks = {s["segment"]: s["can_leak"] for s in report["segments"]}
    check_equal((leaks["heap"], leaks["stack"], leaks["readonly"], leaks["file"]), ("yes", "no", "no", "address_space"),
                "what can leak")


def pmap(pid):
    """pmap -XX as {start: {column: KiB}}, and its last line, the sums."""
    lines = subprocess.run(["pmap", "-XX", str(pid)], capture_output=True, text=True, check=True).stdout.splitlines()
    heads = lines[1].split()
    columns = heads[heads.index("Size"):heads.index("VmFlags")] if "VmFlags" in heads else heads[heads.index("Size"):]
    rows = {}
    for line in lines[2:]:
        m = re.match(r"\s*([0-9a-f]+) [r-][w-][x-][sp]\s+\S+\s+\S+\s+\d+\s+(.*)$", line)
        if m:
            rows[int(m[1], 16)] = dict(zip(columns, map(int, m[2].split()[:len(columns)])))
    return rows


@test(per_engine=False, needs=["pmap"])
def numbers_are_those_of_pmap(env):
    v = victim(env, "segments")
    v.command(f"all {env.path('seep')}")
    v.command("leak 2000")
    report, theirs = look(env, v.pid, "-v"), pmap(v.pid)
    check(len(theirs) > 20, "pmap's mappings", len(theirs))
    check_equal({int(m["start"], 16) for m in report["maps"]}, set(theirs), "the mappings")
    for m in report["maps"]:
        t = theirs[int(m["start"], 16)]
        ours = [m[k] // 1024 for k in ("size", "resident", "pss", "anonymous", "dirty", "swapped")]
        wanted = [t["Size"], t["Rss"], t["Pss"], t["Anonymous"], t["Shared_Dirty"] + t["Private_Dirty"], t["Swap"]]
        pss = ours[2] - wanted[2]
        ours[2] = wanted[2] = 0  # a library that others start or stop using meanwhile changes it
        check_equal(ours, wanted, f"size, resident, anonymous, dirty, swapped of {m}")
        check(abs(pss) <= 64, "pss", m, t)
    total = report["total"]
    check_equal(total["resident"] // 1024, sum(t["Rss"] for t in theirs.values()), "resident in all")
    unique = sum(t["Private_Clean"] + t["Private_Dirty"] for t in theirs.values())
    check(abs(total["unique"] // 1024 - unique) <= 64, "unique", total, unique)  # shared libraries, as with pss


@test(per_engine=False, needs=["smem"])
def totals_are_those_of_smem(env):
    v = victim(env, "segments")
    v.command("leak 3000")
    total = look(env, v.pid)["total"]
    text = subprocess.run(["smem", "-H", "-c", "pid swap uss pss rss", "-P", "segments"], capture_output=True, text=True,
                          check=True).stdout
    rows = [list(map(int, line.split())) for line in text.splitlines() if line.split()[0] == str(v.pid)]
    check_equal(len(rows), 1, f"smem's line of {v.pid}: {text}")
    _, swap, uss, pss, rss = rows[0]
    check_equal((total["swapped"] // 1024, total["resident"] // 1024), (swap, rss), "swapped, resident")
    check(abs(total["unique"] // 1024 - uss) <= 64 and abs(total["pss"] // 1024 - pss) <= 64, "uss, pss", total, rows)


@test(per_engine=False)
def a_heap_that_does_not_shrink_is_told_from_a_leak(env):
    leaky, empty = victim(env, "segments"), victim(env, "segments")
    leaky.command("leak 20000")
    empty.command("fragment 20000")
    full, idle = look(env, leaky.pid), look(env, empty.pid)
    check(abs(segment(full, "heap")["resident"] - segment(idle, "heap")["resident"]) < MB, "both heaps are as large")
    h = full["heaps"][0]
    check(h["allocator"] == "glibc" and h["used_held_bytes"] > 0.9 * h["held_bytes"] > 15 * MB, "in use", h)
    check_equal((full["verdict"]["cause"], full["verdict"]["next"]), ("heap", f"seep scan {leaky.pid}"), "verdict")
    h = idle["heaps"][0]
    check(h["held_bytes"] > 15 * MB and h["used_held_bytes"] < MB and h["free_bytes"] > 15 * MB, "not in use", h)
    v = idle["verdict"]
    check_equal((v["cause"], v["next"]), ("idle_heap", None), "verdict")
    check(re.search(r"^glibc holds [\d.]+ MiB in memory, and only [\d.]+ KiB of it is in blocks in use: the rest is "
                    r"fragmentation or left from a peak, no leak$", v["sentence"]), v["sentence"])


@test(per_engine=False)
def what_was_never_touched_is_said_to_take_no_memory(env):
    v = victim(env, "segments")
    v.command("untouched 1024")
    report = look(env, v.pid)
    check(segment(report, "malloc")["size"] >= 1024 * MB > 50 * segment(report, "malloc")["resident"], "malloc's mappings")
    check("1.0 GiB are allocated and were never touched: they take no memory" in report["verdict"]["sentence"],
          report["verdict"])


@test(per_engine=False)
def huge_pages_are_counted_where_they_belong(env):
    need_huge_pages(env, 3)
    code = ("import mmap, sys\n"
            f"own = mmap.mmap(-1, {2 * HUGE}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)\n"  # MAP_HUGETLB
            f"shared = mmap.mmap(-1, {HUGE}, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | 0x40000)\n"
            "own[0] = shared[0] = 1; print('ready', flush=True); sys.stdin.read()")
    p = env.start(Proc, [sys.executable, "-c", code])
    p.wait_line(re.compile("^ready"))
    report = look(env, p.pid, "-v")
    rows = [(m["segment"], m["size"], m["huge"], m["resident"]) for m in report["maps"] if m["huge"]]
    check_equal(sorted(rows), [("anonymous", 2 * HUGE, HUGE, 0), ("shared", HUGE, HUGE, 0)], "mappings with huge pages")
    check_equal((segment(report, "anonymous")["huge"], segment(report, "shared")["huge"], report["total"]["huge"]),
                (HUGE, HUGE, 2 * HUGE), "anonymous, shared, all")
    text = run_map(env, p.pid).stdout
    check("and 4.0 MiB of huge pages, which the kernel does not count as resident" in text, text)


class Looks(Proc):
    """seep map --json with an interval."""

    def __init__(self, env, pid, *args):
        super().__init__([env.path("seep"), "map", "--json", *args, pid, "0.4"])

    def reports(self):
        return [json.loads(line) for line in self.out if line.endswith("\n")]

    def grow(self, v, *commands, condition):
        """The victim grows until one look sees it whole: what happens during a look is in two of them in parts."""
        for _ in range(8):
            for command in commands:
                before = len(self.out)
                v.command(command)
                self.wait_for(lambda: len(self.out) >= before + 2, "two more looks")
            found = [r for r in self.reports()[before:] if condition(r)]
            if found:
                return found[0]
        raise Failed(f"no look after {command} with that growth: {[r['verdict'] for r in self.reports()[1:]]}")

    def end(self):
        self.signal(signal.SIGINT)
        check_equal(self.wait(), 0, "status after Ctrl-C")


@test(per_engine=False)
def growth_is_counted_and_named(env):
    v = victim(env, "segments")
    looks = env.start(Looks, env, v.pid)
    looks.wait_for(lambda: looks.out, "a first look")
    grown = looks.grow(v, "leak 8000", condition=lambda r: segment(r, "heap")["growth"] > 6 * MB
                       and r["verdict"]["cause"] == "heap" and r["heaps"][0]["growth_used_bytes"] > 6 * MB)
    check(grown["verdict"]["growth"], "the heap grows", grown["verdict"])
    grown = looks.grow(v, "map 8192", condition=lambda r: segment(r, "anonymous")["growth"] >= 4 * MB)
    check_equal((grown["verdict"]["cause"], grown["verdict"]["next"]), ("anonymous", f"seep trace --growth {v.pid}"), "the map")
    grown = looks.grow(v, "leak 9000", "fragment 9000",  # the first fills what the second may have left
                       condition=lambda r: r["verdict"]["growth"] and r["verdict"]["cause"] == "idle_heap")
    check("free memory inside it, no leak" in grown["verdict"]["sentence"], grown["verdict"])
    looks.end()


@test(per_engine=False)
def a_thread_that_never_waits_is_counted_as_not_seen(env):
    v = victim(env, "segments")
    v.command("spin")
    report = look(env, v.pid)
    check_equal((report["threads"], report["lost"]), (2, {"thread_stacks": 1}), "threads, lost")


@test(per_engine=False)
def the_end_of_the_process_ends_the_looks(env):
    v = victim(env, "segments")
    looks = env.start(Looks, env, v.pid)
    looks.wait_for(lambda: looks.out, "a first look")
    v.stop()
    check_equal(looks.wait(), 0, "status")
    check_equal(looks.stderr, "seep: the process has ended\n", "what it says")


@test(per_engine=False)
def text_says_what_json_says(env):
    v = victim(env, "segments")
    v.command(f"all {env.path('seep')}")
    text, report = run_map(env, "-v", v.pid).stdout, look(env, v.pid, "-v")
    check(text.endswith(f"\n{report['verdict']['sentence']}.\n"), text[-600:])
    for s in report["segments"]:
        check(s["freed_by"] in text, "who frees", s["segment"])
    check_equal(len(re.findall(r"^[0-9a-f]+-[0-9a-f]+ +[r-][w-][x-][sp] ", text, re.M)), len(report["maps"]), "mappings")
    quick = look(env, v.pid, "--no-heap")
    check("heaps" not in quick and quick["total"]["size"] == report["total"]["size"], "without the heap")


@test(per_engine=False)
def processes_that_cannot_be_looked_at_get_one_line(env):
    for args, status, text in (([], 2, "which process?"), ([dead_pid()], 3, "no such process"), ([os.getpid(), "x"], 2, "'x'"),
                               ([kernel_thread()], 3, "thread of the kernel"), (["no-such-program"], 3, "no-such-program")):
        done = run_map(env, *args, wanted=status)
        check(done.stdout == "" and len(done.stderr.splitlines()) == 1 and text in done.stderr, args, done.stderr)


@test(per_engine=False, needs=["setpriv"])
def somebody_elses_process_is_refused(env):
    nobody = [find_program("setpriv"), "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    if subprocess.run([*nobody, env.path("seep"), "--version"], capture_output=True).returncode:
        raise Skip("nobody may not run the program where it is built")
    done = subprocess.run([*nobody, env.path("seep"), "map", str(os.getpid())], capture_output=True, text=True)
    check_equal((done.returncode, len(done.stderr.splitlines()), done.stdout), (3, 1, ""), done.stderr)
