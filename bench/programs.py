# SPDX-License-Identifier: Apache-2.0
"""What watching costs whole programs: a part of bench/run."""
import contextlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import time

PYTHON_ROUNDS, SQL_ROUNDS = 6, 3  # of their work: a second or two
LIMIT = 300  # seconds for one program, however slow its watcher makes it
REQUESTS = {"redis-server": 40000, "nginx": 20000}

METHOD = """
Whole programs, bare and under each tool in turns; each run is a fresh process, which is watched before it gets its work. Servers:
requests per second, and the 99th percentile of their latency, as redis-benchmark (SET, 10 clients) and ab (8 clients) say it. The
others: CPU time of the process and its threads, in the kernel and outside, from its start to its end. python3 makes and drops lists,
dicts and strings with PYTHONMALLOC=malloc; sqlite3 inserts, sorts and joins in memory; cc1plus compiles a unit that uses <regex>, <map>
and <variant>, without optimizing. What a tool does itself is in the machine's load, but not in these numbers.
"""

PYTHON = """
import json, sys
for line in sys.stdin:
    for _ in range(int(line)):
        rows = [{"name": f"row {i}", "tags": [str(i), str(i * 7)], "size": float(i)} for i in range(20000)]
        text = json.dumps(rows)
        assert sum(r["size"] for r in json.loads(text)) > 0
"""

SQL = """
create table a(id integer primary key, name text, size int);
create table b(id integer primary key, a int, note text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 60000) insert into a select i, 'name ' || i, i * 7919 % 1000 from n;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 60000) insert into b select i, i * 31 % 60000, hex(i) from n;
select sum(length(notes)) from (select group_concat(note) as notes from a join b on b.a = a.id group by a.size);
select count(*) from (select * from a order by name desc, size);
drop table a; drop table b;
"""


class Trouble(Exception):
    """No number; the text stands in the table instead."""


def find(*names):
    return next((p for n in names if (p := shutil.which(n, path=os.environ.get("PATH", "") + ":/usr/sbin"))), None)


# ---- programs that work and end ----

class Batch:
    """A program that waits for its work at stdin, does it, and ends at the end of it."""

    unit = "CPU seconds"

    def __init__(self, name, argv, work, env=None):
        self.name, self.argv, self.work, self.env = name, argv, work, {**os.environ, **(env or {})}

    @contextlib.contextmanager
    def start(self, tmp):
        with open(os.path.join(tmp, "program"), "wb") as log:
            self.proc = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=tmp, env=self.env)
        time.sleep(0.3)  # it has come to its stdin
        try:
            yield self.proc.pid
        finally:
            if self.proc.returncode is None:
                self.proc.kill()
                self.proc.wait()

    def measure(self, _tmp):
        """[CPU seconds]"""
        with contextlib.suppress(BrokenPipeError):
            self.proc.stdin.write(self.work)
            self.proc.stdin.close()
        end, done = time.monotonic() + LIMIT, 0
        while not done:
            done, status, usage = os.wait4(self.proc.pid, os.WNOHANG)
            if not done and time.monotonic() > end:
                raise Trouble("stalls its target")
            time.sleep(0.01)
        self.proc.returncode = os.waitstatus_to_exitcode(status)
        if self.proc.returncode:
            raise Trouble(f"kills its target ({self.proc.returncode})" if self.proc.returncode < 0 else "its target fails")
        return [usage.ru_utime + usage.ru_stime]


# ---- servers ----

class Redis:
    name, unit = "redis-server", "requests/s (p99 ms)"

    @contextlib.contextmanager
    def start(self, tmp):
        path = os.path.join(tmp, "programs.sock")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with server([find("redis-server"), "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir", tmp],
                    lambda: os.path.exists(path)) as proc:
            yield proc.pid

    def measure(self, tmp):
        """[requests per second, p99 in ms]"""
        text = load(["redis-benchmark", "-s", os.path.join(tmp, "programs.sock"), "--csv", "-c", "10", "-n", REQUESTS[self.name],
                     "-r", "10000", "-d", "100", "-t", "set"])
        row = re.search(r'^"SET","([\d.]+)",(?:"[\d.]+",){4}"([\d.]+)"', text, re.M)
        if not row:
            raise Trouble("redis-benchmark says nothing")
        return [float(row[1]), float(row[2])]


CONF = """
daemon off; master_process off; error_log stderr crit; pid {tmp}/nginx.pid;
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path {tmp}; proxy_temp_path {tmp}; fastcgi_temp_path {tmp}; uwsgi_temp_path {tmp};
scgi_temp_path {tmp}; server {{ listen 127.0.0.1:{port}; location / {{ root {tmp}/www; }} }} }}
"""


