#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The seed's case: memleak names the leak in a running program, and finds nothing in the repaired one.
# Ends by itself; status 0 only when both came out so. Usage: demo/run.sh [BUILD_DIR]
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:-$here/../build}" && pwd)
# shellcheck source=demo/lib.sh
. "$here/lib.sh"

# run PROGRAM: starts it and sets `pid`; its output goes to a file, so that it does not mix with the report.
run() {
	say "\$ $1 &"
	"$build/demo/$1" >"$work/$1.out" &
	pid=$!
	started "$pid"
	sleep 2
	sed 's/^/    /' "$work/$1.out"
	note "... and so on, once a second; it runs as process $pid"
}

check_machine

say 'A program that runs, and grows'
run leak
look "$pid" "$work/leak.txt"
expect_leak "$work/leak.txt" leak
end_all

say 'The repaired program'
run fixed
look "$pid" "$work/fixed.txt"
expect_nothing "$work/fixed.txt"
end_all

say 'demo: all as it should be'
