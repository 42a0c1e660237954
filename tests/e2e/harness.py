# SPDX-License-Identifier: Apache-2.0
"""A small harness: a registry of tests, an environment per test that cleans up, and waiting on conditions.

A test is a function with the @test decorator. It takes one argument, the Env, and fails by an exception. Nothing here
sleeps for a fixed time: every wait ends when its condition holds, or fails at its deadline.
"""
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time

TESTS = []
ENGINES = ["bpf", "agent"]
DEADLINE = 20.0  # seconds for one wait; generous, because a busy machine must not fail a test


class Skip(Exception):
    """The test cannot run here; the text says why."""


class Failed(AssertionError):
    """A check did not hold."""


class TestTimeout(Exception):
    """A whole test took too long."""


def check(condition, *what):
    if not condition:
        raise Failed(" ".join(str(w) for w in what))


def check_equal(got, wanted, what):
    if got != wanted:
        raise Failed(f"{what}:\n  got    {got!r}\n  wanted {wanted!r}")


def test(per_engine=True, timeout=60, needs=(), engines=None):
    """Registers a test. per_engine: run it once with each engine, or each of `engines`. needs: programs that must be
    installed."""

    def register(fn):
        name = f"{fn.__module__.removeprefix('test_')}.{fn.__name__}"
        for engine in (engines or ENGINES) if per_engine else [None]:
            TESTS.append({
                "name": f"{name}[{engine}]" if engine else name,
                "fn": fn,
                "engine": engine,
                "timeout": timeout,
                "needs": needs,
            })
        return fn

    return register


