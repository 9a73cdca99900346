"""The execution, a thread or a greenlet, and how it waits where the kernel cannot wake it."""

from __future__ import annotations

import math
import sys
import threading
import time
import weakref
from typing import Any, cast

from multiprocessing_intenum import fork

__all__ = ["Execution", "Pauses", "at_end", "execution", "greenlets_share_a_thread", "moment"]


class Execution:
    """What can own a lock: a thread, or with gevent or eventlet a greenlet. This object ends with it."""

    __slots__ = ("__weakref__",)


_local_class: type
_local: Any


def _start_anew() -> None:
    """Make a local object whose `me` is a weak reference to the calling execution.

    It is built on `threading.local`, which gevent and eventlet replace by one for greenlets. The number of a thread or
    a greenlet would not be enough: a later one may get the same number.
    """
    global _local_class, _local

    class Local(threading.local):
        def __init__(self) -> None:
            self.execution = Execution()
            self.me = weakref.ref(self.execution)

    _local_class, _local = threading.local, Local()


_start_anew()

# The only thread of a forked child is not the thread that forked, and holds nothing.
fork.in_child(fork.Step.OWNERS, _start_anew)


def execution() -> weakref.ref[Execution]:
    """Return a weak reference to the calling thread, or greenlet. It is the same one each time."""
    if threading.local is not _local_class:  # gevent or eventlet has patched it meanwhile
        _start_anew()
    return _local.me  # type: ignore[no-any-return]


def at_end(me: weakref.ref[Execution], lock: Any) -> weakref.ref[Any]:
    """Return a weak reference to an execution. At its end it calls `lock.give_back(me)`, if the lock still lives."""
    # The lock is referenced weakly: else the two would be a cycle, and the lock's files would stay open until the
    # garbage collector runs. The rest is bound, because `end` also runs while the interpreter ends, which leaves no
    # globals: then the kernel gives everything back.
    lock_of, here, is_ending = weakref.ref(lock), fork.here, sys.is_finalizing

    def end(_: object) -> None:
        # In a forked child the threads of the parent end before the child's first step. What they have is the parent's,
        # so the child must not give it back.
        lock = None if is_ending() or not here[()] else lock_of()
        if lock is not None:
            lock.give_back(me)

    return weakref.ref(cast("Any", me()), end)


def greenlets_share_a_thread() -> bool:
    """Whether gevent or eventlet has patched this process, so that a call that blocks the thread stops them all."""
    return threading.local.__module__ not in ("_thread", "_threading_local")


def moment(timeout: float) -> float:
    """Return the moment `timeout` seconds from now, by `time.monotonic`; ValueError for a NaN."""
    end = time.monotonic() + timeout
    if math.isnan(end):
        message = "timeout is not a number"
        raise ValueError(message)
    return end


class Pauses:
    """Sleeps between looks, each sleep twice as long as the one before, but no longer than `longest` seconds."""

    __slots__ = ("_longest", "_next")

    def __init__(self, longest: float = 0.005) -> None:
        self._next, self._longest = min(50e-6, longest), longest

    def sleep(self, limit: float) -> None:
        """Sleep, but no longer than `limit` seconds."""
        time.sleep(min(limit, self._next))
        self._next = min(2 * self._next, self._longest)
