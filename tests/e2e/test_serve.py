# SPDX-License-Identifier: Apache-2.0
"""seep serve: metrics, profiles and pages over HTTP; whom it follows, whom it refuses, how it ends."""
import contextlib
import gzip
import http.client
import os
import re
import shutil
import signal
import socket

from harness import Skip, check, check_equal, test, wait_until
from tool import Tool, engine_args

WHERE = re.compile(r"serving http://(\S+?):(\d+)/")
SAMPLE = re.compile(r'^(\w+)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Server(Tool):
    def at(self):
        return int(self.wait_line(WHERE, self.err)[2])

    def ask(self, path, method="GET", **headers):
        """(status, headers, body)"""
        c = http.client.HTTPConnection("127.0.0.1", self.at(), timeout=20)
        with contextlib.closing(c):
            c.request(method, path, headers=headers)
            answer = c.getresponse()
            return answer.status, answer.headers, answer.read()

    def metrics(self):
        """[(name, labels, value)]"""
        status, _, body = self.ask("/metrics")
        check_equal(status, 200, "status of /metrics")
        found = [SAMPLE.match(line) for line in body.decode().splitlines() if not line.startswith("#")]
        check(all(found), f"a line that is no sample in {body.decode()}")
        return [(m[1], dict(LABEL.findall(m[2] or "")), float(m[3])) for m in found]

    def value(self, name, **labels):
        """Of the series with these labels; None: there is none."""
        return next((v for n, have, v in self.metrics() if n == name and labels.items() <= have.items()), None)


def serve(env, *args):
    return env.start(Server, [env.path("seep"), "serve", *engine_args(env), "--listen", "127.0.0.1:0", "-i", "200ms", "--older", "0",
                              *map(str, args)])


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(word) for word in f.read().split()]


def watchers(server):
    return [pid for pid in children(server.pid) if os.path.exists(f"/proc/{pid}")]


