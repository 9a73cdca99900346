"""An open file, and the kernel's locks on its bytes. It notices if its descriptor was closed behind our back."""

from __future__ import annotations

import errno
import itertools
import math
import os
import struct
import sys
import time
import weakref
from collections.abc import Callable
from functools import partial
from typing import NoReturn

from multiprocessing_intenum import fork
from multiprocessing_intenum.locks.execution import Pauses, greenlets_share_a_thread

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "FOLLOWING", "MAKING", "TOO_MANY", "USE", "WRITING", "GoneError", "OpenFile", "is_locked", "private", "with_name",
]  # fmt: skip

# Open-file-description locks (Linux 3.15, macOS): each belongs to an opening of the file, excludes other openings in
# any process or container, and ends when the last descriptor of its opening is closed. POSIX's own file locks belong
# to a process, exclude no threads, and are lost whenever the process closes any descriptor of the file.
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
USE, MAKING, WRITING, FOLLOWING = range(2**62, 2**62 + 4)
"""A process that uses the value has a shared lock on USE. The process that makes the value, opens it or begins it anew
has MAKING, and the writer has WRITING. In the mirror of a record, the process that follows the record has FOLLOWING."""

_BUSY = (errno.EAGAIN, errno.EACCES)
TOO_MANY = (errno.EMFILE, errno.ENFILE)
"""The errors of a process, or a system, that may open no more files."""

if fcntl is not None:
    _call = fcntl.fcntl
    _LOCKS = {
        (byte, exclusive): _flock(fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK, byte)
        for byte in range(USE, FOLLOWING + 1)
        for exclusive in (False, True)
    }
    _UNLOCKS = {byte: _flock(fcntl.F_UNLCK, byte) for byte in range(USE, FOLLOWING + 1)}
    _UNLOCKED = struct.pack("@h", fcntl.F_UNLCK)
    _exclusive = partial(_flock, fcntl.F_WRLCK)

_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)

# The library never reads or writes at the position of an opening. So the position serves as a mark. Each opening has
# its own mark, at a position that hardly any program uses.
_marks = itertools.count(2**30 + int.from_bytes(os.urandom(3), "little") * 32)

_seek, _HERE = os.lseek, os.SEEK_CUR


class GoneError(OSError):
    """The descriptor no longer belongs to the open file."""


