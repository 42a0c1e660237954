# SPDX-License-Identifier: Apache-2.0
"""seep shm on this machine: what is left behind is leaked, what is held is not, and the numbers are those of ipcs."""
import json
import os
import re
import subprocess
import sys

from harness import Proc, Skip, check, check_equal, find_program, test
from machine import HUGE, need_huge_pages

MB = 1 << 20

# Says "ready" and keeps what it has until its standard input ends.
HOLDER = "import ctypes, mmap, os, sys\n{}\nprint('ready', flush=True)\nsys.stdin.read()\n"


def shm(env, *args, wanted=None, prefix=()):
    """Everything that seep shm --json says, with its exit status."""
    done = subprocess.run([*prefix, env.path("seep"), "shm", "--json", *args], capture_output=True, text=True, timeout=20)
    check(done.returncode in (0, 1), f"status {done.returncode}: {done.stderr}")
    report = json.loads(done.stdout)
    check_equal(done.returncode, int(report["totals"]["leaked_objects"] > 0), "status: 1 when something is leaked")
    if wanted is not None:
        check_equal(done.returncode, wanted, "status")
    return report


def find(report, **keys):
    found = [o for o in report["objects"] if all(o.get(k) == v for k, v in keys.items())]
    check_equal(len(found), 1, f"objects with {keys}")
    return found[0]


def holder(env, code):
    p = env.start(Proc, [sys.executable, "-c", HOLDER.format(code)])
    p.wait_line(re.compile("^ready"))
    return p


def segment(env, size, creator_lives=False):
    """A System V segment with one page touched. Its creator has ended, or waits."""
    code = ("libc = ctypes.CDLL(None, use_errno=True); libc.shmat.restype = ctypes.c_void_p\n"
            f"i = libc.shmget(0, {size}, 0o600 | 0o1000); a = libc.shmat(i, None, 0)\n"
            "ctypes.memset(a, 1, 4096); libc.shmdt(ctypes.c_void_p(a)); print('id', i, flush=True)")
    p = holder(env, code)
    number = int(next(line for line in p.out if line.startswith("id")).split()[1])
    env.stack.callback(subprocess.run, [find_program("ipcrm"), "-m", str(number)], capture_output=True)
    if not creator_lives:
        p.popen.stdin.close()
        p.wait()
    return number, p


@test(per_engine=False, needs=["ipcrm"])
def a_segment_left_behind_is_leaked(env):
    number, p = segment(env, 8 * MB)
    report = shm(env, wanted=1)
    o = find(report, type="sysv", id=number)
    check_equal((o["state"], o["size"], o["resident"], o["attached"], o["creator"], o["creator_lives"], o["last_pid"]),
                ("leaked", 8 * MB, 4096, 0, p.pid, False, p.pid), "the segment")


@test(per_engine=False, needs=["ipcrm"])
def a_segment_whose_creator_lives_is_idle(env):
    number, p = segment(env, MB, creator_lives=True)
    o = find(shm(env), type="sysv", id=number)
    check_equal((o["state"], o["creator"], o["creator_lives"]), ("idle", p.pid, True), "the segment")


@test(per_engine=False, needs=["ipcs", "ipcrm"])
def segments_are_those_of_ipcs(env):
    segment(env, 3 * MB)
    segment(env, 5 * MB, creator_lives=True)
    rows = [line.split() for line in env.run([find_program("ipcs"), "-m"]).splitlines() if line.startswith("0x")]
    theirs = sorted((int(r[1]), int(r[0], 16), int(r[4]), int(r[5])) for r in rows)
    own = str(os.stat("/proc/self/ns/ipc").st_ino)
    ours = sorted((o["id"], int(o["key"], 16), o["size"], o["attached"]) for o in shm(env)["objects"]
                  if o["type"] == "sysv" and str(o["ipc_namespace"]) == own)
    check_equal(ours, theirs, "id, key, size, attached")


@test(per_engine=False)
def a_file_in_dev_shm_that_nobody_maps_is_leaked(env):
    path = f"/dev/shm/seep e2e {os.getpid()}"
    env.stack.callback(lambda: os.path.exists(path) and os.unlink(path))
    with open(path, "wb") as f:
        f.write(bytes(2 * MB))
    report = shm(env, wanted=1)
    o = find(report, name=path)
    check_equal((o["state"], o["type"], o["size"], o["resident"], o["holders"]), ("leaked", "posix", 2 * MB, 2 * MB, []),
                "the file")
    text = subprocess.run([env.path("seep"), "shm"], capture_output=True, text=True).stdout
    command = next((line.strip() for line in text.splitlines() if "rm -- " in line and path in line), None)
    check(command, f"the command that removes it:\n{text}")
    subprocess.run(["/bin/sh", "-c", command], check=True)
    check(not any(o["name"] == path for o in shm(env)["objects"]), "it is gone")


