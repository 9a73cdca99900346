"""The lock of a value by path: the kernel's lock on an open file, which ends with its holder."""

from __future__ import annotations

import errno
import math
import os
import struct
import sys
import time
import weakref
from collections.abc import Callable
from typing import Any, cast

from typing_extensions import Self

from multiprocessing_intenum import fork
from multiprocessing_intenum.robust import (
    FIRST_INTERVAL,
    LONGEST_INTERVAL,
    execution,
    greenlets_share_a_thread,
    moment,
)

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["FOLLOWING", "MAKING", "USE", "Description", "FileLock", "is_locked", "lock_range", "unlock_range"]

# Open-file-description locks, Linux 3.15 and macOS: they exclude two descriptions of the file, whatever process or
# container has them, and end when the last descriptor is closed. POSIX's own file locks belong to a process, exclude
# no threads, and are lost whenever the process closes any descriptor of the file.
if sys.platform == "darwin":
    _TRY, _WAIT, _QUERY = 90, 91, 92  # F_OFD_SETLK, F_OFD_SETLKW, F_OFD_GETLK
    _FLOCK = struct.Struct("@qqihh")  # start, length, pid, type, whence

    def _flock(kind: int, byte: int) -> bytes:
        return _FLOCK.pack(byte, 1, 0, kind, os.SEEK_SET)

    _TYPE = slice(20, 22)
else:
    _TRY, _WAIT, _QUERY = 37, 38, 36
    _FLOCK = struct.Struct("@hhqqi4x")  # type, whence, start, length, pid

    def _flock(kind: int, byte: int) -> bytes:
        return _FLOCK.pack(kind, os.SEEK_SET, byte, 1, 0)

    _TYPE = slice(0, 2)

# The bytes that are locked. They lie behind the content of any file.
USE, MAKING, _WRITING, FOLLOWING = range(2**62, 2**62 + 4)
"""USE: locked shared by whoever uses the value. MAKING: locked by who makes, opens or begins the value anew.
FOLLOWING: in the mirror of a record, locked by who follows it."""

_BUSY = (errno.EAGAIN, errno.EACCES)

if fcntl is not None:
    _call = fcntl.fcntl
    _LOCKS = {
        (byte, exclusive): _flock(fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK, byte)
        for byte in range(USE, FOLLOWING + 1)
        for exclusive in (False, True)
    }
    _UNLOCKS = {byte: _flock(fcntl.F_UNLCK, byte) for byte in range(USE, FOLLOWING + 1)}
    _UNLOCKED = struct.pack("@h", fcntl.F_UNLCK)


def lock_range(fd: int, byte: int, *, exclusive: bool = True, wait: bool = False) -> bool:
    """Lock a byte for an open file description, or change its lock from shared to exclusive or back.

    Returns:
        False if another description holds it, and `wait` is false.

    Raises:
        NotImplementedError: this kernel or file system has no such locks.
        OSError: for anything else.
    """
    try:
        _call(fd, _WAIT if wait else _TRY, _LOCKS[byte, exclusive])
    except OSError as error:
        if error.errno in _BUSY:
            return False
        if error.errno in (errno.EINVAL, errno.ENOLCK, errno.ENOTSUP):
            message = "this kernel, or the file system of this path, has no open-file-description locks: use another"
            raise NotImplementedError(message) from error
        raise
    return True


def unlock_range(fd: int, byte: int) -> None:
    """Unlock a byte for an open file description."""
    _call(fd, _TRY, _UNLOCKS[byte])


def is_locked(fd: int, byte: int) -> bool:
    """Whether another description than this one has locked a byte."""
    answer: bytes = _call(fd, _QUERY, _LOCKS[byte, True])
    return answer[_TYPE] != _UNLOCKED


