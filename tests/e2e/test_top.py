# SPDX-License-Identifier: Apache-2.0
"""seep top on this machine: each way in which free memory goes ends in its own sentence, and numbers are vmstat's.

Other programs run here, too. What a test takes is larger than what they take meanwhile, and a test waits until what it
took is the largest; what they took by then is in the sentence's own numbers.
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

from harness import Failed, Proc, Skip, check, check_equal, find_program, test, wait_until
from tool import Victim

MB = 1 << 20
BIG = 400  # MiB: more than a build's or a test's programs take in a second or two
V1 = "/sys/fs/cgroup/memory"


class Top(Proc):
    """seep top --json with its looks as they come."""

    def __init__(self, env, *args, interval="0.25"):
        super().__init__([env.path("seep"), "top", "--json", *args, interval])

    def looks(self):
        return [json.loads(line) for line in self.out if line.endswith("\n")]

    def last(self):
        return next((json.loads(line) for line in reversed(self.out) if line.endswith("\n")), None)

    def wait_looks(self, nr=1):
        self.wait_for(lambda: len(self.out) >= nr, f"{nr} looks")
        return self.looks()

    def wait_look(self, condition, what, timeout=15):
        """A look for which condition holds, and then the last object, which must say the same."""
        try:
            self.wait_for(lambda: (v := self.last()) and condition(v), what, timeout)
        except Failed as failed:
            raise Failed(f"{failed}\n{self.last()['verdict']}\n{self.last()['change']}") from None
        return self.end()

    def wait_cause(self, cause, pid=None, amount=0, timeout=15):
        return self.wait_look(lambda v: v["verdict"]["cause"] == cause and (pid is None or v["verdict"]["pid"] == pid)
                              and v["verdict"]["amount_bytes"] >= amount, f"cause {cause} pid {pid}", timeout)

    def end(self):
        self.signal(signal.SIGINT)
        check_equal(self.wait(), 0, f"status of {self.describe()}")
        v = self.last()
        check(v["last"] and not v["lost"], "the last object", v["last"], v["lost"])
        return v["verdict"]


def start(env, *args, interval="0.25"):
    top = env.start(Top, env, *args, interval=interval)
    top.wait_looks(2)
    return top


def hog(env, *prefix):
    return env.start(Victim, [*prefix, env.victim_path("hog")]).wait_ready()


def process(look, pid):
    return next((p for p in look["processes"] if p["pid"] == pid), None)


def check_says(verdict, pattern, following):
    check(re.search(pattern, verdict["sentence"]), "sentence:", verdict["sentence"])
    check_equal(verdict["next"], following, "next")


# ---- leaks ----

@test(per_engine=False)
def a_fast_leak_is_named_with_its_pace(env):
    h = hog(env)
    top = start(env)
    h.command("grow 8192 25")
    top.wait_looks(14)
    v = top.wait_cause("process", h.pid, BIG * MB)
    check_says(v, rf"anonymous memory of hog\[{h.pid}\], still growing [\d.]+ MiB/s", f"seep trace {h.pid}")
    p = process(top.last(), h.pid)
    check_equal((p["comm"], p["trend"], p["new"]), ("hog", "steady", False), "the process")
    check(p["confidence"] > 0.99, "confidence", p["confidence"])
    held = int(re.search(r"^RssAnon:\s+(\d+) kB", open(f"/proc/{h.pid}/status").read(), re.M)[1]) * 1024
    check(p["growth_bytes"] <= p["anon_bytes"] <= held, "anonymous", p["anon_bytes"], held)


@test(per_engine=False)
def the_demos_leak_of_8_kib_a_second_is_found(env):
    leak = env.start(Proc, [env.path("demo", "leak")])
    top = start(env, interval="1")

    def is_found(v):
        p = process(v, leak.pid)
        return p and p["trend"] == "steady"

    verdict = top.wait_look(is_found, "the demo's leak is steady", timeout=40)
    look = top.last()
    p = process(look, leak.pid)
    check(300e3 < p["bytes_per_minute"] < 700e3, "slope", p["bytes_per_minute"])
    named = {verdict["pid"], verdict["steady_pid"]}
    if leak.pid in named:
        check_says(verdict, rf"leak\[{leak.pid}\] grows steadily", f"seep trace {leak.pid}")
    else:  # something here grew steadily by more: then that is named, and this is in the list
        check(any(p["trend"] == "steady" and p["pid"] in named for p in look["processes"]), verdict["sentence"])


@test(per_engine=False)
def a_cache_that_is_full_is_no_leak(env):
    h = hog(env)
    top = start(env)
    h.command(f"settle {BIG}")
    v = top.wait_cause("settled", h.pid)
    check_says(v, rf"of hog\[{h.pid}\], which has not grown for", f"seep map {h.pid}")
    check_equal(process(top.last(), h.pid)["trend"], "paused", "trend")


@test(per_engine=False)
def many_small_processes_are_one_cause(env):
    h = hog(env)
    top = start(env)
    h.command(f"crowd 100 {BIG // 100}")
    v = top.wait_cause("crowd")
    check_says(v, rf"of \d+ processes named hog, children of process {h.pid}", f"ps --ppid {h.pid}")


@test(per_engine=False)
def address_space_that_is_not_touched_takes_nothing(env):
    h = hog(env)
    for _ in range(5):
        top = start(env)
        h.command("reserve 6")
        top.wait_looks(5)
        v = top.end()
        if v["cause"] == "reserved":
            break  # else somebody else took memory at the same time, which comes first
    if v["cause"] != "reserved":
        check(f"hog[{h.pid}] reserved 6.0 GiB" in v["sentence"], v["sentence"])
        raise Skip("other programs here took memory all the time: " + v["sentence"])
    check_says(v, rf"hog\[{h.pid}\] reserved 6.0 GiB of address space and touched next to nothing", f"seep map {h.pid}")


# ---- what no process holds ----

@test(per_engine=False)
def a_file_that_is_read_is_no_leak(env):
    size = 3 * BIG
    with tempfile.NamedTemporaryFile(dir="/var/tmp") as f:
        block = os.urandom(MB)
        for _ in range(size):
            f.write(block)
        f.flush()
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        top = start(env)
        subprocess.run(["cat", f.name], stdout=subprocess.DEVNULL)
        v = top.wait_cause("page_cache")
    check(re.search(r"no leak: the page cache grew [\d.]+ [MG]iB; the kernel gives it back", v["sentence"]), v["sentence"])
    if not v["steady_pid"]:
        check_equal(v["next"], None, "next")


@test(per_engine=False)
def names_that_the_kernel_remembers_are_reclaimable_slab(env):
    h = hog(env)
    folder = os.path.join(env.tmp, "names")
    os.mkdir(folder)
    top = start(env)
    h.command(f"dentries 1000000 {folder}", timeout=30)
    v = top.wait_cause("slab_reclaimable")
    if not v["steady_pid"]:
        check_says(v, r"reclaimable slab of the kernel, which it gives back.*; dentry alone grew", "seep kernel")
    check("dentry" in [s["name"] for s in top.last()["slabs"]], top.last()["slabs"])


@test(per_engine=False)
def unread_datagrams_are_unreclaimable_slab(env):
    h = hog(env)
    top = start(env)
    h.command(f"sockets {BIG}", timeout=30)
    v = top.wait_cause("slab_unreclaimable")
    if not v["steady_pid"]:
        check_says(v, "slab of the kernel that it cannot give back; [a-z0-9-]+ alone grew", "seep kernel")


@test(per_engine=False, needs=["ipcrm"])
def a_segment_left_behind_is_mapped_by_nobody(env):
    top = start(env)
    code = ("import ctypes; libc = ctypes.CDLL(None); libc.shmat.restype = ctypes.c_void_p\n"
            f"i = libc.shmget(0, {BIG * MB}, 0o1600); a = libc.shmat(i, None, 0); ctypes.memset(a, 1, {BIG * MB}); print(i)")
    number = env.run([sys.executable, "-c", code]).strip()
    env.stack.callback(subprocess.run, ["ipcrm", "-m", number], capture_output=True)
    check_says(top.wait_cause("shared_unmapped"), "shared memory that no process maps", "seep shm")


@test(per_engine=False)
def a_file_in_dev_shm_is_mapped_by_nobody(env):
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as f:
        top = start(env)
        for _ in range(BIG):
            f.write(bytes(MB))
        f.flush()
        check_says(top.wait_cause("shared_unmapped"), "shared memory that no process maps", "seep shm")


@test(per_engine=False)
def a_memfd_that_is_not_mapped(env):
    h = hog(env)
    top = start(env)
    h.command(f"memfd {BIG}")
    check_says(top.wait_cause("shared_unmapped"), "shared memory that no process maps", "seep shm")


@test(per_engine=False)
def shared_memory_that_a_process_maps_is_its_own(env):
    h = hog(env)
    top = start(env)
    h.command(f"mapped {BIG}")
    check_says(top.wait_cause("shared_mapped", h.pid), rf"shared memory that hog\[{h.pid}\] maps", f"seep map {h.pid}")


# ---- a container near its limit ----

@test(per_engine=False)
def a_cgroup_near_its_limit_tells_when_it_is_full(env):
    if not os.access(f"{V1}/memory.limit_in_bytes", os.R_OK):
        raise Skip("the memory controller is not mounted as version 1 (version 2: unit tests on recorded trees)")
    folder = f"{V1}/seep-test-{os.getpid()}"
    try:
        os.mkdir(folder)
    except OSError as error:
        raise Skip(f"cannot make a cgroup: {error}") from None
    env.stack.callback(wait_until, lambda: not os.path.exists(folder) or os.rmdir(folder) is None, "the cgroup is gone")
    with open(f"{folder}/memory.limit_in_bytes", "w") as f:
        f.write(str(600 * MB))
    h = hog(env)
    with open(f"{folder}/cgroup.procs", "w") as f:
        f.write(str(h.pid))
    env.stack.callback(h.stop)  # before the cgroup goes
    top = start(env)
    h.command("grow 2048 25")
    top.wait_looks(16)
    v = top.wait_look(lambda v: "full in" in v["verdict"]["sentence"] and v["verdict"]["pid"] == h.pid, "when it is full")
    check(re.search(rf"its cgroup {os.path.basename(folder)} has [\d.]+ MiB left of 600.0 MiB: full in \d+s at this rate",
                    v["sentence"]), v["sentence"])
    h.stop()
    h = hog(env)
    with open(f"{folder}/cgroup.procs", "w") as f:
        f.write(str(h.pid))
    h.command("settle 570")
    top = start(env)
    v = top.end()
    check_equal([c["name"] for c in top.last()["full_cgroups"]][:1], [os.path.basename(folder)], "full cgroups")
    check(f"cgroup {os.path.basename(folder)} is nearly full" in v["sentence"], v["sentence"])
    h.stop()


# ---- nothing ----

@test(per_engine=False)
def a_quiet_machine_has_no_leak(env):
    """Judged by what the machine did meanwhile: quiet is when nobody's memory changed by as much as noise is."""
    for _ in range(6):
        top = start(env)
        top.wait_looks(8)
        v = top.end()
        change = top.last()["change"]
        change["free"] += change.pop("free_lists")
        steady = [p["pid"] for p in top.last()["processes"] if p["trend"] == "steady"]
        if not steady and all(abs(c) < v["noise_bytes"] for c in change.values()):
            check_equal((v["cause"], v["next"]), ("nothing", None), "verdict")
            check(v["sentence"].startswith("free did not change in "), v["sentence"])
            return
        check(v["cause"] != "nothing" or all(c < v["noise_bytes"] for k, c in change.items() if k != "free"), v, change)
    raise Skip(f"this machine is not quiet: {change}")


