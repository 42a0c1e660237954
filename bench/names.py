# SPDX-License-Identifier: Apache-2.0
"""How long the names of call paths take in a program with 100 MB of debug information: a part of bench/run."""
import json
import os
import shutil
import signal
import statistics
import subprocess
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
UNITS = 32  # copies of names.cc, some 3.2 MB of debug information each
PATHS = 10  # of a report
BLOCK = 1000  # bytes that the first one keeps; the next one a byte more, and so on
INTERVAL = "3"  # seconds: long beside what naming takes
LIMIT = 60  # seconds for one watch; what hangs is ended, and then there is no report

METHOD = """
A report of {paths} call paths, each of 17 functions and an inlined one, in {paths} units of a C++ program: from Ctrl-C until the report
has come. `first`: no name of that program has been asked for before. `later`: there was a report of {paths} other paths before.
""".format(paths=PATHS)

MAIN = """
#include <stdio.h>
#include <stdlib.h>
{declarations}
static void (*const leak[])(size_t, int) = {{{names}}};
int main(int argc, char **argv)
{{
	int first, nr;

	(void)argv;
	puts("ready");
	fflush(stdout);
	while (scanf("%d %d", &first, &nr) == 2) {{
		for (int i = first; i < first + nr; i++)
			leak[i]({block} + (size_t)i, argc > 100);
		puts("done");
		fflush(stdout);
	}}
	return 0;
}}
"""


def run(*argv, cwd):
    subprocess.run(argv, cwd=cwd, check=True, stdin=subprocess.DEVNULL)


def build(folder):
    """The program, in `folder`; its path and the bytes of its debug information."""
    flags = ["-O1", "-g", "-fomit-frame-pointer", "-gz=none"]
    run("g++", "-std=c++17", *flags, "-c", os.path.join(HERE, "names.cc"), "-o", "unit.o", cwd=folder)
    listed = subprocess.run(["nm", "--defined-only", "unit.o"], cwd=folder, capture_output=True, text=True, check=True)
    defined = sorted({line.split()[-1] for line in listed.stdout.splitlines()})
    for i in range(UNITS):
        with open(os.path.join(folder, "renamed"), "w") as f:
            f.writelines(f"{name} {name}.u{i}\n" for name in defined)
        run("objcopy", "--redefine-syms=renamed", "unit.o", f"unit{i}.o", cwd=folder)
    with open(os.path.join(folder, "main.c"), "w") as f:
        f.write(MAIN.format(block=BLOCK, names=", ".join(f"leak{i}" for i in range(UNITS)), declarations="\n".join(
            f'void leak{i}(size_t, int) __asm__("leak_deep.u{i}");' for i in range(UNITS))))
    run("gcc", *flags, "-c", "main.c", cwd=folder)
    run("g++", *flags, "main.o", *(f"unit{i}.o" for i in range(UNITS)), "-o", "large", cwd=folder)
    sizes = subprocess.run(["size", "-A", "large"], cwd=folder, capture_output=True, text=True, check=True).stdout
    return os.path.join(folder, "large"), sum(int(line.split()[1]) for line in sizes.splitlines() if line.startswith(".debug_"))


class Watched:
    """The program, and seep trace on it."""

    def __init__(self, seep, program):
        self.program = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.program.stdout.readline()
        self.seep = subprocess.Popen([seep, "trace", "--engine", "bpf", "--json", "--older", "0", "--top", str(PATHS),
                                      str(self.program.pid), INTERVAL], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.limit = threading.Timer(LIMIT, self.seep.kill)
        self.limit.start()
        while (line := self.seep.stderr.readline()) and "watching" not in line:
            pass

    def leak(self, first):
        print(first, PATHS, file=self.program.stdin, flush=True)
        self.program.stdout.readline()

    def wait_for_report(self):
        while not json.loads(self.seep.stdout.readline())["paths"]:
            pass

    def last_report(self, first):
        """Milliseconds from Ctrl-C until it is there; it must have the names of these paths."""
        began = time.monotonic()
        self.seep.send_signal(signal.SIGINT)
        report = json.loads(self.seep.stdout.readline())
        took = (time.monotonic() - began) * 1000
        new = [p for p in report["paths"] if p["bytes"] >= BLOCK + first]
        named = [p for p in new if sum(bool(f["line"]) and "step<" in f["function"] for f in p["frames"]) >= 12]
        if len(named) != PATHS:
            raise ValueError(f"{len(named)} of {PATHS} new paths have their names")
        return took

    def stop(self):
        self.limit.cancel()
        for p in (self.seep, self.program):
            p.kill()
            p.communicate()


def measure(seep, program, is_first):
    watched = Watched(seep, program)
    try:
        watched.leak(0)
        if is_first:
            return watched.last_report(0)
        watched.wait_for_report()
        watched.leak(PATHS)
        return watched.last_report(PATHS)
    finally:
        watched.stop()


def part_names(seep, folder, args, out):
    out("## Names of 10 call paths in a large program, ms (median, longest in parentheses)\n")
    if not shutil.which("g++") or not shutil.which("objcopy"):
        out("Not measured: no g++ or no objcopy.\n")
        return
    out(METHOD.strip() + "\n")
    out("| debug information | first | later |\n|---|---|---|")
    program, size = build(folder)
    measure(seep, program, True)  # the file is in memory from here on
    cells = []
    for is_first in (True, False):
        took = [measure(seep, program, is_first) for _ in range(args.cycles)]
        cells.append(f"{statistics.median(took):.0f} ({max(took):.0f})")
    out(f"| {size / 1e6:.0f} MB | {' | '.join(cells)} |\n")
