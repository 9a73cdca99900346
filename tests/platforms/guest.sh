#!/bin/busybox sh
# The first process of an emulated machine, which machine.sh packs: it runs the tests there, and switches the machine off.
export PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/root LANG=C.UTF-8
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
$b mkdir -p /dev/shm /dev/pts
$b mount -t tmpfs -o mode=1777 shm /dev/shm
$b mount -t devpts pts /dev/pts
$b mount -t tmpfs -o mode=1777 tmp /tmp
$b ln -sf /proc/self/fd /dev/fd
$b ifconfig lo 127.0.0.1 up
$b hostname guest
cd /src
echo "guest: $($b uname -a)"
# One argument a line.
while IFS= read -r argument; do set -- "$@" "$argument"; done </arguments
pytest -p no:cacheprovider -o faulthandler_timeout=1800 --color=no --tb=short "$@" </dev/null 2>&1
echo "guest: pytest ended with $?"
$b sync
$b poweroff -f
