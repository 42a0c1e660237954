# SPDX-License-Identifier: Apache-2.0
"""How long a target stands still while hooks go into it and out of it: a part of bench/run."""
import os
import re
import signal
import statistics
import subprocess

THREADS = (1, 10, 200)
ROUNDS = 10  # in and out, for each cycle of bench/run
SECONDS = 120  # for all rounds of one row

METHOD = """
A pause is the time from the first thread's interruption to the last one's resumption, taken by the injector itself (tests/harm/drill),
with hooks on every function of the allocator that the program uses. Idle threads wait in the kernel, busy ones call the
allocator all the time; the main thread, which waits, is one more. Leaving may take several stops; the longest counts.
"""


class Host:
    """tests/unit/inject_inputs/host.c with so many threads."""

    def __init__(self, build, nr, kind):
        counts = [str(nr), "0"] if kind == "busy" else ["0", str(nr)]
        self.proc = subprocess.Popen([os.path.join(build, "tests/unit/inject_inputs/inject_host"), *counts],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.proc.stdout.readline()  # it is ready

    def stop(self):
        self.proc.kill()
        self.proc.communicate()


def pauses(build, pid, rounds):
    """Milliseconds of each attach and of each detach; or the reason why there are none."""
    drill = subprocess.Popen([os.path.join(build, "tests/harm/drill"), "cycle", str(pid), str(rounds), "--max-pause", "5000"],
                             stdout=subprocess.PIPE, text=True)
    try:
        text, _ = drill.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:  # fewer rounds then
        drill.send_signal(signal.SIGTERM)
        text, _ = drill.communicate()
    got = [[int(us) / 1000 for us in re.findall(rf"^{word} .*pause_us (\d+)", text, re.M)] for word in ("in", "out")]
    if not all(got):
        return None, (text.strip().splitlines() or ["says nothing"])[-1]
    return got, ""


def cell(values):
    return f"{statistics.median(values):.2f} ({max(values):.2f})"


def part_pause(build, args, out):
    out("## Pause of the target, ms (median, longest in parentheses)\n")
    out(METHOD.strip() + "\n")
    out("| threads | attach | detach |\n|---|---|---|")
    for nr in THREADS:
        for kind in ("idle", "busy"):
            host = Host(build, nr, kind)
            try:
                got, reason = pauses(build, host.proc.pid, ROUNDS * args.cycles)
            finally:
                host.stop()
            out(f"| {nr} {kind} | {cell(got[0])} | {cell(got[1])} |" if got else f"| {nr} {kind} | {reason} | |")
    out("")
