"""The lock of a value by path: the kernel's lock on an open file, which ends with its holder."""

from __future__ import annotations

import errno
import math
import os
import struct
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from typing_extensions import Self

from multiprocessing_intenum.robust import greenlets_share_a_thread, moment

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["MAKING", "USE", "FileLock", "is_locked", "lock_range", "open_again", "unlock_range"]

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
USE, MAKING, _WRITING = 2**62, 2**62 + 1, 2**62 + 2
"""USE: locked shared by whoever uses the value. MAKING: locked by who makes, opens or begins the value anew."""

_BUSY = (errno.EAGAIN, errno.EACCES)
# Seconds to sleep between two tries, where the kernel cannot wake us in time: the first time, and at most.
_FIRST_INTERVAL, _LONGEST_INTERVAL = 50e-6, 0.005

if fcntl is not None:
    _call = fcntl.fcntl
    _LOCKS = {
        (byte, exclusive): _flock(fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK, byte)
        for byte in (USE, MAKING, _WRITING)
        for exclusive in (False, True)
    }
    _LOCK_WRITING = _LOCKS[_WRITING, True]
    _UNLOCKS = {byte: _flock(fcntl.F_UNLCK, byte) for byte in (USE, MAKING, _WRITING)}
    _UNLOCK_WRITING = _UNLOCKS[_WRITING]
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


def open_again(fd: int, path: str, flags: int) -> int:
    """Return a descriptor of a new description of the open file, whose name may be another by now.

    Raises:
        OSError: there is no file of this name any more and no /proc, or the process has lost the right to open it.
    """
    try:
        return os.open(f"/proc/self/fd/{fd}", flags | os.O_CLOEXEC)
    except FileNotFoundError:  # no /proc: macOS, some containers
        again = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)
        if not os.path.samestat(os.fstat(again), os.fstat(fd)):
            os.close(again)
            message = "another file has this name now"
            raise FileNotFoundError(errno.ENOENT, message, path) from None
        return again


class FileLock:
    """The lock of a value by path. It excludes threads, processes and containers, and ends with its holder.

    It is what `get_lock()` of such a value returns. It is re-entrant, and holds the file open: as long as it lives, the
    value is in use. It can be pickled for any process of the machine, by its path. A forked child has a description of
    the file of its own, so that it does not keep what its parent held.

    The interface is that of `multiprocessing.RLock`. After Linux's open-file-description locks (fcntl(2)).

    Args:
        fd: a descriptor of the file. Nobody else may have one of the same description.
        path: the name of the file.
        body: the shared memory, kept mapped.
        readonly: whether to refuse to be acquired.
        reduced: what `__reduce__` returns.
    """

    __slots__ = ("__weakref__", "_depth", "_fd", "_locked", "_readonly", "_reduced", "_turn", "body", "path")

    def __init__(
        self, fd: int, path: str, body: memoryview, *, readonly: bool, reduced: tuple[Callable[..., Self], Any]
    ) -> None:
        self._fd, self.path, self.body, self._readonly, self._reduced = fd, path, body, readonly, reduced
        self._start()
        if not readonly:
            _all.add(self)

    def _start(self) -> None:
        # Only the thread that has the turn reads or writes the two others.
        self._turn: Any = threading.RLock()
        self._depth = 0  # how often it has acquired the lock
        self._locked = (
            False  # whether the kernel's lock is ours; set after it was taken, cleared before it is given back
        )

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
            OSError: this process was forked, and could not open the file again.
        """
        if self._readonly:
            message = "can not write: it was opened with SharedFile(..., readonly=True)"
            raise PermissionError(errno.EACCES, message, self.path)
        deadline = math.inf if timeout is None else moment(timeout)
        if not block:
            deadline = -math.inf
        turn = self._turn
        if turn._is_owned():
            # It is ours already. Or we are a signal handler, and the frame below us is somewhere in the lines below or
            # in release(): then the depth is what that frame has come to, and the kernel's lock may be still to take.
            turn.acquire()
            self._depth += 1
            if self._locked or self._lock_file(deadline):
                return True
            self._depth -= 1
            turn.release()
            return False
        try:
            if deadline == math.inf:
                turn.acquire()
            elif not turn.acquire(True, min(max(0, deadline - time.monotonic()), threading.TIMEOUT_MAX)):
                return False
            self._depth = 1
            if self._locked or self._lock_file(deadline):
                return True
        except BaseException:  # KeyboardInterrupt too, at any point
            if turn._is_owned():
                self.release()
            raise
        self.release()
        return False

    __enter__ = acquire

    def release(self) -> None:
        """Undo one `acquire`; the last one frees the lock.

        Raises:
            RuntimeError: the calling thread does not hold the lock.
        """
        if not self._turn._is_owned():
            message = f"cannot release {self!r}: this thread does not hold it"
            raise RuntimeError(message)
        if self._depth > 1:
            self._depth -= 1
        else:
            self._depth = 0
            self._locked = False
            if self._fd >= 0:
                _call(self._fd, _TRY, _UNLOCK_WRITING)
        self._turn.release()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _is_mine(self) -> bool:
        return self._turn._is_owned()  # type: ignore[no-any-return]

    def _lock_file(self, deadline: float) -> bool:
        if self._fd < 0:
            message = "can not write: this process was forked, and could not open the file again"
            raise OSError(errno.EBADF, message, self.path)
        interval = _FIRST_INTERVAL
        while True:
            try:
                _call(self._fd, _TRY, _LOCK_WRITING)
                break
            except OSError as error:
                if error.errno not in _BUSY:
                    raise
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if left == math.inf and not greenlets_share_a_thread():
                _call(self._fd, _WAIT, _LOCK_WRITING)
                break
            time.sleep(min(left, interval))
            interval = min(2 * interval, _LONGEST_INTERVAL)
        self._locked = True
        return True

    def is_used(self) -> bool:
        """Whether anybody uses the file. Who has opened it with `readonly=True` does not count."""
        return not self._readonly or is_locked(self._fd, USE)

    def is_named(self) -> bool:
        """Whether the path still names this file."""
        try:
            return os.path.samestat(os.lstat(self.path), os.fstat(self._fd))
        except FileNotFoundError:
            return False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.path!r} {'' if self._is_mine() else 'not '}held by this thread>"

    def __reduce__(self) -> tuple[Callable[..., Self], Any]:
        return self._reduced

    def _begin_in_child(self) -> None:
        """Open the file again in a forked child, which has its parent's descriptor, and with it the parent's locks."""
        inherited = self._fd
        self._start()
        self._fd = -1
        if inherited >= 0:
            try:
                self._fd = open_again(inherited, self.path, os.O_RDWR)
                lock_range(self._fd, USE, exclusive=False)  # before the inherited one goes: nobody finds it unused
            except OSError:
                pass  # a child that may not write any more can still read
            os.close(inherited)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if self._fd >= 0:
            close(self._fd)


_all: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _begin_in_child() -> None:
    for lock in list(_all):
        lock._begin_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
