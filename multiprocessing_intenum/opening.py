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
from typing import Any, NamedTuple, NoReturn

from multiprocessing_intenum.file_lock import MAKING, USE, FileLock, lock_range, open_again, unlock_range
from multiprocessing_intenum.locks import lock_of_threads
from multiprocessing_intenum.shared_file import SharedFile

__all__ = ["Contents", "description_of", "open_file"]

_MAGIC = b"multiprocessing-intenum file, layout "
_LAYOUT = 1
_LINE = _MAGIC + b"%d, %s-endian\n" % (_LAYOUT, sys.byteorder.encode())
_NUMBERS = struct.Struct("@QQQQ")
_NUMBERS_AT, _TEXT_AT = 64, 128
_BEGINNING_AT = _NUMBERS_AT + 24
_LARGEST = 2**24
"""Bytes of the largest file that is believed to be ours."""

_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


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
_opening = lock_of_threads()


def open_file(file: SharedFile, contents: Contents | None) -> FileLock:
    """Open the file; make it or begin it anew if need be.

    Args:
        file: what the user has given.
        contents: what it must hold; None for anything.

    Returns:
        The lock, which keeps the file open, with its body.

    Raises:
        NotImplementedError: the platform, the kernel or the file system lacks what this needs.
        FileNotFoundError: there is no directory of this name; or no file, or one that nobody uses, and no first value.
        ValueError: the file holds something else. It is left as it is.
        OSError: the path names no regular file, or one that is not safe to use, or the system refuses.
    """
    if os.name == "nt":
        message = "values by path need Linux or macOS: Windows has no open-file-description locks"
        raise NotImplementedError(message)
    with _opening:
        lock: FileLock | None = None
        while lock is None:
            opened = _open(file)
            if opened is not None:
                lock = _attach(opened, file, contents)
            elif contents is None or contents.begin is None or file.readonly:
                message = "there is no shared value here yet: start the process that makes it, with a first value"
                raise FileNotFoundError(errno.ENOENT, message, file.path)
            else:
                lock = _make(file, contents, replaces=False)
        return lock


def description_of(file: SharedFile) -> dict[str, Any]:
    """Return the description in a file, with the errors of `open_file`."""
    opened = _open(file)
    if opened is None:
        message = "there is no shared value here"
        raise FileNotFoundError(errno.ENOENT, message, file.path)
    return _read_header(opened.fd, file).description


class _Descriptor:
    """A file descriptor, closed with this object unless somebody has taken it over."""

    def __init__(self, path: str, flags: int, mode: int = 0) -> None:
        self.fd = -1
        self.fd = os.open(path, flags | _FLAGS, mode)

    def take_over(self) -> int:
        fd, self.fd = self.fd, -1
        return fd

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if self.fd >= 0:
            close(self.fd)


def _open(file: SharedFile) -> _Descriptor | None:
    """Open the file, which is regular and safe. Return None if there is none."""
    path = file.path
    try:
        _refuse(os.lstat(path), file)  # before it is opened: that alone has an effect on a device
        opened = _Descriptor(path, os.O_RDONLY if file.readonly else os.O_RDWR)
    except FileNotFoundError:
        directory = os.path.dirname(path)
        if not os.path.isdir(directory):
            message = "no such directory: make it first, with RuntimeDirectory= of systemd for example"
            raise FileNotFoundError(errno.ENOENT, message, directory) from None
        return None
    _refuse(os.fstat(opened.fd), file)
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


