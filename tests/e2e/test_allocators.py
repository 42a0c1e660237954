# SPDX-License-Identifier: Apache-2.0
"""The allocator models against the truth: a recorder in front of the allocator knows every block that a program has."""
import os
import re
import subprocess

from harness import Skip, check, check_equal, find_program, test, wait_until
from machine import mappings
from test_engine import library
from tool import Victim

MIXES = ("go 20000 4", "go 10000 5", "leak 10")
SIZES_LEAKED = 6
NR_LEAKED = 10 * SIZES_LEAKED


def tool_path(env, name):
    path = env.path("tests", "heap", name)
    if not os.path.exists(path):
        raise Skip(f"{name} is not built (its compiler is missing)")
    return path


class Walk:
    """What heapwalk says."""

    def __init__(self, text):
        self.text = text
        self.models = {m[1]: (int(m[2]), int(m[3])) for m in
                       re.finditer(r"^model (\S+) used (\d+) bytes (\d+) ", text, re.M)}
        self.gave_up = re.findall(r"^gave-up .*", text, re.M)
        rows = list(re.finditer(r"^block (\S+) size (\d+) (\S+)", text, re.M))
        self.blocks = {int(m[1], 16): m[3] for m in rows}
        self.sizes = {int(m[1], 16): int(m[2]) for m in rows}
        self.extra = re.findall(r"^# extra 0x\S+ size (\d+)", text, re.M)
        self.numbers = {m[1]: int(m[2]) for m in re.finditer(r"^([a-z-]+) (\d+)$", text, re.M)}


def walk(env, pid, recording=None, **environ):
    argv = [tool_path(env, "heapwalk"), str(pid), *([recording] if recording else [])]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env={**os.environ, **environ})
    check_equal(done.returncode, 0, f"status of {' '.join(argv)}: {done.stderr}")
    return Walk(done.stdout)


def check_exact(seen, model, own=(0,)):
    """The blocks in use are those that were recorded; so many as `own` allows are the C library's, which are not."""
    check_equal(seen.gave_up, [], f"what was given up\n{seen.text}")
    check_equal(seen.numbers["missing"], 0, f"blocks that were not seen in use\n{seen.text}")
    check_equal(seen.numbers["short"], 0, f"blocks that are smaller than asked for\n{seen.text}")
    check(seen.numbers["extra"] in own, f"blocks that nobody asked for\n{seen.text}")
    check(seen.numbers["truth"] > 1000, f"a heap that is worth looking at\n{seen.text}")
    check_equal(seen.models[model][0], seen.numbers["truth"] + seen.numbers["extra"], f"blocks of {model}\n{seen.text}")


def check_leaks(seen, truth, known=()):
    """
    What was leaked is seen, and what is in a table is not called leaked, nor anything else but what is `known` to be lost.
    An old pointer may hide a leak or two: one in a register, or in what lies between the blocks.
    """
    found = [seen.blocks.get(addr) for addr in truth.blocks]
    check_equal(len(found), NR_LEAKED, "leaked blocks")
    check(sum(f in ("leaked", "possible", "indirect") for f in found) >= NR_LEAKED * 0.9, f"leaks that are seen\n{seen.text}")
    wrong = [hex(a) for a, kind in seen.blocks.items() if kind == "leaked" and a not in truth.blocks and a not in known]
    check_equal(wrong, [], f"blocks that are called leaked and are not\n{seen.text}")


def mixed(env, argv, preload=None, **environ):
    """A program with a mixed heap that stands still: its pid, the recording, what it leaked."""
    recording = os.path.join(env.tmp, "recording")
    if preload is not None:
        environ["LD_PRELOAD"] = ":".join([tool_path(env, "recorder.so"), *preload])
    v = env.start(Victim, argv, env={**os.environ, "RECORDER_FILE": recording, **environ}).wait_ready()
    for line in MIXES:
        truth = v.command(line, timeout=45)
    return v.pid, recording, truth


def check_preloaded(env, name, model, known=lambda pid, seen: (), **environ):
    pid, recording, truth = mixed(env, [tool_path(env, "heapmix")], preload=[library(name)], **environ)
    seen = walk(env, pid, recording)
    check_exact(seen, model)
    check_leaks(seen, truth, known(pid, seen))
    return pid, recording


