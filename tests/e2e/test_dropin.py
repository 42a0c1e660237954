# SPDX-License-Identifier: Apache-2.0
"""memleak as the drop-in: bcc's options, its text to the byte, its own test's protocol."""
import os
import re
import subprocess

from harness import Proc, check, check_equal, test, wait_until
from tool import HEADER, Tool, engine_args, memleak, victim, Victim

KINDS = ["malloc", "calloc", "realloc", "posix_memalign", "valloc", "memalign", "pvalloc", "aligned_alloc"]
OUTSTANDING = re.compile("with outstanding allocations")


def bcc_protocol(env, kind, size=30000):
    """What bcc's tests/python/test_tools_memleak.py does; returns the lines that hold 'byte'."""
    leaker = env.victim_path("kinds")
    tool = env.start(Tool, ["stdbuf", "-o", "0", "-i", "0", "timeout", "-s", "KILL", "10s", env.path("memleak"),
                            *engine_args(env), "-c", f"{leaker} {kind} {size}", "-T", "1", "1", "2"])
    tool.wait_line(OUTSTANDING, timeout=10)
    tool.send("")
    check_equal(tool.wait(12), 0, f"status of {tool.describe()}")
    return tool, [line for line in tool.out if "byte" in line]


def protocol_test(kind):
    def run(env):
        tool, lines = bcc_protocol(env, kind)
        check(lines, f"no line with 'byte': {tool.describe()}")
        check_equal(lines[-1].split()[0], "30000", f"first word of the last line with 'byte' of {tool.describe()}")
        check(f"leak_{kind}+0x" in tool.stdout, f"leak_{kind} is not named: {tool.stdout}")

    run.__name__ = f"bcc_protocol_{kind}"
    run.__module__ = __name__
    return test(timeout=30)(run)


for _kind in KINDS:
    protocol_test(_kind)


@test(timeout=30)
def bcc_protocol_no_leak(env):
    tool, lines = bcc_protocol(env, "no_leak")
    check(not any(line.split()[0] == "30000" for line in lines), f"a freed block is reported: {tool.stdout}")


def demo(env, name):
    path = env.path("demo", name)
    check(os.path.exists(path), f"{path} is not built")
    proc = env.start(Proc, [path])
    wait_until(lambda: any("2th" in line for line in proc.out), "the demo has begun")
    return proc


@test(timeout=40)
def seed_case_names_the_leak(env):
    leak = demo(env, "leak")
    tool = memleak(env, "-p", leak.pid, "-a", "2", "3")
    check_equal(tool.wait(20), 0, f"status of {tool.describe()}")
    check_equal(tool.out[0], f"Attaching to pid {leak.pid}, Ctrl+C to quit.\n", "the first line")
    reports = tool.texts()
    check_equal(len(reports), 3, "reports")
    check(all(r.top == 10 for r in reports), "Top 10 in every header")
    last = reports[-1]
    blocks = [b for b in last.blocks if b[1] == 8192]
    mine = [s for s in last.stacks if s.functions()[:2] == ["fibonacci", "child"]]
    check_equal(len(mine), 1, f"stacks of fibonacci < child in {tool.stdout}")
    check(len(blocks) >= 2, f"at least two blocks after 6 seconds: {tool.stdout}")
    check_equal((mine[0].bytes, mine[0].blocks), (8192 * len(blocks), len(blocks)), "the stack's sum and the blocks")
    check(all(re.fullmatch(r"leak", f[2]) and f[1] for f in mine[0].frames[:2]), f"frames: {mine[0].frames}")
    check(not last.notes, f"notes: {last.notes}")
    text = "".join(tool.out)
    check(re.search(r"^\taddr = [0-9a-f]+ size = 8192$", text, re.M), "a block's line")
    check(re.search(r"^\t\tfibonacci\+0x[0-9a-f]+ \[leak\]$", text, re.M), "the frame's line")


