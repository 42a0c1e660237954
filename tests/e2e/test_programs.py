# SPDX-License-Identifier: Apache-2.0
"""Other people's programs, as the distribution packages them, with a leak planted into them."""
import glob
import http.client
import os
import re
import socket

from harness import Failed, Proc, Skip, check, check_equal, find_program, test, wait_until
from tool import Victim, check_no_loss, check_truth, find_paths, functions, show, totals, trace, victim

CHAIN = ["plant_inner", "plant_middle", "plant_outer"]
COUNT, SIZE = 37, 12321


def planted(report, outer, count=COUNT, size=SIZE):
    """The planted leak is there with exact numbers, under its whole chain, and the stack reaches the thread's begin."""
    found = find_paths(report, CHAIN + outer)
    check_equal(totals(found), (count * size, count), f"the planted leak\n{show(report)}")
    for path in found:
        check(is_complete(path), f"the stack ends early: {functions(path)}")


def is_complete(path):
    """The stack goes down to where libc begins a thread."""
    names = [n or "" for n in functions(path)][-4:]
    return any("libc_start" in n or n in ("_start", "start_thread", "clone3", "__clone3", "clone") for n in names)


# ---- redis ----

class Redis:
    """redis-server on a socket in the test's folder; speaks just enough of its protocol."""

    def __init__(self, env, *options):
        self.socket = os.path.join(env.tmp, "redis.sock")
        self.proc = env.start(Proc, [find_program("redis-server"), "--port", "0", "--unixsocket", self.socket, "--save",
                                     "", "--appendonly", "no", "--dir", env.tmp, "--daemonize", "no", *options])
        wait_until(self.answers, "redis answers")
        self.pid = self.proc.pid

    def answers(self):
        check(self.proc.popen.poll() is None, f"redis ended: {self.proc.describe()}")
        try:
            return self.ask("PING") == "+PONG"
        except OSError:
            return False

    def ask(self, *words):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(self.socket)
            s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
            return s.makefile("rb").readline().decode().strip()

    def load(self, env, requests):
        """Runs redis-benchmark to its end beside the test."""
        return env.start(Proc, [find_program("redis-benchmark"), "-s", self.socket, "-q", "-c", "10", "-n", str(requests),
                                "-t", "set,get,lpush", "-d", "100", "-r", "1000"])


@test(needs=["redis-server", "redis-benchmark"], timeout=90)
def redis_under_load(env):
    redis = Redis(env, "--loadmodule", env.victim_path("plant_redis.so"))
    t = trace(env, redis.pid, interval="1").wait_attached()
    load = redis.load(env, 10000)
    half = COUNT // 2
    check_equal(redis.ask("PLANT", str(half), str(SIZE)), f":{half}", "the module's answer")
    check_equal(load.wait(60), 0, f"redis-benchmark: {load.describe()}")
    check_equal(redis.ask("PLANT", str(COUNT - half), str(SIZE)), f":{COUNT - half}", "the module's answer")
    report = t.interrupt().json()[-1]
    planted(report, ["plant_command"])
    check_no_loss(report)
    check_equal(redis.ask("PING"), "+PONG", "redis afterwards")


@test(needs=["redis-server", "redis-benchmark"], timeout=90)
def redis_load_alone_leaves_no_growing_path(env):
    redis = Redis(env)
    redis.load(env, 500).wait()
    t = trace(env, redis.pid, interval="1").wait_attached()
    check_equal(redis.load(env, 3000).wait(60), 0, "redis-benchmark")
    first = t.wait_report().json()[-1]
    report = t.interrupt().json()[-1]
    check(report["totals"]["blocks"] <= first["totals"]["blocks"] + 50, f"blocks grow without load\n{show(report)}")
    check(redis.proc.popen.poll() is None, "redis lives")


@test(needs=["redis-server", "redis-benchmark"], timeout=90)
def attached_to_again_and_again_under_load(env):
    redis = Redis(env, "--loadmodule", env.victim_path("plant_redis.so"))
    load = redis.load(env, 12000)
    for _ in range(5):
        t = trace(env, redis.pid).wait_attached()
        check_equal(redis.ask("PLANT", "3", str(SIZE)), ":3", "the module's answer")
        report = t.interrupt().json()[-1]
        planted(report, ["plant_command"], 3)
    check_equal(load.wait(60), 0, f"redis-benchmark: {load.describe()}")
    check_equal(redis.ask("PING"), "+PONG", "redis afterwards")


# ---- nginx ----

CONF = """
daemon off;
master_process on;
worker_processes 1;
user root;
pid {tmp}/nginx.pid;
error_log {tmp}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {tmp}; proxy_temp_path {tmp}; fastcgi_temp_path {tmp}; uwsgi_temp_path {tmp}; scgi_temp_path {tmp};
  server {{
    listen 127.0.0.1:{port};
    location / {{ root {tmp}/www; }}
    location = /status {{ stub_status; }}
  }}
}}
"""


