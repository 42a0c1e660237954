# SPDX-License-Identifier: Apache-2.0
"""The tool under test, its output as data, the victims' truth, and the comparison of the two."""
import json
import os
import re
import signal

from harness import DEADLINE, Failed, Proc, check, check_equal, wait_until

HEADER = re.compile(r"^\[(\d\d:\d\d:\d\d)\] Top (\d+) stacks with outstanding allocations:$")
BLOCK = re.compile(r"^\taddr = ([0-9a-f]+) size = (\d+)$")
STACK = re.compile(r"^\t(\d+) bytes in (\d+) allocations from stack$")
FRAME = re.compile(r"^\t\t(?:0x[0-9a-f]{16}\t)?(.+?)(?:\+0x([0-9a-f]+))? \[(.+)\]$")
REPORT_BEGINS = re.compile(r"^\[\d\d:\d\d:\d\d\] Top |^\{")
WATCHING = re.compile(r"engine \S+.*, ready in ")


def wait_watched(tool, victim, engine):
    """After an exec: the agent has to enter anew, bpf watches the file. Reports come when it is in, not before."""
    if engine == "agent":
        wait_until(lambda: mapped(victim.pid, "memfd:seep"), "the agent is in")
    tool.wait_report().wait_report()


def mapped(pid, name):
    with open(f"/proc/{pid}/maps") as f:
        return name in f.read()


# ---- the victims ----

class Truth:
    """What a victim says of itself: its last word on each call path."""

    def __init__(self, events):
        self.paths = [e for e in events if e["event"] == "path"]
        self.throughs = [e for e in events if e["event"] == "through"]
        self.blocks = {int(e["address"], 16): e["size"] for e in events if e["event"] == "block"}
        self.events = events


class Victim(Proc):
    def __init__(self, argv, **kwargs):
        super().__init__(argv, **kwargs)
        self.seen = 0

    def events(self):
        return [json.loads(line) for line in self.out if line.startswith("{")]

    def wait_ready(self, nth=1):
        self.wait_for(lambda: sum(e["event"] == "ready" for e in self.events()) >= nth, "the victim is ready")
        return self

    def command(self, line, timeout=DEADLINE):
        """Sends a command, waits until it is carried out and returns the truth it printed."""
        before = len(self.events())
        self.send(line)
        self.wait_for(lambda: any(e["event"] in ("done", "error") for e in self.events()[before:]), f"done: {line}",
                      timeout)
        events = self.events()[before:]
        for e in events:
            check(e["event"] != "error", f"the victim failed: {e}")
        return Truth(events)


# ---- the tool ----

class Tool(Proc):
    """memleak or seep, attached or launching."""

    def wait_attached(self, timeout=DEADLINE):
        """It says that it watches, or has printed a report: either means that the probes are in place."""
        self.wait_for(lambda: any(WATCHING.search(line) for line in self.err)
                      or any(REPORT_BEGINS.search(line) for line in self.out), "the tool is attached", timeout)
        return self

    def wait_report(self, timeout=DEADLINE):
        """Waits for one more report than there are now, which is complete when the next one begins."""
        count = self.nr_reports()
        self.wait_for(lambda: self.nr_reports() > count, "one more report", timeout)
        return self

    def nr_reports(self):
        return sum(bool(REPORT_BEGINS.search(line)) for line in self.out)

    def interrupt(self, timeout=DEADLINE):
        """Ctrl-C: a last report and status 0."""
        self.signal(signal.SIGINT)
        check_equal(self.wait(timeout), 0, f"status after Ctrl-C of {self.describe()}")
        return self

    def json(self):
        """Every report; each line of stdout must be one object."""
        return [json.loads(line) for line in self.out]

    def texts(self):
        return parse_memleak(self.stdout)


def engine_args(env):
    return ["--engine", env.engine] if env.engine else []


def memleak(env, *args, **kwargs):
    return env.start(Tool, [env.path("memleak"), *engine_args(env), *args], **kwargs)


def trace(env, target, *args, interval="200ms", **kwargs):
    """seep trace --json on a pid: every block of any age, every call path."""
    return env.start(Tool, [env.path("seep"), "trace", *engine_args(env), "--json", "--older", "0", "--top", "0",
                            *args, str(target), interval], **kwargs)


def victim(env, name, *args, preload=None, **kwargs):
    if preload:
        kwargs["env"] = {**os.environ, "LD_PRELOAD": preload}
    return env.start(Victim, [env.victim_path(name), *args], **kwargs).wait_ready()