@test(timeout=40)
def seed_case_of_the_repaired_program_is_empty(env):
    fixed = demo(env, "fixed")
    tool = memleak(env, "-a", "-p", fixed.pid, "2", "2")
    check_equal(tool.wait(20), 0, f"status of {tool.describe()}")
    lines = [line for line in tool.out if line.strip()]
    check_equal(lines[0], f"Attaching to pid {fixed.pid}, Ctrl+C to quit.\n", "the first line")
    check(len(lines) == 3 and all(HEADER.match(line) for line in lines[1:]), f"only headers: {lines}")


@test()
def smallest_stack_first_and_blocks_by_size(env):
    v = victim(env, "cxx")
    tool = memleak(env, "-p", v.pid, "-a", "-o", "0", "200ms").wait_attached()
    v.command("go")
    last = tool.interrupt().texts()[-1]
    sizes = [s.bytes for s in last.stacks]
    check(len(sizes) > 3, f"several stacks: {tool.stdout}")
    check_equal(sizes, sorted(sizes), "stacks by size")
    check_equal([b[1] for b in last.blocks], sorted(b[1] for b in last.blocks), "blocks by size")
    check_equal(sum(sizes), sum(b[1] for b in last.blocks), "sum of the stacks and of the blocks")


@test()
def top_limits_the_stacks_but_not_the_blocks(env):
    v = victim(env, "cxx")
    tool = memleak(env, "-p", v.pid, "-a", "-o", "0", "-T", "2", "200ms").wait_attached()
    v.command("go")
    last = tool.interrupt().texts()[-1]
    check_equal((last.top, len(last.stacks)), (2, 2), "header's number and stacks shown")
    check(sum(b[1] for b in last.blocks) > sum(s.bytes for s in last.stacks), "all blocks are listed")


@test()
def combined_only_prints_sums_without_addresses(env):
    v = victim(env, "deep20")
    tool = memleak(env, "-p", v.pid, "--combined-only", "200ms").wait_attached()
    check("\n\n" in tool.stdout or tool.wait_report(), "an empty combined report has an empty line")
    v.command("go 100 4")
    last = tool.interrupt().texts()[-1]
    check("addr =" not in tool.stdout, "no addresses")
    check_equal([(s.bytes, s.blocks) for s in last.stacks if s.functions()[0] == "chain01"], [(400, 4)], "the sum")


@test()
def sort_by_count(env):
    v = victim(env, "threads")
    tool = memleak(env, "-p", v.pid, "--sort", "count", "-o", "0", "200ms").wait_attached()
    v.command("go 3000")
    counts = [s.blocks for s in tool.interrupt().texts()[-1].stacks]
    check(len(counts) >= 3, f"stacks: {tool.stdout}")
    check_equal(counts, sorted(counts), "stacks by count")


@test()
def show_pc_adds_the_address_column(env):
    v = victim(env, "deep20")
    tool = memleak(env, "-p", v.pid, "--show-pc", "-o", "0", "200ms").wait_attached()
    v.command("go")
    tool.interrupt()
    check(re.search(r"^\t\t0x[0-9a-f]{16}\tchain01\+0x[0-9a-f]+ \[deep20\]$", tool.stdout, re.M), tool.stdout)


@test(engines=["bpf"])
def trace_prints_every_call_and_no_report(env):
    v = victim(env, "deep20")
    tool = memleak(env, "-p", v.pid, "-t", "200ms")
    entered = re.compile(r"^\(b'deep20', \d+, \d+, b'[^']+', \d+\.\d+, b'alloc entered, size = 4321'\)$")
    left = re.compile(r"^\(b'deep20', .* b'alloc exited, size = 4321, result = [0-9a-f]+'\)$")

    def seen():  # nothing says when it is attached, so the victim goes on until a call is seen
        v.command("go 4321 1")
        return any(left.match(line) for line in tool.out)

    wait_until(seen, "a traced call", every=0.05)
    check(any(entered.match(line) for line in tool.out), tool.describe())
    tool.interrupt()
    check(not any(HEADER.match(line) for line in tool.out), "no reports with -t")


