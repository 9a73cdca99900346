"""`RobustRLock`: a lock that outlives its holder, made of the platform's robust mutex in shared memory."""

from __future__ import annotations

import ctypes
import errno
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.context import get_spawning_popen
from multiprocessing.process import current_process
from multiprocessing.sharedctypes import RawArray
from typing import TypeAlias

from multiprocessing_intenum import memory
from multiprocessing_intenum.pthread import ALIGNMENT, MUTEX_SIZE, NOT_HERE, named, pthread

_Block: TypeAlias = "ctypes.Array[ctypes.c_char]"
_Callback: TypeAlias = Callable[["RobustRLock"], object]
_State: TypeAlias = "tuple[_Block, _Callback | None]"

__all__ = ["RobustRLock"]

# Seconds to wait at a time: a signal does not end the wait for a mutex, so Python could not raise KeyboardInterrupt.
_SLICE = 0.1


def _moment(timeout: float) -> float:
    moment = time.monotonic() + timeout
    if math.isnan(moment):
        message = "timeout is not a number"
        raise ValueError(message)
    return moment


class _Here(threading.local):
    """An object that only the calling thread has. A thread's number would not do: the next thread may get it."""

    def __init__(self) -> None:
        self.token = object()


_here = _Here()


def _be_another_thread() -> None:
    # To the C library a forked child's only thread is another one than that which forked, and holds nothing.
    global _here
    _here = _Here()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_be_another_thread)


