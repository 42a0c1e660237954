#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The built programs from end to end, on recordings: reports against golden files, statuses, what stdout does to them.
# cli_replay.sh BUILD_DIR [--update]: with --update the golden files are written anew, to be read before they are kept.
set -u
build=$1
update=${2:-}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
data=$here/data
golden=$here/golden
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
export TZ=UTC LC_ALL=C TERM=xterm
unset NO_COLOR
failed=0

fail() {
	echo "FAILED: $*"
	failed=$((failed + 1))
}

# golden NAME PROGRAM ARGUMENT...: what it prints, status 0; lines of stderr stand behind those of stdout, marked
golden() {
	name=$1
	program=$2
	shift 2
	"$build/$program" "$@" >"$tmp/out" 2>"$tmp/err"
	status=$?
	[ $status -eq 0 ] || fail "$name: status $status: $(cat "$tmp/err")"
	sed 's/^/stderr: /' "$tmp/err" >>"$tmp/out"
	if [ "$update" = --update ]; then
		cp "$tmp/out" "$golden/$name"
	fi
	diff -u "$golden/$name" "$tmp/out" || fail "$name"
}

# refused STATUS TEXT PROGRAM ARGUMENT...: one line on stderr that holds TEXT, nothing on stdout
refused() {
	expected=$1
	text=$2
	shift 2
	program=$1
	shift
	"$build/$program" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	status=$?
	[ $status -eq "$expected" ] || fail "$program $*: status $status, not $expected: $(cat "$tmp/err")"
	[ "$(wc -l <"$tmp/err")" -eq 1 ] || fail "$program $*: not one line: $(cat "$tmp/err")"
	grep -qF -- "$text" "$tmp/err" || fail "$program $*: '$text' is not in: $(cat "$tmp/err")"
	[ ! -s "$tmp/out" ] || fail "$program $*: something on stdout"
}

recording() {
	echo "$data/$1.seepreplay"
}

# ---- reports ----
golden memleak-classic.txt memleak --replay "$(recording classic)" -a
golden memleak-show-pc.txt memleak --replay "$(recording classic)" --show-pc
golden memleak-combined.txt memleak --replay "$(recording growing)" --combined-only -T 2 1 2
golden memleak-count.txt memleak --replay "$(recording growing)" --sort count -T 2 -o 0 1 1
golden memleak-sizes.txt memleak --replay "$(recording growing)" -a -z 100 -Z 4K -o 0 1 1
golden memleak-empty.txt memleak --replay "$(recording empty)" -a
golden memleak-empty-combined.txt memleak --replay "$(recording empty)" --combined-only
golden memleak-kernel.txt memleak --replay "$(recording kernel)"
golden memleak-sampled.txt memleak --replay "$(recording sampled)"
golden memleak-losses.txt memleak --replay "$(recording losses)"
[ "$update" = --update ] || golden memleak-classic.txt seep memleak --replay "$(recording classic)" -a
golden trace-classic.txt seep trace --replay "$(recording classic)" -a
golden trace-growing.txt seep trace --replay "$(recording growing)" --top 2 1 3
golden trace-by-size.txt seep trace --replay "$(recording growing)" --top 2 --sort size --older 0 1 2
golden trace-exec.txt seep trace --replay "$(recording exec)"
golden trace-losses.txt seep trace --replay "$(recording losses)"
golden trace-kernel.txt seep kernel --replay "$(recording kernel)"
golden trace.json seep trace --replay "$(recording growing)" --json -a --top 2 1 2
echo 'leak:^fibonacci$' >"$tmp/supp"
golden report-suppressed.txt seep report "$(recording classic)" --suppressions "$tmp/supp"
golden diff-times.txt seep diff "$(recording growing)" --top 2
golden diff.json seep diff --json --from 1s --to 2s "$(recording growing)"
golden trace-colour.txt seep trace --replay "$(recording classic)" --color always

# ---- refusals ----
refused 2 "which command?" seep
refused 2 "did you mean 'trace'?" seep trcae
refused 2 "which program?" seep trace
refused 2 "unknown option '--foo'" seep trace app --foo
refused 2 "'abc' is not a number for --top" seep trace app --top abc
refused 2 "min_size (-z) can't be greater than max_size (-Z)" memleak -p 1 -z 2 -Z 1
refused 2 "a quote in -c is not closed" memleak -c "ls 'a"
refused 2 "'foo' is not a choice for --sort: size, count" memleak --sort foo
refused 2 "/nonexistent" memleak -c /nonexistent
refused 2 "/nonexistent" seep trace -- /nonexistent
refused 3 "/nonexistent" seep trace --replay /nonexistent
refused 3 "4194999" seep trace 4194999
refused 3 "no-such-program-here" memleak -p no-such-program-here

refused 2 "judges what a program leaves at its end" seep trace --fail-on-leak app
refused 2 "say --fail-on-leak -- CMD, without COUNT" seep trace --fail-on-leak 1 1 -- true
refused 2 "cannot read the suppressions in /nonexistent" seep trace --replay "$(recording classic)" --suppressions /nonexistent
echo race:foo >"$tmp/supp"
refused 2 ":1: 'race:foo' is not a suppression; a line is leak:PATTERN" seep report "$(recording classic)" --suppressions "$tmp/supp"

refused 2 "give two recordings" seep diff
refused 3 "cannot read /nonexistent" seep diff "$(recording classic)" /nonexistent
refused 2 "ends before the time that --to asks for" seep diff "$(recording growing)" --to 10h

# ---- a gate ----
"$build/seep" diff "$(recording growing)" --fail-over 199K >"$tmp/out" 2>&1
[ $? -eq 1 ] || fail "200 KiB grew, but --fail-over 199K did not say so"
"$build/seep" diff "$(recording growing)" --fail-over 200K >"$tmp/out" 2>&1 || fail "no more than 200 KiB grew, but --fail-over 200K failed"

# ---- where the results go ----
"$build/seep" trace --replay "$(recording cache)" 2>"$tmp/err" | head -1 >"$tmp/out"
[ -s "$tmp/out" ] || fail "a closed pipe: nothing was read"
[ ! -s "$tmp/err" ] || fail "a closed pipe: $(cat "$tmp/err")"

for words in "trace --replay $(recording classic)" "memleak --replay $(recording classic)" --help --version; do
	# shellcheck disable=SC2086
	"$build/seep" $words >/dev/full 2>"$tmp/err"
	status=$?
	if [ $status -ne 3 ] || ! grep -q "No space left" "$tmp/err"; then
		fail "full disk: $words: status $status: $(cat "$tmp/err")"
	fi
	# shellcheck disable=SC2086
	"$build/seep" $words >&- 2>"$tmp/err"
	status=$?
	if [ $status -ne 3 ] || ! grep -q "cannot write to standard output" "$tmp/err"; then
		fail "closed stdout: $words: status $status: $(cat "$tmp/err")"
	fi
done

[ $failed -eq 0 ] || exit 1
