# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2154,SC2086,SC2016 # $build is the sourcing script's; $sudo is one word or none; quoted $ are sh -c's
# What the two demos share: the preconditions, one look with memleak, the judgement of what it said, cleaning up.
# Sourced by run.sh and container.sh, with `build` set to the build directory.

seconds_between=2
nr_reports=3
pids='' # processes that this demo started
sudo=''
work=$(mktemp -d "${TMPDIR:-/tmp}/seep-demo.XXXXXX")

if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then
	say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
else
	say() { printf '\n%s\n' "$*"; }
fi
note() { printf '    %s\n' "$*"; }

die() {
	printf 'demo: %s\n' "$1" >&2
	[ $# -lt 2 ] || printf 'demo: what to do: %s\n' "$2" >&2
	exit 1
}

started() { pids="$pids $1"; }

# signal NAME PID: with root's rights where sudo is used. The shell's kill: /bin/kill is not on every machine.
signal() {
	$sudo sh -c 'kill -s "$1" "$2"' sh "$1" "$2" 2>/dev/null
}

end_all() {
	for pid in $pids; do
		if signal TERM "$pid"; then
			sleep 0.2
		fi
		signal KILL "$pid" || :
		wait "$pid" 2>/dev/null || :
	done
	pids=''
}

# More to clean up than processes: the sourcing script may define it anew.
cleanup_more() { :; }

cleanup() {
	status=$?
	trap - EXIT INT TERM
	cleanup_more
	end_all
	rm -rf "$work"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# memleak goes into a process or asks the kernel to watch it: the one needs the right to trace it, the other root.
check_machine() {
	for program in memleak demo/leak demo/fixed; do
		[ -x "$build/$program" ] || die "$build/$program is not there" "make"
	done
	[ "$(id -u)" -ne 0 ] || return 0
	command -v sudo >/dev/null || die "memleak needs root to watch a process, and there is no sudo here" \
		"run this demo as root"
	note "memleak needs root to watch a process: it runs under sudo, the demo programs do not."
	sudo -v || die "sudo said no" "run this demo as root"
	sudo=sudo
}

# look PID FILE: a few reports of memleak on the process, on the screen and in the file.
look() {
	say "\$ memleak -p $1 -a $seconds_between $nr_reports"
	{
		status=0
		timeout 120 $sudo "$build/memleak" -p "$1" -a "$seconds_between" "$nr_reports" </dev/null || status=$?
		echo "$status" >"$work/status"
	} | tee "$2"
	[ "$(cat "$work/status")" -eq 0 ] || die "memleak ended with status $(cat "$work/status")"
	[ "$(grep -c 'stacks with outstanding allocations' "$2")" -ge "$nr_reports" ] ||
		die "memleak gave fewer than $nr_reports reports"
}

# expect_leak FILE MODULE: the last report must hold the leak's path and its blocks of 8192 bytes, and nothing else.
expect_leak() {
	awk '/stacks with outstanding/ { text = "" } { text = text $0 "\n" } END { printf "%s", text }' "$1" >"$work/last"
	blocks=$(grep -c '^	addr = [0-9a-f]* size = 8192$' "$work/last") || :
	[ "$blocks" -ge 2 ] || die "the last report lists $blocks blocks of 8192 bytes: at least 2 were leaked"
	grep -q "^	$((blocks * 8192)) bytes in $blocks allocations from stack\$" "$work/last" ||
		die "no stack holds the $blocks blocks that the report lists"
	# the C library's own frame has its name only where its debug symbols are (package libc6-dbg)
	for frame in "fibonacci+0x[0-9a-f]* \\[$2\\]" "child+0x[0-9a-f]* \\[$2\\]" '\(start_thread+0x[0-9a-f]*\|.*unknown.*\) \[libc.*\]'; do
		grep -q "^		$frame\$" "$work/last" || die "no frame in the report is $frame"
	done
	say 'What this shows'
	note "$blocks blocks of 8192 bytes, all from one call path, were never freed: fibonacci() allocates"
	note 'them, child() asked for them. Each report holds more of them than the one before: a leak.'
}

# expect_nothing FILE: the repaired program must have no outstanding block in any report.
expect_nothing() {
	! grep -q -e 'addr = ' -e 'allocations from stack' "$1" || die 'the repaired program has outstanding blocks'
	say 'What this shows'
	note 'Only headers: nothing that was allocated while memleak looked is still there. The repair holds.'
}
