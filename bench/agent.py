# SPDX-License-Identifier: Apache-2.0
"""What the agent itself adds to a call, and takes of memory: a part of bench/run."""
import collections
import os
import subprocess

WINDOWS = {"pairs": 15, "churn": 5}

METHOD = """
The agent's code as it is put into a target, called in the benchmark's own process (bench/agent_cost.c): what it adds to a bare pair,
in ns of thread CPU time, median over windows of 20 ms that take turns, smallest in parentheses; a hook's two jumps are not in it, some
2 ns. `churn`: of a million live blocks of 16 to 528 bytes one at random is replaced. Sampling is by bytes, 512 KiB on the average.
"""

WAYS = {"hook-off": "switched off", "exact": "exact", "exact-hash": "exact, --table hash", "sampled": "--sample"}


def numbers(build, *words):
    ran = subprocess.run([os.path.join(build, "bench/agent_cost"), *words], capture_output=True, text=True, timeout=900, check=True)
    return [line.split() for line in ran.stdout.splitlines()]


def part_agent(build, out, progress):
    out("## What the agent adds to a pair, ns\n")
    out(METHOD.strip() + "\n")
    rows = collections.defaultdict(dict)
    for kind in ("pairs", "churn"):
        progress(f"the agent's own cost: {kind}")
        for _, depth, threads, way, median, least in numbers(build, kind, str(WINDOWS[kind])):
            name = f"depth {depth}" if kind == "pairs" else "churn"
            rows[f"{name}, {threads} thread{'s' if threads != '1' else ''}"][way] = float(median), float(least)
    out("| | bare | " + " | ".join(WAYS.values()) + " |\n|" + "---|" * (len(WAYS) + 2))
    for name, by_way in rows.items():
        bare = by_way["bare"]
        cells = [f"{by_way[w][0] - bare[0]:+.1f} ({by_way[w][1] - bare[1]:+.1f})" if w in by_way else "" for w in WAYS]
        out(f"| {name} | {bare[0]:.1f} ({bare[1]:.1f}) | " + " | ".join(cells) + " |")
    out("")
    progress("the agent's memory")
    out("| live blocks | heap in memory | of the agent | |\n|---|---|---|---|")
    for _, blocks, heap, agent in numbers(build, "memory"):
        out(f"| {int(blocks):,} | {int(heap) >> 20} MiB | {int(agent) >> 20} MiB | +{100 * int(agent) / int(heap):.0f} % |")
    out("")
