# SPDX-License-Identifier: Apache-2.0
"""What cannot work is refused with one line (what, why, what to do) and status 2 (usage) or 3 (the target)."""
import os
import re
import shutil
import signal
import subprocess

from harness import Skip, check, check_equal, test, wait_until
from machine import dead_pid, kernel_thread, start_elf32, state_of
from tool import Tool, Victim, engine_args, victim


def refused(env, argv, status, pattern, program="memleak", engine=True, **kwargs):
    """Runs it to its end: the status, one line on stderr that fits, and nothing of ours that looks like a crash."""
    argv = [env.path(program) if program in ("seep", "memleak") else program,
            *(engine_args(env) if engine and program == "memleak" else []), *[str(a) for a in argv]]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, **kwargs)
    check_refusal(done, status, pattern)
    return done


def check_refusal(done, status, pattern):
    text = f"{done.args}\n  status {done.returncode}\n  stdout {done.stdout!r}\n  stderr {done.stderr!r}"
    wanted = status if isinstance(status, tuple) else (status,)
    check(done.returncode in wanted, f"status is not one of {wanted}: {text}")
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    check_equal(len(lines), 1, f"lines on stderr: {text}")
    check(re.match(r"^(seep|memleak)\b.*: ", lines[0]), f"the program's name first: {text}")
    check(re.search(pattern, lines[0], re.I), f"'{pattern}' is not in it: {text}")
    check("Top " not in done.stdout, f"a report was printed: {text}")


# ---- the target ----

@test()
def no_such_process(env):
    refused(env, ["-p", dead_pid(), "1", "1"], 3, r"no (such )?process")
    refused(env, ["trace", *engine_args(env), dead_pid(), "1", "1"], 3, r"no (such )?process", "seep")


@test()
def no_such_name(env):
    refused(env, ["-p", "no-such-program-here", "1", "1"], 3, r"no-such-program-here")


@test()
def own_pid(env):
    argv = f'exec {env.path("memleak")} --engine {env.engine} -p $$ 1 1'
    done = subprocess.run(["sh", "-c", argv], capture_output=True, text=True, timeout=30)
    check_refusal(done, (2, 3), r"itself|own|this very")


@test()
def a_kernel_thread(env):
    refused(env, ["-p", kernel_thread(), "1", "1"], 3, r"kernel thread|thread of the kernel")


@test()
def a_zombie(env):
    child = subprocess.Popen(["/bin/true"])
    env.stack.callback(child.wait)
    wait_until(lambda: state_of(child.pid) == "Z", "the child is a zombie")
    refused(env, ["-p", child.pid, "1", "1"], 3, r"zombie|ended|exited")


@test()
def a_32_bit_program(env):
    tiny = start_elf32(env)
    refused(env, ["-p", tiny.pid, "1", "1"], 3, r"32.bit")
    check(tiny.popen.poll() is None, "the target lives")


@test()
def a_stripped_static_program(env):
    v = victim(env, "deep20-static-stripped")
    refused(env, ["-p", v.pid, "1", "1"], 3, r"symbol|allocator|malloc")
    v.command("go")


@test(timeout=90)
def a_target_that_ends_while_it_is_attached_to(env):
    for moment in range(12):
        target = victim(env, "deep20")
        tool = env.start(Tool, [env.path("memleak"), *engine_args(env), "-p", target.pid, "1", "3"])
        wait_until(lambda: nr_fds(tool.pid) >= moment * 4 or tool.nr_reports(), "some progress", every=0.0005)
        target.signal(signal.SIGKILL)
        target.wait()
        status = tool.wait(20)
        check(status in (0, 3), f"status: {tool.describe()}")
        said = [line for line in tool.err if ": watching pid" not in line]
        check(len(said) <= 1, f"at most one line: {tool.describe()}")
        check(status == 0 or re.search(r"ended|no (such )?process", said[0]), f"why: {tool.describe()}")


