"""How the file of a value by path is made, opened, begun anew and refused.

The layout, in bytes. The numbers are in the processor's own byte order.

    0    a line of text: what this is, the version of the layout, the byte order
    64   four numbers of 64 bits: the length of the description, where the body begins, its length, and whether somebody
         is beginning the body anew
    128  the description of what the body holds, as JSON
    ...  the body, aligned to 64: the words of a cell, or a ctypes object

A file is never changed but for its body. It gets its name when it is complete: it is filled under a temporary name, and
then linked. Whoever makes it, opens it or begins it anew holds the kernel's lock on MAKING meanwhile, so that these do
not meet. Whoever uses it holds a shared lock on USE; so who gets that lock exclusively knows that nobody uses it. The
kernel takes both locks back from the dead.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import stat
import struct
import sys
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn, cast

from multiprocessing_intenum import fork
from multiprocessing_intenum.file_lock import MAKING, USE, Description, FileLock, lock_range, unlock_range
from multiprocessing_intenum.shared_file import SharedFile

__all__ = ["Contents", "description_of", "open_file"]

_MAGIC = b"multiprocessing-intenum file, layout "
_LAYOUT = 1
_LINE = _MAGIC + b"%d, %s-endian\n" % (_LAYOUT, sys.byteorder.encode())
_NUMBERS = struct.Struct("@QQQQ")
_NUMBERS_AT, _TEXT_AT = 64, 128
_BEGINNING_AT = _NUMBERS_AT + 24
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
_opening = fork.lock_of_threads()
_is_opening = False


def open_file(file: SharedFile, contents: Contents | None) -> FileLock:
    """Open the file; make it or begin it anew if need be.

    Args:
        file: what the user has given.
        contents: what it must hold; None for anything.

    Returns:
        The lock, with the body of the file.

    Raises:
        NotImplementedError: the platform, the kernel or the file system lacks what this needs.
        FileNotFoundError: there is no directory of this name; or no file, or one that nobody uses, and no first value.
        ValueError: the file holds something else. It is left as it is.
        OSError: the path names no regular file, or one that is not safe to use, or the system refuses.
        RuntimeError: a signal handler opens a file while the thread that it has interrupted opens one.
    """
    global _is_opening
    if os.name == "nt":
        message = "values by path need Linux or macOS: Windows has no open-file-description locks"
        raise NotImplementedError(message)
    with _opening:
        if _is_opening:
            message = "a signal handler can not open a value by path while its thread opens one: open it before"
            raise RuntimeError(message)
        _is_opening = True
        try:
            while True:
                lock = _try_to_open(file, contents)
                if lock is not None:
                    return lock
        finally:
            _is_opening = False


def _try_to_open(file: SharedFile, contents: Contents | None) -> FileLock | None:
    opened = _open(file)
    if opened is None:
        if contents is None or contents.begin is None or file.readonly:
            message = "there is no shared value here yet: start the process that makes it, with a first value"
            raise FileNotFoundError(errno.ENOENT, message, file.path)
        return _make(file, contents, None)
    try:
        return _attach(opened, file, contents)
    except BaseException:
        # Not left to the garbage collector: the traceback of an exception that is kept would keep others waiting.
        opened.close()
        raise


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


def _open(file: SharedFile) -> Description | None:
    """Open the file, which is regular and safe. Return None if there is none."""
    path = file.path
    try:
        _refuse(os.lstat(path), file)  # before it is opened: that alone has an effect on a device
        opened = Description(path, os.O_RDONLY if file.readonly else os.O_RDWR)
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
    if info.st_uid != os.geteuid() and not file.mode & 0o066:
        message = (
            f"belongs to another user (uid {info.st_uid}; this process has {os.geteuid()}): if users share it on "
            "purpose, give SharedFile(..., mode=0o660) or the like"
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
        found, expected = (each[len(_MAGIC) : -1].decode("ascii", "replace") for each in (line, _LINE))
        _is_not_ours(
            file,
            f"was made by another version of multiprocessing-intenum, or on another processor: it has layout {found}, "
            f"expected layout {expected}; stop the processes that use it, and remove it",
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


def _attach(opened: Description, file: SharedFile, contents: Contents | None) -> FileLock | None:
    """Return the lock of an open file, or None if it has lost its name meanwhile."""
    fd = opened.fd
    lock = _opened.get(_key(fd, file))
    if lock is not None:
        try:
            _check(_read_header(fd, file), file, contents)
            opened.close()
            return lock
        finally:
            del lock  # the traceback of an error that is kept must not keep it
    if file.readonly:
        header = _read_header(fd, file)
        _check(header, file, contents)
        return _lock_of(opened, file, _mapped(fd, file, header))
    lock_range(fd, MAKING, wait=True)
    if not opened.is_named():
        opened.close()
        return None
    header = _read_header(fd, file)
    is_over = lock_range(fd, USE)  # nobody else uses it
    if is_over and not (file.keep and not header.is_beginning):
        if contents is None or contents.begin is None:
            message = (
                "no process uses the shared value here, so it is over: start the process that makes it, with a "
                "first value, or give SharedFile(..., keep=True) to go on with what is there"
            )
            raise FileNotFoundError(errno.ENOENT, message, file.path)
        if not file.keep and _difference(header, contents):
            lock = _make(file, contents, opened)
            opened.close()
            return lock
        _check(header, file, contents)
        body = _mapped(fd, file, header)
        os.pwrite(fd, b"\1", _BEGINNING_AT)
        contents.begin(body, False)
        os.pwrite(fd, b"\0", _BEGINNING_AT)
    else:
        _check(header, file, contents)
        body = _mapped(fd, file, header)
    lock_range(fd, USE, exclusive=False)
    unlock_range(fd, MAKING)
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
        how = "stop all processes that use this one, and then start with the new version"
        if file.keep:
            how = "stop all processes that use this one, and remove it, for it is kept"
        _is_not_ours(file, f"holds another value: {difference}. Give another path, or {how}")


def _key(fd: int, file: SharedFile) -> tuple[int, int, bool]:
    info = os.fstat(fd)
    return info.st_dev, info.st_ino, file.readonly


def _mapped(fd: int, file: SharedFile, header: _Header) -> memoryview:
    """Return the body of the file, in memory that is shared with all that have it open.

    mmap keeps a duplicate of the descriptor, and with it the lock on USE: the value is in use as long as the memory is.
    """
    protection = mmap.PROT_READ if file.readonly else mmap.PROT_READ | mmap.PROT_WRITE
    memory = mmap.mmap(fd, header.start + header.size, mmap.MAP_SHARED, protection)
    return memoryview(memory)[header.start : header.start + header.size]


def _lock_of(opened: Description, file: SharedFile, body: memoryview) -> FileLock:
    lock = FileLock(opened, body, readonly=file.readonly, reduced=(_open_lock, (file,)))
    _opened[_key(opened.fd, file)] = lock
    return lock


def _open_lock(file: SharedFile) -> FileLock:
    """Open a pickled lock."""
    return open_file(file, None)


def _make(file: SharedFile, contents: Contents, replaced: Description | None) -> FileLock | None:
    """Make the file, and return its lock, or None if another process was faster.

    Args:
        file: the file.
        contents: what it is to hold.
        replaced: a file with another description that has this name, and that nobody uses.
    """
    made = _new_temporary(_temporary(file.path), replaced)
    try:
        header = _put_in_place(made, file, contents, replaced)
        if header is None:
            made.close()
            return None
        body = _mapped(made.fd, file, header)
        unlock_range(made.fd, MAKING)
        return _lock_of(made, file, body)
    except BaseException:
        made.close()
        raise


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


def _put_in_place(
    made: Description, file: SharedFile, contents: Contents, replaced: Description | None
) -> _Header | None:
    """Fill the temporary file, and give it its name. Return its header, or None if another process was faster.

    The temporary name is gone afterwards, also after an error.
    """
    temporary = made.path
    try:
        # Not before there is a temporary file: the first value may come from a database, which then has it as well.
        content, header = _content_of(contents)
        _fill(made.fd, content, file)
        os.fchmod(made.fd, file.mode)
        lock_range(made.fd, USE, exclusive=False)
        if replaced is not None:
            os.rename(temporary, file.path)
        else:
            os.link(temporary, file.path)
    except FileExistsError:
        return None
    finally:
        with suppress(FileNotFoundError):  # renamed
            os.unlink(temporary)
    made.path = file.path
    return header


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


def _new_temporary(path: str, replaced: Description | None) -> Description:
    """Return an empty file of this name, with MAKING locked. What a killed maker has left is removed."""
    while True:
        try:
            made = Description(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            _remove_leftover(path, replaced)
            continue
        try:
            lock_range(made.fd, MAKING, wait=True)
            if made.is_named():  # else another maker has taken it for a leftover
                return made
        except BaseException:
            made.close()
            raise
        made.close()


def _remove_leftover(path: str, replaced: Description | None) -> None:
    """Wait for the maker of a temporary file, and remove the file if he has been killed."""
    file = SharedFile(path, mode=0o666)
    opened = _open(file)
    if opened is None:
        return
    try:
        info = os.fstat(opened.fd)
        if info.st_uid != os.geteuid() or (info.st_size and not os.pread(opened.fd, 64, 0).startswith(_MAGIC)):
            message = "is in the way: this name is needed to make a shared value, but the file is not ours; remove it"
            raise FileExistsError(errno.EEXIST, message, path)
        # If it was linked to the name of the value that we replace, we have locked MAKING of it already.
        if replaced is None or not opened.is_same(replaced):
            lock_range(opened.fd, MAKING, wait=True)
        if opened.is_named():
            os.unlink(path)
    finally:
        opened.close()
