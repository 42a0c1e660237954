# SPDX-License-Identifier: Apache-2.0
"""The screen of seep top, on a real terminal: what is drawn, what keys do, how it stops and ends."""
import os
import re
import signal

from harness import check, check_equal, test, wait_until
from machine import state_of
from screen import Screen
from tool import Victim

FOOT = "q quit  p pause  s order: "
COLUMNS = re.compile(r"^ +PID +GROWTH +/MIN SURE TREND +ANON +RSS")


def start(env, *args, interval="0.3", **kwargs):
    return Screen(env, [env.path("seep"), "top", *args, interval], **kwargs)


def hog(env):
    """A process that grows, so that there is a row and a sentence."""
    h = env.start(Victim, [env.victim_path("hog")]).wait_ready()
    h.command("grow 4096 20")
    return h


def is_whole(lines, columns, rows):
    """All of a screen of that size: title, vmstat, changes, table, sentence, keys."""
    return (len(lines) == rows and max(map(len, lines)) <= columns and lines[0].startswith("seep top, every ")
            and lines[1].startswith("procs ---") and lines[4].startswith("free memory ")
            and any(COLUMNS.match(line) for line in lines) and lines[-1].startswith(FOOT))


def wait_whole(s, columns, rows):
    return s.wait(lambda lines: is_whole(lines, columns, rows), f"a whole screen of {columns} x {rows}")


def row_of(lines, pid):
    return next((line for line in lines if re.match(rf"[> ] *{pid} ", line)), None)


@test(per_engine=False, needs=["tmux"])
def it_fills_a_small_and_a_large_terminal(env):
    h = hog(env)
    for columns, rows in ((80, 24), (200, 50)):
        s = start(env, "--filter", "hog", columns=columns, rows=rows)
        wait_whole(s, columns, rows)
        lines = s.wait(lambda ls: row_of(ls, h.pid) and is_whole(ls, columns, rows), "the row of the process that grows")
        check_equal("PSS" in next(line for line in lines if COLUMNS.match(line)), columns >= 100, "a column for PSS")
        check_equal(row_of(lines, h.pid).endswith("/hog"), columns >= 100, "the whole command where there is room")
        s.close()


@test(per_engine=False, needs=["tmux"])
def q_ends_it_with_the_sentence_as_text(env):
    s = start(env)
    wait_whole(s, 80, 24)
    lines = s.keys("q").wait_text("ended with 0")
    check(not any(line.startswith(FOOT) for line in lines), "the screen is gone", *lines)
    check(re.search(r"(free (fell|rose|did not change)|one look)", " ".join(lines)), "the sentence", *lines)


@test(per_engine=False, needs=["tmux"])
def resizing_draws_it_anew(env):
    s = start(env)
    wait_whole(s, 80, 24)
    for columns, rows in ((200, 50), (80, 24), (132, 30)):
        s.resize(columns, rows)
        wait_whole(s, columns, rows)
    s.resize(60, 12)  # too low for all of it: the end of it matters most
    s.wait(lambda ls: len(ls) == 12 and ls[-1].startswith(FOOT[:20]), "the keys on a small screen")


@test(per_engine=False, needs=["tmux"])
def keys_pause_sort_and_filter(env):
    h = hog(env)
    s = start(env)
    wait_whole(s, 80, 24)
    s.keys("p").wait_text("; PAUSED")
    check("order: growth" in s.lines()[-1], s.lines()[-1])
    s.keys("s").wait_text("order: anon")
    s.keys("p").wait(lambda ls: "PAUSED" not in ls[0], "it goes on")
    s.keys("/").wait_text("show only")
    s.keys("h", "o", "g").wait_text("everybody): hog_")
    lines = s.keys("Enter").wait(lambda ls: "; only hog" in ls[0] and row_of(ls, h.pid), "only the one")
    check(all("hog" in line for line in lines if re.match(r"[> ] *\d+ +([-+]\d|0 .*[A-Z])", line)), *lines)
    s.keys("/", "Escape").wait(lambda ls: "; only" not in ls[0] and is_whole(ls, 80, 24), "everybody again")


@test(per_engine=False, needs=["tmux"])
def enter_traces_the_process_and_comes_back(env):
    h = hog(env)
    s = start(env, "--filter", "hog")
    s.wait(lambda ls: (row_of(ls, h.pid) or "").startswith(">"), "the process, selected")
    s.keys("Enter").wait(lambda ls: not ls[0].startswith("seep top,") and any(str(h.pid) in line for line in ls),
                         "a trace of it")
    s.keys("C-c").wait_text("seep top: any key goes back to it")
    s.keys("x")
    wait_whole(s, 80, 24)
    check(h.popen.poll() is None, "the process has ended, too")


@test(per_engine=False, needs=["tmux", "ps"])
def stopped_it_leaves_the_terminal_and_going_on_draws(env):
    s = start(env)
    wait_whole(s, 80, 24)
    pid = s.pid()
    s.keys("C-z")
    wait_until(lambda: state_of(pid) == "T", "it is stopped")
    s.wait(lambda ls: not any(line.startswith(FOOT) for line in ls), "the screen is left")
    os.kill(pid, signal.SIGCONT)
    wait_whole(s, 80, 24)
    s.keys("q").wait_text("ended with 0")


@test(per_engine=False, needs=["tmux", "ps"])
def sigterm_gives_the_terminal_back(env):
    s = start(env)
    wait_whole(s, 80, 24)
    os.kill(s.pid(), signal.SIGTERM)
    lines = s.wait_text("ended with 0")
    check(not any(line.startswith(FOOT) for line in lines), "the screen is gone", *lines)


@test(per_engine=False, needs=["tmux"])
def without_colour_there_is_none(env):
    for variables, wanted in (({}, True), ({"NO_COLOR": "1"}, False)):
        s = start(env, **variables)
        wait_whole(s, 80, 24)
        text = "\n".join(s.lines(colours=True))
        check_equal("\033[" in text, wanted, f"colours with {variables}: {text!r}")
        s.close()
