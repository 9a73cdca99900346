"""How the file of a value by path is made, opened, begun anew and refused.

The layout, in bytes. The numbers are in the processor's own byte order.

    0    a line of text: what this is, the version of the layout, the byte order
    64   four numbers of 64 bits: the length of the description, where the body begins, its length, and whether somebody
         is beginning the body anew
    128  the description of what the body holds, as JSON
    ...  the body, aligned to 64: the words of a cell, or a ctypes object

A file is never changed but for its body. It gets its name when it is complete: it is filled under a temporary name, and
then linked. A process that makes it, opens it or begins it anew holds the kernel's lock on MAKING meanwhile, so that
these do not meet. A process that uses it holds a shared lock on USE, which it takes while it holds MAKING. So a process
that holds MAKING, and finds USE free, knows that nobody uses the file. The kernel takes both locks back from the dead.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import stat
import struct
import sys
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, NoReturn, TypeVar, cast

from multiprocessing_intenum import fork, memory, users
from multiprocessing_intenum.description import printable
from multiprocessing_intenum.file_lock import PATIENCE, FileLock
from multiprocessing_intenum.open_file import MAKING, USE, OpenFile, private
from multiprocessing_intenum.robust import execution
from multiprocessing_intenum.shared_file import SharedFile

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["Contents", "description_of", "open_file", "while_nobody_begins"]

R = TypeVar("R")

_MAGIC = b"multiprocessing-intenum file, layout "
_LAYOUT = 1
_LINE = _MAGIC + b"%d, %s-endian\n" % (_LAYOUT, sys.byteorder.encode())
_NUMBERS = struct.Struct("@QQQQ")
_NUMBERS_AT, _TEXT_AT = 64, 128
_BEGINNING_AT = _NUMBERS_AT + 24
_MAY_KEEP_NONE = sys.version_info >= (3, 13)
"""Whether mmap can do without a duplicate of the descriptor (CPython 78502)."""
_LONGEST_TEXT = 2**24
"""Bytes of the longest description that is believed to be one."""


class Contents(NamedTuple):
    """What a file is to hold."""

    description: Mapping[str, Any]
    size: int
    """Bytes of the body."""
    differs: Callable[[Mapping[str, Any]], str]
    """Given the description in a file, says how it differs from this one. Empty if it does not."""
    begin: Callable[[memoryview, bool], object] | None
    """Given the body, and whether it is new, write the first value. None: only attach."""


class _Header(NamedTuple):
    description: dict[str, Any]
    start: int
    size: int
    is_beginning: bool
    """Whether somebody was killed while beginning the body anew, so that it is not whole."""


# The files that this process has open, by device, inode, and whether they are read-only. Opened once more, such a file
# is the same memory under the same lock.
_opened: weakref.WeakValueDictionary[tuple[int, int, bool], FileLock] = weakref.WeakValueDictionary()
# The threads, and greenlets, that are opening a file just now.
_opening: weakref.WeakSet[Any] = weakref.WeakSet()


def open_file(
    file: SharedFile, contents: Contents | None, *, is_user: bool = True, timeout: float | None = None
) -> FileLock:
    """Open the file; make it or begin it anew if need be.

    Args:
        file: what the user has given.
        contents: what it must hold; None for anything.
        is_user: whether this process is to count as one that uses the value. If not, the file must be there.
        timeout: seconds to wait at most for another process that is opening it; None: a minute.

    Returns:
        The lock, with the body of the file.

    Raises:
        NotImplementedError: the platform, the kernel or the file system lacks what this needs.
        FileNotFoundError: there is no directory of this name; or no file, or one that nobody uses, and no first value.
        ValueError: the file holds something else. It is left as it is.
        TimeoutError: another process did not finish with opening it.
        OSError: the path names no regular file, or one that is not safe to use, or the system refuses.
        RuntimeError: a signal handler opens a file while the thread that it has interrupted opens one.
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
    opened = _open(file)
    if opened is None:
        if contents is None or contents.begin is None or file.readonly:
            message = "there is no shared value here yet: start the process that makes it, with a first value"
            raise FileNotFoundError(errno.ENOENT, message, file.path)
        return _make(file, contents, None, deadline)
    try:
        lock = _attach(opened, file, contents, deadline, is_user=is_user)
        if lock is None:
            opened.close()
        return lock
    except BaseException:
        # Not left to the garbage collector: the traceback of an exception that is kept would keep the file in use.
        opened.close()
        raise