def nr_fds(pid):
    """How far the tool has come with its start; many when it has ended."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 1 << 30


@test(needs=["setpriv"])
def not_permitted(env):
    """As nobody: the line says what is missing. The agent may enter a process of one's own."""
    folder = os.path.join(env.tmp, "bin")
    os.mkdir(folder)
    for name in ("seep", "memleak"):
        shutil.copy(os.path.realpath(env.path(name)), os.path.join(folder, name))
    own = shutil.copy(env.victim_path("deep20"), folder)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
    v = env.start(Victim, [*nobody, own]).wait_ready()
    for target in ([v.pid] if env.engine == "bpf" else []) + [victim(env, "deep20").pid]:
        done = subprocess.run([*nobody, os.path.join(folder, "memleak"), *engine_args(env), "-p", str(target), "1", "1"],
                              capture_output=True, text=True, timeout=30)
        check_refusal(done, 3, r"permi|CAP_|root|sudo")
    v.command("go")


@test(needs=["unshare"], engines=["bpf"])
def no_btf(env):
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        raise Skip("the kernel has no BTF to hide")
    v = victim(env, "deep20")
    script = f'mount -t tmpfs none /sys/kernel/btf && exec {env.path("memleak")} --engine {env.engine} -p {v.pid} 1 1'
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=30)
    check_refusal(done, 3, r"BTF")


@test()
def an_object_that_cannot_be_read(env):
    v = victim(env, "deep20")
    text = os.path.join(env.tmp, "text")
    with open(text, "w") as f:
        f.write("no ELF file\n")
    empty = os.path.join(env.tmp, "empty")
    open(empty, "w").close()
    for path in ("/nonexistent/libc.so.6", env.tmp, text, empty, "/dev/zero"):
        refused(env, ["-p", v.pid, "-O", path, "1", "1"], (2, 3), re.escape(os.path.basename(path)))
    v.command("go")


# ---- the words ----

WORDS = [
    (["--no-such-option"], r"no-such-option"),
    (["-p"], r"-p|requires|argument"),
    (["-p", ""], r"-p|pid|empty"),
    (["-p", "1", "-z", "100", "-Z", "10"], r"min_size \(-z\) can't be greater than max_size \(-Z\)"),
    (["-p", "1", "-z", "ten"], r"ten"),
    (["-p", "1", "-Z", "-5"], r"-5"),
    (["-p", "1", "-o", "young"], r"young"),
    (["-p", "1", "-T", "-1"], r"-1"),
    (["-p", "1", "-T", "99999999999999999999999"], r"9999999"),
    (["-p", "1", "-s", "0"], r"\b0\b"),
    (["-p", "1", "-s", "1.5"], r"1\.5"),
    (["-p", "1", "--sort", "colour"], r"colour"),
    (["-p", "1", "--engine", "steam"], r"steam"),
    (["-p", "1", "soon"], r"soon"),
    (["-p", "1", "0"], r"\b0\b"),
    (["-p", "1", "-1"], r"-1|option"),
    (["-p", "1", "1", "0"], r"\b0\b"),
    (["-p", "1", "1", "many"], r"many"),
    (["-p", "1", "1", "2", "3"], r"3"),
    (["-p", "1", "-c", "true"], r"-c"),
    (["-c", "echo 'open"], r"quote"),
    (["-c", ""], r"-c|empty"),
]


@test(per_engine=False)
def words_that_make_no_sense(env):
    for argv, pattern in WORDS:
        refused(env, argv, 2, pattern, engine=False)


SEEP_WORDS = [
    ([], r"command|help"),
    (["trce", "1"], r"trace"),
    (["trace"], r"program|PID"),
    (["trace", "1", "--older", "5"], r"older|unit"),
    (["trace", "--nonsense", "1"], r"nonsense"),
    (["trace", "--min-size", "2K", "--max-size", "1K", "1"], r"min|greater"),
    (["trace", "1", "x"], r"x"),
    (["--nonsense"], r"nonsense"),
]


@test(per_engine=False)
def words_that_make_no_sense_to_seep(env):
    for argv, pattern in SEEP_WORDS:
        refused(env, argv, 2, pattern, "seep")


@test(per_engine=False)
def a_signal_while_nothing_is_watched_yet(env):
    tool = env.start(Tool, [env.path("memleak"), "-c", "/bin/sleep 20", "1"], stdout=subprocess.DEVNULL,
                     stderr=subprocess.DEVNULL)  # as in bcc, what was launched may live on
    tool.signal(signal.SIGTERM)
    status = tool.wait()
    check(status in (0, -signal.SIGTERM, 143), f"status {status}: {tool.describe()}")