class OpenFile:
    """An opening of a file, closed with this object.

    A program may close the descriptor behind our back, as `os.closerange` and python-daemon do, and another file may
    get its number. So each method looks at the mark first, and never locks, unlocks or closes the other file. The look
    takes 200 ns; `os.fstat` would take 830, and could not tell two openings of one file apart.

    Args:
        path: the name of the file.
        flags: as for `os.open`.
        mode: as for `os.open`.
        through: another path to the same file, which may be a symbolic link.

    Raises:
        OSError: it cannot be opened.
    """

    __slots__ = ("__weakref__", "_mark", "_was_replaced", "fd", "identity", "path")

    path: str
    fd: int
    identity: tuple[int, int]
    """The device and the inode."""

    def __init__(self, path: str, flags: int, mode: int = 0, *, through: str = "") -> None:
        self.path, self.fd, self._mark, self._was_replaced = path, -1, next(_marks), False
        try:
            fd = os.open(through or path, flags | _FLAGS | (0 if through else _NO_FOLLOW), mode)
        except OSError as error:
            if error.errno in TOO_MANY:
                raise with_name(error, path) from None
            raise
        try:
            info = os.fstat(fd)
            self.identity = info.st_dev, info.st_ino
            os.lseek(fd, self._mark, os.SEEK_SET)
            self.fd = fd
        except BaseException:
            os.close(fd)
            raise

    def is_ours(self) -> bool:
        """Whether the descriptor still is that of this opening."""
        try:
            return _seek(self.fd, 0, _HERE) == self._mark
        except OSError:  # closed, or a socket now
            return False

    def again(self, flags: int) -> OpenFile:
        """Return another opening of the same file, which may have another name by now.

        Raises:
            GoneError: the descriptor is no longer ours.
            OSError: the system refuses. The text says what to do.
        """
        self.ensure_ours()
        try:
            try:
                return OpenFile(self.path, flags, through=f"/proc/self/fd/{self.fd}")
            except FileNotFoundError:  # no /proc: macOS, some containers
                found = OpenFile(self.path, flags)
        except OSError as error:
            raise _meaning(error, self.path) from None
        if found.identity != self.identity:
            message = "another file has this name now"
            raise FileNotFoundError(errno.ENOENT, message, self.path)
        return found

    def replace(self, other: OpenFile) -> None:
        """Take over another opening, after the program has closed the descriptor of this one."""
        self._was_replaced = True
        self._mark, self.fd, other.fd = other._mark, other.fd, -1

    def was_closed(self) -> bool:
        """Whether the program has ever closed the descriptor behind our back."""
        return self._was_replaced or (self.fd >= 0 and not self.is_ours())

    def is_named(self) -> bool:
        """Whether the path still names this file, as far as this process may know."""
        try:
            info = os.lstat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except PermissionError:  # this process has dropped its rights since it made the value
            return not self.is_ours() or os.fstat(self.fd).st_nlink > 0
        return (info.st_dev, info.st_ino) == self.identity

    def lock(self, byte: int, *, exclusive: bool = True, wait: bool = False) -> bool:
        """Lock a byte for this opening, or change its lock from shared to exclusive or back.

        Returns:
            False if another opening holds it, and `wait` is false.

        Raises:
            NotImplementedError: this kernel or file system has no such locks.
            GoneError: the descriptor is no longer ours.
            OSError: for anything else.
        """
        try:
            # ensure_ours(), spelled out: each write comes here twice.
            if _seek(self.fd, 0, _HERE) != self._mark:
                self._fail()
            _call(self.fd, _WAIT if wait else _TRY, _LOCKS.get((byte, exclusive)) or _exclusive(byte))
        except OSError as error:
            if error.errno in _BUSY:
                return False
            self.ensure_ours()
            if error.errno in (errno.EINVAL, errno.ENOLCK, errno.ENOTSUP):
                message = (
                    "this kernel, or the file system of this path, has no open-file-description locks: use another"
                    " kernel or path"
                )
                raise NotImplementedError(message) from error
            raise
        return True

    def lock_until(self, byte: int, deadline: float) -> bool:
        """Wait for the lock on a byte. Return False at the deadline, a moment by `time.monotonic`."""
        pauses = Pauses()
        while not self.lock(byte):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if left == math.inf and not greenlets_share_a_thread():
                return self.lock(byte, wait=True)
            pauses.sleep(left)
        return True

    def unlock(self, byte: int) -> None:
        """Unlock a byte for this opening.

        Raises:
            GoneError: the descriptor is no longer ours, so that the lock was lost.
        """
        try:
            if _seek(self.fd, 0, _HERE) != self._mark:
                self._fail()
            _call(self.fd, _TRY, _UNLOCKS[byte])
        except OSError:
            self.ensure_ours()
            raise

    def is_locked(self, byte: int) -> bool:
        """Whether another opening has locked a byte."""
        self.ensure_ours()
        return is_locked(self.fd, byte)

    def ensure_ours(self) -> None:
        """Raise GoneError if the descriptor is no longer ours."""
        if not self.is_ours():
            self._fail()

    def _fail(self) -> NoReturn:
        message = (
            "the program has closed the descriptors of this shared value, with os.closerange() or python-daemon for "
            "example: their locks are lost, and another process may have written"
        )
        raise GoneError(errno.EBADF, message, self.path)

    # The functions that it calls are bound as defaults, because it also runs while the interpreter ends.
    def close(
        self,
        seek: Callable[[int, int, int], int] = os.lseek,
        close: Callable[[int], None] = os.close,
        errors: tuple[type[Exception], ...] = (OSError, AttributeError),
    ) -> None:
        """Close the file. The kernel frees the locks of this opening."""
        try:
            if self.fd >= 0 and seek(self.fd, 0, 1) == self._mark:
                close(self.fd)
        except errors:  # closed already, or interrupted before it was opened
            pass
        self.fd = -1

    __del__ = close


def is_locked(fd: int, byte: int) -> bool:
    """Whether another opening of the file than that of this descriptor has locked a byte."""
    answer: bytes = _call(fd, _QUERY, _LOCKS.get((byte, True)) or _exclusive(byte))
    return answer[_TYPE] != _UNLOCKED


def with_name(error: OSError, path: str, reason: str = "") -> OSError:
    """Return the error with the name of the file; with what to do, if too many files are open.

    Args:
        error: an error of the system.
        path: the name of the file.
        reason: why one more file has to be open.
    """
    message = os.strerror(error.errno or 0)
    if error.errno in TOO_MANY:
        limit = "ulimit -n" if error.errno == errno.EMFILE else "sysctl fs.file-max; of one process: ulimit -n"
        message += f"{reason}: raise the limit ({limit})"
    return OSError(error.errno, message, path)


def _meaning(error: OSError, path: str) -> OSError:
    """Return the error of an opening that locking needs."""
    if error.errno in (errno.EACCES, errno.EPERM):
        message = (
            "this process can not open the file once more, which locking needs: it has dropped its rights since it "
            "made the value. Make the value after that, or let its present user write to the file: with "
            "SharedFile(..., mode=0o660) and the group of that user, for example"
        )
        return OSError(error.errno, message, path)
    return with_name(error, path, ", and the file has to be opened once more to lock it")


def private(open_it: Callable[[], OpenFile]) -> OpenFile:
    """Return an opening that no forked child keeps open: else its locks would stay after it is closed.

    Args:
        open_it: opens the file.
    """
    while True:
        forks = fork.count()
        file = open_it()
        _private.add(file)
        # A child that was forked before the line above does not know that it has to close this opening: make another.
        if fork.count() == forks:
            return file
        file.close()


_private: weakref.WeakSet[OpenFile] = weakref.WeakSet()


def close_in_child() -> None:
    """In a forked child, close the openings that it shares with its parent: it would keep them locked."""
    for file in list(_private):
        file.close()
