# SPDX-License-Identifier: Apache-2.0
"""Programs in containers: own mount and pid namespaces, files that the host does not have, nothing copied out."""
import os
import re
import shutil
import subprocess

from harness import Failed, Proc, Skip, check, check_equal, find_program, test, wait_until
from tool import Tool, Victim, check_truth, engine_args, memleak, trace

APP = "/only-in-the-container/deep20"


def make_root(env, program="deep20"):
    """A small root: busybox, one victim and copies of the libraries that it needs."""
    busybox = find_program("busybox")
    if not busybox:
        raise Skip("busybox is not installed")
    root = os.path.join(env.tmp, "root")
    for folder in ("bin", "proc", "tmp", os.path.dirname(APP)[1:]):
        os.makedirs(os.path.join(root, folder))
    shutil.copy(busybox, os.path.join(root, "bin"))
    os.symlink("busybox", os.path.join(root, "bin", "sh"))
    shutil.copy(env.victim_path(program), root + APP)
    for library in re.findall(r"(/\S+)", env.run(["ldd", env.victim_path(program)])):
        os.makedirs(os.path.dirname(root + library), exist_ok=True)
        shutil.copy(library, root + library)
    return root


def check_watched(env, v, pid):
    """The names come out, of the program and of the libc inside, by both front ends."""
    check(not os.path.exists(APP), f"{APP} is on the host")
    t = trace(env, pid).wait_attached()
    truth = v.command("go")
    t.interrupt()
    report = t.json()[-1]
    check_truth(report, truth)
    modules = {f["module"] for p in report["paths"] for f in p["frames"]}
    check({"deep20", "libc.so.6"} <= modules, f"modules: {modules}")
    m = memleak(env, "-p", pid, "-o", "0", "200ms").wait_attached()
    v.command("go 60 2")
    last = m.interrupt().texts()[-1]
    check_equal([(s.bytes, s.blocks) for s in last.stacks if s.functions()[:2] == ["chain01", "chain02"]], [(120, 2)],
                "memleak's answer")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(c) for c in f.read().split()]


@test(needs=["unshare", "chroot"])
def in_own_namespaces_and_root(env):
    root = make_root(env)
    v = env.start(Victim, ["unshare", "-mpf", f"--mount-proc={root}/proc", "chroot", root, APP])
    try:
        v.wait_ready()
    except Failed as error:
        if "Operation not permitted" in v.stderr:
            raise Skip("namespaces are not permitted here") from error
        raise
    check_watched(env, v, children(v.pid)[0])


@test(needs=["unshare", "chroot"])
def when_the_program_was_deleted_inside(env):
    root = make_root(env)
    v = env.start(Victim, ["unshare", "-mpf", f"--mount-proc={root}/proc", "chroot", root, APP]).wait_ready()
    os.unlink(root + APP)
    check_watched(env, v, children(v.pid)[0])


@test(needs=["unshare", "nsenter"])
def from_inside_the_targets_pid_namespace(env):
    """The tool sits in the same pid namespace as its target, and knows it by the pid that it has there."""
    v = env.start(Victim, ["unshare", "-mpf", "--mount-proc", env.victim_path("deep20")]).wait_ready()
    pid = children(v.pid)[0]
    t = env.start(Tool, ["nsenter", "-t", str(pid), "-m", "-p", "-r", env.path("memleak"), *engine_args(env), "-p", "1", "-o", "0",
                         "200ms", "15"])
    t.wait_attached()
    check_equal(t.out[0], "Attaching to pid 1, Ctrl+C to quit.\n", "the first line")
    v.command("go 60 2")
    check_equal(t.wait(), 0, f"status of {t.describe()}")
    last = t.texts()[-1]
    check_equal([(s.bytes, s.blocks) for s in last.stacks if s.functions()[:2] == ["chain01", "chain02"]], [(120, 2)],
                f"the answer {t.stdout}")


@test(needs=["unshare"])
def target_in_a_pid_namespace_out_of_sight(env):
    """From inside another pid namespace the target does not exist."""
    v = env.start(Victim, [env.victim_path("deep20")]).wait_ready()
    t = env.start(Proc, ["unshare", "-pf", "--mount-proc", env.path("memleak"), "--engine", env.engine, "-p", str(v.pid), "1",
                         "1"])
    check_equal(t.wait(), 3, f"status of {t.describe()}")
    check_equal(len(t.err), 1, f"one line of stderr: {t.describe()}")


class Docker:
    """A daemon of our own, with everything it writes in the test's folder, without network."""

    def __init__(self, env):
        self.host = f"unix://{env.tmp}/docker.sock"
        self.log = os.path.join(env.tmp, "dockerd.log")
        base = os.path.join(env.tmp, "docker")
        with open(self.log, "wb") as log:
            self.daemon = env.start(Proc, [find_program("dockerd"), "--data-root", f"{base}/data", "--exec-root",
                                           f"{base}/exec", "-p", f"{base}.pid", "-H", self.host, "--bridge=none",
                                           "--iptables=false", "--ip-masq=false"],
                                    stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        env.stack.callback(self.stop)
        try:
            wait_until(self.ready, "dockerd is ready", 30)
        except Failed:
            with open(self.log) as f:
                last = [line for line in f.read().splitlines() if "level=" in line or "failed" in line][-1:]
            raise Skip(f"dockerd does not run here: {' '.join(last)[:200]}") from None

    def ready(self):
        check(self.daemon.popen.poll() is None, "dockerd ended")
        return self.call("version", check_it=False).returncode == 0

    def call(self, *words, check_it=True, **kwargs):
        done = subprocess.run([find_program("docker"), *words], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "DOCKER_HOST": self.host}, **kwargs)
        check(done.returncode == 0 or not check_it, f"docker {words}: {done.stderr}")
        return done

    def stop(self):
        self.daemon.popen.terminate()
        try:
            self.daemon.wait(20)
        except Failed:
            pass


@test(needs=["dockerd", "docker", "unshare"], timeout=120)
def in_a_docker_container(env):
    root = make_root(env)
    docker = Docker(env)
    tar = os.path.join(env.tmp, "root.tar")
    env.run(["tar", "-C", root, "-cf", tar, "."])
    docker.call("import", tar, "victim:1")
    name = "seep-e2e"
    probe = docker.call("run", "--rm", "--network", "none", "victim:1", "/bin/busybox", "true", check_it=False)
    if probe.returncode != 0:
        raise Skip(f"docker cannot run a container here: {probe.stderr.strip()[:200]}")
    v = env.start(Victim, [find_program("docker"), "run", "-i", "--rm", "--network", "none", "--name", name, "victim:1", APP],
                  env={**os.environ, "DOCKER_HOST": docker.host})
    env.stack.callback(lambda: docker.call("rm", "-f", name, check_it=False))
    v.wait_ready()
    pid = int(docker.call("inspect", "-f", "{{.State.Pid}}", name).stdout)
    check_watched(env, v, pid)
