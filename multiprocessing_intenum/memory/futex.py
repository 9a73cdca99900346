"""Sleeping in the kernel until a word of shared memory changes: Linux's futex, by ctypes.

No lock is involved, and a sleeper or a waker that is killed leaves nothing behind.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import TypeAlias

__all__ = ["Timespec", "is_available", "machine", "wait", "wake"]

# The number of the system call. The 32-bit processors have two such calls, with different time structures.
_NUMBERS = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "ppc64le": 221, "s390x": 238}
# Without FUTEX_PRIVATE_FLAG, so that the two sides can be processes that map the same memory.
_FUTEX_WAIT_BITSET, _FUTEX_WAKE_BITSET = 9, 10
_ALL = 2**31 - 1


class Timespec(ctypes.Structure):
    """C's `struct timespec`, which is the same on all 64-bit processors."""

    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


def machine() -> str:
    """Return what the kernel calls this processor; on Windows "amd64" or an empty text."""
    # On Windows, platform.machine() makes a query of WMI, which can take seconds and has crashed (CPython 112278,
    # 125315). The version names the processor that this Python is compiled for. The environment can name another one.
    if hasattr(os, "uname"):
        return os.uname().machine
    return "amd64" if "AMD64" in sys.version else ""


_Calls: TypeAlias = tuple[int, Callable[..., int], Callable[..., int]]


@cache
def _calls() -> _Calls | None:
    """Return the number of the system call and two ways to make it, or None if there is no futex here.

    The first way releases the GIL. The second one keeps it, which is faster for a call that does not block.
    """
    number = _NUMBERS.get(machine()) if sys.platform == "linux" and sys.maxsize > 2**32 else None
    if number is None:
        return None
    try:
        blocking, quick = (library(None, use_errno=True)["syscall"] for library in (ctypes.CDLL, ctypes.PyDLL))
    except (OSError, AttributeError):  # a static Python loads no library
        return None
    for function in blocking, quick:
        function.restype = ctypes.c_long
    word = ctypes.c_uint32()
    if quick(number, ctypes.byref(word), _FUTEX_WAKE_BITSET, 1, None, None, 1) != 0:
        return None  # a sandbox that forbids the call
    return number, blocking, quick


def is_available() -> bool:
    """Whether `wait` can be called, and `wake` wakes."""
    return _calls() is not None


def wait(address: ctypes.c_void_p, expected: int, seconds: float, bits: int) -> None:
    """Sleep until `wake` is called for the word with one of these bits, or the time is over. It may return early.

    Args:
        address: where the word lies: 32 bits, aligned.
        expected: the value of the word. If it has another value by now, the call returns at once.
        seconds: how long to sleep at most.
        bits: 32 bits, not all zero.
    """
    calls = _calls()
    if calls is None:
        message = "there is no futex here: ask is_available() first"
        raise NotImplementedError(message)
    number, blocking, _ = calls
    until = time.monotonic() + seconds
    limit = Timespec(int(until), int(until % 1 * 1e9))
    if blocking(number, address, _FUTEX_WAIT_BITSET, expected, ctypes.byref(limit), None, bits) == -1:
        error = ctypes.get_errno()
        if error not in (errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT):
            raise OSError(error, f"futex: {errno.errorcode.get(error, 'unknown error')}")


def wake(address: ctypes.c_void_p, bits: int) -> int:
    """Wake all who sleep on the word with one of these bits. Return how many, or -1 if this process cannot wake any."""
    calls = _calls()
    if calls is None:  # a sleeper is in a process that has the call, and looks by itself from time to time
        return -1
    number, _, quick = calls
    return quick(number, address, _FUTEX_WAKE_BITSET, _ALL, None, None, bits)