@test()
def count_reached_ends_with_status_0(env):
    v = victim(env, "deep20")
    tool = memleak(env, "-p", v.pid, "100ms", "3")
    check_equal(tool.wait(), 0, f"status of {tool.describe()}")
    check_equal(len(tool.texts()), 3, "reports")


@test()
def interrupt_prints_a_last_report(env):
    v = victim(env, "deep20")
    tool = memleak(env, "-p", v.pid, "-o", "0", "1").wait_attached()
    v.command("go 77 3")
    before = len(tool.texts())
    last = tool.interrupt().texts()
    check(len(last) > before, "one more report after Ctrl-C")
    check_equal([(s.bytes, s.blocks) for s in last[-1].stacks if s.functions()[0] == "chain01"], [(231, 3)], "its leak")


def sums(report, leaf):
    """(bytes, blocks) of all stacks of a text report that begin with this function."""
    mine = [s for s in report.stacks if s.functions()[:1] == [leaf]]
    return sum(s.bytes for s in mine), sum(s.blocks for s in mine)


@test()
def end_of_the_target_gives_a_last_report_and_status_0(env):
    v = env.start(Victim, [env.victim_path("exiter"), "wait", "5"]).wait_ready()
    tool = memleak(env, "-p", v.pid, "-o", "0", "1").wait_attached()
    v.send("go")
    check_equal(v.wait(), 5, "the target's own status")
    check_equal(tool.wait(), 0, f"status of {tool.describe()}")
    check_equal(sums(tool.texts()[-1], "late_leak"), (5 * 1234, 5), f"the leak in the last report of {tool.stdout}")


@test()
def launch_misses_nothing(env):
    tool = memleak(env, "-o", "0", "-c", f"{env.victim_path('exiter')} 0", "5")
    check_equal(tool.wait(), 0, f"status of {tool.describe()}")
    check(any(line.startswith("Executing '") for line in tool.out), tool.describe())
    last = tool.texts()[-1]
    check_equal(sums(last, "late_leak"), (5 * 1234, 5), f"main's leak in {tool.stdout}")
    check_equal(sums(last, "early_leak"), (3 * 111, 3), f"the constructor's leak in {tool.stdout}")


@test()
def launch_understands_quotes(env):
    odd = os.path.join(env.tmp, "a name with 'blanks'")
    os.symlink(env.victim_path("exiter"), odd)
    tool = memleak(env, "-o", "0", "-c", f'"{odd}" "0"', "5")
    check_equal(tool.wait(), 0, f"status of {tool.describe()}")
    check("late_leak+0x" in tool.stdout, tool.describe())


@test()
def launched_child_is_reaped(env):
    tool = memleak(env, "-o", "0", "-c", f"{env.victim_path('kinds')} malloc 500", "200ms").wait_attached()
    children = [int(p) for p in open(f"/proc/{tool.pid}/task/{tool.pid}/children").read().split()]
    names = [open(f"/proc/{child}/comm").read().strip() for child in children]
    check_equal(sorted(names), ["kinds"] if env.engine == "bpf" else ["kinds", "seep-guard"], "children of the tool")
    tool.interrupt()
    wait_until(lambda: not any(os.path.exists(f"/proc/{child}") for child in children), "the children are gone")


@test()
def launch_of_a_missing_program_says_so(env):
    tool = memleak(env, "-c", "/nonexistent/program", "1")
    status = tool.wait()
    check(status in (2, 3), f"status {status}: {tool.describe()}")
    check_equal(len([line for line in tool.err if line.strip()]), 1, f"lines of stderr in {tool.describe()}")


@test()
def report_is_flushed_into_a_pipe(env):
    v = victim(env, "deep20")
    tool = memleak(env, "-p", v.pid, "100ms")
    tool.wait_for(lambda: tool.nr_reports() >= 3, "three reports while it goes on running")
    check(tool.popen.poll() is None, "still running")
    tool.interrupt()


