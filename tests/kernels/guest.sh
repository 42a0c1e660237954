#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: Apache-2.0
# The guest's init: watches the demo programs and the kernel, and says on the console what came out. A line "@ NAME"
# begins what NAME prints, "@= STATUS" ends it.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tracefs tracefs /sys/kernel/tracing
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp

# try NAME COMMAND...: runs it.
try() {
	printf '\n@ %s\n' "$1"
	shift
	"$@" 2>&1
	printf '\n@= %s\n' $?
}

try version uname -r
for program in leak fixed; do
	/demo/$program >/tmp/$program.out &
	pid=$!
	sleep 3
	try $program /seep/memleak --engine bpf -p $pid -a 4 1
	try $program-lives kill -0 $pid
	try $program-goes-on sh -c "n=\$(wc -l </tmp/$program.out); sleep 3; [ \$(wc -l </tmp/$program.out) -gt \$n ]"
	kill $pid
done
try launched /seep/seep trace --engine bpf --older 0 4 1 -- /demo/leak
kill "$(pidof leak)"
# Directories that stay, so that the kernel has something outstanding.
while sleep 0.2; do mkdir "/tmp/kept$((n += 1))"; done &
try kernel /seep/seep kernel 3 1
poweroff -f