def watch_victim(env, name, *commands, victim_args=(), trace_args=(), interval="200ms", timeout=DEADLINE, **kwargs):
    """The usual story: victim, attach, commands, Ctrl-C. Returns (victim, truth of the last command, last report)."""
    v = victim(env, name, *victim_args, **kwargs)
    t = trace(env, v.pid, *trace_args, interval=interval).wait_attached()
    truth = None
    for line in commands or ("go",):
        truth = v.command(line, timeout)
    report = t.interrupt(timeout).json()[-1]
    return v, truth, report


# ---- memleak's text ----

class Report:
    def __init__(self, time, top):
        self.time, self.top = time, top
        self.blocks, self.stacks, self.notes = [], [], []


class Stack:
    def __init__(self, bytes_, blocks):
        self.bytes, self.blocks, self.frames = bytes_, blocks, []

    def functions(self):
        return [f[0] for f in self.frames]


def parse_memleak(text):
    """The drop-in's text as data. A line that fits nothing is an error, except one last note about losses a report."""
    reports = []
    for line in text.splitlines():
        if m := HEADER.match(line):
            reports.append(Report(m[1], int(m[2])))
        elif not reports:
            continue  # what comes before the first report
        elif m := BLOCK.match(line):
            check(not reports[-1].stacks, "a block after a stack:", line)
            reports[-1].blocks.append((int(m[1], 16), int(m[2])))
        elif m := STACK.match(line):
            reports[-1].stacks.append(Stack(int(m[1]), int(m[2])))
        elif (m := FRAME.match(line)) and reports[-1].stacks:
            reports[-1].stacks[-1].frames.append((m[1], int(m[2], 16) if m[2] else None, m[3]))
        elif line:
            reports[-1].notes.append(line)
    return reports


# ---- comparing ----

def plain_name(function):
    """A function's name without C++ arguments and without the compiler's suffixes."""
    if function is None:
        return "?"
    name = re.sub(r"\[abi:\w+\]", "", function)
    cut = name.find("(", 1)
    name = name[:cut] if cut > 0 else name
    return re.sub(r"\.(constprop|isra|part|cold|lto_priv)\.?\d*.*$", "", name).split(" ")[-1]


def functions(path, inlined=False):
    return [plain_name(f.get("function")) for f in path["frames"] if inlined or not f.get("inlined")]


def find_paths(report, wanted, anywhere=False):
    """The call paths that begin with these functions, innermost first (anywhere: that contain them in a row)."""
    found = []
    for path in report["paths"]:
        names = functions(path)
        starts = range(len(names)) if anywhere else [0]
        if any(names[i:i + len(wanted)] == wanted for i in starts):
            found.append(path)
    return found


def find_through(report, function):
    return [p for p in report["paths"] if function in functions(p, inlined=True)]


def totals(paths):
    return sum(p["bytes"] for p in paths), sum(p["blocks"] for p in paths)


def show(report, limit=12):
    lines = [f"report: {len(report['paths'])} paths, lost {report.get('lost')}"]
    for p in sorted(report["paths"], key=lambda p: -p["bytes"])[:limit]:
        lines.append(f"  {p['bytes']} bytes {p['blocks']} blocks: {' < '.join(functions(p, inlined=True))[:400]}")
    return "\n".join(lines)


def check_truth(report, truth, anywhere=False):
    """Every call path of the victim's answer is in the report with exactly its bytes and blocks."""
    for t in truth.paths:
        got = totals(find_paths(report, t["functions"], anywhere))
        if got != (t["bytes"], t["blocks"]):
            raise Failed(f"{' < '.join(t['functions'])}: got {got}, truth {(t['bytes'], t['blocks'])}\n{show(report)}")
    for t in truth.throughs:
        got = totals(find_through(report, t["function"]))
        bytes_ = got[0] if t["bytes"] < 0 else t["bytes"]
        blocks = got[1] if t["blocks"] == 0 and t["bytes"] > 0 else t["blocks"]
        if got != (bytes_, blocks) or (t["bytes"] < 0 and got[0] <= 0):
            raise Failed(f"through {t['function']}: got {got}, truth {(t['bytes'], t['blocks'])}\n{show(report)}")


def listed_blocks(report):
    """All blocks of a -a report: {address: size}."""
    blocks = {}
    for entry in report.get("list", []) + [b for p in report["paths"] for b in p.get("list", [])]:
        address = int(entry["address"], 16)
        check(address not in blocks, f"listed twice: {entry['address']}")
        blocks[address] = entry["size"]
    return blocks


def check_no_loss(report):
    lost = report.get("lost") or {}
    check(not any(lost.values()), f"lost: {lost}")