class Nginx:
    def __init__(self, env, preload):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        os.mkdir(os.path.join(env.tmp, "www"))
        with open(os.path.join(env.tmp, "www", "index.html"), "w") as f:
            f.write("x" * 3000)
        conf = os.path.join(env.tmp, "nginx.conf")
        with open(conf, "w") as f:
            f.write(CONF.format(tmp=env.tmp, port=self.port))
        self.master = env.start(Proc, [find_program("nginx"), "-c", conf, "-p", env.tmp],
                                env={**os.environ, "LD_PRELOAD": preload})
        env.stack.callback(self.stop)
        wait_until(self.answers, "nginx answers")
        with open(f"/proc/{self.master.pid}/task/{self.master.pid}/children") as f:
            self.worker = int(f.read().split()[0])

    def stop(self):
        self.master.popen.terminate()
        try:
            self.master.wait(10)
        except Failed:
            pass

    def answers(self):
        check(self.master.popen.poll() is None, f"nginx ended: {self.master.describe()}")
        try:
            return self.accepted() > 0
        except (OSError, http.client.HTTPException):
            return False

    def accepted(self):
        """How many connections it says to have accepted, this one included."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        c.request("GET", "/status", headers={"Connection": "close"})
        text = c.getresponse().read().decode()
        c.close()
        return int(re.search(r"requests\s+(\d+)", text)[1])


@test(needs=["nginx", "ab"], timeout=90)
def nginx_worker_under_load(env):
    nginx = Nginx(env, env.victim_path("plant_accept.so"))
    before = nginx.accepted()
    t = trace(env, nginx.worker, interval="1").wait_attached()
    load = env.start(Proc, [find_program("ab"), "-q", "-n", "1500", "-c", "4", f"http://127.0.0.1:{nginx.port}/"])
    check_equal(load.wait(60), 0, f"ab: {load.describe()}")
    check(re.search(r"Failed requests:\s+0\b", load.stdout), f"failed requests: {load.describe()}")
    count = nginx.accepted() - before
    report = t.interrupt().json()[-1]
    planted(report, ["accept4"], count, 300)
    check_no_loss(report)
    check(nginx.accepted() > 0, "nginx afterwards")


# ---- interpreters ----

PYTHON_SCRIPT = """
import ctypes, sys
plant = ctypes.CDLL(sys.argv[1]).plant
plant.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
print('{"event":"ready","pid":0}', flush=True)
class Worker:
    def run(self, depth, count, size):
        if depth:
            return self.run(depth - 1, count, size)
        return plant(count, size)
for line in sys.stdin:
    count, size = map(int, line.split())
    scratch = [{"key %d" % i: [str(i)] * 3} for i in range(2000)]
    Worker().run(4, count, size)
    del scratch
    print('{"event":"done","command":"go"}', flush=True)
"""


@test(timeout=90)
def python3_with_malloc(env):
    python = "/usr/bin/python3"
    if not os.path.exists(python):
        raise Skip(f"{python} is not there")
    script = os.path.join(env.tmp, "leak.py")
    with open(script, "w") as f:
        f.write(PYTHON_SCRIPT)
    v = env.start(Victim, [python, script, env.victim_path("plant_python.so")],
                  env={"PYTHONMALLOC": "malloc", "PATH": "/usr/bin:/bin"}).wait_ready()
    t = trace(env, v.pid, interval="1").wait_attached()
    v.command(f"{COUNT} {SIZE}", 40)
    report = t.interrupt().json()[-1]
    planted(report, ["plant"])
    check_no_loss(report)


NODE_SCRIPT = """
const fs = require('fs');
const m = {exports: {}};
process.dlopen(m, process.argv[2]);
const say = (o) => fs.writeSync(1, JSON.stringify(o) + '\\n');
say({event: 'ready', pid: process.pid});
function deeper(depth, count, size) {
  return depth ? deeper(depth - 1, count, size) : m.exports.plant(count, size);
}
require('readline').createInterface({input: process.stdin}).on('line', (line) => {
  const [count, size] = line.split(' ').map(Number);
  const scratch = [];
  for (let i = 0; i < 2000; i++) scratch.push(Buffer.alloc(10000 + i).toString('hex').length);
  deeper(3, count, size);
  say({event: 'done', command: 'go'});
});
"""


@test(needs=["node"], timeout=90)
def node_with_an_addon(env):
    script = os.path.join(env.tmp, "leak.js")
    with open(script, "w") as f:
        f.write(NODE_SCRIPT)
    v = env.start(Victim, [find_program("node"), script, env.victim_path("plant_node.so")]).wait_ready()
    t = trace(env, v.pid, interval="1").wait_attached(40)
    v.command(f"{COUNT} {SIZE}", 40)
    report = t.interrupt(40).json()[-1]
    planted(report, ["plant_call"])


# ---- other allocators ----

def preloaded(env, name, library):
    libraries = sorted(glob.glob(f"/usr/lib/*/{library}"))
    if not libraries:
        raise Skip(f"{library} is not installed")
    v = victim(env, name, preload=libraries[0])
    with open(f"/proc/{v.pid}/maps") as f:
        check(library in f.read(), f"{library} is not loaded")
    return v


def check_preloaded(env, name, library):
    v = preloaded(env, name, library)
    t = trace(env, v.pid).wait_attached()
    v.command("go")
    truth = v.command("go")
    report = t.interrupt().json()[-1]
    check_truth(report, truth)
    check_no_loss(report)


@test()
def c_under_preloaded_jemalloc(env):
    check_preloaded(env, "deep20", "libjemalloc.so.2")


@test()
def cxx_under_preloaded_jemalloc(env):
    check_preloaded(env, "cxx", "libjemalloc.so.2")


@test()
def c_under_preloaded_tcmalloc(env):
    check_preloaded(env, "deep20", "libtcmalloc_minimal.so.4")


@test()
def cxx_under_preloaded_tcmalloc(env):
    check_preloaded(env, "cxx", "libtcmalloc_minimal.so.4")


@test()
def threads_under_preloaded_jemalloc(env):
    check_preloaded(env, "threads", "libjemalloc.so.2")
