# SPDX-License-Identifier: Apache-2.0
"""The file with the tables that bench/run --write writes: a part at a time, the others stay."""
import os
import platform
import re


def head(method):
    return ["# What watching costs", "", "Written by `bench/run --write`, a part at a time; no number here is typed by hand.", "",
            method.strip(), ""]


def machine_line():
    with open("/proc/cpuinfo") as f:
        model = re.search(r"model name\s*: (.*)", f.read())
    return (f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, "
            f"{' '.join(platform.libc_ver())}")


def write_parts(path, method, order, done):
    """done: {part: its text}. Parts that have not been run now stay as they are in the file."""
    old = ""
    if os.path.exists(path):
        with open(path) as f:
            old = f.read()
    parts = dict(re.findall(r"^<!-- part (\w+) -->\n(.*?)(?=^<!-- part |\Z)", old, re.M | re.S)) | done
    text = "\n".join(head(method)) + "".join(f"\n<!-- part {p} -->\n{parts[p].strip()}\n" for p in order if p in parts)
    with open(path, "w") as f:
        f.write(text)
