# SPDX-License-Identifier: Apache-2.0
"""One session in every format: the same call paths, the same totals, and bytes that add up at every node of the tree."""
import gzip
import json
import os
import re
import subprocess
from collections import Counter

from harness import Skip, check, check_equal, find_program, test, wait_until
from tool import Tool, engine_args, victim

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
RECORDING = os.path.join(ROOT, "tests", "unit", "data", "growing.seepreplay")
UNNAMED = "?"
FLAMEGRAPH = "/usr/share/perl5/Devel/NYTProf/flamegraph.pl"


class Tree:
    """What each node holds, a node being the names from the outermost function inwards."""

    def __init__(self):
        self.bytes, self.blocks, self.leaves = Counter(), Counter(), Counter()

    def add(self, innermost_first, bytes_, blocks=0):
        names = tuple(reversed(innermost_first))
        for depth in range(len(names) + 1):
            self.bytes[names[:depth]] += bytes_
            self.blocks[names[:depth]] += blocks
        self.leaves[names, bytes_, blocks] += 1


def report(env, recording, name, *args):
    argv = [env.path("seep"), "report", "--older", "0", "--top", "0", "--format", name, *args, recording]
    return subprocess.run(argv, check=True, capture_output=True, timeout=30).stdout


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7f) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def fields(data):
    """(number, value) of a protobuf message: integers and bytes."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        value, at = varint(data, at)
        if key & 7 == 2:
            value, at = data[at:at + value], at + value
        yield key >> 3, value


def packed(value):
    at, numbers = 0, []
    while at < len(value):
        number, at = varint(value, at)
        numbers.append(number)
    return numbers


class Formats:
    """The trees of one recording. `known`: names that functions have; anything else is one without a name."""

    def __init__(self, env, recording):
        self.env, self.recording = env, recording
        self.json = json.loads(report(env, recording, "json"))
        self.known = {f["function"] for p in self.json["paths"] for f in p["frames"] if f["function"]}

    def name(self, text):
        return text if text in self.known else UNNAMED

    def of_json(self, inlined=True):
        tree = Tree()
        for p in self.json["paths"]:
            tree.add([f["function"] or UNNAMED for f in p["frames"] if inlined or not f["inlined"]], p["bytes"], p["blocks"])
        return tree

    def of_html(self):
        page, tree = report(self.env, self.recording, "html").decode(), Tree()
        data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])
        check_equal(data["history"][-1], self.json["totals"]["bytes"], "html: the last point over time")
        for p in data["paths"]:
            tree.add([data["frames"][i][0] or UNNAMED for i in p["frames"]], p["bytes"], p["blocks"])
            check_equal(p["history"][-1], p["bytes"], "html: the last point of a call path over time")
        return tree

    def of_folded(self):
        tree = Tree()
        for line in report(self.env, self.recording, "folded").decode().splitlines():
            stack, bytes_ = line.rsplit(" ", 1)
            tree.add([self.name(n.removesuffix("_[i]")) for n in reversed(stack.split(";"))], int(bytes_))
        return tree

    def of_pprof(self):
        lists, tree = {}, Tree()
        for number, value in fields(gzip.decompress(report(self.env, self.recording, "pprof"))):
            lists.setdefault(number, []).append(value)
        strings = [s.decode() for s in lists[6]]
        functions = {m[1]: strings[m.get(2, 0)] for m in map(dict, map(fields, lists[5]))}
        places = {}  # id of a location: its functions, innermost first
        for location in lists[4]:
            parts = list(fields(location))
            places[dict(parts)[1]] = [functions[dict(fields(v))[1]] for n, v in parts if n == 4] or [UNNAMED]
        for sample in lists[2]:
            parts = dict(fields(sample))
            blocks, bytes_ = packed(parts[2])
            tree.add([self.name(n) for i in packed(parts[1]) for n in places[i]], bytes_, blocks)
        return tree

    def of_lines(self, name, head, frame):
        """A format of lines: one that matches `head` begins a call path, each that matches `frame` is one of its frames."""
        tree, path, names = Tree(), None, []
        for line in [*report(self.env, self.recording, name).decode().splitlines(), None]:
            begins = head.match(line) if line is not None else None
            if (begins or line is None) and path:
                tree.add(names, *path)
            if begins:
                path, names = [int(n.replace(",", "")) for n in begins.groups()], []
            elif path and line is not None and (m := frame.match(line)):
                names.append(self.name(m[1]))
        return tree

    def of_lsan(self):
        return self.of_lines("lsan", re.compile(r"Direct leak of (\d+) byte\(s\) in (\d+) object"),
                             re.compile(r" +#\d+ 0x[0-9a-f]+ (?:in (.+?))? (?:\([^()]*\)|[^ ]+)$"))

    def of_valgrind(self):
        return self.of_lines("valgrind", re.compile(r"==\d+== ([\d,]+) bytes in ([\d,]+) blocks are possibly lost"),
                             re.compile(r"==\d+==    (?:at|by) 0x[0-9A-F]+: (.+) \([^()]*\)$"))

    def of_memleak(self):
        return self.of_lines("memleak", re.compile(r"\t(\d+) bytes in (\d+) allocations from stack"),
                             re.compile(r"\t\t(.+?)(?:\+0x[0-9a-f]+)?(?: \[[^\]]+\])?$"))

    def text(self):
        """Bytes as they are written there, blocks, number of frames, of each call path."""
        lines = report(self.env, self.recording, "text").decode()
        total = re.search(r"^ +(\S+ \S+) in (\d+) blocks? outstanding on (\d+) call paths?", lines, re.MULTILINE)
        paths = re.findall(r"^#\d+ +(\S+ \S+) in +(\d+) block", lines, re.MULTILINE)
        return (total[1], int(total[2]), int(total[3])), [(b, int(n)) for b, n in paths]


def as_written(bytes_):
    units = ["B", "KiB", "MiB", "GiB"]
    value, unit = float(bytes_), 0
    while value >= 1024 and unit < len(units) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {units[unit]}" if unit else f"{bytes_} B"


def check_tree(got, wanted, what, has_blocks=True):
    check_equal(+got.bytes, +wanted.bytes, f"{what}: bytes at each node")
    if has_blocks:
        check_equal(+got.blocks, +wanted.blocks, f"{what}: blocks at each node")
        check_equal(got.leaves, wanted.leaves, f"{what}: call paths")


def check_formats(env, recording):
    formats = Formats(env, recording)
    totals, tree, plain = formats.json["totals"], formats.of_json(), formats.of_json(inlined=False)
    check_equal((tree.bytes[()], tree.blocks[()], len(formats.json["paths"])), (totals["bytes"], totals["blocks"], totals["paths"]), "json: totals")
    check_tree(formats.of_html(), tree, "html")
    check_tree(formats.of_pprof(), tree, "pprof")
    check_tree(formats.of_folded(), tree, "folded", has_blocks=False)
    check_tree(formats.of_lsan(), tree, "lsan")
    check_tree(formats.of_valgrind(), tree, "valgrind")
    check_tree(formats.of_memleak(), plain, "memleak")
    head, paths = formats.text()
    check_equal(head, (as_written(totals["bytes"]), totals["blocks"], totals["paths"]), "text: totals")
    check_equal(Counter(paths), Counter((as_written(p["bytes"]), p["blocks"]) for p in formats.json["paths"]), "text: call paths")
    return totals


def check_diff(env, recording, totals):
    """What grew less what shrank is the difference of the totals, and the same for each call path."""
    d = json.loads(env.run([env.path("seep"), "diff", "--json", "--older", "0", "--top", "0", recording]))
    before, after = d["before"]["totals"], d["after"]["totals"]
    check_equal(after, totals, "diff: the end of the recording")
    check_equal(d["grew"]["bytes"] - d["shrank"]["bytes"], after["bytes"] - before["bytes"], "diff: sums")
    check_equal(sum(p["growth_bytes"] for p in d["paths"]), after["bytes"] - before["bytes"], "diff: sum of the call paths")
    for p in d["paths"]:
        sides = [p[side] or {"bytes": 0, "blocks": 0} for side in ("before", "after")]
        check_equal((p["growth_bytes"], p["growth_blocks"]), tuple(sides[1][k] - sides[0][k] for k in ("bytes", "blocks")), "diff: a call path")


@test(per_engine=False)
def one_recording_is_the_same_in_every_format_at_every_node(env):
    check_diff(env, RECORDING, check_formats(env, RECORDING))


def in_a_file(env, name):
    path = os.path.join(env.tmp, name)
    with open(path, "wb") as f:
        f.write(report(env, RECORDING, name))
    return path


@test(per_engine=False, needs=["go"])
def pprof_reads_the_profile(env):
    total = json.loads(report(env, RECORDING, "json"))["totals"]["bytes"]
    top = env.run([find_program("go"), "tool", "pprof", "-top", "-unit=b", in_a_file(env, "pprof")], env={**os.environ, "HOME": env.tmp})
    check(re.search(rf"of {total}B total", top), f"pprof: {top}")


@test(per_engine=False)
def flamegraph_draws_the_folded_stacks(env):
    """Brendan Gregg's script, as Debian's NYTProf has it."""
    if not os.path.exists(FLAMEGRAPH):
        raise Skip(f"no {FLAMEGRAPH} here")
    totals = json.loads(report(env, RECORDING, "json"))
    drawn = env.run([find_program("perl"), FLAMEGRAPH, "--countname", "bytes", in_a_file(env, "folded")])
    check(f"<title>all ({totals['totals']['bytes']:,} bytes, 100%)</title>" in drawn, drawn[-2000:])
    biggest = max(totals["paths"], key=lambda p: p["bytes"])
    check(f"<title>{biggest['frames'][0]['function']} ({biggest['bytes']:,} bytes, " in drawn, drawn[-2000:])


@test(engines=["bpf"])
def a_recorded_session_is_the_same_in_every_format_at_every_node(env):
    v, path = victim(env, "cxx"), os.path.join(env.tmp, "cxx.seep")
    t = env.start(Tool, [env.path("seep"), "record", *engine_args(env), "-i", "100ms", "-o", path, str(v.pid)]).wait_attached()
    v.command("go")
    wait_until(lambda: os.path.exists(path) and json.loads(report(env, path, "json"))["totals"]["paths"], "it is in the file")
    v.command("go")
    t.interrupt()
    totals = check_formats(env, path)
    check(totals["paths"] > 3, f"enough to compare: {totals}")
    check_diff(env, path, totals)