@test(per_engine=False, needs=["unshare", "mount"])
def an_ordinary_file_in_memory_is_leaked_when_nobody_uses_it(env):
    script = ("mount -t tmpfs none /mnt && head -c 3000000 /dev/zero > /mnt/large && head -c 3000000 /dev/zero > /mnt/held && "
              "touch -d '3 days ago' /mnt/large /mnt/held && exec 9</mnt/held && echo ready && exec sleep 60")
    p = env.start(Proc, [find_program("unshare"), "--mount", "/bin/sh", "-c", script])
    try:
        p.wait_line(re.compile("^ready"))
    except AssertionError:
        raise Skip(f"namespaces cannot be made here: {p.stderr.strip()}") from None
    report = shm(env, wanted=1)
    check_equal(find(report, name="/mnt/large", namespace_of=p.pid)["state"], "leaked", "unused for three days")
    check_equal(find(report, name="/mnt/held", namespace_of=p.pid)["state"], "open", "that somebody has open")
    check_equal(find(shm(env, "--unused", "4d"), name="/mnt/large")["state"], "idle", "not for long enough")
    check_equal(find(shm(env, "--min-size", "1G"), name="/mnt/large")["state"], "idle", "not large enough")
    subprocess.run(["touch", f"/proc/{p.pid}/root/mnt/large"], check=True)
    check_equal(find(shm(env), name="/mnt/large")["state"], "idle", "used a moment ago")


@test(per_engine=False)
def a_file_in_dev_shm_is_held_by_a_mapping_or_a_descriptor(env):
    path = f"/dev/shm/seep-held-{os.getpid()}"
    env.stack.callback(lambda: os.path.exists(path) and os.unlink(path))
    with open(path, "wb") as f:
        f.write(bytes(MB))
    by_map = holder(env, f"f = os.open({path!r}, os.O_RDWR); m = mmap.mmap(f, {MB}); os.close(f)")
    o = find(shm(env), name=path)
    check_equal((o["state"], [(h["pid"], h["mappings"] > 0, h["mapped_bytes"]) for h in o["holders"]]),
                ("mapped", [(by_map.pid, True, MB)]), "mapped")
    by_map.stop()
    by_fd = holder(env, f"f = os.open({path!r}, os.O_RDONLY)")
    o = find(shm(env), name=path)
    check_equal((o["state"], [(h["pid"], h["mappings"], h["descriptors"]) for h in o["holders"]]),
                ("open", [(by_fd.pid, 0, 1)]), "open")


@test(per_engine=False)
def memfds_and_deleted_files_are_found_by_their_holders(env):
    p = holder(env, "f = os.memfd_create('seep-forgotten'); os.write(f, bytes(123456))\n"
                    f"g = os.memfd_create('seep-mapped'); os.ftruncate(g, {MB}); m = mmap.mmap(g, {MB})\n"
                    "m[0:9000] = bytes(b'x' * 9000); os.close(g)\n"
                    "d = '/dev/shm/seep-deleted-%d' % os.getpid(); h = os.open(d, os.O_RDWR | os.O_CREAT)\n"
                    "os.write(h, bytes(5000)); os.unlink(d)")
    report = shm(env)
    o = find(report, name="/memfd:seep-forgotten")
    check_equal((o["state"], o["type"], o["size"], o["resident"], o["holders"][0]["pid"]),
                ("open", "memfd", 123456, 126976, p.pid), "only a descriptor")
    o = find(report, name="/memfd:seep-mapped")
    check_equal((o["state"], o["size"], o["resident"], o["holders"][0]["mapped_bytes"], o["holders"][0]["descriptors"]),
                ("mapped", MB, 12288, MB, 1), "mapped; Python keeps a descriptor of its own beside it")
    o = find(report, name=f"/dev/shm/seep-deleted-{p.pid}")
    check_equal((o["state"], o["type"], o["deleted"], o["resident"]), ("open", "deleted", True, 8192), "deleted")