# ---- numbers ----

COLUMNS = "r b swpd free buff cache si so bi bo in cs us sy id wa st".split()


class Moment:
    """
    /proc as it was at one instant, mounted over /proc for the programs that are started with it: what they say of the
    same instant can be compared to the last digit, however fast memory changes here.
    """

    FILES = ("meminfo", "stat", "vmstat", "uptime", "zoneinfo", "loadavg", "cpuinfo")

    def __init__(self, env):
        self.folder = os.path.join(env.tmp, "moment")
        os.makedirs(f"{self.folder}/self")
        for name in ("mountinfo", "mounts", "stat", "status"):
            with open(f"/proc/self/{name}", "rb") as f, open(f"{self.folder}/self/{name}", "wb") as to:
                to.write(f.read())
        os.symlink("self/mounts", f"{self.folder}/mounts")
        self.take()

    def take(self):
        """Replaces it by the present instant; in place, because a reader may have the files open."""
        for name in self.FILES:
            with open(f"/proc/{name}", "rb") as f:
                text = f.read()
            path = f"{self.folder}/{name}"
            with open(path, "r+b" if os.path.exists(path) else "w+b") as to:
                to.write(text)
                to.truncate()

    def argv(self, *argv):
        return [find_program("unshare"), "--mount", "/bin/sh", "-c", 'mount --bind "$0" /proc && exec "$@"', self.folder, *argv]