@test()
def object_names_the_allocators_file(env):
    v = victim(env, "deep20")
    libc = next(line.split()[-1] for line in open(f"/proc/{v.pid}/maps") if "libc.so" in line or "libc-2" in line)
    names = [libc, "c"]  # as the target names it, as bcc's users do
    if libc.startswith("/usr/lib/") and os.path.islink("/lib"):
        names.append(libc.removeprefix("/usr"))
    for name in names:
        tool = memleak(env, "-p", v.pid, "-O", name, "-o", "0", "200ms").wait_attached()
        v.command("go 60 2")
        tool.interrupt()
        check("chain01+0x" in tool.stdout, tool.describe())


@test()
def watches_a_process_by_its_name(env):
    name = f"seepvictim{os.getpid() % 10000}"
    path = os.path.join(env.tmp, name)
    os.symlink(env.victim_path("deep20"), path)
    v = env.start(Victim, [path]).wait_ready()
    tool = memleak(env, "-p", name, "200ms").wait_attached()
    check_equal(tool.out[0], f"Attaching to pid {v.pid}, Ctrl+C to quit.\n", "the first line")
    tool.interrupt()


@test(timeout=40, engines=["bpf"])
def kernel_mode_as_in_bcc_smoke_test(env):
    tool = memleak(env, "1", "1")
    check_equal(tool.wait(30), 0, f"status of {tool.describe()}")
    check_equal(tool.out[0], "Attaching to kernel allocators, Ctrl+C to quit.\n", "the first line")
    check_equal(len(tool.texts()), 1, "reports")


@test(timeout=40, engines=["bpf"])
def kernel_names_come_from_kallsyms(env):
    tool = memleak(env, "-o", "0", "500ms").wait_attached(30)
    # Some kernel memory that stays: pipes.
    pipes = [os.pipe() for _ in range(200)]
    tool.wait_report().wait_report()
    tool.interrupt(30)
    for ends in pipes:
        for fd in ends:
            os.close(fd)
    frames = [f for s in tool.texts()[-1].stacks for f in s.frames]
    check(frames, f"stacks: {tool.describe()}")
    check(any(f[2] == "kernel" and re.match(r"[a-z_]", f[0]) for f in frames), f"named kernel frames: {frames[:5]}")


@test(timeout=40, engines=["bpf"])
def kernel_per_cpu_allocations(env):
    tool = memleak(env, "--percpu", "1", "1")
    check_equal(tool.wait(30), 0, f"status of {tool.describe()}")
    check_equal(len(tool.texts()), 1, f"reports of {tool.describe()}")


@test(timeout=40, engines=["bpf"])
def seep_kernel_is_the_same_in_its_own_text(env):
    tool = env.start(Tool, [env.path("seep"), "kernel", *engine_args(env), "--json", "--top", "0", "--older", "0",
                         "500ms"])
    tool.wait_attached(30)
    pipes = [os.pipe() for _ in range(100)]
    tool.wait_report().wait_report()
    tool.interrupt(30)
    for ends in pipes:
        for fd in ends:
            os.close(fd)
    report = tool.json()[-1]
    check(report["kernel"] and report["paths"], f"the kernel's paths: {tool.stdout[:2000]}")
    named = {f["function"] for p in report["paths"] for f in p["frames"]} - {None}
    check(any("pipe" in n for n in named), f"the pipes' functions: {sorted(named)[:40]}")


@test(per_engine=False)
def help_and_version(env):
    for program, arguments in (("memleak", ["--help"]), ("memleak", ["-h"]), ("seep", ["--help"]),
                               ("seep", ["--version"]), ("seep", ["trace", "--help"]), ("seep", ["help", "trace"])):
        done = subprocess.run([env.path(program), *arguments], capture_output=True, text=True, timeout=20)
        check(done.returncode == 0 and done.stdout and not done.stderr, f"{program} {arguments}: {done}")
    text = subprocess.run([env.path("memleak"), "-h"], capture_output=True, text=True, timeout=20).stdout
    for option in ("-p", "-t", "-a", "-o", "-c", "-s", "-T", "-z", "-Z", "-O", "--combined-only", "--wa-missing-free",
                   "--percpu", "--sort", "--symbols-prefix", "--show-pc", "--engine"):
        check(option in text, f"{option} is not in memleak's help")
