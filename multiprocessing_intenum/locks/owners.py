"""Whether the process that owns a state lives, as the kernel tells.

An owner locks one byte of a file that all processes which share the value can reach, far behind its content. The byte
is chosen at random, once for each process and file, and stored in the claim. The lock is one on an open file
description (see `open_file`): the kernel gives it back when the process ends, in whatever way, or replaces its program
by exec. So nothing can be taken for the owner: no process that gets its process id, no process of that number in
another PID namespace, and no forked child, because a child closes the opening. A stopped process lives, and a zombie
does not.

For a value by path it is the file of the value. For a value in memory it is the file of `multiprocessing`'s heap, which
has no name any more, but can be opened by way of /proc.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from multiprocessing_intenum import fork
from multiprocessing_intenum.locks.open_file import OpenFile, is_locked, private

__all__ = ["Owners", "owners_in_memory"]

_FIRST, _BYTES = 2**61, 2**60
"""The bytes from which an owner chooses. All other bytes that are locked are higher."""

_TRIES = 100
"""How many bytes a process tries. Each of them is free, unless a program has locked them all."""

# For each file, by device and inode, and for each process, the byte of the process. It is kept until the process ends,
# because the process may own the state also when it has dropped the value. No lock guards it, because an interrupt
# could leave that lock held: each change is one step.
_mine: dict[tuple[tuple[int, int], int], tuple[int, OpenFile]] = {}


class Owners:
    """Tells whether the owners of one file live.

    Args:
        descriptor: returns the descriptor of the file, which the program may have closed.
        checked: returns a descriptor of the file after a look whether the program has closed it.
        opened: returns another opening of the file, which this process can write to.
    """

    __slots__ = ("_checked", "_descriptor", "_identity", "_opened")

    def __init__(
        self, descriptor: Callable[[], int], checked: Callable[[], int], opened: Callable[[], OpenFile]
    ) -> None:
        self._descriptor, self._checked, self._opened = descriptor, checked, opened
        self._identity: tuple[int, int] | None = None

    def _file(self) -> int:
        """Return a descriptor of the file; OSError if the program has closed it, and another file may have it now."""
        descriptor = self._checked()
        info = os.fstat(descriptor)
        identity = info.st_dev, info.st_ino
        if self._identity is None:
            self._identity = identity
        if identity != self._identity:
            raise OSError(errno.EBADF, _CLOSED)
        return descriptor

    @property
    def token(self) -> int:
        """The byte of this process; 0 if it has none yet. A forked child has another one than its parent."""
        fork.notice()
        if self._identity is None:
            with suppress(OSError):
                self._file()
        token, opening = _mine.get(((self._identity or (0, 0)), os.getpid()), (0, None))
        if opening is not None and not opening.is_ours():  # the program has closed it, but this process lives
            with suppress(OSError, NotImplementedError):
                self._lock(token)
        return token

    def choose(self) -> int:
        """Return the byte of this process. Lock it, if this process has none yet.

        Raises:
            NotImplementedError: the platform, or the file system, has no such locks.
            OSError: the file can not be opened once more.
        """
        self._file()
        token = self.token
        key = cast("tuple[int, int]", self._identity), os.getpid()
        if token:
            if not _mine[key][1].is_ours():
                self._lock(token)  # raises the reason
            return token
        for _ in range(_TRIES):
            token = _FIRST + secrets.randbelow(_BYTES)
            opening = self._open()
            if opening.lock(token):  # else another process has the same one
                # If another thread, or a signal handler, was faster, its byte counts, and this opening is closed.
                return _mine.setdefault(key, (token, opening))[0]
        raise OSError(errno.EAGAIN, "another program has locked the file as this library never does: stop that program")

    def _open(self) -> OpenFile:
        self._file()
        opening = private(self._opened)
        if opening.identity != self._identity:
            raise OSError(errno.EBADF, _CLOSED)
        return opening

    def _lock(self, token: int) -> None:
        """Lock the byte of this process again."""
        opening = self._open()
        if opening.lock(token):  # else another thread was faster
            _mine[cast("tuple[int, int]", self._identity), os.getpid()] = token, opening

    def lives(self, token: int) -> bool:
        """Whether the process that has chosen this byte lives. If the kernel can not tell, the answer is yes."""
        # While the owner lives, this is one system call: no other file has a lock on such a byte.
        with suppress(OSError, ValueError):
            if is_locked(self._descriptor(), token):
                return True
        try:
            return is_locked(self._file(), token)
        except OSError:  # the program has closed the descriptor
            return True


def owners_in_memory(block: Any) -> Owners:
    """Return what tells whether the owners of a value in memory live.

    Args:
        block: its memory, from the heap of `multiprocessing`.

    Raises:
        NotImplementedError: the platform can not tell.
    """
    arena = block._wrapper._state[0][0]
    if not hasattr(arena, "fd"):  # Windows
        raise NotImplementedError(_MISSING)
    descriptor: int = arena.fd

    def heap() -> int:
        with suppress(OSError):
            info = os.fstat(descriptor)
            if info.st_size == arena.size and not info.st_nlink:
                return descriptor
        raise OSError(errno.EBADF, _CLOSED)

    def opened() -> OpenFile:
        path = f"/proc/self/fd/{heap()}"
        try:
            return OpenFile(path, os.O_RDWR, through=path)
        except FileNotFoundError:  # macOS
            raise NotImplementedError(_MISSING) from None

    return Owners(lambda: descriptor, heap, opened)


_CLOSED = (
    "the program has closed the descriptors of this shared value, with os.closerange() or python-daemon for example: "
    "make the value after that"
)
_MISSING = (
    "this platform can not tell whether the owner of a value in memory lives: use a value by path, at=, on Linux or "
    "macOS"
)