def vmstat_line(text):
    numbers = text.split()
    return dict(zip(COLUMNS, map(int, numbers[:len(COLUMNS)])))


MEMORY = ("b", "swpd", "free", "buff", "cache")
RATES = ("si", "so", "bi", "bo", "in", "cs")


@test(per_engine=False, needs=["vmstat", "unshare", "mount"])
def the_line_is_that_of_vmstat(env):
    """
    Both see the same two instants, three seconds apart. A rate is per second that has really passed with us, and per
    second asked for with vmstat.
    """
    moment = Moment(env)
    for _ in range(5):
        ours = env.start(Proc, moment.argv(env.path("seep"), "top", "--json", "3", "2"))
        theirs = env.start(Proc, moment.argv("vmstat", "3", "2"))
        began = time.monotonic()
        try:
            theirs.wait_for(lambda: len(theirs.out) >= 3 and ours.out, "the first line of each")
        except Failed as failed:
            raise Skip(f"/proc cannot be mounted over: {failed}") from None
        moment.take()
        if time.monotonic() - began < 2.8:
            break  # before either of them looks for the second time
        ours.stop(), theirs.stop()
    check_equal((ours.wait(), theirs.wait()), (0, 0), "status")
    check_equal(theirs.out[1].split()[:len(COLUMNS)], COLUMNS, "vmstat's heading")
    first, second = (json.loads(line)["vmstat"] for line in ours.out[:2])
    seconds = json.loads(ours.out[1])["interval_ms"] / 1000
    wanted = vmstat_line(theirs.out[3])
    # vmstat 4.0.2 goes on saying what was free at its start; asked anew it knows better.
    now = vmstat_line(env.run(moment.argv("vmstat", "1", "1")).splitlines()[2])
    times = ("us", "sy", "id", "wa", "st")
    for what, line, says, columns in (("the first line", first, vmstat_line(theirs.out[2]), MEMORY + times),
                                      ("memory", second, now, MEMORY), ("times", second, wanted, times)):
        check_equal([line[c] for c in columns], [says[c] for c in columns], f"{what}: {columns}")
        check(line["r"] - says["r"] in (0, 1), "vmstat since 4.0.3 leaves itself out", line, says)
    for c in RATES:  # each rounded to a whole number for a second, and the time to a millisecond
        check(abs(second[c] * seconds - wanted[c] * 3) <= seconds / 2 + 1.5 + second[c] / 1000, c, second[c], wanted[c], seconds)
    check(second["in"] > 0 and second["cs"] > 0, "the second instant was seen", second)


