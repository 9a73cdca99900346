"""Which processes use a file, and which one holds its lock, as far as the kernel tells: for the texts of errors."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from glob import iglob

from multiprocessing_intenum.locks.open_file import USE, WRITING

__all__ = ["holders_of", "listed", "named", "users_of"]

_PROC = "/proc"

_MAPPED = "MAPPED", 0

_PART = 60
"""Letters of the file's name that are compared: `life` shortens long names."""


def users_of(path: str) -> list[int]:
    """Return the ids of the processes that use the value in this file, or have mapped its memory for writing.

    Only Linux tells them: to root all of them, to another user only those of that user. Processes of another PID
    namespace are missing. It never raises.
    """
    return sorted({pid for pid, use in _found(path) if use in (("READ", USE), _MAPPED)})


def holders_of(path: str) -> list[int]:
    """Return the ids of the processes that have the lock of the value in this file, with the limits of `users_of`."""
    return sorted({pid for pid, use in _found(path) if use == ("WRITE", WRITING)})


def named(pids: Collection[int]) -> str:
    """Return a text that names the processes, such as "processes 47 and 4711"; an empty one for none."""
    me = os.getpid()
    others = [str(pid) for pid in pids if pid != me]
    text = " and ".join(", ".join(others).rsplit(", ", 1))
    if others:
        text = f"process{'es' * (len(others) > 1)} {text}"
    if me in pids:
        text = f"{text} and this one, {me}" if others else f"this process, {me}"
    return text


def listed(path: str) -> str:
    """Return the users of a file in brackets, for a text that says to stop them; an empty text if none is known."""
    found = named(users_of(path))
    return f" ({found})" if found else ""


def _found(path: str) -> Iterator[tuple[int, tuple[str, int]]]:
    """Yield each process that has a lock on the file, with the lock's kind and byte; or has mapped it, with _MAPPED."""
    try:
        info = os.stat(path, follow_symlinks=False)
    except OSError:
        return
    # A descriptor shows the name under which its file was made, which contains a part of our name. Other descriptors
    # are left out, because a look at an arbitrary file may hang, on a network that is down.
    part = os.path.basename(path)[:_PART]
    for process in iglob(f"{_PROC}/[0-9]*"):  # none without /proc: macOS, some containers
        pid = int(os.path.basename(process))
        for fd in iglob(f"{process}/fd/*"):
            with suppress(OSError):  # it has ended, or belongs to another user
                if part in os.readlink(fd) and os.path.samestat(os.stat(fd), info):
                    with open(fd.replace("/fd/", "/fdinfo/"), encoding="ascii", errors="replace") as file:
                        lines = [line.split() for line in file if line.startswith("lock:")]
                    for words in lines:  # lock: 1: OFDLCK ADVISORY WRITE -1 08:01:1234 4611686018427387906 461168…
                        yield pid, (words[-5], int(words[-2]))
        # A daemon may have closed all descriptors: the mapping stays.
        with suppress(OSError), open(f"{process}/maps", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:  # 7f0c-7f0d rw-s 00000000 08:01 1234 /run/worker/status
                words = line.split(maxsplit=5)
                # The device may differ from that of stat (btrfs), so only the inode and the name are compared.
                if part in line and words[1].startswith("rw") and words[4] == str(info.st_ino):
                    yield pid, _MAPPED