def while_nobody_begins(lock: FileLock, action: Callable[[], R], deadline: float) -> R:
    """Call a function while no process makes the value, opens it or begins it anew.

    This is for a process that writes without being one that uses the value.

    Raises:
        TimeoutError: another process did not finish with opening it.
        FileNotFoundError: the file has lost its name to another one, or has none any more.
    """

    def step() -> R:
        if not lock.is_named():
            message = "the file was replaced or removed meanwhile: try again"
            raise FileNotFoundError(errno.ENOENT, message, lock.path)
        return action()

    return _making(lock.open_again(), step, deadline)


def _making(maker: OpenFile, action: Callable[[], R], deadline: float) -> R:
    """Call a function with MAKING locked by an opening, which is then closed.

    It is an opening of its own: the mapped memory keeps the first one open, also in a child that is forked meanwhile,
    and MAKING would stay locked with it.
    """
    try:
        if not maker.lock_until(MAKING, deadline):
            message = (
                "could not be opened in time: another process has been in the middle of opening it all the while. It "
                "may be stopped; or a process that may only read the file has locked it"
            )
            raise TimeoutError(errno.ETIMEDOUT, message, maker.path)
        return action()
    finally:
        maker.close()


def description_of(file: SharedFile) -> dict[str, Any]:
    """Return the description in a file, with the errors of `open_file`."""
    opened = _open(file)
    if opened is None:
        message = "there is no shared value here"
        raise FileNotFoundError(errno.ENOENT, message, file.path)
    try:
        return _read_header(opened.fd, file).description
    finally:
        opened.close()


def _open(file: SharedFile) -> OpenFile | None:
    """Open the file, which is regular and safe. Return None if there is none."""
    path = file.path
    try:
        _refuse(os.lstat(path), file)  # before it is opened: that alone has an effect on a device
        opened = OpenFile(path, os.O_RDONLY if file.readonly else os.O_RDWR)
    except FileNotFoundError:
        directory = os.path.dirname(path)
        if not os.path.isdir(directory):
            message = "no such directory: make it first, with RuntimeDirectory= of systemd for example"
            raise FileNotFoundError(errno.ENOENT, message, directory) from None
        return None
    try:
        _refuse(os.fstat(opened.fd), file)
    except BaseException:
        opened.close()
        raise
    return opened


def _refuse(info: os.stat_result, file: SharedFile) -> None:
    """Raise OSError for what is no file of our own."""
    kind = stat.S_IFMT(info.st_mode)
    if kind == stat.S_IFDIR:
        message = "is a directory: give the path of a file in it"
        raise IsADirectoryError(errno.EISDIR, message, file.path)
    if kind == stat.S_IFLNK:
        message = "is a symbolic link, which is not followed: give the path of the file itself"
        raise OSError(errno.ELOOP, message, file.path)
    if kind != stat.S_IFREG:
        message = "is no regular file (but a device, a fifo or a socket): give another path"
        raise OSError(errno.EINVAL, message, file.path)
    # Others that may only read the file take no part in a value that this process writes to.
    needed, example = (0o066, "0o640") if file.readonly else (0o022, "0o660")
    if info.st_uid != os.geteuid() and not file.mode & needed:
        message = (
            f"belongs to another user (uid {info.st_uid}; this process has {os.geteuid()}): if users share it on "
            f"purpose, give SharedFile(..., mode={example}) or the like"
        )
        raise PermissionError(errno.EPERM, message, file.path)
    beyond = info.st_mode & 0o022 & ~file.mode
    if beyond:
        message = (
            f"can be written by others (its mode is {stat.S_IMODE(info.st_mode):#o}, expected at most "
            f"{file.mode:#o}): change its mode, or give SharedFile(..., mode={file.mode | beyond:#o})"
        )
        raise PermissionError(errno.EPERM, message, file.path)