@test(per_engine=False, needs=["free", "unshare", "mount"])
def the_kinds_add_up_to_what_free_says(env):
    moment = Moment(env)
    done = subprocess.run(moment.argv("free", "-b"), capture_output=True, text=True, timeout=10)
    if done.returncode:
        raise Skip(f"/proc cannot be mounted over: {done.stderr.strip()}")
    memory, swap = (line.split()[1:] for line in done.stdout.splitlines()[1:3])
    total, _, free, shared, cache, available = map(int, memory)
    m = json.loads(env.run(moment.argv(env.path("seep"), "top", "--json", "1", "1")))["memory"]
    kinds = sum(v for k, v in m.items() if k not in ("total", "free", "available", "swap_used", "committed"))
    check_equal(m["free"] + kinds, m["total"], "free and the kinds")
    ours = m["page_cache"] + m["shared"] + m["buffers"] + m["slab_reclaimable"]
    check_equal((m["total"], m["free"], m["shared"], ours, m["available"], m["swap_used"]),
                (total, free, shared, cache, available, int(swap[1])), "total, free, shared, buff/cache, available, swap")


# ---- ways to call it ----

@test(per_engine=False)
def a_pipe_gets_plain_lines_and_the_sentence_last(env):
    began = time.monotonic()
    done = subprocess.run([env.path("seep"), "top", "0.2", "4"], capture_output=True, text=True, timeout=20)
    check_equal((done.returncode, done.stderr), (0, ""), "status and stderr")
    lines = done.stdout.splitlines()
    check(lines[0].startswith("procs ----") and lines[1].split() == COLUMNS, "heading", lines[:2])
    for line in lines[2:6]:
        check(len(line.split()) == len(COLUMNS), line)
    check_equal(lines[6], "", "an empty line behind the fourth look")
    check(re.match(r"free (fell|rose|did not change)", lines[-1]) and "\033" not in done.stdout, lines[-1])
    check(0.6 < time.monotonic() - began < 10, "time")


