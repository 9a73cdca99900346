"""How the file of a value is made, with MAKING locked: filled under a temporary name, and then linked."""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from multiprocessing_intenum.by_path.contents import LINE, MAGIC, Contents, Header, content_of, found_file
from multiprocessing_intenum.by_path.open_file import MAKING, USE, OpenFile, private
from multiprocessing_intenum.by_path.shared_file import SharedFile

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["make", "making"]

R = TypeVar("R")


def making(maker: OpenFile, action: Callable[[], R], deadline: float) -> R:
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


def make(
    file: SharedFile,
    contents: Contents,
    replaced: OpenFile | None,
    deadline: float,
    use: Callable[[OpenFile, Header], R],
) -> R | None:
    """Make the file. Return what `use` returns for it, or None if another process was faster.

    Args:
        file: the file.
        contents: what it is to hold.
        replaced: the file that has this name, if it has another description and nobody uses it.
        deadline: until when to wait for another process that makes it, by `time.monotonic`.
        use: called with the new file while MAKING is still locked.
    """
    path = _temporary(file.path)
    while True:
        try:
            made = OpenFile(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            _remove_leftover(path, replaced, deadline)
            continue

        def fill_and_use(made: OpenFile = made) -> tuple[bool, R | None]:
            if not made.is_named():  # another maker has taken it for a leftover
                return False, None
            header = _put_in_place(made, file, contents, replaced)
            return True, None if header is None else use(made, header)

        try:
            _forbid_copy_on_write(made.fd)
            is_over, used = making(private(partial(made.again, os.O_RDWR)), fill_and_use, deadline)
        except BaseException:
            made.close()
            raise
        if used is not None:
            return used
        made.close()
        if is_over:
            return None


def _put_in_place(made: OpenFile, file: SharedFile, contents: Contents, replaced: OpenFile | None) -> Header | None:
    """Fill the temporary file, and give it its name. Return its header, or None if another process was faster.

    The temporary name is gone afterwards, also after an error.
    """
    temporary = made.path
    try:
        # The temporary file is there by now, so the path is a good one: this call may make the row of a record.
        content, header = content_of(contents)
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
    """Make btrfs write in place to a file, which is still empty.

    Otherwise each write needs room for a copy of the page, although the file has its room. On a full file system such
    a write is a SIGBUS. Other file systems refuse the flag, or have no use for it.
    """
    if sys.platform == "linux" and fcntl is not None:
        with suppress(OSError):
            (flags,) = struct.unpack("@l", fcntl.ioctl(fd, _GET_FLAGS, bytes(struct.calcsize("@l"))))
            fcntl.ioctl(fd, _SET_FLAGS, struct.pack("@l", flags | _NO_COPY_ON_WRITE))


def _fill(fd: int, content: bytearray, file: SharedFile) -> None:
    try:
        os.pwrite(fd, LINE, 0)  # first: a process that finds this file then knows that it is ours
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
            making(private(lambda: opened.again(os.O_RDWR)), remove, deadline)
    finally:
        opened.close()
