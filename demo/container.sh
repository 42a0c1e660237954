#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086 # $sudo is one word or none
# The seed's case in a container with mount and pid namespaces of its own, where the program is /app: a path that
# this machine does not have. memleak runs outside and needs no copy of it.
# Docker when a daemon answers, else unshare and chroot. Usage: demo/container.sh [BUILD_DIR]
# DEMO_CONTAINER=docker or =unshare chooses.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:-$here/../build}" && pwd)
# shellcheck source=demo/lib.sh
. "$here/lib.sh"

container='' # docker's
image=''
inner='' # unshare's: the first process of its pid namespace, which heeds only SIGKILL

cleanup_more() {
	[ -z "$container" ] || docker rm -f "$container" >/dev/null 2>&1 || :
	[ -z "$image" ] || docker rmi -f "$image" >/dev/null 2>&1 || :
	[ -z "$inner" ] || signal KILL "$inner" || :
	container=''
	image=''
	inner=''
}

# make_root PROGRAM: the smallest tree that it runs in: itself as /app, its libraries, a /proc to mount on.
make_root() {
	root=$work/root-$1
	mkdir -p "$root/proc"
	cp "$build/demo/$1" "$root/app"
	ldd "$build/demo/$1" | grep -o '/[^ ]*' | while read -r library; do
		mkdir -p "$root$(dirname "$library")"
		cp -L "$library" "$root$library"
	done
}

# The process must be on this machine: a daemon elsewhere (or in a virtual machine) is of no use here.
start_docker() {
	image=seep-demo-$1:$$
	container=seep-demo-$1-$$
	say "\$ docker run $image /app"
	tar -C "$root" -c . | docker import - "$image" >/dev/null
	docker run -d --network none --name "$container" "$image" /app >/dev/null
	pid=$(docker inspect -f '{{.State.Pid}}' "$container")
	[ -d "/proc/$pid" ] || die "docker's process $pid is not on this machine" 'DEMO_CONTAINER=unshare make demo-container'
	sleep 2
	docker logs "$container" >"$work/$1.out"
}

# The tree goes to a tmpfs that only the new mount namespace has.
start_unshare() {
	say "\$ unshare --mount --pid ... chroot $root /app"
	# shellcheck disable=SC2016 # $1 is for the inner shell
	$sudo unshare --mount --pid --fork --kill-child sh -c '
		mkdir "$1.mnt" && mount -t tmpfs seep-demo "$1.mnt" && cp -a "$1/." "$1.mnt" &&
		mount -t proc proc "$1.mnt/proc" && exec chroot "$1.mnt" /app' sh "$root" >"$work/$1.out" 2>"$work/$1.err" &
	pid=$!
	started "$pid"
	sleep 2
	until [ "$(cat "/proc/$pid/comm")" = app ]; do
		pid=$(cut -d ' ' -f 1 "/proc/$pid/task/$pid/children")
		[ -n "$pid" ] || die "the container did not start: $(cat "$work/$1.err")"
	done
	inner=$pid
}

run() {
	make_root "$1"
	"start_$way" "$1"
	sed 's/^/    /' "$work/$1.out"
	note "process $pid here, process $(sed -n 's/^NSpid:.*[^0-9]//p' "/proc/$pid/status") in its container;" \
		"this machine has no /app"
}

finish() {
	cleanup_more
	end_all
}

check_machine
[ ! -e /app ] || die 'this machine has a /app of its own' 'try it on another one'
way=${DEMO_CONTAINER:-}
if [ -z "$way" ]; then
	way=unshare
	! docker info >/dev/null 2>&1 || way=docker
fi
if [ "$way" = unshare ] && ! $sudo unshare --mount true 2>"$work/unshare.err"; then
	die "no container can be made here: $(cat "$work/unshare.err")" \
		'inside a chroot, bind the tree onto itself first: mount --bind TREE TREE; else install and start docker'
fi

say "A program in a container ($way)"
run leak
look "$pid" "$work/leak.txt"
expect_leak "$work/leak.txt" app
finish

say 'The repaired program, in a container too'
run fixed
look "$pid" "$work/fixed.txt"
expect_nothing "$work/fixed.txt"
finish

say 'demo: all as it should be'
