#!/usr/bin/env bash
# Checks two things in other processors' Debians that take seconds: a Python of 32 bits refuses the import in one line, and
# under qemu-user, whose kernel has no robust lists, the default lock is an ordinary one.
# usage: foreign.sh DIRECTORY      DIRECTORY: where all that is laid, and kept
# As root on Debian, with: apt-get install qemu-user-static
set -euo pipefail
mkdir -p "$1"
laid=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
inside() { # DIRECTORY COMMAND...
    unshare -m sh -ec 'cd "$1"; shift; mount -t proc proc proc; mount -t tmpfs tmp tmp; mkdir -p dev/shm; mount -t tmpfs shm dev/shm
        for each in null urandom; do touch dev/$each; mount --bind /dev/$each dev/$each; done; exec chroot . "$@"' sh "$@" 2>&1
}
"$here/debian.sh" i386 trixie "$laid/i386"
"$here/debian.sh" arm64 trixie "$laid/arm64"
"$here/site.sh" "$laid/i386/usr/lib/python3/dist-packages"
"$here/site.sh" "$laid/arm64/usr/lib/python3/dist-packages"
cp "$(command -v qemu-aarch64-static)" "$laid/arm64/usr/local/bin/qemu"
cp "$here/program.py" "$laid/arm64/root/"
refused=$(inside "$laid/i386" /usr/bin/python3 -c 'import multiprocessing_intenum' || true)
echo "i386: $(tail -n 1 <<<"$refused")"
grep -q '^ImportError: multiprocessing_intenum needs a Python of 64 bits' <<<"$refused"
found=$(inside "$laid/arm64" /usr/local/bin/qemu -0 /usr/bin/python3 /usr/bin/python3 /root/program.py /nowhere /tmp fork || true)
echo "qemu-user: $(tail -n 1 <<<"$found")"
grep -q '^ok: from files, not robust' <<<"$found"
