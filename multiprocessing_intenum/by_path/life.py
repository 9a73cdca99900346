"""How the file of a value by path is made, opened, and begun anew.

Only three things in a file ever change: its body, the mark in its header that the body is being begun anew, and its
description, if a larger version of the enum or other transitions come. A file is filled under a temporary name, and
gets its own name when it is complete. A process that makes it, begins to use it or begins it anew holds the kernel's
lock on MAKING meanwhile, so only one process does so at a time. A process that uses it holds a shared lock on USE,
which it takes while it holds MAKING. So a process that holds MAKING, and finds USE free, knows that nobody uses the
file. If a process dies, the kernel frees its locks.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import sys
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar, cast

from multiprocessing_intenum import fork
from multiprocessing_intenum.by_path.contents import (
    BODY_AT,
    MAGIC,
    Contents,
    Header,
    begin_anew,
    describe,
    found_file,
    place_of_description,
    read_header,
    refuse_windows,
)
from multiprocessing_intenum.by_path.file_lock import PATIENCE, FileLock
from multiprocessing_intenum.by_path.shared_file import SharedFile
from multiprocessing_intenum.locks.execution import execution
from multiprocessing_intenum.locks.open_file import MAKING, TOO_MANY, USE, OpenFile, private, with_name
from multiprocessing_intenum.memory import keepalive

__all__ = ["describe_anew", "description_in", "open_file", "while_nobody_begins"]

R = TypeVar("R")

_ANYTHING = Contents({}, 0, None, None)

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
    refuse_windows()
    fork.notice()
    me = cast("Any", execution()())
    if me in _opening:
        message = "a signal handler can not open a value by path while its thread opens one: open it before"
        raise RuntimeError(message)
    deadline = time.monotonic() + (PATIENCE if timeout is None else timeout)
    try:
        _opening.add(me)
        while True:
            lock = _try_to_open(file, contents or _ANYTHING, deadline, is_user=is_user)
            if lock is not None:
                return lock
    except OSError as error:
        if error.errno in TOO_MANY:
            error.filename = file.path  # it may be the temporary file that could not be opened
        raise
    finally:
        _opening.discard(me)


def _try_to_open(file: SharedFile, contents: Contents, deadline: float, *, is_user: bool) -> FileLock | None:
    opened = found_file(file)
    if opened is None:
        if contents.begin is None or file.readonly:
            message = "there is no shared value here yet: start the process that makes it, with a first value"
            raise FileNotFoundError(errno.ENOENT, message, file.path)
        return _make(file, contents, None, deadline)
    lock = None
    try:
        lock = _attach(opened, file, contents, deadline, is_user=is_user)
        return lock
    finally:
        if lock is None:  # after an exception too: if that is kept, its traceback would keep the file in use
            opened.close()


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

    return _while_making(lock.open_again(), step, deadline)


def description_in(lock: FileLock) -> Mapping[str, Any]:
    """Return the present description of an open file. For the errors see `contents.read_header`."""
    if place_of_description(lock.body)[()] != lock.described[0]:
        header = read_header(lock.opened().fd, lock.path)
        lock.described = header.place, header.description
    return lock.described[1]


def describe_anew(lock: FileLock, description: Mapping[str, Any], deadline: float) -> None:
    """Describe a file that is in use. For the errors see `while_nobody_begins`."""
    if description_in(lock) != description:
        maker = lock.open_again()
        _while_making(
            maker, lambda: describe(maker.fd, lock.path, read_header(maker.fd, lock.path), description), deadline
        )


def _while_making(maker: OpenFile, action: Callable[[], R], deadline: float) -> R:
    """Lock MAKING by an opening, call a function, and close the opening.

    The opening must not be the one whose memory is mapped: the memory keeps that one open, also in a child that is
    forked meanwhile, and MAKING would stay locked.
    """
    try:
        if not maker.lock_until(MAKING, deadline):
            message = (
                "could not be opened in time: another process has been opening it all the while, and may be stopped; "
                "or a process that may only read the file has locked it"
            )
            raise TimeoutError(errno.ETIMEDOUT, message, maker.path)
        return action()
    finally:
        maker.close()


def _attach(
    opened: OpenFile, file: SharedFile, contents: Contents, deadline: float, *, is_user: bool
) -> FileLock | None:
    """Return the lock of an open file, or None if the file has lost its name meanwhile."""
    lock = _known(opened, file, contents, is_making=False)
    if lock is not None:
        return lock
    if file.readonly or not is_user:
        header = read_header(opened.fd, file.path)
        contents.refuse_other(header, file)
        return _lock_of(opened, file, _mapped(opened, file, header), is_user=False)
    maker = private(lambda: opened.again(os.O_RDWR))
    return _while_making(maker, lambda: _use(opened, file, contents, deadline), deadline)


def _known(opened: OpenFile, file: SharedFile, contents: Contents, *, is_making: bool) -> FileLock | None:
    """If this process has the file open under another opening, close this one, and return the lock of that one.

    Return None if it has not, if that one has lost its name, or if the file has to be described anew and MAKING is not
    locked.
    """
    lock = _opened.get((*opened.identity, file.readonly))
    if lock is None:
        return None
    try:
        if not lock.is_named():  # the file has another name now: those that used the old one are to learn of it
            return None
        header = read_header(opened.fd, file.path)
        contents.refuse_other(header, file)
        if not file.readonly and not _describe_grown(opened.fd, file.path, header, contents.grown, is_making=is_making):
            return None
        opened.close()
        return lock
    finally:
        del lock  # if an error is kept, its traceback must not keep the lock


def _describe_grown(
    fd: int,
    path: str,
    header: Header,
    grown: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    *,
    is_making: bool = True,
) -> bool:
    """Describe the file anew, if there is more to say. Return False if so, but MAKING is not locked."""
    description = grown(header.description)
    if description is not header.description:
        if not is_making:
            return False
        describe(fd, path, header, description)
    return True


def _use(opened: OpenFile, file: SharedFile, contents: Contents, deadline: float) -> FileLock | None:
    """Go on with the value, or begin it anew. MAKING is locked, so no other process begins to use it meanwhile."""
    if not opened.is_named():
        return None
    lock = _known(opened, file, contents, is_making=True)  # another thread was faster
    if lock is not None:
        return lock
    header = read_header(opened.fd, file.path)
    is_over = not opened.is_locked(USE) and (header.is_beginning or not file.keep)
    if is_over and contents.begin is None:
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
    if is_over and not file.keep and contents.difference(header):
        lock = _make(file, contents, opened, deadline)
        opened.close()
        return lock
    contents.refuse_other(header, file)
    body = _mapped(opened, file, header)
    if is_over:
        begin_anew(opened.fd, file.path, header, contents, body)
    else:
        _describe_grown(opened.fd, file.path, header, contents.grown)
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
    try:
        mapped = _Memory(opened.fd, BODY_AT + header.size, mmap.MAP_SHARED, protection, **keep_none)
    except OSError as error:
        raise with_name(error, file.path) from None
    mapped.file = opened
    return memoryview(mapped)[BODY_AT:]


def _lock_of(opened: OpenFile, file: SharedFile, body: memoryview, *, is_user: bool = True) -> FileLock:
    lock = FileLock(opened, body, readonly=file.readonly, is_user=is_user, reduced=(open_file, (file, None)))
    if is_user or file.readonly:
        key = (*opened.identity, file.readonly)
        _opened[key] = lock
    return lock


def _make(file: SharedFile, contents: Contents, replaced: OpenFile | None, deadline: float) -> FileLock | None:
    """Make the file, and mark it as in use. Return its lock, or None if the caller has to look at the path again.

    `replaced` is the file that has this name, if it has another description and nobody uses it.
    """
    path = _temporary(file.path)
    try:
        made = OpenFile(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        _remove_leftover(path, replaced, deadline)
        return None

    lock = None
    try:
        _forbid_copy_on_write(made.fd)
        maker = private(lambda: made.again(os.O_RDWR))
        lock = _while_making(maker, lambda: _put_in_place(made, file, contents, replaced), deadline)
        return lock
    finally:
        if lock is None:
            made.close()


def _put_in_place(made: OpenFile, file: SharedFile, contents: Contents, replaced: OpenFile | None) -> FileLock | None:
    """Fill the temporary file, and give it its name. Return its lock, or None if another process was faster.

    The temporary name is gone afterwards, also after an error.
    """
    temporary = made.path
    if not made.is_named():  # another maker has taken it for a leftover
        return None
    try:
        # The temporary file is there by now, so the path is a good one: this call may make the row of a record.
        header = contents.fill(made.fd, file)
        os.fchmod(made.fd, file.mode)
        made.lock(USE, exclusive=False)
        os.fsync(made.fd)  # else a power cut may leave the name with a file of zeros
        if replaced is not None:
            os.rename(temporary, file.path)
        else:
            _link(temporary, file.path)
    except FileExistsError:
        return None
    finally:
        with suppress(FileNotFoundError):  # renamed
            os.unlink(temporary)
    made.path = file.path
    return _lock_of(made, file, _mapped(made, file, header))


def _link(temporary: str, path: str) -> None:
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        message = (
            "this file system has no hard links (FAT and exFAT have none), by which a file gets its name only when it "
            "is complete: give a path on another file system, such as /run or /dev/shm"
        )
        raise OSError(error.errno, message, path) from error


_GET_FLAGS, _SET_FLAGS, _NO_COPY_ON_WRITE = 0x80086601, 0x40086602, 0x00800000  # linux/fs.h: FS_IOC_…, FS_NOCOW_FL


def _forbid_copy_on_write(fd: int) -> None:
    """Make btrfs write in place to a file, which is still empty.

    Otherwise each write needs room for a copy of the page, although the file has its room. On a full file system such
    a write is a SIGBUS. Other file systems refuse the flag, or have no use for it.
    """
    if sys.platform == "linux":
        import fcntl  # Windows has none

        with suppress(OSError):
            (flags,) = struct.unpack("@l", fcntl.ioctl(fd, _GET_FLAGS, bytes(struct.calcsize("@l"))))
            fcntl.ioctl(fd, _SET_FLAGS, struct.pack("@l", flags | _NO_COPY_ON_WRITE))


def _temporary(path: str) -> str:
    """Return the name under which a file is filled.

    Each user has only one such name, so that killed processes leave at most one file behind.
    """
    directory, name = os.path.split(path)
    shortened = os.fsdecode(os.fsencode(name)[:200])  # a file's name has at most 255 bytes
    return os.path.join(directory, f".{shortened}.{os.geteuid()}.new")


def _remove_leftover(path: str, replaced: OpenFile | None, deadline: float) -> None:
    """Wait for the maker of a temporary file, and remove the file if that process was killed."""
    opened = found_file(SharedFile(path, mode=0o666))
    if opened is None:
        return
    try:
        info = os.fstat(opened.fd)
        if info.st_uid != os.geteuid() or (info.st_size and not os.pread(opened.fd, 64, 0).startswith(MAGIC)):
            message = "is in the way: this name is needed to make a shared value, but the file is not ours; remove it"
            raise FileExistsError(errno.EEXIST, message, path)

        def remove() -> None:
            if opened.is_named():
                os.unlink(path)

        # If it is the same file as the one that we replace, under a second name, we hold its lock on MAKING.
        if replaced is not None and opened.identity == replaced.identity:
            remove()
        else:
            _while_making(private(lambda: opened.again(os.O_RDWR)), remove, deadline)
    finally:
        opened.close()
