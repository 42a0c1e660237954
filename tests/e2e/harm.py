# SPDX-License-Identifier: Apache-2.0
"""For the tests that try to hurt a target: a host that knows when it was hurt, and what a process looks like from outside.

SEEP_SOAK=1 (make soak) makes every storm as long as it should be once before a release.
"""
import hashlib
import os
import random
import re
import signal
import subprocess

from harness import DEADLINE, Failed, Proc, Skip, check, check_equal, wait_until

SOAK = bool(os.environ.get("SEEP_SOAK"))


def rounds(quick, long):
    return long if SOAK else quick


class Host(Proc):
    """tests/unit/inject_inputs/host.c: allocates, waits, and counts what is wrong."""

    def __init__(self, path, *args, skip=(None, ""), **kwargs):
        super().__init__([path, *args], **kwargs)
        try:
            self.wait_line(re.compile(r"^ready$"))
        except Failed:
            if self.popen.poll() == skip[0]:
                raise Skip(skip[1]) from None
            raise

    def talk(self):
        before = len(self.out)
        self.popen.stdin.write(b"t")
        self.popen.stdin.flush()
        self.wait_for(lambda: len(self.out) > before, "the host answers")
        words = self.out[before].split()
        return dict(zip(words[::2], map(int, words[1::2])))

    def check_well(self, eintr=0):
        """It works on, and nothing that it has looked at was wrong."""
        first = self.talk()
        check_equal(first["tracer"], 0, "TracerPid")
        now = wait_until(lambda: (t := self.talk())["ops"] != first["ops"] and t, "the host works on")
        check_equal(now["bad"], 0, "wrong answers of the host")
        check(now["eintr"] <= eintr, f"{now['eintr']} EINTR in the host, at most {eintr} allowed")

    def finish(self, eintr=0):
        """Its own verdict: all was well, but for so many EINTR."""
        self.popen.stdin.write(b"q")
        self.popen.stdin.flush()
        if self.wait(60) != 7:
            end = re.search(r"^end: eintr (\d+) bad 0$", self.stdout, re.M)
            check(end and int(end[1]) <= eintr, f"the host's own verdict: {self.describe()}")


def host(env, *args, **kwargs):
    return env.start(Host, env.path("tests", "unit", "inject_inputs", "inject_host"), *args, **kwargs)


# ---- what a process looks like ----

STATUS = ("TracerPid", "SigBlk", "SigIgn", "SigCgt", "NoNewPrivs", "Seccomp", "Seccomp_filters", "CapEff", "Uid", "Gid")


def status_fields(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        fields = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    return {key: fields.get(key) for key in STATUS}


def mappings(pid):
    """(start, end, rights, offset, path) of the mappings of files; what an allocator maps changes all the time."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
        rows = [line.split(None, 5) for line in f]
    return [(*(int(x, 16) for x in r[0].split("-")), r[1], r[2], r[5].strip()) for r in rows if len(r) > 5 and "/" in r[5]]


def code_hash(pid):
    """Of every byte of code that comes from files."""
    total = hashlib.sha256()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for start, end, rights, _offset, _path in mappings(pid):
            if "x" in rights:
                mem.seek(start)
                total.update(mem.read(end - start))
    return total.hexdigest()


def looks(pid):
    """What must be the same before and after."""
    return {
        "mappings of files": mappings(pid),
        "descriptors": sorted((fd, os.readlink(f"/proc/{pid}/fd/{fd}")) for fd in os.listdir(f"/proc/{pid}/fd")),
        "status": status_fields(pid),
        "children": zombies(pid),
        "code": code_hash(pid),
    }


def zombies(pid):
    """Of its children. Those that it has itself are told apart by not being dead."""
    found = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{tid}/children", encoding="utf-8") as f:
                children = f.read().split()
        except OSError:
            continue
        found += [c for c in children if state(c) == "Z"]
    return found


def state(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return f.read().rpartition(")")[2].split()[0]
    except OSError:
        return None


def check_looks(before, pid):
    after = looks(pid)
    for key, value in before.items():
        check_equal(after[key], value, f"{key} before and after")


# ---- the drill ----

def drill(env, verb, pid, *args, **kwargs):
    return env.start(Proc, [env.path("tests", "harm", "drill"), verb, pid, *args], **kwargs)


def run_drill(env, verb, pid, *args, status=0, timeout=DEADLINE, **kwargs):
    """To its end; returns its lines as lists of words."""
    d = drill(env, verb, pid, *args, **kwargs)
    check_equal(d.wait(timeout), status, f"status of {d.describe()}")
    return [line.split() for line in d.out]


def numbers(line):
    """The words behind the first one: names and numbers in turn."""
    return dict(zip(line[1::2], map(int, line[2::2])))


def is_clean(env, pid):
    lines = run_drill(env, "look", pid)
    found = numbers(lines[0])
    return found["regions"] == 0 and found["patches"] == 0


def wait_clean(env, pid, timeout=60):
    """The guard has taken everything out."""
    wait_until(lambda: is_clean(env, pid), f"nothing of ours is left in {pid}", timeout=timeout, every=0.02)


def kill_later(tool, seed, longest):
    """Kills it at an instant that the seed chooses, at most `longest` seconds from now."""
    wait = random.Random(seed).uniform(0, longest)
    try:
        tool.popen.wait(wait)
    except subprocess.TimeoutExpired:
        tool.signal(signal.SIGKILL)
    check_equal(tool.wait(), -signal.SIGKILL, f"status of {tool.describe()}")
