#!/usr/bin/env bash
# Lays a Debian of another processor into a directory by unpacking packages: no program of it runs. Python is in it.
# usage: debian.sh ARCH SUITE DIRECTORY [PACKAGE...]    It leaves the kernel in DIRECTORY.kernel, if KERNEL names its package.
# It needs a Debian, whose own archive it uses.
set -euo pipefail
arch=$1 suite=$2 directory=$3
shift 3
[ ! -e "$directory.laid" ] || exit 0
archive=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
[ -n "$archive" ] || archive=$(awk '$1 == "deb" {print $2; exit}' /etc/apt/sources.list)
apt=$directory.apt
mkdir -p "$apt"/{lists/partial,cache/archives/partial,state,etc/apt.conf.d,etc/preferences.d,etc/trusted.gpg.d} "$directory"
: >"$apt/state/status"
echo "deb [arch=$arch signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive $suite main" >"$apt/etc/sources.list"
cat >"$apt/apt.conf" <<CONF
APT::Architecture "$arch"; APT::Architectures { "$arch"; };
Dir::State "$apt/state"; Dir::State::lists "$apt/lists"; Dir::State::status "$apt/state/status";
Dir::Cache "$apt/cache"; Dir::Etc "$apt/etc"; Dir::Etc::sourcelist "$apt/etc/sources.list"; Dir::Etc::sourceparts "-";
APT::Install-Recommends "false"; APT::Sandbox::User "root"; Acquire::Languages "none";
CONF
export APT_CONFIG=$apt/apt.conf
apt-get -qq update
apt-get -qq -y --download-only install libc6 libgcc-s1 dash bash coreutils busybox-static python3 procps util-linux "$@"
for package in "$apt"/cache/archives/*.deb; do dpkg-deb -x "$package" "$directory"; done
ln -sf dash "$directory/usr/bin/sh"
ln -sf python3 "$directory/usr/bin/python"
mkdir -p "$directory"/{proc,sys,dev,tmp,root,run,etc,usr/local/bin}
[ -e "$directory/bin" ] || ln -s usr/bin "$directory/bin"
echo 'root:x:0:0:root:/root:/bin/sh' >"$directory/etc/passwd"
echo 'root:x:0:' >"$directory/etc/group"
echo '127.0.0.1 localhost' >"$directory/etc/hosts"
if [ -n "${KERNEL:-}" ]; then
    mkdir -p "$directory.kernel"
    image=$(apt-cache depends "$KERNEL" | awk '/Depends: linux-image/ {print $2; exit}')
    (cd "$directory.kernel" && apt-get -qq download "$image" && dpkg-deb -x linux-image*.deb . && rm linux-image*.deb)
fi
touch "$directory.laid"
