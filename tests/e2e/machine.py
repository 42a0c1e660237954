# SPDX-License-Identifier: Apache-2.0
"""What the tests look at from outside: BPF objects in the kernel, the target's code and maps, odd processes, gdb."""
import ctypes
import json
import os
import platform
import re
import shlex
import struct
import subprocess

from harness import Failed, Proc, Skip, check, find_program, wait_until

SYS_BPF = {"x86_64": 321, "aarch64": 280}.get(platform.machine())
NEXT_ID = {"prog": 11, "map": 12, "link": 31}  # BPF_{PROG,MAP,LINK}_GET_NEXT_ID, linux/bpf.h
BPF_FS = "/sys/fs/bpf"


# ---- BPF objects ----

def bpf_ids(kind):
    """The ids of all BPF objects of a kind in the kernel."""
    libc = ctypes.CDLL(None, use_errno=True)
    ids, start = set(), 0
    while True:
        attr = ctypes.create_string_buffer(struct.pack("=III", start, 0, 0), 128)
        if libc.syscall(SYS_BPF, NEXT_ID[kind], attr, 128) != 0:
            return ids
        start = struct.unpack_from("=I", attr, 4)[0]
        ids.add(start)


def held_by(pid):
    """The BPF objects that a process holds: {(kind, id)}."""
    held = set()
    folder = f"/proc/{pid}/fdinfo"
    for fd in os.listdir(folder):
        try:
            with open(f"{folder}/{fd}") as f:
                text = f.read()
        except OSError:
            continue
        for kind in NEXT_ID:
            if m := re.search(rf"^{kind}_id:\s+(\d+)$", text, re.M):
                held.add((kind, int(m[1])))
    return held


def alive(held):
    return {(kind, i) for kind in NEXT_ID for i in bpf_ids(kind) if (kind, i) in held}


def pinned():
    return sorted(os.path.join(d, f) for d, _, files in os.walk(BPF_FS) for f in files)


# ---- the target's own memory ----

def mappings(pid):
    rows = []
    with open(f"/proc/{pid}/maps") as f:
        for line in f:
            parts = line.split(None, 5)
            begin, end = (int(x, 16) for x in parts[0].split("-"))
            rows.append((begin, end, parts[1], int(parts[2], 16), parts[5].strip() if len(parts) > 5 else ""))
    return rows


def patched_code(pid):
    """Bytes of the target's code that differ from their files: {(path, offset in the file): byte}."""
    differ = {}
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for begin, end, perms, offset, path in mappings(pid):
            if "x" not in perms or not path.startswith("/"):
                continue
            with open(f"/proc/{pid}/map_files/{begin:x}-{end:x}", "rb") as f:
                f.seek(offset)
                wanted = f.read(end - begin)
            got = b""
            mem.seek(begin)
            while len(got) < len(wanted):
                more = mem.read(len(wanted) - len(got))
                if not more:
                    break
                got += more
            if got != wanted:
                for i, (a, b) in enumerate(zip(got, wanted)):
                    if a != b:
                        differ[(path, offset + i)] = a
    return differ


def file_mappings(pid):
    """What is mapped from files; heap growth and the kernel's own [uprobes] page do not count."""
    return sorted((path, perms, offset) for _, _, perms, offset, path in mappings(pid) if path.startswith("/"))


