# SPDX-License-Identifier: Apache-2.0
"""Stacks are the ones that gdb finds, frame by frame."""
import os

from harness import Skip, check, check_equal, test
from machine import gdb_at_malloc, where_in_files
from tool import Victim, listed_blocks, plain_name, show, trace, victim

PYTHON = "/usr/bin/python3"
UNIQUE = 77777  # a size that nothing else asks for


def check_same_stack(pid, path, gdb):
    """
    The same return addresses, file by file and byte by byte, so nothing depends on what either side knows of names; and the
    same names where gdb has one for a frame and its inlined ones.
    """
    physical = [f for f in path["frames"] if not f["inlined"]]
    got = where_in_files(pid, [int(f["address"], 16) for f in physical])
    wanted = [f["where"] for f in gdb if not f["inlined"]]
    lines = [f"  {g} {f['function']}" for g, f in zip(got, physical)]
    lines += ["gdb:"] + [f"  {f['where']} {f['function']}" for f in gdb if not f["inlined"]]
    check(got == wanted, "not gdb's stack:\n" + "\n".join(lines))


def names(frames):
    return [plain_name(f["function"]) for f in frames]


def path_of_size(report, size):
    """The one call path that holds the block of this size."""
    paths = [p for p in report["paths"] if any(b["size"] == size for b in p.get("list", []))]
    check(len(paths) == 1, f"{len(paths)} call paths hold a block of {size} bytes\n{show(report)}")
    return paths[0]


@test(timeout=90)
def deep_chain_equals_gdb(env):
    gdb = gdb_at_malloc(env, [env.victim_path("deep20")], UNIQUE, f"go {UNIQUE} 1\n")
    check_equal(names(gdb)[:21], [f"chain{i:02}" for i in range(1, 21)] + ["main"], "gdb's own answer")
    v = victim(env, "deep20")
    t = trace(env, v.pid, "-a").wait_attached()
    v.command(f"go {UNIQUE} 1")
    report = t.interrupt().json()[-1]
    check(UNIQUE in listed_blocks(report).values(), show(report))
    path = path_of_size(report, UNIQUE)
    check_same_stack(v.pid, path, gdb)
    check_equal(names(path["frames"])[:21], names(gdb)[:21], "names")


# Python functions, sorted() calling back, a method: C and Python frames take turns.
SCRIPT = """
import sys
print('{"event":"ready","pid":0}', flush=True)
kept = []
class Maker:
    def make(self, n):
        kept.append(b"x" * (n - 33))
        return 0
def key(n):
    return Maker().make(n)
def descend(depth, n):
    if depth:
        return descend(depth - 1, n)
    return sorted([n], key=key)
for line in sys.stdin:
    list(map(lambda n: descend(3, n), [int(line)]))
    print('{"event":"done","command":"go"}', flush=True)
"""


@test(timeout=120)
def debian_python_equals_gdb(env):
    if not os.path.exists(PYTHON):
        raise Skip(f"{PYTHON} is not there")
    script = os.path.join(env.tmp, "script.py")
    with open(script, "w") as f:
        f.write(SCRIPT)
    argv = [os.path.realpath(PYTHON), "-S", "-E", script]
    gdb = gdb_at_malloc(env, argv, UNIQUE, f"{UNIQUE}\n")
    check(len(gdb) > 10, f"gdb's own answer: {gdb}")
    v = env.start(Victim, argv).wait_ready()
    t = trace(env, v.pid, "-a").wait_attached()
    v.command(str(UNIQUE))
    check_same_stack(v.pid, path_of_size(t.interrupt().json()[-1], UNIQUE), gdb)


@test(timeout=120)
def cxx_with_inlined_frames_equals_gdb(env):
    gdb = gdb_at_malloc(env, [env.victim_path("cxx")], 1313, "go\n")
    v = victim(env, "cxx")
    t = trace(env, v.pid, "-a").wait_attached()
    v.command("go")
    path = path_of_size(t.interrupt().json()[-1], 1313)
    check_same_stack(v.pid, path, gdb)
    wanted = names(gdb)
    end = wanted.index("main") + 1
    check_equal(names(path["frames"])[:end], wanted[:end], "names, inlined ones too")


@test(timeout=60)
def frames_have_lines_offsets_and_modules(env):
    v = victim(env, "deep20")
    t = trace(env, v.pid, "-a").wait_attached()
    v.command(f"go {UNIQUE} 1")
    frames = path_of_size(t.interrupt().json()[-1], UNIQUE)["frames"]
    for f in frames[:21]:
        check(f["file"] and f["file"].endswith("deep20.c") and f["line"] > 0, f"no line: {f}")
        check(f["module"] == "deep20" and f["address"].startswith("0x"), f"module and address: {f}")
        check(f["inlined"] or f["offset"] > 0, f"offset: {f}")
    source = os.path.join(os.path.dirname(__file__), "..", "victims", "deep20.c")
    with open(source) as f:
        text = f.read().splitlines()
    check("malloc(size)" in text[frames[0]["line"] - 1], f"chain01's line is malloc's: {frames[0]}")
