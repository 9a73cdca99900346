"""The C functions of robust mutexes: their declarations, sizes and constants on Linux."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from multiprocessing_intenum.memory.futex import Timespec, machine

__all__ = ["ALIGNMENT", "MUTEX_SIZE", "NOT_HERE", "TID_MASK", "Pthread", "named", "pthread"]

# pthread_mutex_t has 40 bytes on x86-64 (glibc, musl) and on aarch64 with musl, 48 on aarch64 with glibc, and
# pthread_mutexattr_t has 4 to 8. Too many bytes cost nothing; one too few is a write into other memory.
MUTEX_SIZE = 128
_ATTRIBUTES_SIZE = 64
# The mutex needs 8. In a cache line for itself it and its neighbours do not slow each other down.
ALIGNMENT = 64

# These are the same in glibc and in musl, on every processor of Linux.
_PROCESS_SHARED = 1  # PTHREAD_PROCESS_SHARED
_ROBUST = 1  # PTHREAD_MUTEX_ROBUST
_CLOCK_MONOTONIC = 1  # CLOCK_MONOTONIC, the clock of time.monotonic()
TID_MASK = 0x3FFFFFFF  # FUTEX_TID_MASK: the bits of a mutex's word that hold the thread id of its holder

# The numbers of the system call get_robust_list.
_GET_ROBUST_LIST = {"x86_64": 274, "aarch64": 100, "riscv64": 100, "ppc64le": 299, "s390x": 305}

NOT_HERE = (
    "this platform has no robust mutex: use multiprocessing.RLock(), which a killed holder leaves locked, or the "
    "filelock adapter on the how-to page 'Survive a killed holder'"
)


class Pthread:
    """The C functions. If a function cannot block, it keeps the GIL (PyDLL), which is faster than releasing it.

    A mutex is given as `ctypes.byref(block, offset)`, made once. With that and without `argtypes`, trylock and unlock
    take 240 ns together; with an address and `argtypes` they take 390.
    """

    def __init__(self) -> None:
        quick, blocking = ctypes.PyDLL(None), ctypes.CDLL(None)
        self.trylock: Callable[[Any], int] = quick["pthread_mutex_trylock"]
        self.unlock: Callable[[Any], int] = quick["pthread_mutex_unlock"]
        # The same, if nobody wants the result: that saves 50 of the 240 ns.
        self.unlock_only: Any = ctypes.PyDLL(None)["pthread_mutex_unlock"]
        self.unlock_only.restype = None
        self.consistent: Callable[[Any], int] = quick["pthread_mutex_consistent"]
        self._init = quick["pthread_mutex_init"]
        self._clocklock: Callable[..., int] | None
        try:
            self._clocklock = blocking["pthread_mutex_clocklock"]
        except AttributeError:
            # musl, and glibc before 2.30. They have pthread_mutex_timedlock, which waits until a time of the wall
            # clock. If that is set back by 20 seconds, it waits for 20 seconds more, and no signal ends it.
            self._clocklock = None
        self.incref: Any = quick["Py_IncRef"]
        self.incref.argtypes, self.incref.restype = (ctypes.py_object,), None
        # Not the recursive type: with that, glibc takes a thread with the same number in another PID namespace for the
        # owner, and lets it in.
        self._attributes = ctypes.create_string_buffer(_ATTRIBUTES_SIZE)
        error = (
            _error_of_robust_list()
            or quick["pthread_mutexattr_init"](self._attributes)
            or quick["pthread_mutexattr_setpshared"](self._attributes, _PROCESS_SHARED)
            or quick["pthread_mutexattr_setrobust"](self._attributes, _ROBUST)
        )
        if error:
            raise NotImplementedError(NOT_HERE) from named(error)
        self._word = self._find_word()

    def init(self, mutex: Any) -> None:
        """Make a mutex; NotImplementedError if the kernel or the C library refuses."""
        error = self._init(mutex, self._attributes)
        if error:
            raise NotImplementedError(NOT_HERE) from named(error)

    def lock_within(self, mutex: Any, seconds: float) -> int | None:
        """Wait for the mutex, and return 0 or an error number; None if the C library cannot wait by a steady clock."""
        if self._clocklock is None:
            return None
        until = seconds + time.monotonic()
        return self._clocklock(mutex, _CLOCK_MONOTONIC, ctypes.byref(Timespec(int(until), int(until % 1 * 1e9))))

    def word_of(self, block: Any, offset: int) -> memoryview[Any]:
        """Return the word in which the kernel notes the holder of a mutex. It is zero while the mutex is free."""
        start = offset + self._word
        return memoryview(block).cast("B")[start : start + 4].cast("I", ())

    def _find_word(self) -> int:
        """Return where in a mutex the kernel notes the thread id of the holder: it differs between C libraries."""
        block = ctypes.create_string_buffer(MUTEX_SIZE + ALIGNMENT)
        start = -ctypes.addressof(block) % ALIGNMENT
        mutex = ctypes.byref(block, start)
        self.init(mutex)
        words = memoryview(block).cast("B")[start : start + MUTEX_SIZE].cast("I")
        free = words.tolist()
        self.trylock(mutex)
        holder = threading.get_native_id()
        # A word that stays may have the same number: musl's type of such a mutex is 132, a common thread id in a
        # container.
        found = [index * 4 for index, word in enumerate(words) if word & TID_MASK == holder and word != free[index]]
        self.unlock(mutex)
        if not found:
            raise NotImplementedError(NOT_HERE)
        return found[0]


def _error_of_robust_list() -> int:
    """Return ENOSYS if this kernel has no lists of robust mutexes, by which it learns what a killed thread held; or 0.

    qemu-user lets the C library make such mutexes, but leaves them locked. A sandbox may refuse to tell, with another
    error.
    """
    number = _GET_ROBUST_LIST.get(machine())
    if number is None:
        return 0
    call = ctypes.PyDLL(None, use_errno=True)["syscall"]
    call.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    call.restype = ctypes.c_long
    head, size = ctypes.c_void_p(), ctypes.c_size_t()
    refused = call(number, 0, ctypes.addressof(head), ctypes.addressof(size)) == -1
    return errno.ENOSYS if refused and ctypes.get_errno() == errno.ENOSYS else 0


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