GLIBC_CACHES = {"648", "664", "760", "776"}  # usable bytes of a thread's cache, which shows as a block in use


def check_glibc(env, argv, **environ):
    pid, recording, truth = mixed(env, argv, preload=[], **environ)
    seen = walk(env, pid, recording)
    check_equal(set(seen.extra) - GLIBC_CACHES, set(), f"blocks that nobody asked for\n{seen.text}")
    check_exact(seen, "glibc", own=(len(seen.extra),))
    check_leaks(seen, truth)


@test(per_engine=False, timeout=120)
def glibc_knows_every_block(env):
    check_glibc(env, [tool_path(env, "heapmix")])


@test(per_engine=False, timeout=300)
def other_releases_of_glibc_know_every_block(env):
    """SEEP_LIBCS: directories with ld-linux-x86-64.so.2 and libc.so.6 of other releases (2.34 or newer), by colons."""
    libcs = [d for d in os.environ.get("SEEP_LIBCS", "").split(":") if d]
    if not libcs:
        raise Skip("SEEP_LIBCS names no other C library")
    for directory in libcs:
        check_glibc(env, [os.path.join(directory, "ld-linux-x86-64.so.2"), "--library-path", directory,
                          tool_path(env, "heapmix")])


@test(per_engine=False, timeout=120)
def jemalloc_knows_every_block(env):
    pid, recording = check_preloaded(env, "libjemalloc.so.2", "jemalloc")
    check_exact(walk(env, pid, recording, HEAPWALK_NO_FS="1", HEAPWALK_NO_PAGES="1"), "jemalloc")


@test(per_engine=False, timeout=120)
def jemalloc_with_larger_caches(env):
    check_preloaded(env, "libjemalloc.so.2", "jemalloc", MALLOC_CONF="lg_tcache_max:20,narenas:2,dirty_decay_ms:0")


@test(per_engine=False, needs=("redis-server", "redis-benchmark"))
def jemalloc_knows_every_block_of_redis(env):
    """Debian's redis-server is linked with the library: the recorder stands in front of it."""
    recording = os.path.join(env.tmp, "recording")
    socket = os.path.join(env.tmp, "redis.sock")
    server = env.start(Victim, [find_program("redis-server"), "--port", "0", "--unixsocket", socket, "--save", "",
                                "--appendonly", "no", "--dir", env.tmp],
                       env={**os.environ, "RECORDER_FILE": recording, "LD_PRELOAD": tool_path(env, "recorder.so")})
    wait_until(lambda: os.path.exists(socket), "redis-server listens")
    subprocess.run([find_program("redis-benchmark"), "-s", socket, "-q", "-n", "10000", "-r", "5000", "-d", "200", "-t",
                    "set,lpush,sadd,hset,zadd"], check=True, timeout=60, stdout=subprocess.DEVNULL)
    seen = walk(env, server.pid, recording)
    if "jemalloc" not in seen.models:
        raise Skip("this redis-server has another allocator")
    check_exact(seen, "jemalloc")


def check_musl(env, name, own):
    pid, recording, truth = mixed(env, [tool_path(env, name)])
    seen = walk(env, pid, recording)
    check_exact(seen, "musl", own)
    check_leaks(seen, truth)


@test(per_engine=False, timeout=120)
def musl_knows_every_block(env):
    check_musl(env, "heapmix-musl", own=(1,))  # pthread_atfork() takes one past the recorder


@test(per_engine=False, timeout=120)
def musl_linked_statically(env):
    check_musl(env, "heapmix-musl-static", own=(0, 1))  # and here since musl 1.2.4


def replaced_extension(pid, seen):
    """
    The object that gperftools' InitModule() makes (malloc_extension.cc) and Register() replaces by another: nobody frees it.
    It is nothing but its table of functions, which is the library's.
    """
    maps = [m for m in mappings(pid) if "libtcmalloc" in m[4]]
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for address, size in seen.sizes.items():
            mem.seek(address)
            table = int.from_bytes(mem.read(8), "little") if size == 8 and seen.blocks[address] == "leaked" else 0
            if any(begin <= table < end for begin, end, *_ in maps):
                return [address]
    return []


@test(per_engine=False, timeout=120)
def tcmalloc_knows_every_block(env):
    check_preloaded(env, "libtcmalloc_minimal.so.4", "tcmalloc", known=replaced_extension)