class Description:
    """An open file description, closed with this object.

    Args:
        path: the name of the file.
        flags: as for `os.open`.
        mode: as for `os.open`.
        follow: whether a symbolic link is followed.
    """

    path: str
    fd: int = -1  # until it is open: an interrupt may come before that

    def __init__(self, path: str, flags: int, mode: int = 0, *, follow: bool = False) -> None:
        self.path = path
        self.fd = os.open(path, flags | _FLAGS | (0 if follow else _NO_FOLLOW), mode)

    def again(self, flags: int) -> Description:
        """Return another description of the same file, whose name may be another by now.

        Raises:
            OSError: there is no file of this name any more and no /proc, or the process has lost the right to open it.
        """
        try:
            return Description(f"/proc/self/fd/{self.fd}", flags, follow=True)
        except FileNotFoundError:  # no /proc: macOS, some containers
            found = Description(self.path, flags)
            if not found.is_same(self):
                found.close()
                message = "another file has this name now"
                raise FileNotFoundError(errno.ENOENT, message, self.path) from None
            return found

    def is_same(self, other: Description) -> bool:
        """Whether both are of one file."""
        return os.path.samestat(os.fstat(self.fd), os.fstat(other.fd))

    def is_named(self) -> bool:
        """Whether the path still names this file."""
        try:
            return os.path.samestat(os.lstat(self.path), os.fstat(self.fd))
        except FileNotFoundError:
            return False

    def close(self, close: Callable[[int], None] = os.close) -> None:
        """Close it. The kernel gives back the locks that it has."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            close(fd)

    __del__ = close


_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


class _Turn:
    """What one thread, or greenlet, has of a lock: a description of its own, and how often it has acquired it."""

    __slots__ = ("__weakref__", "depth", "description", "end", "is_locked")

    description: Description
    depth: int
    is_locked: bool
    end: weakref.ref[Any]
    """Gives the turn back when the thread or greenlet ends."""

    def __init__(self, description: Description) -> None:
        self.description = description
        self.depth = 0
        self.is_locked = False  # set after the kernel's lock was taken, cleared before it is given back


class FileLock:
    """The lock of a value by path. It excludes threads, processes and containers, and ends with its holder.

    It is what `get_lock()` of such a value returns. It is re-entrant. As long as it lives, the value is in use. It can
    be pickled for any process of the machine, by its path.

    Each thread that takes it opens the file once more, since the kernel's lock belongs to the opening: so a thread that
    ends gives the lock back as a process does. A forked child closes what it has inherited.

    The interface is that of `multiprocessing.RLock`. After Linux's open-file-description locks (fcntl(2)).

    Args:
        use: the description that says that the file is in use.
        body: the shared memory.
        readonly: whether to refuse to be acquired.
        reduced: what `__reduce__` returns.
    """

    __slots__ = ("__weakref__", "_byte", "_readonly", "_reduced", "_turns", "_use", "body")

    body: memoryview
    """The shared memory."""

    def __init__(
        self, use: Description, body: memoryview, *, readonly: bool, reduced: tuple[Callable[..., Self], Any]
    ) -> None:
        self._use, self.body, self._readonly, self._reduced = use, body, readonly, reduced
        self._turns: dict[Any, _Turn] = {}
        self._byte = _WRITING

    def another(self, byte: int) -> FileLock:
        """Return a lock on another byte of the same file."""
        lock = FileLock(self._use, self.body, readonly=self._readonly, reduced=self._reduced)
        lock._byte = byte
        return lock

    @property
    def path(self) -> str:
        """The name of the file."""
        return self._use.path

    def _turn(self) -> _Turn:
        """Return the turn of the calling thread or greenlet."""
        turns, me = self._turns, execution()
        turn = turns.get(me)
        if turn is None or turn.description.fd < 0:  # closed in a forked child
            turn = turns[me] = _Turn(self._use.again(os.O_RDWR))
            turn.end = weakref.ref(cast("Any", me()), lambda _: turns.pop(me, None))
            _all_turns.add(turn)
        return turn

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take the lock, or take it once more.

        Args:
            block: whether to wait while somebody else holds it.
            timeout: how many seconds to wait at most; None waits for ever, zero or less does not wait.

        Returns:
            True once it is held; False if it could not be had in time.

        Raises:
            PermissionError: the file was opened with `readonly=True`.
            ValueError: the timeout is not a number (NaN).
            OSError: this thread could not open the file once more.
        """
        if self._readonly:
            message = "can not write: it was opened with SharedFile(..., readonly=True)"
            raise PermissionError(errno.EACCES, message, self.path)
        deadline = math.inf if timeout is None else moment(timeout)
        turn = self._turn()
        depth = turn.depth
        try:
            # The depth comes first: a signal handler that takes the lock anywhere below, and releases it, then leaves
            # the kernel's lock to this frame. To take that again changes nothing.
            turn.depth = depth + 1
            if turn.is_locked or self._lock(turn.description.fd, deadline if block else -math.inf):
                turn.is_locked = True
                return True
        except BaseException:  # KeyboardInterrupt too, at any point
            self._leave(turn, depth)
            raise
        self._leave(turn, depth)
        return False

    __enter__ = acquire

    def release(self) -> None:
        """Undo one `acquire`; the last one frees the lock.

        Raises:
            RuntimeError: the calling thread does not hold the lock.
        """
        turn = self._turns.get(execution())
        if turn is None or not turn.is_locked:
            message = f"cannot release {self!r}"
            raise RuntimeError(message)
        depth = turn.depth - 1
        try:
            self._leave(turn, depth)
        except BaseException:  # KeyboardInterrupt, in the middle
            self._leave(turn, depth)
            raise

    def __exit__(self, *_: object) -> None:
        self.release()

    def _leave(self, turn: _Turn, depth: int) -> None:
        """Go back to this depth."""
        turn.depth = depth
        if depth <= 0:
            turn.depth = 0
            turn.is_locked = False
            unlock_range(turn.description.fd, self._byte)

    def _is_mine(self) -> bool:
        turn = self._turns.get(execution())
        return turn is not None and turn.is_locked

    def _lock(self, fd: int, deadline: float) -> bool:
        """Take the kernel's lock for this description. Return False at the deadline."""
        interval = FIRST_INTERVAL
        while not lock_range(fd, self._byte):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if left == math.inf and not greenlets_share_a_thread():
                return lock_range(fd, self._byte, wait=True)
            time.sleep(min(left, interval))
            interval = min(2 * interval, LONGEST_INTERVAL)
        return True

    def is_used(self) -> bool:
        """Whether anybody uses the file. Who has opened it with `readonly=True` does not count."""
        return not self._readonly or is_locked(self._use.fd, USE)

    def is_named(self) -> bool:
        """Whether the path still names this file."""
        return self._use.is_named()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.path!r} {'' if self._is_mine() else 'not '}held by this thread>"

    def __reduce__(self) -> tuple[Callable[..., Self], Any]:
        return self._reduced


# A forked child shares these descriptions with its parent, and so would keep what the parent has locked.
_all_turns: weakref.WeakSet[_Turn] = weakref.WeakSet()


def _begin_in_child() -> None:
    for turn in list(_all_turns):
        turn.description.close()


fork.in_child(fork.Step.FILES, _begin_in_child)
