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
from typing import Any

from multiprocessing_intenum import fork
from multiprocessing_intenum.locks.open_file import OpenFile, is_locked, private

__all__ = ["Owners", "owners_in_memory"]

_FIRST, _BYTES = 2**61, 2**60
"""The bytes from which an owner chooses. All other bytes that are locked are higher."""

# For each file, by device and inode, the byte of this process. It is kept until the process ends, because the process
# may own the state also when it has dropped the value.
_mine: dict[tuple[int, int], tuple[int, OpenFile]] = {}
_choosing = fork.lock_of_threads()


class Owners:
    """Tells whether the owners of one file live.

    Args:
        descriptor: returns a descriptor of the file.
        opened: returns another opening of the file, which this process can write to.
    """

    __slots__ = ("_descriptor", "_identity", "_opened")

    def __init__(self, descriptor: Callable[[], int], opened: Callable[[], OpenFile]) -> None:
        self._descriptor, self._opened = descriptor, opened
        info = os.fstat(descriptor())
        self._identity = info.st_dev, info.st_ino

    @property
    def token(self) -> int:
        """The byte of this process; 0 if it has none yet. A forked child has another one than its parent."""
        fork.notice()
        token, opening = _mine.get(self._identity, (0, None))
        return token if opening is not None and opening.is_ours() else 0

    def choose(self) -> int:
        """Return the byte of this process. Lock it, if this process has none yet.

        Raises:
            NotImplementedError: the file system has no such locks.
            OSError: the file can not be opened once more.
        """
        with _choosing:
            token = self.token
            if not token:
                opening = private(self._opened)
                token = _FIRST + secrets.randbelow(_BYTES)
                while not opening.lock(token):  # another process has the same one
                    token = _FIRST + secrets.randbelow(_BYTES)
                _mine[self._identity] = token, opening
            return token

    def lives(self, token: int) -> bool:
        """Whether the process that has chosen this byte lives. If the kernel can not tell, the answer is yes."""
        try:
            return is_locked(self._descriptor(), token)
        except OSError:  # the program has closed the descriptor
            return True


def owners_in_memory(block: Any) -> Owners:
    """Return what tells whether the owners of a value in memory live.

    Args:
        block: its memory, from the heap of `multiprocessing`.

    Raises:
        NotImplementedError: the platform can not tell.
    """
    try:
        arena = block._wrapper._state[0][0]
        descriptor: int = arena.fd
        info = os.fstat(descriptor)
        if info.st_nlink or info.st_size != arena.size:
            raise OSError(errno.EBADF, "another file has the descriptor of multiprocessing's heap")
        path = f"/proc/self/fd/{descriptor}"
        OpenFile(path, os.O_RDWR, through=path).close()
    except (AttributeError, OSError) as error:
        message = (
            f"this platform can not tell whether the owner of a value in memory lives ({error}): use a value by path, "
            "at=, on Linux or macOS"
        )
        raise NotImplementedError(message) from None
    return Owners(lambda: descriptor, lambda: OpenFile(path, os.O_RDWR, through=path))
