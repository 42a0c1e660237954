#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Test: a demo program prints the series and keeps the two names that the report must show.
set -eu

program=$1
wanted='2th => 1
3th => 2
4th => 3'

got=$("$program" 3)
if [ "$got" != "$wanted" ]; then
	printf '%s 3 printed:\n%s\nbut this was wanted:\n%s\n' "$program" "$got" "$wanted" >&2
	exit 1
fi

for name in fibonacci child; do
	if ! nm "$program" | grep -q " T $name\$"; then
		echo "$program has no function $name: inlined away?" >&2
		exit 1
	fi
done

if "$program" not-a-number 2>/dev/null; then
	echo "$program takes 'not-a-number' for a number of seconds" >&2
	exit 1
fi
