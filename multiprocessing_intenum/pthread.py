"""The C functions of robust mutexes: their declarations, sizes and constants on Linux."""

from __future__ import annotations

import ctypes
import errno
import os
import time
from collections.abc import Callable
from functools import cache

__all__ = ["ALIGNMENT", "MUTEX_SIZE", "NOT_HERE", "Pthread", "named", "pthread"]

# pthread_mutex_t has 40 bytes on x86-64 (glibc, musl) and on aarch64 with musl, 48 on aarch64 with glibc, and
# pthread_mutexattr_t has 4 to 8. Too many bytes cost nothing; one too few is a write into somebody else's memory.
MUTEX_SIZE = 128
_ATTRIBUTES_SIZE = 64
# The mutex needs 8. With a cache line of its own it does not slow down, or get slowed down by, its neighbours.
ALIGNMENT = 64

# The same in glibc and in musl, on every processor of Linux.
_RECURSIVE = 1  # PTHREAD_MUTEX_RECURSIVE
_PROCESS_SHARED = 1  # PTHREAD_PROCESS_SHARED
_ROBUST = 1  # PTHREAD_MUTEX_ROBUST
_CLOCK_MONOTONIC = 1  # CLOCK_MONOTONIC, the clock of time.monotonic()

NOT_HERE = (
    "this platform has no robust mutex: use multiprocessing.RLock(), which a killed holder leaves locked, or the "
    "filelock adapter on the how-to page 'Survive a killed holder'"
)


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


def _declare(library: ctypes.CDLL, name: str, *argument_types: type) -> Callable[..., int]:
    function = library[name]
    function.argtypes = argument_types
    function.restype = ctypes.c_int
    return function


class Pthread:
    """The C functions. Those that cannot block keep the GIL (PyDLL), which is faster than releasing it."""

    def __init__(self) -> None:
        quick, blocking = ctypes.PyDLL(None), ctypes.CDLL(None)
        pointer, integer, moment = ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Timespec)
        self.trylock = _declare(quick, "pthread_mutex_trylock", pointer)
        self.unlock = _declare(quick, "pthread_mutex_unlock", pointer)
        self.consistent = _declare(quick, "pthread_mutex_consistent", pointer)
        self._init = _declare(quick, "pthread_mutex_init", pointer, pointer)
        self._attributes_init = _declare(quick, "pthread_mutexattr_init", pointer)
        self._set_type = _declare(quick, "pthread_mutexattr_settype", pointer, integer)
        self._set_shared = _declare(quick, "pthread_mutexattr_setpshared", pointer, integer)
        self._set_robust = _declare(quick, "pthread_mutexattr_setrobust", pointer, integer)
        self._attributes_destroy = _declare(quick, "pthread_mutexattr_destroy", pointer)
        self._timedlock = _declare(blocking, "pthread_mutex_timedlock", pointer, moment)
        self.incref = quick["Py_IncRef"]
        self.incref.argtypes, self.incref.restype = (ctypes.py_object,), None
        self._clocklock: Callable[..., int] | None
        try:
            self._clocklock = _declare(blocking, "pthread_mutex_clocklock", pointer, integer, moment)
        except AttributeError:  # musl, and glibc before 2.30. The wall clock of timedlock can be set back.
            self._clocklock = None

    def init(self, mutex: int) -> None:
        """Make the mutex at this address; NotImplementedError if the kernel or the C library refuses."""
        attributes = ctypes.create_string_buffer(_ATTRIBUTES_SIZE)
        error = (
            self._attributes_init(attributes)
            or self._set_type(attributes, _RECURSIVE)
            or self._set_shared(attributes, _PROCESS_SHARED)
            or self._set_robust(attributes, _ROBUST)
            or self._init(mutex, attributes)
            or self._attributes_destroy(attributes)
        )
        if error:
            raise NotImplementedError(NOT_HERE) from named(error)

    def lock_within(self, mutex: int, seconds: float) -> int:
        """Wait for the mutex, and return 0 or an error number."""
        # Both functions take a point in time, not a duration.
        until = seconds + (time.time() if self._clocklock is None else time.monotonic())
        moment = ctypes.byref(_Timespec(int(until), int(until % 1 * 1e9)))
        if self._clocklock is None:
            return self._timedlock(mutex, moment)
        return self._clocklock(mutex, _CLOCK_MONOTONIC, moment)


@cache
def pthread() -> Pthread:
    """Return the C functions; NotImplementedError where the C library lacks one."""
    try:
        return Pthread()
    except (AttributeError, OSError) as error:
        raise NotImplementedError(NOT_HERE) from error


def named(error: int) -> OSError:
    """Return the OSError of an error number, with its name in the message."""
    return OSError(error, f"{errno.errorcode.get(error, 'unknown error')}: {os.strerror(error)}")
