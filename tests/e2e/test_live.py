# SPDX-License-Identifier: Apache-2.0
"""The screen of seep trace, on a real terminal: what is drawn, what keys do, how it ends."""
import glob
import json
import os
import re
import signal
import subprocess

from harness import check, check_equal, test, wait_until
from screen import Screen
from tool import engine_args, victim

KEYS = "q quit  ? help  Enter stack"


def start(env, target, *args, interval="300ms", **kwargs):
    return Screen(env, [env.path("seep"), "trace", *engine_args(env), *args, target, interval], **kwargs)


def row_of(lines, function):
    return next((line for line in lines if function in line and re.match(r"[> ] *[0-9.]+[KMG]?  ", line)), None)


@test(needs=["tmux", "ps"])
def the_leak_is_on_the_screen_and_stays_behind_as_text(env):
    leak = env.start_quiet([env.path("demo", "leak")])
    s = start(env, leak.pid)
    lines = s.wait(lambda ls: row_of(ls, "fibonacci < child"), "the leak")
    check(lines[0].startswith(f"seep trace: leak (pid {leak.pid}), engine "), lines[0])
    check(any(line.startswith("not seen: nothing") for line in lines), *lines)
    check_equal(lines[23][:len(KEYS)], KEYS, "the last line")
    lines = s.wait(lambda ls: "growing" in (row_of(ls, "fibonacci") or ""), "the verdict")
    check(" 100% " in row_of(lines, "fibonacci"), row_of(lines, "fibonacci"))
    check(any(re.match(r"live bytes .*[▁▂▃▄▅▆▇]+█  ", line) for line in lines), *lines)
    lines = s.keys("q").wait_text("ended with 0")
    check(any("last report" in line for line in lines), *lines)
    check(any(re.match(r"#1 .* in \d+ block", line) for line in lines), *lines)
    check(leak.popen.poll() is None, "the program has ended, too")


@test(needs=["tmux", "ps"])
def enter_shows_the_whole_stack_with_source_lines(env):
    leak = env.start_quiet([env.path("demo", "leak")])
    s = start(env, leak.pid)
    s.wait(lambda ls: row_of(ls, "fibonacci"), "the leak")
    lines = s.keys("Enter").wait_text("start_thread")
    check(any(re.search(r"fibonacci +\S*demo/common.c:\d+", line) for line in lines), *lines)
    check(any(re.match(r" +\d+ \| .*calloc\(DEMO_NUMBERS", line) for line in lines), "no source line", *lines)
    s.keys("Escape").wait(lambda ls: row_of(ls, "fibonacci"), "the table again")
    s.keys("?").wait_text("this page")
    s.keys("q").wait_text("ended with 0")


@test(needs=["tmux", "ps"])
def keys_filter_sort_move_pause_and_set_a_baseline(env):
    v = victim(env, "sizes")
    s = start(env, v.pid, "--older", "0", columns=120, rows=30)
    s.wait_text(KEYS)
    v.command("go")
    first = s.wait(lambda ls: row_of(ls, "leak") and sum(bool(re.match(r"[> ] *\d", x)) for x in ls) > 2, "several paths")
    rows = [x for x in first if re.match(r"[> ] *[0-9.]+[KMG]?  ", x)]
    check_equal([r[0] for r in rows][:2], [">", " "], "the first one is selected")
    s.keys("Down").wait(lambda ls: [x[0] for x in ls if re.match(r"[> ] *[0-9.]+[KMG]?  ", x)][:2] == [" ", ">"],
                        "the second one is selected")
    s.keys("s").wait_text("by size")
    s.keys("/").wait_text("only (Enter: done")
    s.keys("n", "o", "s", "u", "c", "h", "Enter").wait(
        lambda ls: "only nosuch" in ls[0] and not row_of(ls, "leak"), "nothing is let through")
    s.keys("Escape").wait(lambda ls: row_of(ls, "leak"), "everything again")
    s.keys("d").wait(lambda ls: any("since d was pressed" in x for x in ls) and " SINCE d " in "".join(ls), "a baseline")
    s.wait(lambda ls: all(re.match(r"[> ] *\S+ +\d+ +0 ", x) for x in ls if re.match(r"[> ] *[0-9.]+[KMG]?  ", x)),
           "no growth since then")
    s.keys("p").wait_text("PAUSED")
    s.keys("q").wait_text("ended with 0")


