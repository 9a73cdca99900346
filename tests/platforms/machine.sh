#!/usr/bin/env bash
# Runs the tests on another processor: qemu emulates a whole machine with Debian's own kernel for it.
# usage: machine.sh arm64|s390x DIRECTORY [ARGUMENT OF PYTEST...]      DIRECTORY: where all that is laid, and kept
# As root on Debian, with: apt-get install qemu-system-arm qemu-system-misc cpio
set -euo pipefail
arch=$1 laid=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
case $arch in
arm64) suite=trixie qemu="qemu-system-aarch64 -M virt -cpu cortex-a72" console=ttyAMA0 ;;
s390x) suite=bookworm qemu="qemu-system-s390x -M s390-ccw-virtio -cpu max" console=ttysclp0 ;;
*) echo "expected arm64 or s390x, not $arch" >&2 && exit 2 ;;
esac
mkdir -p "$laid"
root=$laid/$arch
KERNEL=linux-image-$arch "$here/debian.sh" "$arch" "$suite" "$root"
packages=$root/usr/lib/python3/dist-packages
"$here/site.sh" "$packages"
rm -rf "$root/src"
mkdir "$root/src"
(cd "$here/../.." && tar cf - --exclude __pycache__ tests docs README.md CHANGELOG.md CONTRIBUTING.md pyproject.toml tox.ini LICENSE) |
    tar xf - -C "$root/src"
printf 'import sys, pytest\nif __name__ == "__main__":\n    sys.path.pop(0)\n    sys.exit(pytest.main())\n' >"$root/usr/local/bin/run-pytest"
printf '#!/bin/sh\nexec python3 /usr/local/bin/run-pytest "$@"\n' >"$root/usr/local/bin/pytest"
printf '#!/usr/bin/python3\nimport sys\nfrom multiprocessing_intenum.__main__ import main\nsys.exit(main())\n' >"$root/usr/local/bin/intenum-value"
chmod 755 "$root"/usr/local/bin/*
install -m 755 "$here/guest.sh" "$root/init"
printf '%s\n' "${@:-tests}" >"$root/arguments"
# An emulated processor is 10 to 60 times slower than the one for which the deadlines are meant.
sed -i -E 's/^(DEADLINE = )(60\.0|120)\b/\11800.0/' "$root"/src/tests/support/*.py
# Debian compiles its standard library when it is installed, which has not happened. Python's own file format is the same
# on each processor, so a Python of the same version does it here: else each start there takes seconds.
version=$(basename "$(find "$root/usr/bin" -name 'python3.[0-9]*' | grep -E 'python3\.[0-9]+$' | head -n 1)")
if "$version" -c '' 2>/dev/null; then
    "$version" -m compileall -q -s "$root" -p / --invalidation-mode unchecked-hash "$root/usr/lib/$version" "$packages" || true
fi
(cd "$root" && find . \( -path ./usr/share/doc -o -path ./usr/share/man -o -path ./usr/share/locale -o -path ./boot \) -prune -o -print0 | cpio --quiet -0 -o -H newc) >"$root.cpio"
# shellcheck disable=SC2086
timeout -k 10 "${SECONDS_LIMIT:-7200}" $qemu -smp 2 -m 6144 -nographic -no-reboot -nic none \
    -append "console=$console panic=-1 loglevel=4 rdinit=/init" -kernel "$root".kernel/boot/vmlinuz-* -initrd "$root.cpio" </dev/null |
    tee "$root.log"
grep -q 'guest: pytest ended with 0' "$root.log"
