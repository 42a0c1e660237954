#!/bin/sh
# shellcheck shell=dash
# SPDX-License-Identifier: Apache-2.0
# record.sh FOLDER PID...: copies what seep reads of /proc and of the memory cgroups into FOLDER, of these processes only.
# "-PID": that process is killed when its stat has been copied, as one that ends between two reads. "+PID": its smaps, too.
folder=$1
shift

# copy FILE: what cannot be read is left out, as it is to a reader.
copy() {
	[ -r "$1" ] || return 0
	mkdir -p "$folder/${1%/*}"
	cat "$1" >"$folder/$1" 2>/dev/null || rm -f "$folder/$1"
}

# A link of /proc/PID, as a file with its target.
copy_link() {
	target=$(readlink "$1") || return 0
	mkdir -p "$folder/${1%/*}"
	printf '%s' "$target" >"$folder/$1.link"
}

for file in meminfo stat vmstat uptime zoneinfo slabinfo pressure/memory sysvipc/shm; do
	copy "/proc/$file"
done
copy /proc/self/mountinfo
mv "$folder/proc/self" "$folder/proc/$$"
printf '%s' $$ >"$folder/proc/self.link"
for pid in $$ "$@"; do
	number=${pid#[-+]}
	copy "/proc/$number/stat"
	if [ "$pid" != "$number" ] && [ "${pid%"$number"}" = - ]; then
		kill -9 "$number"
		while [ -d "/proc/$number" ]; do sleep 0.1; done
	fi
	for file in statm status comm cmdline cgroup smaps_rollup; do
		copy "/proc/$number/$file"
	done
	[ "${pid%"$number"}" != + ] || copy "/proc/$number/smaps"
	copy_link "/proc/$number/exe"
done
for name in cgroup.controllers memory.limit_in_bytes memory.usage_in_bytes memory.oom_control memory.max memory.current \
	memory.events memory.stat; do
	find /sys/fs/cgroup -maxdepth 4 -name "$name" 2>/dev/null | while read -r file; do copy "$file"; done
done
