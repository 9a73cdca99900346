"""Which processes use a file, and which one holds its lock, as far as the kernel tells: for the texts of errors."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress

from multiprocessing_intenum.by_path.open_file import USE, WRITING

__all__ = ["holders_of", "listed", "named", "users_of"]

_PROC = "/proc"


def users_of(path: str) -> list[int]:
    """Return the ids of the processes that use the value in this file, or have mapped its memory for writing.

    Only Linux tells them: to root all of them, to another user only those of that user. Processes of another PID
    namespace are missing. It never raises.
    """
    return sorted({pid for pid, locked in _found(path) if locked is None or ("READ", USE) in locked})


def holders_of(path: str) -> list[int]:
    """Return the ids of the processes that have the lock of the value in this file, with the limits of `users_of`."""
    return sorted({pid for pid, locked in _found(path) if locked is not None and ("WRITE", WRITING) in locked})


def named(pids: Collection[int]) -> str:
    """Return a text that names the processes, such as "processes 47 and 4711"; an empty one for none."""
    me = os.getpid()
    others = [str(pid) for pid in pids if pid != me]
    text = (
        f"process{'es' * (len(others) > 1)} {' and '.join([', '.join(others[:-1])] * (len(others) > 1) + others[-1:])}"
    )
    if me not in pids:
        return text if others else ""
    return f"{text} and this one, {me}" if others else f"this process, {me}"


def listed(path: str) -> str:
    """Return the users of a file in brackets, for a text that says to stop them; an empty text if none is known."""
    found = named(users_of(path))
    return f" ({found})" if found else ""


def _found(path: str) -> Iterator[tuple[int, list[tuple[str, int]] | None]]:
    """Yield a process and the locks of a descriptor, for each descriptor of the file; with None if it maps the file."""
    try:
        info = os.stat(path, follow_symlinks=False)
        entries = os.listdir(_PROC)
    except OSError:  # no such file, or no /proc: macOS, some containers
        return
    # A descriptor shows the name under which its file was made, which contains a part of our name. Other descriptors
    # are left out, because a look at an arbitrary file may hang, on a network that is down.
    part = os.path.basename(path)[:_PART]
    for entry in entries:
        if entry.isdecimal():
            with suppress(OSError):  # it has ended, or belongs to another user
                for fd in os.listdir(f"{_PROC}/{entry}/fd"):
                    with suppress(OSError):
                        found = _descriptor(f"{_PROC}/{entry}", fd, part, info)
                        if found is not None:
                            yield int(entry), found
            with suppress(OSError):  # a daemon may have closed all descriptors: the mapping stays
                if _has_mapped(f"{_PROC}/{entry}/maps", part, info):
                    yield int(entry), None


_PART = 60
"""Letters of the file's name that are compared: `making` shortens long names."""


def _descriptor(process: str, fd: str, part: str, info: os.stat_result) -> list[tuple[str, int]] | None:
    """Return the kind and the byte of each lock that a descriptor has; None if it is of another file."""
    if part not in os.readlink(f"{process}/fd/{fd}") or not os.path.samestat(os.stat(f"{process}/fd/{fd}"), info):
        return None
    with open(f"{process}/fdinfo/{fd}", encoding="ascii", errors="replace") as file:
        lines = [line.split() for line in file]
    # lock: 1: OFDLCK ADVISORY WRITE -1 08:01:1234 4611686018427387906 4611686018427387906
    return [(words[-5], int(words[-2])) for words in lines if words[:1] == ["lock:"]]


def _has_mapped(maps: str, part: str, info: os.stat_result) -> bool:
    with open(maps, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:  # 7f0c-7f0d rw-s 00000000 08:01 1234 /run/worker/status
            if part in line:
                words = line.split(maxsplit=5)
                # The device may differ from that of stat (btrfs), so only the inode and the name are compared.
                if words[1].startswith("rw") and words[4] == str(info.st_ino):
                    return True
    return False