class RobustRLock:
    """A `multiprocessing.RLock` that outlives its holder (Linux).

    When the process or the thread that holds it ends without releasing it - killed, say - the kernel hands the lock to
    the next one who asks, at once. That one first runs `on_holder_death(lock)`, with the lock held, to put right what
    the dead holder may have left half written.

    The lock may be used by every process that inherits it: by fork, or as an argument of a spawned `Process`. It is
    re-entrant: a thread that holds it may take it again, and releases it as often. A process that forks does not pass
    on what its threads hold.

    After POSIX's robust mutexes (`pthread_mutexattr_setrobust`); the interface is that of `multiprocessing.RLock`.

    Args:
        on_holder_death: called with this lock by the first to acquire it after a holder's death, before that `acquire`
            returns: once a death, or again by the next in turn if its caller dies too. What it raises comes out
            of `acquire`; the lock is then free, and the next holder is not told of the death again. For spawned
            children it must be importable.

    Raises:
        NotImplementedError: the platform has no robust mutex; the message says what to use instead.
        TypeError: `on_holder_death` cannot be called.

    Example:
        >>> lock = RobustRLock()
        >>> with lock:
        ...     lock.acquire(timeout=0.5)  # again: it is ours
        ...     lock.release()
        True
    """

    # `_owner` (a thread's token, or None) and `_depth` are this process's own record, written only by a thread that
    # holds the mutex. So one that asks "is it mine?" is right whatever others write meanwhile, with a GIL or without.
    _owner: object = None
    _depth: int = 0

    def __init__(self, on_holder_death: _Callback | None = None) -> None:
        if sys.platform != "linux":
            raise NotImplementedError(NOT_HERE)
        if not (on_holder_death is None or callable(on_holder_death)):
            message = f"on_holder_death must be a function of the lock, or None, not {type(on_holder_death)}"
            raise TypeError(message)
        self._adopt(RawArray(ctypes.c_char, MUTEX_SIZE + ALIGNMENT), on_holder_death)
        self._c.init(self._mutex)
        memory.track(self._memory)

    def _adopt(self, block: _Block, on_holder_death: _Callback | None) -> None:
        self._c = pthread()
        self._trylock, self._unlock = self._c.trylock, self._c.unlock  # a load less each time
        self._memory = block
        address = ctypes.addressof(block)
        # The same place in each process: shared memory is mapped in whole pages.
        self._mutex = address + -address % ALIGNMENT
        self._on_holder_death = on_holder_death

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take the lock, or take it once more.

        Args:
            block: whether to wait while another thread or process holds it.
            timeout: how many seconds to wait at most; None waits for ever, zero or less does not wait.

        Returns:
            True once it is held; False if that was not to be had in time.

        Raises:
            ValueError: the timeout is not a number (NaN).
            OSError: the C library refused; the message has the error's name.
        """
        deadline = math.inf if timeout is None else _moment(timeout)
        me = _here.token
        if self._owner is me:
            self._depth += 1
            return True
        try:
            error = self._trylock(self._mutex)
            if error:
                if error == errno.EBUSY and block:
                    error = self._wait(deadline)
                if error == errno.EOWNERDEAD:
                    self._take_over(me)
                    return True
                if error in (errno.EBUSY, errno.ETIMEDOUT):
                    return False
                if error:
                    raise named(error)
            self._depth = 1
            self._owner = me
            return True
        except BaseException:  # KeyboardInterrupt too, at any point
            self._back_out(me)
            raise

    __enter__ = acquire

    def release(self) -> None:
        """Undo one `acquire`; the last one frees the lock.

        Raises:
            RuntimeError: the calling thread does not hold the lock.
            OSError: the C library refused; the message has the error's name.
        """
        # What remains of an interrupt's harm: one that comes as release() begins leaves the lock held.
        if self._owner is not _here.token:
            message = "cannot release a RobustRLock that this thread does not hold"
            raise RuntimeError(message)
        if self._depth > 1:
            self._depth -= 1
            return
        try:
            self._owner = None
            error = self._unlock(self._mutex)
        except BaseException:
            # An audit hook runs between these two lines and the C function. It can be written in Python (filelock
            # installs one from Python 3.14 on), so that an interrupt can come there. Unlocking what is free already is
            # harmless: EPERM.
            self._unlock(self._mutex)
            raise
        if error:
            raise named(error)

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        held = f"held {self._depth} deep by this thread" if self._is_mine() else "not held by this thread"
        return f"<{type(self).__name__} {held}>"

    def _is_mine(self) -> bool:
        """Whether the calling thread holds the lock: `multiprocessing`'s own locks answer to the same name."""
        return self._owner is _here.token

    def _wait(self, deadline: float) -> int:
        while (left := deadline - time.monotonic()) > 0:
            error = self._c.lock_within(self._mutex, min(left, _SLICE))
            if error != errno.ETIMEDOUT:
                return error
        return errno.ETIMEDOUT

    def _take_over(self, me: object) -> None:
        # Consistent first: whatever the callback does, the mutex can be unlocked without being lost for good. If this
        # process is killed before it is done, the next one in turn is told of a dead holder all the same. It is refused
        # (EINVAL) when _back_out comes here with a mutex that nobody died with.
        died = self._c.consistent(self._mutex) == 0
        self._depth = 1
        self._owner = me
        if died and self._on_holder_death is not None:
            self._on_holder_death(self)

    def _back_out(self, me: object) -> None:
        # An interrupt may have come between the C library's taking the mutex and our hearing of it. The mutex is
        # recursive, so asking for it once more tells whether it is ours; and if it is, whether its holder had died.
        # What remains: a second interrupt while this runs can leave the mutex held until this thread ends, and one
        # between `consistent` and the callback's first line counts as raised by the callback.
        try:
            if self._owner is not me and self._trylock(self._mutex) in (0, errno.EOWNERDEAD):
                self._take_over(me)
        finally:
            if self._owner is me:
                self._owner = None
                while self._unlock(self._mutex) == 0:
                    pass

    def __getstate__(self) -> _State:
        if get_spawning_popen() is None:
            message = "a RobustRLock can only be pickled for a process being spawned: pass it to Process(args=...)"
            raise RuntimeError(message)
        memory.pin(self._memory)
        return self._memory, self._on_holder_death

    def __setstate__(self, state: _State) -> None:
        if not getattr(current_process(), "_inheriting", False):  # the mark that multiprocessing sets meanwhile
            message = "a RobustRLock can only be unpickled by a process being spawned"
            raise RuntimeError(message)
        self._adopt(*state)

    def __del__(self) -> None:
        # The kernel finds what a dying thread holds by following a list through the mutexes themselves. So a mutex that
        # is dropped while held - also by an interpreter that ends - must stay mapped, or nobody hears of the death.
        # The reference leaks. Nothing here is looked up by a global's name: by then they, and builtins, are all None.
        if self._owner is not None:
            self._c.incref(self._memory)
