# SPDX-License-Identifier: Apache-2.0
"""A real terminal for a program: tmux on a server of its own, keys in, what stands on the screen out."""
import os
import shlex
import subprocess
import tempfile

from harness import check, wait_until


class Screen:
    """Runs a command in a pane of its own; what it printed at its end stays readable."""

    def __init__(self, env, argv, columns=80, rows=24, **variables):
        env.need("tmux")
        self.socket = os.path.join(tempfile.mkdtemp(dir=env.tmp), "tmux")  # a server that ends takes its socket with it
        words = [f"{k}={v}" for k, v in {"LANG": "C.UTF-8", **variables}.items()]
        command = " ".join(shlex.quote(str(w)) for w in ["env", *words, *argv])
        env.stack.callback(self._tmux, "kill-server", check_it=False)
        self._tmux("new-session", "-d", "-x", str(columns), "-y", str(rows),
                   f"sh -c {shlex.quote(f'cd {env.tmp}; {command}; echo ended with $?; exec sleep 1000')}")

    def _tmux(self, *args, check_it=True):
        done = subprocess.run(["tmux", "-u", "-S", self.socket, "-f", "/dev/null", *args], capture_output=True, text=True)
        check(done.returncode == 0 or not check_it, f"tmux {args}: {done.stderr}")
        return done.stdout

    def close(self):
        self._tmux("kill-server")

    def keys(self, *names):
        """Each is typed as it is, or a key that tmux has a name for."""
        for name in names:
            self._tmux("send-keys", name)
        return self

    def resize(self, columns, rows):
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def lines(self, colours=False):
        return self._tmux("capture-pane", "-p", *(["-e"] if colours else [])).split("\n")[:-1]

    def pid(self):
        """Of the process in the foreground: the command's own, or of the shell around it."""
        tty = self._tmux("display-message", "-p", "#{pane_tty}").strip()
        found = subprocess.run(["ps", "-o", "pid=,stat=,comm=", "-t", tty], capture_output=True, text=True).stdout
        return next((int(line.split()[0]) for line in found.splitlines() if line.split()[2] == "seep"), None)

    def wait(self, condition, what):
        """Waits until condition(lines) holds; returns the lines."""
        last = []

        def look():
            last[:] = self.lines()
            return condition(last)

        try:
            wait_until(look, what, every=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}\n" + "\n".join(last)) from None
        return list(last)

    def wait_text(self, text):
        return self.wait(lambda lines: any(text in line for line in lines), f"'{text}' on the screen")