def _read_header(fd: int, file: SharedFile) -> _Header:
    """Return the header; ValueError if the file has none of ours."""
    start = os.pread(fd, _TEXT_AT, 0)
    if not start.startswith(_MAGIC):
        _is_not_ours(file, "holds something else than a shared value: give another path")
    line = start[: start.find(b"\n") + 1]
    if line != _LINE:
        found, expected = (printable(each[len(_MAGIC) : -1].decode("ascii", "replace")) for each in (line, _LINE))
        _is_not_ours(
            file,
            f"was made by another version of multiprocessing-intenum, or on another processor: it has layout {found}, "
            f"expected layout {expected}; stop the processes that use it{users.listed(file.path)}, and remove it",
        )
    damaged = "is damaged: stop the processes that use it, and remove it"
    if len(start) < _TEXT_AT:
        _is_not_ours(file, damaged)
    length, begin, body, beginning = _NUMBERS.unpack_from(start, _NUMBERS_AT)
    is_whole = _TEXT_AT + length <= begin <= begin + body <= os.fstat(fd).st_size
    if begin % 64 or length > _LONGEST_TEXT or not is_whole:
        _is_not_ours(file, damaged)
    try:
        description = json.loads(os.pread(fd, length, _TEXT_AT))
    except (ValueError, RecursionError):
        description = None
    if not isinstance(description, dict):
        _is_not_ours(file, damaged)
    return _Header(description, begin, body, bool(beginning))


def _is_not_ours(file: SharedFile, why: str) -> NoReturn:
    message = f"{file.path!r} {why}. It was left as it is"
    raise ValueError(message)


def _attach(
    opened: OpenFile, file: SharedFile, contents: Contents | None, deadline: float, *, is_user: bool
) -> FileLock | None:
    """Return the lock of an open file, or None if it has lost its name meanwhile."""
    lock = _known(opened, file, contents)
    if lock is not None:
        return lock
    if file.readonly or not is_user:
        header = _read_header(opened.fd, file)
        _check(header, file, contents)
        return _lock_of(opened, file, _mapped(opened, file, header), is_user=False)
    maker = private(lambda: opened.again(os.O_RDWR))
    return _making(maker, lambda: _use(opened, file, contents, deadline), deadline)


def _known(opened: OpenFile, file: SharedFile, contents: Contents | None) -> FileLock | None:
    """Return the lock by which this process has the file open already. The second opening is then closed."""
    lock = _opened.get((*opened.identity, file.readonly))
    if lock is None:
        return None
    try:
        _check(_read_header(opened.fd, file), file, contents)
        opened.close()
        return lock
    finally:
        del lock  # the traceback of an error that is kept must not keep it


def _use(opened: OpenFile, file: SharedFile, contents: Contents | None, deadline: float) -> FileLock | None:
    """Go on with the value, or begin it anew, with MAKING locked: so no other process begins to use it meanwhile."""
    if not opened.is_named():
        return None
    lock = _known(opened, file, contents)  # another thread was faster
    if lock is not None:
        return lock
    header = _read_header(opened.fd, file)
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
        if not file.keep and _difference(header, contents):
            lock = _make(file, contents, opened, deadline)
            opened.close()
            return lock
        _check(header, file, contents)
        body = _mapped(opened, file, header)
        os.pwrite(opened.fd, b"\1", _BEGINNING_AT)
        contents.begin(body, False)
        os.pwrite(opened.fd, b"\0", _BEGINNING_AT)
    else:
        _check(header, file, contents)
        body = _mapped(opened, file, header)
    if not opened.lock(USE, exclusive=False):
        message = "another program has locked this file, which no process of this library does: stop that program"
        raise OSError(errno.EAGAIN, message, file.path)
    return _lock_of(opened, file, body)


