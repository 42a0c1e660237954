#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Man pages and completions as they were built: every option of --help is in them, they pass their linters, they complete.
# cli_docs.sh BUILD_DIR
set -u
build=$1
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
export LC_ALL=C.UTF-8 MANWIDTH=80
failed=0

fail() {
	echo "FAILED: $*"
	failed=$((failed + 1))
}

# The options that a help text shows.
options_of() {
	"$build/seep" "$@" --help | sed -n 's/^  *\(-[^ ],\)\{0,1\} *\(--[a-z-]*\).*/\2/p'
}

check_page() {
	page=$1
	shift
	man -l "$build/man/$page" 2>/dev/null | col -b >"$tmp/page"
	[ -s "$tmp/page" ] || fail "man cannot show $page"
	for option in $(options_of "$@"); do
		grep -q -e "^ *\(-.,\)\{0,1\} *$option\>" "$tmp/page" || fail "$page: no $option"
	done
	grep '@' "$build/man/$page" && fail "$page: a mark was not filled"
	man --warnings -E UTF-8 -l "$build/man/$page" 2>&1 >/dev/null | grep . && fail "$page: man warns"
	if command -v mandoc >/dev/null; then
		mandoc -Tlint "$build/man/$page" | grep -v 'referenced manual not found' && fail "$page: mandoc warns"
	fi
	return 0
}

# completes SHELL_WORDS... WANTED: the last word is completed to a list that holds WANTED
completes() {
	wanted=$1
	shift
	# shellcheck disable=SC2016
	got=$(bash -c '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); "_$1" 2>/dev/null; echo "${COMPREPLY[*]}"' \
		"$build/completions/seep.bash" "$@")
	case " $got " in
	*" $wanted "*) ;;
	*) fail "bash: '$*' completes to '$got', without '$wanted'" ;;
	esac
}

if command -v man >/dev/null && command -v col >/dev/null; then
	check_page seep.1
	check_page seep-top.1 top
	check_page seep-map.1 map
	check_page seep-trace.1 trace
	check_page seep-shm.1 shm
	check_page seep-detach.1 detach
	check_page seep-serve.1 serve
	check_page seep-kernel.1 kernel
	check_page memleak.8 memleak
else
	echo "no man or col: man pages not looked at"
fi

if command -v bash >/dev/null; then
	for command in top map trace shm detach kernel memleak help; do
		completes "$command" seep ""
		for option in $(options_of "$command"); do
			completes "$option" seep "$command" "$option"
		done
	done
	completes --symbols-prefix memleak --sy
	completes count memleak --sort ""
	completes size seep trace --sort = s
	completes trace seep help t
	completes $$ memleak -p $$
	completes "$build/completions" seep trace --replay "$build/compl"
	completes ls seep trace 1 -- ls
fi

if command -v zsh >/dev/null; then
	zsh -n "$build/completions/_seep" || fail "zsh cannot read its completion"
	for command in top trace shm detach kernel memleak; do
		for option in $(options_of "$command"); do
			grep -q -e "$option"'[]=[}]' "$build/completions/_seep" || fail "zsh: no $option"
		done
	done
fi

[ $failed -eq 0 ] || exit 1
