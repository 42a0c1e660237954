#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Build steps that need bpftool: kernel types (`types SUBSET OUT`) and skeletons (`skeleton OBJECT OUT NAME`).
# Ubuntu's /usr/sbin/bpftool is a wrapper that wants tools of the running kernel's version: any real one serves us.
set -eu

find_bpftool() {
	for candidate in bpftool /usr/sbin/bpftool /usr/lib/linux-tools*/bpftool /usr/lib/linux-tools/*/bpftool; do
		if "$candidate" version >/dev/null 2>&1; then
			echo "$candidate"
			return
		fi
	done
	echo 'bpftool not found: install the package bpftool (Ubuntu: linux-tools-common and linux-tools-generic)' >&2
	exit 1
}

case $1 in
types)
	bpftool=$(find_bpftool)
	if [ -r /sys/kernel/btf/vmlinux ] &&
		"$bpftool" btf dump file /sys/kernel/btf/vmlinux format c >"$3" 2>/dev/null; then
		exit 0
	fi
	cp "$2" "$3"
	;;
skeleton)
	bpftool=$(find_bpftool)
	"$bpftool" gen skeleton "$2" name "$4" >"$3"
	;;
*)
	echo "usage: $0 types SUBSET OUT | skeleton OBJECT OUT NAME" >&2
	exit 2
	;;
esac
