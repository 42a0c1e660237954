#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the symbolizer's test programs in many debug dresses: dress.sh SOURCE_DIR OUTPUT_DIR
# One line per program on stdout: "NAME REFERENCE", where REFERENCE is the same code with everything in it.
set -eu
src=$1
out=$2
cd "$out"

say() {
	echo "$1 $2"
}

# compiler, language file, output, flags...
build() {
	compiler=$1 file=$2 name=$3
	shift 3
	"$compiler" -o "$name" "$src/$file" -Wl,--build-id "$@"
}

# Takes debug information out of $1 into $2.
split() {
	objcopy --only-keep-debug "$1" "$2"
	strip "$1"
}

mini() {
	nm -D "$1" --format=posix --defined-only | awk '{ print $1 }' | sort >mini.dynamic
	nm "$1" --format=posix --defined-only | awk '$2 == "T" || $2 == "t" || $2 == "D" { print $1 }' | sort >mini.all
	comm -13 mini.dynamic mini.all >mini.keep
	objcopy -S --remove-section .comment --keep-symbols=mini.keep "$2" mini.elf
	xz -f mini.elf
	objcopy --add-section .gnu_debugdata=mini.elf.xz "$1" "$3"
	strip "$3"
}

build gcc chain.c c_plain -g -O2
say c_plain c_plain
build gcc chain.c c_o0 -g -O0
say c_o0 c_o0
build gcc chain.c c_dwarf4 -gdwarf-4 -O2
say c_dwarf4 c_dwarf4
build gcc chain.c c_nopie -g -O2 -no-pie
say c_nopie c_nopie
build g++ shapes.cc cxx_plain -g -O2
say cxx_plain cxx_plain
build g++ shapes.cc cxx_o0 -g -O0
say cxx_o0 cxx_o0
if command -v clang >clang.path && command -v llvm-symbolizer >clang.path; then
	build clang chain.c c_clang -g -O2 # writes no .debug_aranges
	say c_clang c_clang
	build clang++ shapes.cc cxx_clang -g -O2
	say cxx_clang cxx_clang
fi

objcopy --compress-debug-sections=zlib cxx_plain cxx_compressed
say cxx_compressed cxx_plain

cp cxx_plain cxx_link
split cxx_link cxx_link.debug
objcopy --add-gnu-debuglink=cxx_link.debug cxx_link
say cxx_link cxx_plain

cp c_plain c_subdir
split c_subdir c_subdir.debug
objcopy --add-gnu-debuglink=c_subdir.debug c_subdir
mkdir -p .debug
mv c_subdir.debug .debug/
say c_subdir c_plain

# No build-id: the CRC must do.
gcc -o c_crc "$src/chain.c" -g -O2 -Wl,--build-id=none
cp c_crc c_crc_full
split c_crc c_crc.debug
objcopy --add-gnu-debuglink=c_crc.debug c_crc
say c_crc c_crc_full

# For their own tests: names only, no debug information, a debug file of another program, minidebuginfo, a library.
gcc -o c_static "$src/chain.c" -g -O2 -static -Wl,--build-id
cp c_plain c_none && strip c_none
cp c_plain c_wrong && strip c_wrong
objcopy --only-keep-debug cxx_plain c_wrong.debug
objcopy --add-gnu-debuglink=c_wrong.debug c_wrong
if command -v xz >xz.path; then
	cp c_plain mini.debug
	mini c_plain mini.debug c_mini
fi
gcc -o libplug.so "$src/plug.c" -shared -fPIC -g -O1 -Wl,--build-id
cp libplug.so libother.so
gcc -o loader "$src/loader.c" -g -O1