def _is_named(path: str, fd: int) -> bool:
    """Whether the open file has this name still."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


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
    size = os.fstat(fd).st_size
    if len(start) < _TEXT_AT or size > _LARGEST:
        _is_not_ours(file, damaged)
    length, begin, body, beginning = _NUMBERS.unpack_from(start, _NUMBERS_AT)
    if begin % 64 or not _TEXT_AT + length <= begin <= begin + body <= size:
        _is_not_ours(file, damaged)
    try:
        description = json.loads(os.pread(fd, length, _TEXT_AT))
    except ValueError:
        description = None
    if not isinstance(description, dict):
        _is_not_ours(file, damaged)
    return _Header(description, begin, body, bool(beginning))


def _is_not_ours(file: SharedFile, why: str) -> NoReturn:
    message = f"{file.path!r} {why}. It was left as it is"
    raise ValueError(message)


def _attach(opened: _Descriptor, file: SharedFile, contents: Contents | None) -> FileLock | None:
    """Return the lock of an open file, or None if it has lost its name meanwhile."""
    fd = opened.fd
    lock = _opened.get(_key(fd, file))
    if lock is not None:
        _check(_read_header(fd, file), file, contents)
        return lock
    if file.readonly:
        header = _read_header(fd, file)
        _check(header, file, contents)
        return _kept_open(opened, file, _mapped(fd, file, header))
    lock_range(fd, MAKING, wait=True)
    if not _is_named(file.path, fd):
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
            return _make(file, contents, replaces=True)
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
    return _kept_open(opened, file, body)


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
    """Return the body of the file, in memory that is shared with all that have it open."""
    # mmap keeps a duplicate of the descriptor. It must have a description of its own: a forked child would keep what
    # the parent has locked, as long as it has the parent's description open.
    flags, protection = (
        (os.O_RDONLY, mmap.PROT_READ) if file.readonly else (os.O_RDWR, mmap.PROT_READ | mmap.PROT_WRITE)
    )
    again = open_again(fd, file.path, flags)
    try:
        memory = mmap.mmap(again, header.start + header.size, mmap.MAP_SHARED, protection)
    finally:
        os.close(again)
    return memoryview(memory)[header.start : header.start + header.size]


def _kept_open(opened: _Descriptor, file: SharedFile, body: memoryview) -> FileLock:
    key = _key(opened.fd, file)
    reduced = (_open_lock, (file,))
    lock = FileLock(opened.take_over(), file.path, body, readonly=file.readonly, reduced=reduced)
    _opened[key] = lock
    return lock


def _open_lock(file: SharedFile) -> FileLock:
    """Open a pickled lock."""
    return open_file(file, None)


def _make(file: SharedFile, contents: Contents, *, replaces: bool) -> FileLock | None:
    """Make the file, and return its lock, or None if another process was faster.

    Args:
        file: the file.
        contents: what it is to hold.
        replaces: whether there is a file with another description, which nobody uses.
    """
    # One name for each user, so that makers who are killed leave no more than one file behind, which the next one uses.
    directory, name = os.path.split(file.path)
    temporary = os.path.join(directory, f".{name}.{os.geteuid()}.new")
    while True:
        made = _Descriptor(temporary, os.O_RDWR | os.O_CREAT, 0o600)
        fd = made.fd
        _refuse(os.fstat(fd), SharedFile(temporary, mode=file.mode))
        lock_range(fd, MAKING, wait=True)
        if not _is_named(temporary, fd):
            continue
        if os.fstat(fd).st_nlink > 1 or not lock_range(fd, USE):  # a maker was killed after linking it: it is a value
            os.unlink(temporary)
            continue
        try:
            header = _fill(fd, file, contents)
            lock_range(fd, USE, exclusive=False)
            if replaces:
                os.rename(temporary, file.path)
            else:
                os.link(temporary, file.path)
                os.unlink(temporary)
        except FileExistsError:
            os.unlink(temporary)
            return None
        except BaseException as error:
            with suppress(OSError):
                os.unlink(temporary)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                message = (
                    f"no room for the {_size(contents):,} bytes of a shared value: free some, or give another path"
                )
                raise OSError(error.errno, message, file.path) from error
            raise
        body = _mapped(fd, file, header)
        unlock_range(fd, MAKING)
        return _kept_open(made, file, body)


def _fill(fd: int, file: SharedFile, contents: Contents) -> _Header:
    """Write all that the file is to hold, with the first value."""
    content = bytearray(_size(contents))
    text = _text(contents)
    start = _start(text)
    content[: len(_LINE)] = _LINE
    _NUMBERS.pack_into(content, _NUMBERS_AT, len(text), start, contents.size, 0)
    content[_TEXT_AT : _TEXT_AT + len(text)] = text
    if contents.begin is not None:
        contents.begin(memoryview(content)[start : start + contents.size], True)
    os.ftruncate(fd, 0)
    if hasattr(os, "posix_fallocate"):  # a full file system is an error now, not a SIGBUS at some later write
        os.posix_fallocate(fd, 0, len(content))
    written = 0
    while written < len(content):
        written += os.pwrite(fd, content[written:], written)
    os.fchmod(fd, file.mode)
    return _Header({}, start, contents.size, False)


def _text(contents: Contents) -> bytes:
    return json.dumps(contents.description, ensure_ascii=False, separators=(",", ":")).encode()


def _start(text: bytes) -> int:
    return (_TEXT_AT + len(text) + 63) // 64 * 64


def _size(contents: Contents) -> int:
    return (_start(_text(contents)) + contents.size + mmap.PAGESIZE - 1) // mmap.PAGESIZE * mmap.PAGESIZE
