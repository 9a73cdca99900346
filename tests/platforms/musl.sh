#!/usr/bin/env bash
# Runs the tests with musl: it compiles musl, zlib, libffi and CPython from Debian's sources, the first time.
# usage: musl.sh DIRECTORY [ARGUMENT OF PYTEST...]      DIRECTORY: where all that is laid, and kept
# As root on Debian, with: apt-get install gcc make xz-utils curl autoconf automake libtool libltdl-dev linux-libc-dev
# This Python has no sqlite3, so the tests that need it are left out.
set -euo pipefail
mkdir -p "$1/musl/build"
laid=$(cd "$1/musl" && pwd)
shift
here=$(cd "$(dirname "$0")" && pwd)
cd "$laid/build"
archive=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
[ -n "$archive" ] || archive=$(awk '$1 == "deb" {print $2; exit}' /etc/apt/sources.list)
[ -s Sources ] || curl -fsSL -m 300 "$archive/dists/trixie/main/source/Sources.xz" | xz -dc >Sources
field() { awk -v RS= -v package="$1" '$0 ~ "^Package: " package "\n"' Sources; }
source_of() { # PACKAGE: its source, in the directory of this name
    [ ! -d "$1" ] || return 0
    local place file
    place=$(field "$1" | awk '/^Directory:/ {print $2; exit}')
    file=$(field "$1" | grep -oE '[^ ]+\.orig\.tar\.(xz|gz|bz2)$' | head -n 1)
    curl -fsSL -m 300 -o "$file" "$archive/$place/$file"
    mkdir "$1"
    tar xf "$file" -C "$1" --strip-components=1
}
build() { # FILE PACKAGE ARGUMENT...: configure and install, unless this file is there
    local file=$1 package=$2
    shift 2
    [ ! -e "$laid/$file" ] || return 0
    source_of "$package"
    (cd "$package" && { [ -e configure ] || autoreconf -fi; } && ./configure --prefix="$laid" "$@" && make -j"$(nproc)" && make install) >"$package.log" 2>&1 ||
        { tail -n 20 "$package.log" >&2 && exit 1; }
}
build lib/libc.a musl --syslibdir="$laid/lib"
# musl-gcc hides the system's headers. Of the kernel's, CPython needs few: they depend on no C library.
ln -sfn /usr/include/linux "$laid/include/linux"
ln -sfn /usr/include/asm-generic "$laid/include/asm-generic"
ln -sfn "$(dirname "$(find /usr/include -path '*/asm/unistd.h' | head -n 1)")" "$laid/include/asm"
# CPython's configure compares gcc's own name of the platform, which has -gnu in it, with the one that it finds.
printf '#!/bin/sh\n[ "$1" = --print-multiarch ] && exit 0\nexec %s "$@"\n' "$laid/bin/musl-gcc" >"$laid/bin/musl-cc"
chmod +x "$laid/bin/musl-cc"
export CC="$laid/bin/musl-cc" CFLAGS="-O2 -fPIC" CPPFLAGS="-I$laid/include" LDFLAGS="-L$laid/lib -Wl,-rpath,$laid/lib"
export PKG_CONFIG_LIBDIR="$laid/lib/pkgconfig"
build lib/libz.a zlib
build lib/libffi.so libffi --disable-docs --disable-multi-os-directory
build bin/python3 "$(grep -oE '^Package: python3\.1[0-9]$' Sources | sort -V | tail -n 1 | cut -d' ' -f2)" \
    --without-ensurepip --disable-test-modules
"$here/site.sh" "$laid/site"
exec "$here/suite.sh" "$laid/bin/python3" "$laid/site" --ignore tests/test_hooks.py --ignore tests/test_slots.py \
    --ignore tests/test_differential.py --deselect 'tests/test_docs_examples.py::test_every_block_of_the_page_does_what_it_says[docs/compatibility.md]' "$@"
