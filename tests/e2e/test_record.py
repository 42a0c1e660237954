# SPDX-License-Identifier: Apache-2.0
"""seep record when it cannot end in peace: what was written until then is a recording."""
import contextlib
import datetime
import json
import os
import re
import signal

from harness import check, check_equal, find_program, test, wait_until
from tool import Tool, engine_args, find_through, listed_blocks, totals, victim


def record(env, v, path, *args):
    return env.start(Tool, [env.path("seep"), "record", *engine_args(env), "-i", "100ms", "-o", path, *args, str(v.pid)])


def report(env, path):
    """The last look in a recording, and what is said of the file."""
    t = env.start(Tool, [env.path("seep"), "report", "--json", "--older", "0", "--top", "0", path])
    check_equal(t.wait(), 0, f"status of {t.describe()}")
    return json.loads(t.out[-1]), t.stderr


def size_of(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


@test()
def a_recorder_that_is_killed_leaves_what_it_saw(env):
    v, path = victim(env, "deep20"), os.path.join(env.tmp, "killed.seep")
    t = record(env, v, path).wait_attached()
    v.command("go 100 5")
    wait_until(lambda: size_of(path) and totals(find_through(report(env, path)[0], "chain01")) == (500, 5), "the blocks are in the file")
    killed = datetime.datetime.now(datetime.timezone.utc)
    t.signal(signal.SIGKILL)
    check_equal(t.wait(), -signal.SIGKILL, "status of the recorder")
    last, said = report(env, path)
    lost = (killed - datetime.datetime.fromisoformat(last["time"].replace("Z", "+00:00"))).total_seconds()
    check(lost < 1, f"all but the last second is in the file: {lost:.3f} s are missing")
    check_equal(totals(find_through(last, "chain01")), (500, 5), "what the file holds")
    check("was cut off" in said, f"that the end is missing is said: {said!r}")
    v.command("go 100 1")  # it lives


@test(needs=["mount"], engines=["bpf"])
def a_full_disk_ends_a_recording_and_what_it_holds_is_good(env):
    v, disk = victim(env, "deep20"), os.path.join(env.tmp, "disk")
    os.mkdir(disk)
    env.run([find_program("mount"), "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk])
    env.stack.callback(env.run, [find_program("umount"), "-l", disk])
    path = os.path.join(disk, "full.seep")
    t = record(env, v, path).wait_attached()
    v.command("go 100 5")
    wait_until(lambda: size_of(path) and totals(find_through(report(env, path)[0], "chain01")) == (500, 5), "the blocks are in the file")
    filler = os.open(os.path.join(disk, "filler"), os.O_WRONLY | os.O_CREAT)
    env.stack.callback(os.close, filler)
    with contextlib.suppress(OSError):
        while os.write(filler, b"x" * 512):
            pass
    check_equal(t.wait(), 3, f"status of {t.describe()}")
    check("No space left" in t.stderr, f"the reason: {t.stderr}")
    check_equal(totals(find_through(report(env, path)[0], "chain01")), (500, 5), "what the file holds")


@test(engines=["bpf", "agent"])
def a_recording_tells_how_each_path_went_and_what_is_leaked(env):
    """Without addresses, unless they are asked for."""
    v, plain, lists = victim(env, "deep20"), os.path.join(env.tmp, "plain.seep"), os.path.join(env.tmp, "lists.seep")
    t = record(env, v, plain, "--scan", "1h").wait_attached()
    for nr in (5, 10, 15):
        v.command("go 100 5")
        wait_until(lambda: size_of(plain) and totals(find_through(report(env, plain)[0], "chain01"))[1] == nr, "a look of it")
    t.interrupt()
    last, said = report(env, plain)
    check_equal(said, "", "what is said of it")
    path = find_through(last, "chain01")
    check_equal(totals(path), (1500, 15), "what the file holds")
    leaked = path[0]["leaked"]  # what an old word on the stack points to is not
    check(12 <= leaked["blocks"] <= 15 and leaked["bytes"] == 100 * leaked["blocks"], f"what the scan found: {leaked}")
    check(last["scan"]["leaked"]["blocks"] >= leaked["blocks"], f"what it found in all: {last['scan']}")
    html = env.run([env.path("seep"), "report", "--older", "0", "--format", "html", plain])
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1])
    shown = next(p for p in data["paths"] if p["blocks"] == 15)
    check_equal((shown["class"], shown["history"] == sorted(shown["history"]), {500, 1000, 1500} & set(shown["history"])),
                ("leaked", True, {500, 1000, 1500}), f"how it went: {shown['history']}")
    refused = env.start(Tool, [env.path("seep"), "report", "--list", plain])
    check_equal((refused.wait(), "--blocks" in refused.stderr), (2, True), f"lists of a file without: {refused.stderr}")
    t = record(env, v, lists, "--blocks").wait_attached()
    truth = v.command("go 100 5")
    t.interrupt()
    listed = json.loads(env.run([env.path("seep"), "report", "--json", "--older", "0", "--top", "0", "--list", lists]))
    check(truth.blocks.keys() <= listed_blocks(listed).keys() and len(listed_blocks(listed)) >= 5, "the addresses")