def state_of(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rsplit(")", 1)[1].split()[0]


class Traces:
    """What an attached tool has put into the kernel and the target, and the proof that all of it is gone again."""

    def __init__(self, target):
        self.target = target
        self.code = patched_code(target)
        self.files = file_mappings(target)
        self.pins = pinned()
        self.held = set()

    def attached(self, tool, engine):
        """Call while the tool watches: what will have to disappear."""
        self.held = held_by(tool.pid)
        if engine == "bpf":
            check(self.held, "the tool holds no BPF object while it watches")
            check(patched_code(self.target) != self.code, "no probe is in the target's code while it is watched")

    def check_gone(self, target_lives=True):
        wait_until(lambda: not alive(self.held), f"BPF objects are gone ({sorted(self.held)[:4]}...)")
        new_pins = [p for p in pinned() if p not in self.pins]
        check(not new_pins, f"left pinned: {new_pins}")
        if not target_lives:
            return
        wait_until(lambda: patched_code(self.target) == self.code, "the target's code is the file's again")
        # A killed tool's guard puts the code back first; it may still be at the mappings, with a thread stopped for it.
        wait_until(lambda: all(m in self.files for m in file_mappings(self.target)), "no mapping is left in it")
        wait_until(lambda: state_of(self.target) not in "TtZX", "the target runs")


# ---- huge pages ----

NR_HUGE = "/proc/sys/vm/nr_hugepages"
HUGE = 2 << 20


def need_huge_pages(env, nr):
    """So many pages of 2 MiB more in the machine's pool until the test is over."""
    def set_pool(pages):
        with open(NR_HUGE, "w") as f:
            f.write(str(pages))
        with open(NR_HUGE) as f:
            return int(f.read())

    try:
        with open("/proc/meminfo") as f:
            check(re.search(r"^Hugepagesize:\s+2048 kB$", f.read(), re.M), "pages of 2 MiB")
        with open(NR_HUGE) as f:
            before = int(f.read())
        env.stack.callback(set_pool, before)
        got = set_pool(before + nr)
    except (OSError, Failed) as error:
        raise Skip(f"no huge pages here: {error}") from None
    if got < before + nr:
        raise Skip(f"the kernel found only {got - before} of {nr} huge pages in one piece")


# ---- odd processes ----

def dead_pid():
    """The pid of a process that has been: nobody has it now."""
    p = subprocess.Popen(["/bin/true"])
    p.wait()
    return p.pid


def kernel_thread():
    for name in sorted((n for n in os.listdir("/proc") if n.isdigit()), key=int):
        try:
            with open(f"/proc/{name}/stat") as f:
                flags = int(f.read().rsplit(")", 1)[1].split()[6])
        except OSError:
            continue
        if flags & 0x00200000:  # PF_KTHREAD, linux/sched.h
            return int(name)
    raise Skip("no kernel thread is visible here")


def write_tiny_elf32(path):
    """A 32-bit x86 program without libraries that only waits: pause() for ever, written by hand."""
    base = 0x08048000
    code = b"\xb8\x1d\x00\x00\x00\xcd\x80\xeb\xf7"  # 1: mov $29, %eax; int $0x80; jmp 1b
    size = 52 + 32 + len(code)
    header = b"\x7fELF" + bytes([1, 1, 1]) + bytes(9) + struct.pack(
        "<HHIIIIIHHHHHH", 2, 3, 1, base + 84, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    segment = struct.pack("<IIIIIIII", 1, 0, base, base, size, size, 5, 0x1000)
    with open(path, "wb") as f:
        f.write(header + segment + code)
    os.chmod(path, 0o755)


def start_elf32(env):
    path = os.path.join(env.tmp, "tiny32")
    write_tiny_elf32(path)
    try:
        proc = env.start(Proc, [path])
    except OSError as error:
        raise Skip(f"this kernel runs no 32-bit programs ({error.strerror})") from None
    return proc


# ---- gdb, the reference for stacks ----

# Runs inside gdb: every frame of the selected thread, innermost first; where = [file, offset in it] of its pc.
GDB_PRINT = r"""
import json
def where(pc):
    with open("/proc/%d/maps" % gdb.selected_inferior().pid) as maps:
        for line in maps:
            parts = line.split(None, 5)
            begin, end = (int(x, 16) for x in parts[0].split("-"))
            if begin <= pc < end:
                name = parts[5].strip() if len(parts) > 5 else ""
                return [name, pc - begin + int(parts[2], 16)]
    return ["", pc]
frame, frames = gdb.newest_frame(), []
while frame is not None:
    inlined = frame.type() == gdb.INLINE_FRAME
    frames.append({"function": frame.name(), "inlined": inlined, "where": where(frame.pc())})
    frame = frame.older()
print("FRAMES " + json.dumps(frames))
"""


def gdb_at_malloc(env, argv, size, stdin_text="", timeout=60):
    """
    The frames at the first call of malloc(size) in a fresh run of argv, without malloc's own, innermost first: a list of
    {"function", "inlined", "where": [file, offset]}.
    """
    if not find_program("gdb"):
        raise Skip("gdb is not installed")
    stdin, script = os.path.join(env.tmp, "gdb-stdin"), os.path.join(env.tmp, "frames.py")
    for path, text in ((stdin, stdin_text), (script, GDB_PRINT)):
        with open(path, "w") as f:
            f.write(text)
    commands = ["set pagination off", "set confirm off", "set debuginfod enabled off", "set backtrace past-main on",
                "set breakpoint pending on", "break __libc_start_main",
                f"run {shlex.join(argv[1:])} < {stdin} > /dev/null",
                "delete", f"break *malloc if $rdi == {size}", "continue", f"source {script}", "kill"]
    args = [find_program("gdb"), "-nx", "-batch"]
    for c in commands:
        args += ["-ex", c]
    done = subprocess.run(args + [argv[0]], capture_output=True, text=True, timeout=timeout)
    found = re.search(r"^FRAMES (.*)$", done.stdout, re.M)
    if not found:
        raise Failed(f"gdb found no stack:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return json.loads(found[1])[1:]


def where_in_files(pid, addresses):
    """Each address of a live process as [file, offset in it]."""
    rows = mappings(pid)
    places = []
    for a in addresses:
        place = next(([path, a - begin + offset] for begin, end, _, offset, path in rows if begin <= a < end), ["", a])
        places.append(place)
    return places
