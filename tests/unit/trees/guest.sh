#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: Apache-2.0
# guest.sh 1|2|container: a small machine (the init of a virtual one, or what runs in a container) with something of all
# that /proc tells, recorded twice; in between one process grows by 30 MiB, one ends and one begins. On standard output:
# the release, then both records as a tar file in base64 between lines of "=".
/bin/busybox --install -s /bin
export PATH=/bin
kind=$1
if [ "$kind" != container ]; then
	mount -t proc proc /proc
	mount -t sysfs sys /sys
	mount -t devtmpfs dev /dev
	mount -t tmpfs tmp /tmp
	kind=$(sed 's/.*recorded=\([a-z0-9]*\).*/\1/' /proc/cmdline)
fi

# hog NAME COMMAND: starts a process of that name that carries out the command; its pid is in $pid, its input in
# /tmp/COUNT.
count=0
hog() {
	count=$((count + 1))
	mkfifo /tmp/$count
	mkdir /tmp/bin$count
	cp /victims/hog "/tmp/bin$count/$1"
	"/tmp/bin$count/$1" </tmp/$count >/tmp/$count.out &
	pid=$!
	sleep 1000 >/tmp/$count & # keeps its input open
	tell $count "$2"
}

# tell COUNT COMMAND
tell() {
	: >/tmp/"$1".out
	echo "$2" >/tmp/"$1"
	until grep -q done /tmp/"$1".out; do sleep 0.2; done
}

box=
case $kind in
1)
	mount -t tmpfs cgroup /sys/fs/cgroup
	mkdir /sys/fs/cgroup/memory
	mount -t cgroup -o memory memory /sys/fs/cgroup/memory
	box=/sys/fs/cgroup/memory/outer/box
	mkdir -p $box
	echo 1 >/sys/fs/cgroup/memory/outer/memory.use_hierarchy
	echo 50331648 >/sys/fs/cgroup/memory/outer/memory.limit_in_bytes
	echo 33554432 >$box/memory.limit_in_bytes
	;;
2)
	mount -t cgroup2 cgroup /sys/fs/cgroup
	box=/sys/fs/cgroup/outer/box
	mkdir /sys/fs/cgroup/outer
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control
	echo +memory >/sys/fs/cgroup/outer/cgroup.subtree_control
	mkdir $box
	echo 50331648 >/sys/fs/cgroup/outer/memory.max
	echo 33554432 >$box/memory.max
	;;
esac
if [ "$kind" != container ]; then
	for module in /modules/*; do insmod "$module" 2>&1; done
	dd if=/dev/zero of=/tmp/swap bs=1M count=64 2>/dev/null
	losetup /dev/loop0 /tmp/swap && mkswap /dev/loop0 >/dev/null && swapon /dev/loop0
	echo 8 >/proc/sys/vm/nr_hugepages
fi

hog app "settle 40"
app=$pid app_count=$count
hog "a) R 1 (b" "settle 2"
pids=$pid
hog "$(printf 'two\nlines')" "settle 2"
pids="$pids $pid"
hog "$(printf '\377\376 \001')" "settle 2"
pids="$pids $pid"
hog shares "mapped 16"
pids="$pids $pid"
if [ "$kind" != container ]; then
	hog huge "huge 8"
	pids="$pids $pid"
	hog boxed "reserve 1"
	echo "$pid" >$box/cgroup.procs
	tell $count "settle 44" # 12 MiB and more of it must go to swap
	pids="$pids $pid 2"
fi
sh -c 'sleep 0 & exec sleep 1000' & # the first sleep stays a zombie
pids="$pids $!"
sleep 0.5
zombie=$(sed -n 's/^\([0-9]*\) .* Z .*/\1/p' /proc/[0-9]*/stat 2>/dev/null | head -n 1)
pids="$pids $zombie"
sleep 1000 &
ends=$!
sleep 1000 &
between=$!
sleep 1000 &
between2=$!
# Killed processes are this shell's children; it must reap them while the recorder waits for that.
/record.sh /tmp/tree/1 "+$app" $pids $ends -$between &
wait $!
tell "$app_count" "settle 30"
kill $ends
wait $ends 2>/dev/null
hog newborn "settle 3"
/record.sh /tmp/tree/2 "$app" $pids "$pid" -$between2 &
wait $!
uname -r
echo =
tar c -C /tmp/tree . | gzip | base64
echo =
[ "$kind" = container ] || poweroff -f