@test(per_engine=False, needs=["unshare", "mount", "ipcrm"])
def huge_pages_are_found_however_they_are_shared(env):
    need_huge_pages(env, 4)
    code = (f"libc = ctypes.CDLL(None); libc.shmat.restype = ctypes.c_void_p; size = {HUGE}\n"
            "def put(f):\n"
            "    os.ftruncate(f, size); m = mmap.mmap(f, size); m[0] = 1\n"
            "    return m\n"
            "left = os.open('/mnt/left', os.O_RDWR | os.O_CREAT); put(left).close(); os.close(left)\n"
            "held = put(os.open('/mnt/held', os.O_RDWR | os.O_CREAT))\n"
            "forgotten = os.memfd_create('seep-huge', os.MFD_HUGETLB); put(forgotten).close()\n"
            "child = os.fork()\n"
            "if not child:\n"
            "    i = libc.shmget(0, size, 0o600 | 0o1000 | 0o4000); a = libc.shmat(i, None, 0)\n"  # IPC_CREAT, SHM_HUGETLB
            "    ctypes.memset(a, 1, 1); print('id', i, flush=True); os._exit(0)\n"
            "os.waitpid(child, 0)")
    p = env.start(Proc, [find_program("unshare"), "--mount", "/bin/sh", "-c", 'mount -t hugetlbfs none /mnt && exec "$@"', "sh",
                         sys.executable, "-c", HOLDER.format(code)])
    try:
        p.wait_line(re.compile("^ready"))
    except AssertionError:
        raise Skip(f"huge pages cannot be shared here: {p.stderr.strip()}") from None
    number = int(next(line for line in p.out if line.startswith("id")).split()[1])
    env.stack.callback(subprocess.run, [find_program("ipcrm"), "-m", str(number)], capture_output=True)
    report = shm(env, wanted=1)
    for state, kind, keys in (("leaked", "hugetlb", {"name": "/mnt/left"}), ("mapped", "hugetlb", {"name": "/mnt/held"}),
                              ("open", "memfd", {"name": "/memfd:seep-huge"}), ("leaked", "sysv", {"id": number})):
        o = find(report, **keys)
        check_equal((o["state"], o["type"], o["size"], o["resident"], [h["pid"] for h in o["holders"]]),
                    (state, kind, HUGE, HUGE, [] if state == "leaked" else [p.pid]), keys)


@test(per_engine=False, needs=["unshare", "ipcmk", "mount"])
def other_namespaces_are_looked_into(env):
    script = ("mount -t tmpfs none /dev/shm && head -c 100000 /dev/zero > /dev/shm/inner && ipcmk -M 65536 && "
              "echo ready && exec sleep 60")
    p = env.start(Proc, [find_program("unshare"), "--ipc", "--mount", "/bin/sh", "-c", script])
    try:
        p.wait_line(re.compile("^ready"))
    except AssertionError:
        raise Skip(f"namespaces cannot be made here: {p.stderr.strip()}") from None
    report = shm(env, wanted=1)
    o = find(report, name="/dev/shm/inner")
    check_equal((o["state"], o["namespace_of"], o["size"]), ("leaked", p.pid, 100000), "the file")
    own = os.stat("/proc/self/ns/ipc").st_ino
    segments = [o for o in report["objects"] if o["type"] == "sysv" and o["ipc_namespace"] != own and o["size"] == 65536]
    check(any(o["state"] == "leaked" and o["namespace_of"] == p.pid for o in segments), f"the segment: {segments}")
    check_equal(os.stat("/proc/self/ns/ipc").st_ino, own, "we are where we were")


@test(per_engine=False, needs=["setpriv"])
def without_permission_nothing_is_called_leaked_that_was_not_seen(env):
    path = f"/dev/shm/seep-root-{os.getpid()}"
    env.stack.callback(lambda: os.path.exists(path) and os.unlink(path))
    with open(path, "wb") as f:
        f.write(bytes(5000))
    os.chmod(path, 0o600)
    nobody = [find_program("setpriv"), "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    if subprocess.run([*nobody, env.path("seep"), "--version"], capture_output=True).returncode:
        raise Skip("nobody may not run the program where it is built")
    report = shm(env, prefix=nobody)
    check_equal(find(report, name=path)["state"], "unseen", "somebody else's file")
    check(report["unseen"]["processes"] > 0, "the processes that were not seen are counted")


@test(per_engine=False)
def shm_takes_no_words(env):
    done = subprocess.run([env.path("seep"), "shm", "extra"], capture_output=True, text=True)
    check_equal((done.returncode, done.stdout), (2, ""), "status and output")
    check_equal(len(done.stderr.splitlines()), 1, "one line")