@test()
def a_leak_is_served_as_metrics_profile_and_page(env):
    leak = env.start_quiet([env.path("demo", "leak")])
    s = serve(env, "--scan", "1s", leak.pid)
    wait_until(lambda: s.value("seep_growing_bytes", pid=str(leak.pid)), "the leak grows in /metrics")
    wait_until(lambda: s.value("seep_path_leaked_bytes", function="fibonacci"), "a scan calls its path leaked")
    got = s.metrics()
    info = next(have for n, have, _ in got if n == "seep_path_info")
    check(info["stack"].endswith("child;fibonacci"), info)
    sums = {n: v for n, have, v in got if have.get("path", info["path"]) == info["path"]}
    check_equal(sums["seep_path_outstanding_bytes"], sums["seep_outstanding_bytes"], "the only path has it all")
    check_equal(sums["seep_path_outstanding_bytes"] % 8192, 0.0, "whole blocks of the demo")
    check(sums["seep_leaked_bytes"] >= sums["seep_path_leaked_bytes"], sums)

    with open(os.path.join(os.path.dirname(__file__), "..", "..", "doc", "metrics.md")) as f:
        text = f.read()
    check_equal([n for n, _, _ in got if f"`{n}`" not in text], [], "names that doc/metrics.md lacks")

    status, headers, body = s.ask("/metrics", Accept="application/openmetrics-text; version=1.0.0,text/plain;q=0.5")
    check_equal((status, headers["Content-Type"]), (200, "application/openmetrics-text; version=1.0.0; charset=utf-8"), "OpenMetrics")
    check(body.endswith(b"# EOF\n"), body[-80:])
    status, headers, body = s.ask("/")
    check_equal((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"), "the page")
    check(b'"fibonacci"' in body, "the page names the leak")
    check_equal(int(s.ask("/", "HEAD")[1]["Content-Length"]) > 10000, True, "HEAD tells its length")
    status, _, body = s.ask("/profile")
    check_equal(status, 200, "status of /profile")
    check(b"fibonacci" in gzip.decompress(body), "the profile names the leak")

    s.signal(signal.SIGTERM)
    check_equal(s.wait(), 0, "status after SIGTERM")
    check_equal(leak.popen.poll(), None, "the target lives")
    check("nothing of seep is in it" in env.run([env.path("seep"), "detach", leak.pid]), "nothing stays in the target")


@test(per_engine=False)
def who_may_not_ask_is_told_so(env):
    s = serve(env, "no-such-program-runs")
    for path, method, headers, wanted in [
            ("/healthz", "GET", {}, 200), ("/metrics", "HEAD", {}, 200), ("/", "POST", {}, 405), ("/", "DELETE", {}, 405),
            ("/", "GET", {"Content-Length": "5"}, 413), ("/nothing", "GET", {}, 404), ("/..%2f..%2fetc/passwd", "GET", {}, 404),
            ("/?pid=x", "GET", {}, 400), ("/?pid=1", "GET", {}, 404), ("/profile", "GET", {}, 400),
            ("/metrics", "GET", {"Host": "evil.example"}, 403), ("/metrics", "GET", {"Host": "localhost"}, 200)]:
        check_equal(s.ask(path, method, **headers)[0], wanted, f"{method} {path} {headers}")
    check(b"No process to watch" in s.ask("/")[2], "the page says that there is none")

    # more bytes than a request may have, more connections than there are
    with socket.create_connection(("127.0.0.1", s.at()), timeout=10) as c:
        with contextlib.suppress(OSError):  # it may close before we are done
            c.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 40000 + b"\r\n\r\n")
            check(b" 200 " not in c.recv(4096).split(b"\r\n")[0], "40,000 bytes are refused")
    many = [socket.create_connection(("127.0.0.1", s.at()), timeout=10) for _ in range(40)]
    for c in many:
        c.close()
    wait_until(lambda: s.value("seep_http_connections") == 1, "the idle connections are gone")
    s.signal(signal.SIGINT)
    check_equal(s.wait(), 0, "status after Ctrl-C")


@test(per_engine=False)
def other_machines_need_a_token(env):
    token, path = "0123456789abcdef", os.path.join(env.tmp, "token")
    with open(path, "w") as f:
        f.write(token + "\n")

    def refused(*args):
        t = env.start(Tool, [env.path("seep"), "serve", "--listen", *args, "no-such-program-runs"])
        check_equal(t.wait(), 2, f"status of {t.describe()}")
        return t.stderr

    check("can be reached from other machines" in refused("0.0.0.0:0"), "no token, no foreign address")
    os.chmod(path, 0o644)
    check("read by everybody" in refused("0.0.0.0:0", "--token-file", path), "a secret that everybody knows is refused")
    os.chmod(path, 0o600)
    s = serve(env, "--listen", "0.0.0.0:0", "--token-file", path, "no-such-program-runs")
    check_equal(s.ask("/healthz")[0], 200, "a probe needs no token")
    check_equal(s.ask("/metrics")[0], 401, "without the token")
    check_equal(s.ask("/metrics", Authorization="Bearer " + token[:-1] + "x")[0], 401, "with a wrong one")
    check_equal(s.ask("/metrics", Authorization="Bearer " + token)[0], 200, "with it")
    check_equal(env.start(Tool, [env.path("seep"), "serve", "--listen", f"127.0.0.1:{s.at()}", "x"]).wait(), 3,
                "an address that is taken")


@test(per_engine=False)
def a_program_is_followed_as_it_comes_and_goes(env):
    program = shutil.copy(env.path("demo", "leak"), os.path.join(env.tmp, "serve-me"))
    s = serve(env, "--name", "serve-me")
    wait_until(lambda: s.value("seep_targets") == 0, "nobody is there")
    first, second = (env.start_quiet([program]) for _ in range(2))
    up = lambda p: s.value("seep_up", pid=str(p.pid), comm="serve-me")  # noqa: E731
    wait_until(lambda: up(first) == 1 and up(second) == 1, "both are watched")
    check(f"/?pid={second.pid}".encode() in s.ask("/")[2], "the page lists them")
    first.stop()
    wait_until(lambda: up(first) is None, "the first has gone")

    # whoever watches is killed: said, counted, tried again
    os.kill(watchers(s)[0], signal.SIGKILL)
    wait_until(lambda: s.value("seep_watch_failures_total", pid=str(second.pid)) == 1, "it is counted")
    check(s.value("seep_down_info", pid=str(second.pid)) or up(second), "and said why")
    wait_until(lambda: up(second) == 1, "it is watched again")

    # the server is killed: those who watch leave
    left = watchers(s)
    s.signal(signal.SIGKILL)
    s.wait()
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in left), "those who watched have gone")
    check_equal(second.popen.poll(), None, "the target lives")


@test(per_engine=False)
def a_cgroup_is_watched_with_what_is_below_it(env):
    root = next((r for r in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup") if os.path.exists(f"{r}/cgroup.procs")), None)
    folder = f"{root}/seep-serve-{os.getpid()}"
    try:
        os.makedirs(f"{folder}/inner")
    except OSError as error:
        raise Skip(f"cannot make a cgroup: {error}") from None
    for path in (folder, f"{folder}/inner"):
        env.stack.callback(wait_until, lambda path=path: not os.path.exists(path) or os.rmdir(path) is None, "the cgroup is gone")
    leak, other = (env.start_quiet([env.path("demo", "leak")]) for _ in range(2))
    with open(f"{folder}/inner/cgroup.procs", "w") as f:
        f.write(str(leak.pid))
    s = serve(env, "--cgroup", "/" + os.path.basename(folder), "--max-targets", "2")
    wait_until(lambda: s.value("seep_up", pid=str(leak.pid)) == 1, "its process is watched")
    check_equal(s.value("seep_up", pid=str(other.pid)), None, "and no other")
    leak.stop()
