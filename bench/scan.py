# SPDX-License-Identifier: Apache-2.0
"""How long seep scan stops a program and how long it takes, by memory and by blocks: a part of bench/run."""
import json
import os
import statistics
import subprocess

# blocks, bytes of each as asked for, order of the list
HEAPS = ((25_000, 4000, ""), (250_000, 4000, ""), (1_000_000, 4000, ""), (1_000_000, 32, ""), (10_000_000, 32, ""),
         (1_000_000, 32, "random"))

METHOD = """
One look (--once) at a program whose blocks are one list (bench/blocks.c), so that each must be found by the one before it; all
of its memory is resident. The pause is what seep says: from the first thread's interruption to the last one's resumption. The
scan is from then to the last block's class, CPU time is that of the whole command, and memory is what it takes for the heap.
"""


def scan(build, pid):
    """What it says, and the seconds of CPU time that it took."""
    before = os.times()
    done = subprocess.run([f"{build}/seep", "scan", "--once", "--json", str(pid)], capture_output=True, text=True, check=False)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return (json.loads(done.stdout), cpu) if done.returncode in (0, 1) else (None, done.stderr.strip())


def resident_mib(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * 4 // 1024


def row(build, heap, cycles):
    nr, size, order = heap
    with subprocess.Popen([f"{build}/bench/blocks", str(nr), str(size), *([order] if order else [])], stdout=subprocess.PIPE) as p:
        try:
            p.stdout.readline()
            looks = [scan(build, p.pid) for _ in range(cycles)]
            resident = resident_mib(p.pid)
        finally:
            p.kill()
    name = f"| {nr:,} of {size} bytes{', in random order' if order else ''} | {resident:,} MiB |"
    if any(said is None for said, _ in looks):
        return f"{name} did not run: {looks[-1][1]} | | | |"
    pauses, scans = ([said[key] for said, _ in looks] for key in ("pause_ms", "scan_ms"))
    return (f"{name} {statistics.median(pauses):.1f} ({max(pauses):.1f}) | {statistics.median(scans):,.0f} ({min(scans):,.0f}) | "
            f"{statistics.median(cpu for _, cpu in looks) * 1000:,.0f} | {looks[-1][0]['cost_bytes'] / 2**20:.1f} MiB |")


def part_scan(build, args, out, progress):
    out("## seep scan, ms (median; of the pause the longest in parentheses, of the scan the shortest)\n")
    out(METHOD.strip() + "\n")
    out("| blocks | resident | pause | scan | CPU time | memory |\n|---|---|---|---|---|---|")
    for heap in HEAPS:
        progress(f"seep scan of {heap[0]:,} blocks of {heap[1]} bytes {heap[2]}".rstrip())
        out(row(build, heap, args.cycles))
    out("")