def wait_until(condition, what, timeout=DEADLINE, every=0.01):
    """Calls condition() until it is true and returns its value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"not within {timeout:g} s: {what}")
        time.sleep(every)


def find_program(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/bin")


class Proc:
    """A child process whose output is collected by threads, so that a test can wait for a line of it."""

    def __init__(self, argv, **kwargs):
        kwargs.setdefault("stdin", subprocess.PIPE)
        kwargs.setdefault("stdout", subprocess.PIPE)
        kwargs.setdefault("stderr", subprocess.PIPE)
        kwargs.setdefault("start_new_session", True)  # so that its own children can be ended with it
        self.argv = [str(a) for a in argv]
        self.out, self.err = [], []
        self.changed = threading.Condition()
        self.popen = subprocess.Popen(self.argv, **kwargs)
        self.pid = self.popen.pid
        self.threads = []
        for stream, lines in ((self.popen.stdout, self.out), (self.popen.stderr, self.err)):
            if stream:
                t = threading.Thread(target=self._collect, args=(stream, lines), daemon=True)
                t.start()
                self.threads.append(t)

    def _collect(self, stream, lines):
        for raw in stream:
            with self.changed:
                lines.append(raw.decode("utf-8", "replace"))
                self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def describe(self):
        tail = "".join(self.out[-12:]) + "".join("stderr: " + line for line in self.err[-12:])
        return f"{' '.join(self.argv)[:300]}\n  status {self.popen.poll()}\n{tail}"

    def wait_for(self, condition, what, timeout=DEADLINE):
        """Waits until condition() holds; looks again whenever a line has arrived or the process has ended."""
        end = time.monotonic() + timeout
        with self.changed:
            while True:
                value = condition()
                if value:
                    return value
                if time.monotonic() > end:
                    raise Failed(f"not within {timeout:g} s: {what}\n{self.describe()}")
                if self.popen.poll() is not None and not any(t.is_alive() for t in self.threads):
                    value = condition()
                    if value:
                        return value
                    raise Failed(f"ended before: {what}\n{self.describe()}")
                self.changed.wait(0.05)

    def wait_line(self, pattern, stream=None, timeout=DEADLINE):
        lines = self.out if stream is None else stream
        return self.wait_for(lambda: next((m for line in lines if (m := pattern.search(line))), None),
                             f"a line with {pattern.pattern}", timeout)

    def send(self, line):
        self.popen.stdin.write((line + "\n").encode())
        self.popen.stdin.flush()

    def signal(self, number):
        self.popen.send_signal(number)

    def wait(self, timeout=DEADLINE):
        """Waits for the end and for all of its output; returns the status (negative: signal)."""
        try:
            status = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failed(f"still running after {timeout:g} s: {self.describe()}") from None
        for t in self.threads:
            t.join(30)  # a report of 200 MB in one line takes its time
        return status

    def stop(self):
        """For clean-up: whatever happened, it and the children in its group are gone afterwards."""
        if self.popen.returncode is None or any(t.is_alive() for t in self.threads):
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        for t in self.threads:
            t.join(2)
        if any(t.is_alive() for t in self.threads):
            return  # a stranger holds the pipe; closing it here would wait for him
        for stream in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            with contextlib.suppress(OSError, ValueError):
                if stream:
                    stream.close()

    @property
    def stdout(self):
        return "".join(self.out)

    @property
    def stderr(self):
        return "".join(self.err)


class Env:
    """What one test may use; everything it starts is gone when the test is over."""

    def __init__(self, build, engine):
        self.build = build
        self.engine = engine
        self.stack = contextlib.ExitStack()
        self.tmp = tempfile.mkdtemp(prefix="seep-e2e-")
        os.chmod(self.tmp, 0o755)
        self.stack.callback(shutil.rmtree, self.tmp, ignore_errors=True)
        self.notes = []

    def path(self, *parts):
        return os.path.join(self.build, *parts)

    def victim_path(self, name):
        path = self.path("tests", "victims", name)
        if not os.path.exists(path):
            raise Skip(f"{name} is not built (its compiler is missing)")
        return path

    def start(self, cls, *args, **kwargs):
        """Starts a Proc (or a subclass) that ends with the test."""
        proc = cls(*args, **kwargs)
        self.stack.callback(proc.stop)
        return proc

    def start_quiet(self, argv):
        """A program that says things nobody wants to collect."""
        return self.start(Proc, argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def run(self, argv, timeout=DEADLINE, **kwargs):
        """Runs a helper to its end; a failure of it fails the test."""
        done = subprocess.run([str(a) for a in argv], capture_output=True, timeout=timeout, text=True, **kwargs)
        check(done.returncode == 0, f"{argv}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def need(self, *programs):
        for program in programs:
            if not find_program(program):
                raise Skip(f"{program} is not installed")

    def close(self):
        self.stack.close()


def why_not(engine):
    """The reason why an engine cannot run on this machine, or None."""
    if engine == "bpf":
        if os.geteuid() != 0:
            return "the bpf engine needs root"
        if not os.path.exists("/sys/kernel/btf/vmlinux"):
            return "the kernel has no BTF (/sys/kernel/btf/vmlinux)"
    return None


def run_one(row, build):
    """Returns (outcome, seconds, text): outcome is ok, not ok or skip."""
    began = time.monotonic()
    env = None

    def on_alarm(_number, _frame):
        raise TestTimeout(f"took longer than {row['timeout']} s")

    old = signal.signal(signal.SIGALRM, on_alarm)
    try:
        reason = row["engine"] and why_not(row["engine"])
        if reason:
            raise Skip(reason)
        env = Env(build, row["engine"])
        env.need(*row["needs"])
        signal.alarm(row["timeout"])
        row["fn"](env)
        outcome, text = "ok", ""
    except Skip as skip:
        outcome, text = "skip", str(skip)
    except BaseException as error:  # the runner goes on with the next test
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        import traceback
        where = traceback.extract_tb(error.__traceback__)
        last = next((f for f in reversed(where) if os.path.basename(f.filename).startswith("test_")), where[-1])
        outcome = "not ok"
        text = f"{type(error).__name__}: {error}\nat {os.path.basename(last.filename)}:{last.lineno}: {last.line}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
        if env:
            env.close()
    return outcome, time.monotonic() - began, text
