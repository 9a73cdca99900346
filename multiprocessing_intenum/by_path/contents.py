"""What the file of a value holds: its header and its body; and which files are refused, and left as they are.

The layout, in bytes. The numbers are in the processor's own byte order.

    0    a line of text: what this is, the version of the layout, the byte order
    64   four numbers of 64 bits: the length of the description, where the body begins, its length, and whether a
         process is beginning the body anew
    128  the description of what the body holds, as JSON
    ...  the body, aligned to 64: the words of a cell, or a ctypes object
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import stat
import struct
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, cast

from multiprocessing_intenum.by_path import users
from multiprocessing_intenum.by_path.open_file import OpenFile
from multiprocessing_intenum.by_path.shared_file import SharedFile
from multiprocessing_intenum.enums.schema import printable

__all__ = [
    "LINE",
    "MAGIC",
    "Contents",
    "Header",
    "content_of",
    "description_of",
    "difference",
    "found_file",
    "read_header",
    "refuse_other",
    "refuse_windows",
    "set_beginning",
]

MAGIC = b"multiprocessing-intenum file, layout "
_LAYOUT = 1
LINE = MAGIC + b"%d, %s-endian\n" % (_LAYOUT, sys.byteorder.encode())
_NUMBERS = struct.Struct("@QQQQ")
_NUMBERS_AT, _TEXT_AT = 64, 128
_BEGINNING_AT = _NUMBERS_AT + 24
_LONGEST_TEXT = 2**24
"""Bytes of the longest description. A longer one is taken for damage."""


class Contents(NamedTuple):
    """What a file is to hold."""

    description: Mapping[str, Any]
    size: int
    """Bytes of the body."""
    differs: Callable[[Mapping[str, Any]], str]
    """Given the description in a file, return how it differs from this one; an empty text if it does not."""
    begin: Callable[[memoryview, bool], object] | None
    """Given the body, and whether it is new, write the first value; None: only attach."""


class Header(NamedTuple):
    """What the header of a file says."""

    description: dict[str, Any]
    start: int
    size: int
    is_beginning: bool
    """Whether a process was killed while it began the body anew, so that the body is not whole."""


def refuse_windows() -> None:
    """Raise NotImplementedError on Windows."""
    if os.name == "nt":
        message = "values by path need Linux or macOS: Windows has no open-file-description locks"
        raise NotImplementedError(message)


def description_of(file: SharedFile) -> dict[str, Any]:
    """Return the description in a file. Errors are those of `life.open_file`."""
    refuse_windows()
    opened = found_file(file)
    if opened is None:
        message = "there is no shared value here"
        raise FileNotFoundError(errno.ENOENT, message, file.path)
    try:
        return read_header(opened.fd, file).description
    finally:
        opened.close()


def found_file(file: SharedFile) -> OpenFile | None:
    """Open the file; refuse one that is not regular or not safe. Return None if there is no file."""
    path = file.path
    try:
        _refuse(os.lstat(path), file)  # before it is opened: to open a device has effects
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
    """Raise OSError unless this is a regular file that is safe to use."""
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
    # A user that may only read the file takes no part in a value that this process writes to.
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


def read_header(fd: int, file: SharedFile) -> Header:
    """Return the header. Raise ValueError if this library has not written it."""
    start = os.pread(fd, _TEXT_AT, 0).ljust(_TEXT_AT, b"\0")  # a file may be shorter
    if not start.startswith(MAGIC):
        raise _not_ours(file, "holds something else than a shared value: give another path")
    line = start[: start.find(b"\n") + 1]
    if line != LINE:
        found, expected = (printable(each[len(MAGIC) : -1].decode("ascii", "replace")) for each in (line, LINE))
        raise _not_ours(
            file,
            f"was made by another version of multiprocessing-intenum, or on another processor: it has layout {found}, "
            f"expected layout {expected}; stop the processes that use it{users.listed(file.path)}, and remove it",
        )
    length, begin, body, beginning = _NUMBERS.unpack_from(start, _NUMBERS_AT)
    is_whole = _TEXT_AT + length <= begin <= begin + body <= os.fstat(fd).st_size
    if is_whole and begin % 64 == 0 and length <= _LONGEST_TEXT:
        with suppress(ValueError, RecursionError):
            description = json.loads(os.pread(fd, length, _TEXT_AT))
            if isinstance(description, dict):
                return Header(cast("dict[str, Any]", description), begin, body, bool(beginning))
    raise _not_ours(file, "is damaged: stop the processes that use it, and remove it")


def _not_ours(file: SharedFile, why: str) -> ValueError:
    return ValueError(f"{file.path!r} {why}. It was left as it is")


def difference(header: Header, contents: Contents) -> str:
    """Return how a file differs from what it is to hold; an empty text if it does not."""
    found = contents.differs(header.description)
    if not found and contents.size != header.size:
        found = f"its size is {header.size} bytes, expected {contents.size}"
    return found


def refuse_other(header: Header, file: SharedFile, contents: Contents | None) -> None:
    """Raise ValueError if the file holds something else than `contents`."""
    found = contents is not None and difference(header, contents)
    if found:
        how = f"stop all processes that use this one{users.listed(file.path)}, and "
        how += "remove it, because it is kept" if file.keep else "then start with the new version"
        raise _not_ours(file, f"holds another value: {found}. Give another path, or {how}")


def content_of(contents: Contents) -> tuple[bytearray, Header]:
    """Return the whole content of a new file, with the first value, and its header."""
    text = json.dumps(contents.description, separators=(",", ":")).encode()
    if len(text) > _LONGEST_TEXT:
        message = (
            f"the names and values of the members take {len(text):,} bytes, more than the {_LONGEST_TEXT:,} allowed"
        )
        raise ValueError(message)
    start = (_TEXT_AT + len(text) + 63) // 64 * 64
    pages = (start + contents.size + mmap.PAGESIZE - 1) // mmap.PAGESIZE
    content = bytearray(pages * mmap.PAGESIZE)
    content[: len(LINE)] = LINE
    _NUMBERS.pack_into(content, _NUMBERS_AT, len(text), start, contents.size, 0)
    content[_TEXT_AT : _TEXT_AT + len(text)] = text
    begin = cast("Callable[[memoryview, bool], object]", contents.begin)
    begin(memoryview(content)[start : start + contents.size], True)
    return content, Header({}, start, contents.size, False)


def set_beginning(fd: int, is_beginning: bool) -> None:
    """Note in the header whether a process is beginning the body anew."""
    os.pwrite(fd, bytes([is_beginning]), _BEGINNING_AT)
