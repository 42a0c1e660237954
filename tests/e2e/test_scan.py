# SPDX-License-Identifier: Apache-2.0
"""seep scan: what nothing points to, in programs that know the truth of each of their blocks."""
import collections
import contextlib
import json
import os
import signal
import subprocess
import threading

from harness import Proc, check, check_equal, find_program, test, wait_until
from test_programs import Redis
from tool import victim

LOST = ("leaked", "indirect")


def seep_scan(env, pid, *args, status=(0, 1)):
    """One scan: the object it prints."""
    argv = [env.path("seep"), "scan", "--json", "--list", *args, str(pid)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    check(done.returncode in status, f"{argv}: status {done.returncode}\n{done.stderr}")
    scan = json.loads(done.stdout)
    check_equal(done.returncode, 1 if any(g["class"] in LOST for g in scan["groups"]) else 0, "status")
    return scan


def classes(scan):
    """Class by address of every block that is not simply reached."""
    return {int(b["address"], 16): g["class"] for g in scan["groups"] for b in g["list"]}


def truths(truth):
    """What the victim knows; of two blocks at one address the later one, since the first was given back."""
    last = {int(e["address"], 16): e for e in truth.events if e["event"] == "truth"}
    return [(e["kind"], e["what"], address, e["size"]) for address, e in last.items()]


def compare(name, scan, truth):
    """Counts by kind; the blocks of the victim's that were judged wrongly; blocks called leaked that are nobody's."""
    got, rows, wrong = classes(scan), collections.defaultdict(collections.Counter), []
    known = set()
    for kind, what, address, size in truths(truth):
        c = got.get(address, "reached")
        right = {"lost": c in LOST, "held": c == "reached", "middle": c == "possible", "hidden": c in LOST,
                 "free": c not in LOST}[what]
        rows[(kind, what)][right] += 1
        known.add(address)
        if not right:
            wrong.append((kind, what, c, hex(address), size))
    strangers = [hex(a) for a, c in got.items() if c in LOST and a not in known]
    print(f"  # {name}: pause {scan['pause_ms']} ms, scan {scan['scan_ms']} ms")
    for (kind, what), n in sorted(rows.items(), key=lambda r: (r[0][1], r[0][0])):
        print(f"  #   {what:7} {kind:20} {n[True]:5} of {n[True] + n[False]:5}")
    return rows, wrong, strangers


def check_scan(name, scan, truth):
    rows, wrong, strangers = compare(name, scan, truth)
    lost = sum((n for (_, what), n in rows.items() if what == "lost"), collections.Counter())
    check(lost[True] >= 0.99 * (lost[True] + lost[False]), f"{name}: recall {lost}: {wrong[:10]}")
    blamed = [w for w in wrong if w[2] in LOST]
    check(not blamed and not strangers, f"{name}: called leaked and is not: {blamed[:10]} {strangers[:10]}")
    check(all(w[1] == "lost" for w in wrong), f"{name}: {wrong[:10]}")
    check_equal(scan["lost"], {}, f"{name}: lost")


def reach(env, level, threads, *scan_args):
    v = victim(env, f"reach-{level}", str(threads), env.victim_path("reach_module.so"))
    before = seep_scan(env, v.pid, *scan_args)
    check_equal([g for g in before["groups"] if g["class"] in LOST], [], "before anything leaks")
    truth = v.command("go")
    check_scan(f"-{level}, {threads or 'no'} threads {' '.join(scan_args)}", seep_scan(env, v.pid, *scan_args), truth)
    return v


@test(per_engine=False)
def every_kind_of_block_is_judged_rightly_without_optimization(env):
    reach(env, "O0", 0)


@test(per_engine=False)
def every_kind_of_block_is_judged_rightly_with_optimization(env):
    reach(env, "O2", 0)


@test(per_engine=False)
def blocks_of_many_arenas_are_judged_rightly(env):
    reach(env, "O0", 6)
    reach(env, "O2", 6)


@test(per_engine=False)
def without_a_snapshot_a_sleeping_program_is_judged_the_same_and_it_is_said_to_be_racy(env):
    v = reach(env, "O2", 2, "--no-snapshot")
    check(seep_scan(env, v.pid, "--no-snapshot")["racy"], "racy")


@test(per_engine=False)
def objects_of_cxx_are_judged_rightly_and_named_by_their_classes(env):
    for level in ("O0", "O2"):
        v = victim(env, f"reachcxx-{level}")
        truth = v.command("go")
        scan = seep_scan(env, v.pid)
        check_scan(f"C++ -{level}", scan, truth)
        types = {g["type"]: g["blocks"] for g in scan["groups"] if g["type"]}
        check_equal(types, {"shop::Order": 10, "shop::Both": 10}, "types")


BUSY = {
    "python3": ["-c", "import json\nprint(1, flush=True)\nwhile True:\n"
                " d = [json.loads(json.dumps({'a': [i] * 10, 'b': 'x' * i})) for i in range(300)]"],
    "perl": ["-e", "$| = 1; print 1, \"\\n\"; while (1) { @a = map { {a => $_, b => 'x' x $_} } 1 .. 300 }"],
}


def nothing_is_leaked(env, pid, keeps_out=False):
    scan = seep_scan(env, pid, status=(0,))
    check(scan["kept_out_bytes"] > 0 or not keeps_out, "memory that no child gets is seen")
    check(any(m["used_blocks"] > 100 for m in scan["models"]), f"a heap was judged: {scan['models']}")
    print(f"  # {scan['comm']}: {scan['totals']}")


@test(per_engine=False, needs=("python3", "perl"))
def interpreters_that_are_busy_have_nothing_leaked(env):
    for name, args in BUSY.items():
        p = env.start(Proc, [find_program(name), *args])
        p.wait_for(lambda: p.out, f"{name} works")
        nothing_is_leaked(env, p.pid)


NODE = ("const m = new Map(); let n = 0; setInterval(() => { for (let i = 0; i < 3000; i++) { n++;"
        " m.set(n % 20000, {a: [n, {n}], b: Buffer.alloc(n % 300), c: 'x'.repeat(n % 50)}); } if (n == 60000) console.log(n); }, 1)")


@test(per_engine=False, needs=("node",))
def a_script_whose_heap_no_child_gets_has_nothing_leaked(env):
    p = env.start(Proc, [find_program("node"), "-e", NODE])
    p.wait_for(lambda: p.out, "it works")
    nothing_is_leaked(env, p.pid, keeps_out=True)


@test(per_engine=False, needs=("redis-server", "redis-benchmark"))
def redis_under_load_has_nothing_leaked(env):
    r = Redis(env)
    load = r.load(env, 1000000)
    nothing_is_leaked(env, r.pid)
    load.stop()


@test(per_engine=False, timeout=120)
def a_scan_that_is_killed_leaves_the_program_as_it_was(env):
    v = victim(env, "reach-O2", "3")
    v.command("go")
    for i in range(15):
        p = env.start(Proc, [env.path("seep"), "scan", "--json", str(v.pid)])
        delay = threading.Event()
        delay.wait(0.002 + i * 0.004)  # at some instant of a scan, another one each time
        with contextlib.suppress(ProcessLookupError):
            p.signal(signal.SIGKILL)
        p.popen.wait()
    v.command("still there")
    kids = lambda: [c for t in os.listdir(f"/proc/{v.pid}/task") for c in open(f"/proc/{v.pid}/task/{t}/children").read().split()]
    wait_until(lambda: not kids(), "no child is left")
    states = lambda: {open(f"/proc/{v.pid}/task/{t}/stat").read().rsplit(")", 1)[1].split()[0] for t in os.listdir(f"/proc/{v.pid}/task")}
    wait_until(lambda: not states() & set("tTZ"), "no thread is stopped")
    seep_scan(env, v.pid)
