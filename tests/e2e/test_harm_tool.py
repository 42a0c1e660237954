# SPDX-License-Identifier: Apache-2.0
"""The same through the tool itself, with its engine in the target: programs under load, entered, left, abandoned by kill."""
import re

import harm
from harm import check_looks, looks, rounds, wait_clean
from harness import Failed, Proc, check, check_equal, find_program, test
from test_programs import Nginx, Redis
from test_reach import RESTLESS, looks_of_code, start
from tool import trace

AGENT = ["agent"]


def attached(env, pid):
    """A busy machine may not stop all threads in the time that a stop may take: it says so, and is asked again."""
    for _ in range(8):
        t = trace(env, pid)
        try:
            return t.wait_attached()
        except Failed:
            if "could not be stopped" not in t.stderr or t.popen.poll() != 3:
                raise
    raise Failed(f"not to be stopped: {t.describe()}")


def killed_again_and_again(env, pid, times, longest, well):
    """Somewhere between its start and its third report; nothing of it is left each time, and all is well."""
    for i in range(times):
        harm.kill_later(trace(env, pid), i, longest)
        wait_clean(env, pid, timeout=100)
        well()


@test(engines=AGENT, timeout=rounds(90, 900))
def a_hot_target_is_as_before_however_often_we_came(env):
    h = harm.host(env, "3", "3", "waiters")
    before = looks(h.pid)
    for _ in range(rounds(4, 150)):
        t = attached(env, h.pid)
        h.check_well()
        t.interrupt()
        check_looks(before, h.pid)
    h.finish()


@test(engines=AGENT, timeout=rounds(90, 900))
def killed_at_random_instants_the_tool_leaves_a_well_target(env):
    h = harm.host(env, "3", "3", "waiters")
    before = looks(h.pid)
    killed_again_and_again(env, h.pid, rounds(6, 150), 1.5, lambda: h.check_well(eintr=1000))
    check_looks(before, h.pid)


@test(engines=AGENT, timeout=rounds(400, 1200))
def threads_forks_spawns_signals_and_coroutines_go_on(env):
    h = start(env, *RESTLESS)
    before = looks_of_code(h.pid)
    for _ in range(rounds(2, 50)):
        t = attached(env, h.pid)
        t.wait_report()
        h.check_well()
        t.interrupt()
    wait_clean(env, h.pid, timeout=100)
    killed_again_and_again(env, h.pid, rounds(2, 50), 2, h.check_well)
    check_equal(looks_of_code(h.pid), before, "code and mappings of files")
    h.finish()


def check_ab(load):
    check_equal(load.wait(100), 0, f"ab: {load.describe()}")
    check(re.search(r"Failed requests:\s+0\b", load.stdout), f"failed requests: {load.describe()}")


@test(engines=AGENT, timeout=rounds(120, 900), needs=["redis-server", "redis-benchmark"])
def no_request_to_redis_fails_when_we_are_killed(env):
    redis = Redis(env)
    before = looks_of_code(redis.pid)
    load = redis.load(env, 20000)

    def well():
        nonlocal load
        check_equal(redis.ask("PING"), "+PONG", "its answer")
        if load.popen.poll() is not None:
            check_equal(load.wait(), 0, f"redis-benchmark: {load.describe()}")
            load = redis.load(env, 20000)

    killed_again_and_again(env, redis.pid, rounds(6, 150), 1.5, well)
    check_equal(load.wait(100), 0, f"redis-benchmark: {load.describe()}")
    check(not any("rror" in line for line in load.out + load.err), load.describe())
    check_equal(looks_of_code(redis.pid), before, "code and mappings of files")


@test(engines=AGENT, timeout=rounds(120, 900), needs=["nginx", "ab"])
def no_request_to_nginx_fails_when_we_are_killed(env):
    nginx = Nginx(env, "")

    def ab():
        return env.start(Proc, [find_program("ab"), "-q", "-n", "4000", "-c", "4", f"http://127.0.0.1:{nginx.port}/"])

    before = looks_of_code(nginx.worker)
    load = ab()

    def well():
        nonlocal load
        check(nginx.answers(), "nginx answers")
        if load.popen.poll() is not None:
            check_ab(load)
            load = ab()

    killed_again_and_again(env, nginx.worker, rounds(6, 150), 1.5, well)
    check_ab(load)
    check_equal(looks_of_code(nginx.worker), before, "code and mappings of files")