class Nginx:
    name, unit = "nginx", "requests/s (p99 ms)"

    @contextlib.contextmanager
    def start(self, tmp):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        os.makedirs(os.path.join(tmp, "www"), exist_ok=True)
        with open(os.path.join(tmp, "www", "index.html"), "w") as f:
            f.write("x" * 3000)
        conf = os.path.join(tmp, "nginx.conf")
        with open(conf, "w") as f:
            f.write(CONF.format(tmp=tmp, port=self.port))
        with server([find("nginx"), "-c", conf, "-p", tmp], self.answers) as proc:
            yield proc.pid

    def answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def measure(self, _tmp):
        """[requests per second, p99 in ms]"""
        text = load(["ab", "-q", "-n", REQUESTS[self.name], "-c", "8", f"http://127.0.0.1:{self.port}/index.html"])
        rate, late = re.search(r"Requests per second:\s+([\d.]+)", text), re.search(r"^\s*99%\s+(\d+)", text, re.M)
        if not rate or not late or not re.search(r"Failed requests:\s+0\b", text):
            raise Trouble("requests fail")
        return [float(rate[1]), float(late[1])]


@contextlib.contextmanager
def server(argv, is_up):
    proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(500):
            if is_up():
                break
            time.sleep(0.01)
        else:
            raise Trouble("its target does not start")
        yield proc
        if proc.poll() is not None:
            raise Trouble("kills its target")
    finally:
        proc.kill()
        proc.wait()


def load(argv):
    try:
        return subprocess.run([find(argv[0]), *(str(a) for a in argv[1:])], capture_output=True, text=True, timeout=LIMIT).stdout
    except subprocess.TimeoutExpired:
        raise Trouble("stalls its target") from None


# ---- the table ----

def compiler(tmp):
    """cc1plus, and what it is to compile: preprocessed beforehand."""
    found = subprocess.run([find("g++"), "-print-prog-name=cc1plus"], capture_output=True, text=True).stdout.strip()
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "names.cc")
    text = subprocess.run([find("g++"), "-std=c++17", "-E", source], capture_output=True, cwd=tmp).stdout
    return Batch("cc1plus", [found, "-quiet", "-fpreprocessed", "-std=c++17", "-O0", "-", "-o", "/dev/null"], text)


def programs(tmp):
    rows = []
    if find("redis-server") and find("redis-benchmark"):
        rows.append(Redis())
    if find("nginx") and find("ab"):
        rows.append(Nginx())
    if os.path.exists("/usr/bin/python3"):
        rows.append(Batch("python3, PYTHONMALLOC=malloc", ["/usr/bin/python3", "-S", "-c", PYTHON],
                          f"{PYTHON_ROUNDS}\n".encode(), {"PYTHONMALLOC": "malloc"}))
    if find("g++"):
        rows.append(compiler(tmp))
    if find("sqlite3"):
        rows.append(Batch("sqlite3", [find("sqlite3"), ":memory:"], SQL.encode() * SQL_ROUNDS))
    return rows


def measure(program, tool, tmp):
    """The program's numbers under a tool, None: bare."""
    with program.start(tmp) as pid:
        watcher = tool.attach(pid)[0] if tool else None
        try:
            return program.measure(tmp)
        finally:
            if watcher:
                tool.kill(watcher)


def cell(values, bare):
    """Median, and how many times worse than bare."""
    numbers = [statistics.median(column) for column in zip(*values)]
    if len(numbers) == 1:
        return f"{numbers[0]:.2f}" + (f", x{numbers[0] / statistics.median(v[0] for v in bare):.2f}" if bare else "")
    return f"{numbers[0]:,.0f} ({numbers[1]:.2f})" + (
        f", x{statistics.median(v[0] for v in bare) / numbers[0]:.2f}" if bare else "")


def part_programs(tools, troubles, tmp, args, out, progress):
    """tools: [Tool]; troubles: what theirs are."""
    out("## Whole programs\n")
    out(METHOD.strip() + "\n")
    out("| program | | bare | " + " | ".join(t.name for t in tools) + " |\n|" + "---|" * (len(tools) + 3))
    for program in programs(tmp):
        got, failed = {None: []}, {}
        for _ in range(args.cycles):
            for tool in [None, *tools]:
                if tool in failed:
                    continue
                progress(f"{program.name} {'bare' if not tool else 'under ' + tool.name}")
                try:
                    got.setdefault(tool, []).append(measure(program, tool, tmp))
                except (Trouble, troubles) as t:
                    failed[tool] = str(t)
        bare = got.pop(None)
        cells = [failed.get(t) or cell(got[t], bare) for t in tools]
        out(f"| {program.name} | {program.unit} | {cell(bare, None) if bare else failed[None]} | " + " | ".join(cells) + " |")
    out("")