@test(needs=["tmux", "ps"])
def an_export_is_a_whole_report(env):
    leak = env.start_quiet([env.path("demo", "leak")])
    s = start(env, leak.pid)
    s.wait(lambda ls: row_of(ls, "fibonacci"), "the leak")
    s.keys("x").wait_text("2 json")
    s.keys("2").wait_text("written: leak-")
    files = glob.glob(os.path.join(env.tmp, f"leak-{leak.pid}-*.json"))
    check_equal(len(files), 1, f"files {files}")
    with open(files[0], encoding="utf-8") as f:
        report = json.loads(f.read())
    check_equal(report["paths"][0]["frames"][0]["function"], "fibonacci", "the exported path")
    s.keys("q").wait_text("ended with 0")


@test(needs=["tmux", "ps"])
def it_follows_the_terminal_and_stops_as_the_shell_wants(env):
    leak = env.start_quiet([env.path("demo", "leak")])
    s = start(env, leak.pid)
    s.wait(lambda ls: row_of(ls, "fibonacci"), "the leak")
    s.resize(60, 12)
    s.wait(lambda ls: len(ls) == 12 and ls[11].startswith("q quit") and row_of(ls, "fibo"), "the small screen")
    s.resize(200, 50)
    s.wait(lambda ls: len(ls) == 50 and ls[49].startswith("q quit") and row_of(ls, "fibonacci < child < start_thread"),
           "the large screen")
    pid = s.pid()
    os.kill(pid, signal.SIGTSTP)
    state = lambda: open(f"/proc/{pid}/stat", encoding="utf-8").read().rsplit(")", 1)[1].split()[0]
    wait_until(lambda: state() == "T", "stopped")
    check(not s.lines()[49].startswith("q quit"), "the screen was not left before it stopped")
    os.kill(pid, signal.SIGCONT)
    s.wait(lambda ls: ls[49].startswith("q quit"), "the screen again")
    os.kill(pid, signal.SIGTERM)
    lines = s.wait_text("ended with 0")
    check(any("last report" in line for line in lines), *lines)


@test(needs=["tmux", "ps"])
def a_target_that_ends_leaves_its_last_report(env):
    leak = env.start_quiet([env.path("demo", "leak"), "100"])
    s = start(env, leak.pid)
    s.wait(lambda ls: row_of(ls, "fibonacci"), "the leak")
    leak.signal(signal.SIGKILL)
    lines = s.wait_text("ended with 0")
    check(any("has ended" in line for line in lines), *lines)
    check(any("fibonacci" in line for line in lines), *lines)


@test(needs=["tmux", "ps"], engines=["bpf"])
def without_colour_and_on_a_dumb_terminal(env):
    leak = env.start_quiet([env.path("demo", "leak")])
    s = start(env, leak.pid, NO_COLOR="1")
    s.wait(lambda ls: row_of(ls, "fibonacci"), "the leak")
    check(not any("\033[" in line for line in s.lines(colours=True)), "colours in spite of NO_COLOR")
    s.keys("q").wait_text("ended with 0")
    s.close()
    for words, variables in ((["--plain"], {}), ([], {"TERM": "dumb"}), (["--list"], {})):
        s = start(env, leak.pid, *words, rows=50, **variables)
        lines = s.wait_text("fibonacci")
        check(not any(line.startswith("q quit") for line in lines), "a screen in spite of", words, variables)
        check(any(re.match(r"\d\d:\d\d:\d\d  leak \(pid ", line) for line in lines), *lines)
        os.kill(s.pid(), signal.SIGINT)
        s.wait_text("ended with 0")
        s.close()


@test(needs=["tmux", "ps"], engines=["bpf"])
def where_there_is_no_screen_it_is_said_why(env):
    """A program that seep starts has the terminal itself; the screen does not show the kernel."""
    for words, text in ((["trace", "--", "true"], "the program has this terminal"), (["kernel"], "the screen shows processes")):
        s = Screen(env, [env.path("seep"), *words], rows=50, columns=150)
        lines = s.wait_text("text instead of a screen: " + text)
        check(not any(line.startswith("q quit") for line in lines), *lines)
        if words == ["kernel"]:
            os.kill(wait_until(s.pid, "seep runs"), signal.SIGINT)
        s.wait_text("ended with 0")
        s.close()


@test(needs=["tmux", "ps"])
def hostile_names_cannot_steer_the_terminal(env):
    copy = os.path.join(env.tmp, "a\033[2J\033]0;x\007b")
    subprocess.run(["cp", env.path("demo", "leak"), copy], check=True)
    leak = env.start_quiet([copy])
    s = start(env, leak.pid)
    lines = s.wait(lambda ls: row_of(ls, "fibonacci"), "the leak")
    check(lines[0].startswith("seep trace: a?[2J?]0;x?b (pid "), repr(lines[0]))
    s.keys("Enter").wait_text("start_thread")
    s.keys("q").wait_text("ended with 0")
