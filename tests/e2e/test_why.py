# SPDX-License-Identifier: Apache-2.0
"""seep why: who holds a block, in a program that knows how each of its blocks is held."""
import json
import subprocess

from harness import check, check_equal, test
from tool import victim

NOT_A_BLOCK = ("freed", "mapped")
LOST = ("lost", "child", "ring")


def seep_why(env, pid, address, *args):
    """Status, what it prints, what it says on stderr."""
    done = subprocess.run([env.path("seep"), "why", *args, str(pid), address], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def held(env):
    v = victim(env, "held")
    truths = {e["kind"]: e for e in v.command("go").events if e["event"] == "truth"}  # of two in a ring the second
    return v, truths


@test(per_engine=False)
def every_way_to_hold_a_block_has_its_name(env):
    v, truths = held(env)
    # kind of block: kind of root, name, offset in it, blocks on the way
    expected = {"variable": ("variable", "cache", 8, 1), "field": ("variable", "holder", 0, 2),
                "middle": ("variable", "middle", 0, 1), "kernel": ("kernel", None, 0, 1),
                "list": ("variable", "list", 0, 100000), "thread_variable": ("thread_variable", "mine", 0, 1),
                "pthread_key": ("pthread_key", None, None, 1), "stack": ("stack", None, 0, 1)}
    for kind, (root, name, offset, nr_blocks) in expected.items():
        status, out, err = seep_why(env, v.pid, truths[kind]["address"], "--json")
        check_equal(status, 0, f"{kind}: status\n{err}")
        why = json.loads(out)
        got = why["chains"][0]
        check_equal((got["root"]["kind"], got["root"]["name"]), (root, name), kind)
        check(offset is None or got["root"]["offset"] == offset, f"{kind}: {got['root']}")
        check_equal(len(got["blocks"]) + got["left_out"], nr_blocks, f"{kind}: blocks on the way")
        check_equal(got["blocks"][-1]["address"], truths[kind]["address"], kind)
        check_equal(why["groups"][0]["class"], "possible" if kind == "middle" else "reached", kind)
        check_equal((why["kind"], why["lost"], why["racy"]), ("why", {}, False), kind)
        if kind == "field":
            check_equal(got["blocks"][1]["at"], 0x18, "offset of the field")
        if kind == "middle":
            check_equal(got["blocks"][0]["into"], 1000, "where the pointer leads")
        if kind in ("thread_variable", "pthread_key", "stack"):
            check_equal(got["root"]["thread"], "worker", kind)
        if kind == "stack":
            check_equal(got["root"]["frame"]["function"], "handle_request", "whose frame")


@test(per_engine=False)
def a_lost_block_is_held_by_nothing_or_by_lost_ones(env):
    v, truths = held(env)
    for kind, first, nr in (("lost", None, 0), ("child", "lost", 2), ("ring", None, 2)):
        status, out, err = seep_why(env, v.pid, truths[kind]["address"], "--json")
        check_equal(status, 1, f"{kind}: status\n{err}")
        why = json.loads(out)
        check_equal(why["scans"], 2, "scans that agree")
        chain = why["chains"][0] if nr else None
        check_equal(len(why["chains"]), 1 if nr else 0, kind)
        check(not chain or chain["root"]["kind"] == "nothing" and len(chain["blocks"]) == nr, f"{kind}: {chain}")
        check(not first or chain["blocks"][0]["address"] == truths[first]["address"], f"{kind}: {chain}")


@test(per_engine=False)
def an_address_that_is_no_block_is_refused_in_one_line(env):
    v, truths = held(env)
    middle = hex(int(truths["variable"]["address"], 16) + 40)
    status, out, _ = seep_why(env, v.pid, middle)
    check_equal(status, 0, "an address in the block")
    check("0x28 bytes into it" in out and "variable cache+0x8 [held]" in out, out)
    for address, words in ((truths["freed"]["address"], "in no block in use: freed"),
                           (truths["mapped"]["address"], "in no heap that seep knows"), ("0x10", "nothing is mapped at 0x10")):
        status, out, err = seep_why(env, v.pid, address)
        check_equal((status, out, err.count("\n")), (3, "", 1), f"{address}: {err}")
        check(words in err, err)
    status, out, err = seep_why(env, v.pid, "12z")
    check_equal((status, err), (2, "seep: '12z' is not an address (as 0x55d0c0ffee10) for ADDRESS\n"),
                "no address")
