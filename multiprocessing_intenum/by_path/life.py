"""How the file of a value by path is opened, and begun anew.

Only two things in a file ever change: its body, and the mark in its header that the body is being begun anew. A file
gets its name when it is complete: see `making`. A process that makes it, begins to use it or begins it anew holds the
kernel's lock on MAKING meanwhile, so only one process does so at a time. A process that uses it holds a shared lock on
USE, which it takes while it holds MAKING. So a process that holds MAKING, and finds USE free, knows that nobody uses
the file. If a process dies, the kernel frees its locks.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
import time
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from multiprocessing_intenum import fork
from multiprocessing_intenum.by_path.contents import (
    Contents,
    Header,
    difference,
    found_file,
    read_header,
    refuse_other,
    set_beginning,
)
from multiprocessing_intenum.by_path.file_lock import PATIENCE, FileLock
from multiprocessing_intenum.by_path.making import make, making
from multiprocessing_intenum.by_path.open_file import USE, OpenFile, private
from multiprocessing_intenum.by_path.shared_file import SharedFile
from multiprocessing_intenum.locks.execution import execution
from multiprocessing_intenum.memory import keepalive

__all__ = ["open_file", "while_nobody_begins"]

R = TypeVar("R")

# The files that this process has open, by device, inode, and whether they are read-only. If such a file is opened once
# more, it is the same memory under the same lock.
_opened: weakref.WeakValueDictionary[tuple[int, int, bool], FileLock] = weakref.WeakValueDictionary()
# The threads, and greenlets, that are opening a file just now.
_opening: weakref.WeakSet[Any] = weakref.WeakSet()


def open_file(
    file: SharedFile, contents: Contents | None, *, is_user: bool = True, timeout: float | None = None
) -> FileLock:
    """Open the file; make it or begin it anew if need be.

    Args:
        file: the file, as the user has given it.
        contents: what it must hold; None for anything.
        is_user: whether this process is to count as a user of the value. If not, the file must exist.
        timeout: seconds to wait at most for another process that is opening it; None: a minute.

    Returns:
        The lock, with the body of the file.

    Raises:
        NotImplementedError: the platform, the kernel or the file system lacks what this needs.
        FileNotFoundError: there is no such directory; or no first value was given, and there is none to go on with.
        ValueError: the file holds something else. It is left as it is.
        TimeoutError: another process did not finish opening it in time.
        OSError: the path names no regular file, or one that is not safe to use; or the system refuses.
        RuntimeError: a signal handler opens a file, and has interrupted a thread that opens one.
    """
    if os.name == "nt":
        message = "values by path need Linux or macOS: Windows has no open-file-description locks"
        raise NotImplementedError(message)
    fork.notice()
    me = cast("Any", execution()())
    if me in _opening:
        message = "a signal handler can not open a value by path while its thread opens one: open it before"
        raise RuntimeError(message)
    deadline = time.monotonic() + (PATIENCE if timeout is None else timeout)
    try:
        _opening.add(me)
        while True:
            lock = _try_to_open(file, contents, deadline, is_user=is_user)
            if lock is not None:
                return lock
    finally:
        _opening.discard(me)


def _try_to_open(file: SharedFile, contents: Contents | None, deadline: float, *, is_user: bool) -> FileLock | None:
    opened = found_file(file)
    if opened is None:
        if contents is None or contents.begin is None or file.readonly:
            message = "there is no shared value here yet: start the process that makes it, with a first value"
            raise FileNotFoundError(errno.ENOENT, message, file.path)
        return make(file, contents, None, deadline, partial(_begun, file))
    try:
        lock = _attach(opened, file, contents, deadline, is_user=is_user)
        if lock is None:
            opened.close()
        return lock
    except BaseException:
        # Close it now: if this exception is kept, its traceback would keep the file in use.
        opened.close()
        raise


def while_nobody_begins(lock: FileLock, action: Callable[[], R], deadline: float) -> R:
    """Call a function while no process makes the value, opens it or begins it anew.

    This is for a process that writes, but does not count as a user of the value.

    Raises:
        TimeoutError: another process did not finish opening it in time.
        FileNotFoundError: another file has its name now, or no file has it.
    """

    def step() -> R:
        if not lock.is_named():
            message = "the file was replaced or removed meanwhile: try again"
            raise FileNotFoundError(errno.ENOENT, message, lock.path)
        return action()

    return making(lock.open_again(), step, deadline)


def _attach(
    opened: OpenFile, file: SharedFile, contents: Contents | None, deadline: float, *, is_user: bool
) -> FileLock | None:
    """Return the lock of an open file, or None if the file has lost its name meanwhile."""
    lock = _known(opened, file, contents)
    if lock is not None:
        return lock
    if file.readonly or not is_user:
        header = read_header(opened.fd, file)
        refuse_other(header, file, contents)
        return _lock_of(opened, file, _mapped(opened, file, header), is_user=False)
    maker = private(lambda: opened.again(os.O_RDWR))
    return making(maker, lambda: _use(opened, file, contents, deadline), deadline)


def _known(opened: OpenFile, file: SharedFile, contents: Contents | None) -> FileLock | None:
    """If this process has the file open under another opening, close this one, and return the lock of that one."""
    lock = _opened.get((*opened.identity, file.readonly))
    if lock is None:
        return None
    try:
        refuse_other(read_header(opened.fd, file), file, contents)
        opened.close()
        return lock
    finally:
        del lock  # if an error is kept, its traceback must not keep the lock


def _use(opened: OpenFile, file: SharedFile, contents: Contents | None, deadline: float) -> FileLock | None:
    """Go on with the value, or begin it anew. MAKING is locked, so no other process begins to use it meanwhile."""
    if not opened.is_named():
        return None
    lock = _known(opened, file, contents)  # another thread was faster
    if lock is not None:
        return lock
    header = read_header(opened.fd, file)
    is_over = not opened.is_locked(USE)
    if is_over and not (file.keep and not header.is_beginning):
        if contents is None or contents.begin is None:
            message = (
                "no process uses the shared value here, so it is over: start the process that makes it, with a "
                "first value, or give SharedFile(..., keep=True) to go on with what is there"
            )
            if file.keep:
                message = (
                    "what is here is not whole, because the process that began it anew was killed: start the process "
                    "that makes it, with a first value"
                )
            raise FileNotFoundError(errno.ENOENT, message, file.path)
        if not file.keep and difference(header, contents):
            lock = make(file, contents, opened, deadline, partial(_begun, file))
            opened.close()
            return lock
        refuse_other(header, file, contents)
        body = _mapped(opened, file, header)
        set_beginning(opened.fd, True)
        contents.begin(body, False)
        set_beginning(opened.fd, False)
    else:
        refuse_other(header, file, contents)
        body = _mapped(opened, file, header)
    if not opened.lock(USE, exclusive=False):
        message = "another program has locked this file as this library never does: stop that program"
        raise OSError(errno.EAGAIN, message, file.path)
    return _lock_of(opened, file, body)


class _Memory(mmap.mmap):
    """The memory of a file. As long as anything uses the memory, the file is open, and so in use."""

    file: OpenFile | None = None

    if sys.version_info < (3, 13):  # mmap keeps a duplicate of the descriptor, and closes it with the memory

        def __del__(self) -> None:
            file, self.file = self.file, None
            # If the program has closed all descriptors, the number of the duplicate may be that of another file now.
            # So the memory is kept for ever, and the value is in use until this process ends.
            if file is not None and file.was_closed():
                keepalive.pin(self)


def _mapped(opened: OpenFile, file: SharedFile, header: Header) -> memoryview:
    """Return the body of the file, in memory that it shares with all processes that have the file open."""
    protection = mmap.PROT_READ if file.readonly else mmap.PROT_READ | mmap.PROT_WRITE
    keep_none: Any = {"trackfd": False} if sys.version_info >= (3, 13) else {}  # CPython 78502
    mapped = _Memory(opened.fd, header.start + header.size, mmap.MAP_SHARED, protection, **keep_none)
    mapped.file = opened
    return memoryview(mapped)[header.start : header.start + header.size]


def _lock_of(opened: OpenFile, file: SharedFile, body: memoryview, *, is_user: bool = True) -> FileLock:
    is_known = is_user or file.readonly
    lock = FileLock(opened, body, readonly=file.readonly, is_user=is_user, reduced=(_open_lock, (file,)))
    if is_known:
        key = *opened.identity, file.readonly
        _opened[key] = lock
    return lock


def _begun(file: SharedFile, made: OpenFile, header: Header) -> FileLock:
    """Return the lock of a new file, which is marked as in use."""
    return _lock_of(made, file, _mapped(made, file, header))


def _open_lock(file: SharedFile) -> FileLock:
    """Open a pickled lock."""
    return open_file(file, None)