def _difference(header: _Header, contents: Contents) -> str:
    difference = contents.differs(header.description)
    if not difference and contents.size != header.size:
        difference = f"its size is {header.size} bytes, expected {contents.size}"
    return difference


def _check(header: _Header, file: SharedFile, contents: Contents | None) -> None:
    """Raise ValueError if the file holds something else than `contents`."""
    difference = contents is not None and _difference(header, contents)
    if difference:
        how = f"stop all processes that use this one{users.listed(file.path)}, and "
        how += "remove it, for it is kept" if file.keep else "then start with the new version"
        _is_not_ours(file, f"holds another value: {difference}. Give another path, or {how}")


class _Memory(mmap.mmap):
    """The memory of a file. As long as anything uses it, the file is open, and so in use."""

    file: OpenFile | None = None

    if not _MAY_KEEP_NONE:  # mmap keeps a duplicate of the descriptor, and closes it with the memory

        def __del__(self) -> None:
            file, self.file = self.file, None
            # If the program has closed all descriptors, the number of the duplicate may be that of another file now.
            # So the memory is kept for ever, and the value is in use until this process ends.
            if file is not None and file.was_closed():
                memory.pin(self)


def _mapped(opened: OpenFile, file: SharedFile, header: _Header) -> memoryview:
    """Return the body of the file, in memory that is shared with all that have it open."""
    protection = mmap.PROT_READ if file.readonly else mmap.PROT_READ | mmap.PROT_WRITE
    keep_none: Any = {"trackfd": False} if _MAY_KEEP_NONE else {}
    mapped = _Memory(opened.fd, header.start + header.size, mmap.MAP_SHARED, protection, **keep_none)
    mapped.file = opened
    return memoryview(mapped)[header.start : header.start + header.size]


def _lock_of(opened: OpenFile, file: SharedFile, body: memoryview, *, is_user: bool = True) -> FileLock:
    is_known = is_user or file.readonly
    lock = FileLock(opened, body, readonly=file.readonly, is_user=is_user, reduced=(_open_lock, (file,)))
    if is_known:
        _opened[(*opened.identity, file.readonly)] = lock
    return lock


def _open_lock(file: SharedFile) -> FileLock:
    """Open a pickled lock."""
    return open_file(file, None)


