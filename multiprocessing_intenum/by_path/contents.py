"""What the file of a value holds: its header and its body; and which files are refused, and left as they are.

The layout, in bytes. The numbers are in the processor's own byte order.

    0    a line of text: what this is, the version of the layout, the byte order
    64   three numbers of 64 bits: where the description is, the length of the body, and whether a process is beginning
         the body anew
    128  the body: the words of a cell, or a ctypes object
    ...  the description of what the body holds, as JSON, at a multiple of 64

The number that says where the description is has its length in the lowest 24 bits, then 32 bits for its place, in units
of 64 bytes, then 8 bits that count how often it was described anew. A new description is written into room that the
present one does not take. Then this one number is stored. So a process that is killed leaves the old description, or
the new one, and a process that reads meanwhile sees that the number has changed.
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
from multiprocessing_intenum.by_path.shared_file import SharedFile
from multiprocessing_intenum.enums.schema import printable
from multiprocessing_intenum.locks.open_file import OpenFile

__all__ = [
    "BODY_AT",
    "MAGIC",
    "Contents",
    "Header",
    "begin_anew",
    "damaged",
    "describe",
    "description_of",
    "found_file",
    "place_of_description",
    "read_header",
    "refuse_windows",
]

MAGIC = b"multiprocessing-intenum file, layout "
_LAYOUT = 2
LINE = MAGIC + b"%d, %s-endian\n" % (_LAYOUT, sys.byteorder.encode())
_NUMBERS = struct.Struct("@QQQ")
_NUMBERS_AT, BODY_AT = 64, 128
_BEGINNING_AT = _NUMBERS_AT + 16
_LONGEST_TEXT = 2**24 - 1
"""Bytes of the longest description. A longer one is taken for damage."""

# What a file system that cannot allocate says. glibc writes to each page then; musl returns the error.
_CANNOT_ALLOCATE = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)

_TRIES = 1000
"""How often a header is read again that another process is changing."""


class Contents(NamedTuple):
    """What a file is to hold."""

    description: Mapping[str, Any]
    size: int
    """Bytes of the body."""
    differs: Callable[[Mapping[str, Any]], str] | None
    """Given the description in a file, return how it differs from this one, or an empty text; None: anything fits."""
    begin: Callable[[memoryview, bool], object] | None
    """Given the body, and whether it is new, write the first value; None: only attach."""
    grown: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda found: found
    """Given a description that does not differ, return the one that the file is to have; the same object: no other."""

    def difference(self, header: Header) -> str:
        """Return how a file differs from this; an empty text if it does not."""
        if self.differs is None:
            return ""
        found = self.differs(header.description)
        if not found and self.size != header.size:
            found = f"its size is {header.size} bytes, expected {self.size}"
        return found

    def refuse_other(self, header: Header, file: SharedFile) -> None:
        """Raise ValueError if the file holds something else."""
        found = self.difference(header)
        if found:
            how = f"stop all processes that use this one{users.listed(file.path)}, and "
            how += "remove it, because it is kept" if file.keep else "then start with the new version"
            raise _not_ours(file.path, f"holds another value: {found}. Give another path, or {how}")

    def fill(self, fd: int, file: SharedFile) -> Header:
        """Write all of it into a new file, with the first value. Return the header."""
        text = _text_of(self.description)
        at = _after(BODY_AT + self.size)
        place = at // 64 << 24 | len(text)
        pages = (at + len(text) + mmap.PAGESIZE - 1) // mmap.PAGESIZE
        content = bytearray(pages * mmap.PAGESIZE)
        content[: len(LINE)] = LINE
        _NUMBERS.pack_into(content, _NUMBERS_AT, place, self.size, 0)
        content[at : at + len(text)] = text
        begin = cast("Callable[[memoryview, bool], object]", self.begin)
        begin(memoryview(content)[BODY_AT : BODY_AT + self.size], True)
        _write(fd, LINE, 0, file.path)  # first: a process that finds this file then knows that it is ours
        if hasattr(os, "posix_fallocate"):  # a full file system is an error now, not a SIGBUS at some later write
            try:
                os.posix_fallocate(fd, 0, len(content))
            except OSError as error:
                if error.errno not in _CANNOT_ALLOCATE:  # else what is written next takes the room, or finds none
                    raise _named(error, len(content), file.path) from error
        _write(fd, content, 0, file.path)
        return Header({}, place, self.size, False)


class Header(NamedTuple):
    """What the header of a file says."""

    description: dict[str, Any]
    place: int
    """The number that says where the description is."""
    size: int
    """Bytes of the body."""
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
        return read_header(opened.fd, file.path).description
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


def read_header(fd: int, path: str) -> Header:
    """Return the header. Raise ValueError if this library has not written it."""
    start = os.pread(fd, BODY_AT, 0).ljust(BODY_AT, b"\0")  # a file may be shorter
    if not start.startswith(MAGIC):
        raise _not_ours(path, "holds something else than a shared value: give another path")
    line = start[: start.find(b"\n") + 1]
    if line != LINE:
        found, expected = (printable(each[len(MAGIC) : -1].decode("ascii", "replace")) for each in (line, LINE))
        raise _not_ours(
            path,
            f"was made by another version of multiprocessing-intenum, or on another processor: it has layout {found}, "
            f"expected layout {expected}; stop the processes that use it{users.listed(path)}, and remove it",
        )
    for _ in range(_TRIES):
        place, size, beginning = _NUMBERS.unpack_from(start, _NUMBERS_AT)
        at, length = _span(place)
        is_whole = BODY_AT + size <= at and at + length <= os.fstat(fd).st_size and length <= _LONGEST_TEXT
        text = os.pread(fd, length, at) if is_whole else b""
        again = os.pread(fd, BODY_AT, 0)
        if again == start:  # else the file was described anew meanwhile
            with suppress(ValueError, RecursionError):
                description = json.loads(text)
                if isinstance(description, dict):
                    return Header(cast("dict[str, Any]", description), place, size, bool(beginning))
            break
        start = again.ljust(BODY_AT, b"\0")
    raise damaged(path)


def _span(place: int) -> tuple[int, int]:
    """Return where a description begins, and its length."""
    return (place >> 24 & 0xFFFFFFFF) * 64, place & 0xFFFFFF


def place_of_description(body: memoryview) -> memoryview:
    """Return the number that says where the description is, in the memory that the body of a file is a part of."""
    return memoryview(body.obj)[_NUMBERS_AT : _NUMBERS_AT + 8].cast("Q", ())


def describe(fd: int, path: str, header: Header, description: Mapping[str, Any]) -> None:
    """Describe the body anew. The caller has locked MAKING."""
    text = _text_of(description)
    begin, length = _span(header.place)
    at = _after(BODY_AT + header.size)
    if at < begin + length and begin < at + len(text):  # there is no room before the present description
        at = _after(begin + length)
    _write(fd, text, at, path)
    os.fsync(fd)  # else a power cut may leave the number without the text
    place = ((header.place >> 56) + 1 & 0xFF) << 56 | at // 64 << 24 | len(text)
    os.pwrite(fd, place.to_bytes(8, sys.byteorder), _NUMBERS_AT)


def _after(offset: int) -> int:
    return (offset + 63) // 64 * 64


def _text_of(description: Mapping[str, Any]) -> bytes:
    text = json.dumps(description, separators=(",", ":")).encode()
    if len(text) > _LONGEST_TEXT:
        message = (
            f"the names and values of the members take {len(text):,} bytes, more than the {_LONGEST_TEXT:,} allowed"
        )
        raise ValueError(message)
    return text


def _write(fd: int, content: bytes | bytearray, at: int, path: str) -> None:
    try:
        written = 0
        while written < len(content):
            written += os.pwrite(fd, content[written:], at + written)
    except OSError as error:
        raise _named(error, len(content), path) from error


def _named(error: OSError, length: int, path: str) -> OSError:
    """Return an error with the path, which says what to do if there is no room."""
    message = os.strerror(error.errno or 0)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        message = f"no room for the {length:,} bytes of a shared value: free some, or give another path"
    return OSError(error.errno, message, path)


def damaged(path: str) -> ValueError:
    """Return the error for a header or a description that this library has not written."""
    return _not_ours(path, "is damaged: stop the processes that use it, and remove it")


def _not_ours(path: str, why: str) -> ValueError:
    return ValueError(f"{path!r} {why}. It was left as it is")


def begin_anew(fd: int, path: str, header: Header, contents: Contents, body: memoryview) -> None:
    """Write the first value, and the description, over another one. The header says so meanwhile."""
    os.pwrite(fd, b"\1", _BEGINNING_AT)
    if contents.description != header.description:
        describe(fd, path, header, contents.description)
    cast("Callable[[memoryview, bool], object]", contents.begin)(body, False)
    os.pwrite(fd, b"\0", _BEGINNING_AT)