@test(per_engine=False)
def a_signal_ends_it_with_the_sentence(env):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        p = env.start(Proc, [env.path("seep"), "top", "0.2"])
        p.wait_for(lambda p=p: len(p.out) >= 4, "two looks")
        p.signal(number)
        check_equal(p.wait(), 0, "status")
        check(re.match(r"free (fell|rose|did not change)", p.out[-1]), p.out[-1])


@test(per_engine=False)
def bad_words_are_one_line_and_status_2(env):
    for words in (["0"], ["x"], ["3", "0"], ["3", "2", "1"], ["--sort", "colour"], ["--filter", ""], ["--top", "-1"]):
        done = subprocess.run([env.path("seep"), "top", *words], capture_output=True, text=True, timeout=10)
        check_equal((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1), f"{words}: {done.stderr}")


@test(per_engine=False)
def a_filter_and_an_order_choose_the_processes(env):
    h = hog(env)
    done = subprocess.run([env.path("seep"), "top", "--json", "--filter", "victims/hog", "--sort", "anon", "0.2", "2"],
                          capture_output=True, text=True, timeout=10)
    found = json.loads(done.stdout.splitlines()[-1])["processes"]
    check(h.pid in [p["pid"] for p in found] and all("victims/hog" in p["command"] for p in found), found)


@test(per_engine=False)
def a_reader_that_goes_away_ends_it(env):
    done = subprocess.run(f"{env.path('seep')} top 0.1 | head -n 3", shell=True, capture_output=True, text=True, timeout=10)
    check_equal((done.stdout.count("\n"), done.stderr), (3, ""), "lines and stderr")


@test(per_engine=False)
def it_needs_no_privileges(env):
    done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--", env.path("seep"), "top",
                           "0.2", "2"], capture_output=True, text=True, timeout=10)
    check_equal((done.returncode, done.stderr), (0, ""), "status and stderr")
    check(re.match(r"free (fell|rose|did not change)", done.stdout.splitlines()[-1]), done.stdout)


@test(per_engine=False)
def a_full_disk_is_said(env):
    with open("/dev/full", "w") as full:
        done = subprocess.run([env.path("seep"), "top", "0.2", "2"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=10)
    check_equal(done.returncode, 3, "status")
    check(re.fullmatch(r"seep: cannot write .*No space left on device\n", done.stderr), done.stderr)