def _make(file: SharedFile, contents: Contents, replaced: OpenFile | None, deadline: float) -> FileLock | None:
    """Make the file, and return its lock, or None if another process was faster.

    Args:
        file: the file.
        contents: what it is to hold.
        replaced: a file with another description that has this name, and that nobody uses.
        deadline: the moment until which to wait for another process that makes it.
    """
    path = _temporary(file.path)
    while True:
        try:
            made = OpenFile(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            _remove_leftover(path, replaced, deadline)
            continue
        try:
            _forbid_copy_on_write(made.fd)
            maker = private(partial(made.again, os.O_RDWR))
            lock = _making(maker, partial(_make_of, made, file, contents, replaced), deadline)
        except BaseException:
            made.close()
            raise
        if lock is not _TAKEN_AWAY:
            return cast("FileLock | None", lock)
        made.close()


_TAKEN_AWAY = object()


def _make_of(made: OpenFile, file: SharedFile, contents: Contents, replaced: OpenFile | None) -> object:
    """Make the file of an empty one with a temporary name, with MAKING locked."""
    if not made.is_named():  # another maker has taken it for a leftover
        return _TAKEN_AWAY
    header = _put_in_place(made, file, contents, replaced)
    if header is None:
        made.close()
        return None
    return _lock_of(made, file, _mapped(made, file, header))


def _content_of(contents: Contents) -> tuple[bytearray, _Header]:
    """Return all that a new file is to hold, with the first value."""
    text = json.dumps(contents.description, separators=(",", ":")).encode()
    if len(text) > _LONGEST_TEXT:
        message = (
            f"the names and values of the members take {len(text):,} bytes, more than the {_LONGEST_TEXT:,} allowed"
        )
        raise ValueError(message)
    start = (_TEXT_AT + len(text) + 63) // 64 * 64
    pages = (start + contents.size + mmap.PAGESIZE - 1) // mmap.PAGESIZE
    content = bytearray(pages * mmap.PAGESIZE)
    content[: len(_LINE)] = _LINE
    _NUMBERS.pack_into(content, _NUMBERS_AT, len(text), start, contents.size, 0)
    content[_TEXT_AT : _TEXT_AT + len(text)] = text
    begin = cast("Callable[[memoryview, bool], object]", contents.begin)
    begin(memoryview(content)[start : start + contents.size], True)
    return content, _Header({}, start, contents.size, False)


def _put_in_place(made: OpenFile, file: SharedFile, contents: Contents, replaced: OpenFile | None) -> _Header | None:
    """Fill the temporary file, and give it its name. Return its header, or None if another process was faster.

    The temporary name is gone afterwards, also after an error.
    """
    temporary = made.path
    try:
        # Not before there is a temporary file: the first value may come from a database, which then has it as well.
        content, header = _content_of(contents)
        _fill(made.fd, content, file)
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
    return header


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
    """Have btrfs write an empty file in place.

    Otherwise each write needs room for a copy of the page, though the file has its room already. On a full file system
    that is a SIGBUS. Other file systems refuse the flag, or have no use for it.
    """
    if sys.platform == "linux" and fcntl is not None:
        with suppress(OSError):
            (flags,) = struct.unpack("@l", fcntl.ioctl(fd, _GET_FLAGS, bytes(struct.calcsize("@l"))))
            fcntl.ioctl(fd, _SET_FLAGS, struct.pack("@l", flags | _NO_COPY_ON_WRITE))


def _fill(fd: int, content: bytearray, file: SharedFile) -> None:
    try:
        os.pwrite(fd, _LINE, 0)  # first: who finds this file knows that it is ours
        if hasattr(os, "posix_fallocate"):  # a full file system is an error now, not a SIGBUS at some later write
            os.posix_fallocate(fd, 0, len(content))
        written = 0
        while written < len(content):
            written += os.pwrite(fd, content[written:], written)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        message = f"no room for the {len(content):,} bytes of a shared value: free some, or give another path"
        raise OSError(error.errno, message, file.path) from error


def _temporary(path: str) -> str:
    """Return the name under which a file is filled.

    It is one name for each user, so that makers who are killed leave no more than one file behind.
    """
    directory, name = os.path.split(path)
    shortened = os.fsdecode(os.fsencode(name)[:200])  # a file's name has at most 255 bytes
    return os.path.join(directory, f".{shortened}.{os.geteuid()}.new")


def _remove_leftover(path: str, replaced: OpenFile | None, deadline: float) -> None:
    """Wait for the maker of a temporary file, and remove the file if that process was killed."""
    opened = _open(SharedFile(path, mode=0o666))
    if opened is None:
        return
    try:
        info = os.fstat(opened.fd)
        if info.st_uid != os.geteuid() or (info.st_size and not os.pread(opened.fd, 64, 0).startswith(_MAGIC)):
            message = "is in the way: this name is needed to make a shared value, but the file is not ours; remove it"
            raise FileExistsError(errno.EEXIST, message, path)

        def remove() -> None:
            if opened.is_named():
                os.unlink(path)

        # If it was linked to the name of the value that we replace, we have locked MAKING of it already.
        if replaced is not None and opened.identity == replaced.identity:
            remove()
        else:
            _making(private(lambda: opened.again(os.O_RDWR)), remove, deadline)
    finally:
        opened.close()
