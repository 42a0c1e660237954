# SPDX-License-Identifier: Apache-2.0
"""What an hour's recording costs, and what seep serve does meanwhile: a part of bench/run."""
import contextlib
import os
import re
import signal
import subprocess
import threading
import time
import urllib.request

SECONDS = 30  # for the hour
LIMIT = 10 * SECONDS
TICK_NS = 1e9 / os.sysconf("SC_CLK_TCK")

METHOD = f"""
An hour of a server's traffic, 360,000 requests at an even pace, done in {SECONDS} seconds (bench/traffic.c: {3600 // SECONDS} times as fast, some 11
blocks a request, 7,000 of them live, a few hundred leaked). seep looks ten times a second, {10 * SECONDS} times in all. The program's CPU time is
its own, for the whole hour; seep's is that of all its processes, their start included; memory is the largest that they had together,
as the sum of their private and shared parts (RSS).
`seep serve` is asked for /metrics once a second.
"""


class Program:
    def __init__(self, build):
        self.popen = subprocess.Popen([f"{build}/bench/traffic", str(SECONDS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.popen.pid
        self.popen.stdout.readline()

    def hour(self):
        """Seconds of its CPU time; None: it hangs, or was killed."""
        limit = threading.Timer(LIMIT, self.popen.kill)
        limit.start()
        print(file=self.popen.stdin, flush=True)
        line = self.popen.stdout.readline()
        limit.cancel()
        return int(line.split()[0]) / 1e9 if line else None

    def stop(self):
        self.popen.kill()
        self.popen.communicate()


def stat_of(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rsplit(")", 1)[1].split()


class Watcher(threading.Thread):
    """seep and the processes that it has made: CPU time, and the most memory, as long as it runs."""

    def __init__(self, argv):
        super().__init__(daemon=True)
        self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                      start_new_session=True)
        self.cpu, self.most_bytes, self.said = {}, 0, []
        self.start()

    def run(self):
        page = os.sysconf("SC_PAGE_SIZE")
        while self.popen.poll() is None:
            resident = 0
            for pid in filter(str.isdigit, os.listdir("/proc")):
                with contextlib.suppress(OSError):
                    words = stat_of(pid)
                    if int(words[3]) == self.popen.pid or words[1] in self.cpu:  # its session; its guard has one of its own
                        self.cpu[pid] = (int(words[11]) + int(words[12])) * TICK_NS
                        resident += int(words[21]) * page
            self.most_bytes = max(self.most_bytes, resident)
            time.sleep(0.2)

    def wait_for(self, pattern):
        """A line of its stderr; None: it has ended before."""
        for line in self.popen.stderr:
            self.said.append(line)
            if m := re.search(pattern, line):
                return m
        return None

    def stop(self):
        self.popen.send_signal(signal.SIGINT)
        try:
            self.popen.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.communicate()
        self.join()

    def seconds(self):
        return sum(self.cpu.values()) / 1e9


def scrape(address, until):
    while not until.wait(1):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://{address}/metrics", timeout=5).read()


def measure(build, argv, ready):
    """(seconds of the program's CPU time, the watcher when it has ended); None: it does not watch."""
    program = Program(build)
    watcher = Watcher([f"{build}/seep", *argv, str(program.pid)])
    ended = threading.Event()
    try:
        listening = watcher.wait_for(ready)
        if not listening:
            return None
        if listening.groups():
            time.sleep(2)  # its child attaches
            threading.Thread(target=scrape, args=(listening[1], ended), daemon=True).start()
        return program.hour(), watcher
    finally:
        ended.set()
        watcher.stop()
        program.stop()


def part_record(build, folder, progress, out):
    out(f"## An hour of traffic in {SECONDS} seconds: recording, serving\n")
    out(METHOD.strip() + "\n")
    out("| | the program, s of CPU time | seep, s of CPU time | seep's memory | the file |\n|---|---|---|---|---|")
    progress("an hour of traffic, bare")
    program = Program(build)
    bare = program.hour()
    program.stop()
    out(f"| bare | {bare:.2f} | | | |")
    for name, options, ready in ROWS:
        progress(f"an hour of traffic under {name}")
        file = os.path.join(folder, "hour.seep")
        argv = [o.replace("FILE", file) for o in options]
        got = measure(build, argv, ready)
        if not got or got[0] is None:
            out(f"| {name} | {'stalls its target' if got else 'does not start'} | | | |")
            continue
        took, watcher = got
        size = f"{os.path.getsize(file) / 1024:,.0f} KiB" if os.path.exists(file) else ""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file)
        out(f"| {name} | {took:.2f} | {watcher.seconds():.1f} | {watcher.most_bytes / 2**20:.0f} MiB | {size} |")
    out("")


RECORD = ["record", "-i", "100ms", "-o", "FILE"]
ROWS = [
    ("seep record --engine agent", [*RECORD, "--engine", "agent"], "watching"),
    ("seep record --engine agent --blocks", [*RECORD, "--engine", "agent", "--blocks"], "watching"),
    ("seep record --engine bpf", [*RECORD, "--engine", "bpf"], "watching"),
    ("seep serve --engine agent", ["serve", "--engine", "agent", "-i", "100ms", "--listen", "127.0.0.1:0"], r"http://([\d.:]+)"),
    ("seep serve --engine bpf", ["serve", "--engine", "bpf", "-i", "100ms", "--listen", "127.0.0.1:0"], r"http://([\d.:]+)"),
]
