"""What a writer does with a lock of any kind: take it, release it, ask for its owner; and a lock of threads."""

from __future__ import annotations

import inspect
import math
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import synchronize
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from multiprocessing_intenum import fork
from multiprocessing_intenum.locks.execution import at_end, execution, moment
from multiprocessing_intenum.memory import keepalive
from multiprocessing_intenum.memory.sleepers import Sleepers

__all__ = [
    "Lock",
    "LockLike",
    "NotFreeError",
    "Operations",
    "OwnedLock",
    "ThreadsLock",
    "guarded",
    "operations_of",
    "seconds",
]

R = TypeVar("R")
T = TypeVar("T")

_here = fork.here


class LockLike(Protocol):
    """Any lock: `multiprocessing`'s or `threading`'s Lock and RLock, a manager's, a `filelock.FileLock`."""

    # No two lock libraries agree on the parameters.
    def acquire(self, *args: Any, **kwargs: Any) -> Any:
        """Take the lock. Return False if it was not free within `timeout`."""

    def release(self, *args: Any, **kwargs: Any) -> Any:
        """Release the lock."""


class Lock(LockLike, Protocol):
    """What `get_lock()` returns. A lock given as `lock=` works in a `with` only if its own class supports that."""

    def __enter__(self) -> Any: ...
    def __exit__(self, *args: object) -> None: ...


class OwnedLock:
    """A lock of this library. It knows its owner, and a holder that is killed does not keep it."""

    __slots__ = ()

    acquire: Callable[..., bool]
    release: Callable[[], None]
    _is_mine: Callable[[], bool]
    """Whether the calling thread, or greenlet, holds the lock."""

    _guard: Callable[..., Callable[[Any], None] | None] | None = None
    """Returns a faster function for `guarded` to return, if there is one."""


class NotFreeError(Exception):
    """A lock was not free in time."""


class Operations(NamedTuple):
    """What a writer needs of a lock of any kind."""

    acquire: Callable[..., object]
    """Takes the lock. `acquire(timeout=seconds)` returns False when the time is over."""
    release: Callable[[], object]
    is_mine: Callable[[], bool]
    """Whether the calling thread holds the lock. Such a thread must not take it again: with a plain Lock it
    would wait for itself for ever."""

    def hold(self, action: Callable[[], R], limit: float | None) -> R:
        """Call `action` with the lock held, and return its result. If this thread already holds the lock, it keeps it.

        After an exception in `action` the lock is as it was before. NotFreeError: it was not free within `limit`
        seconds; None waits for ever.
        """
        # It takes a function because no context manager is safe from an interrupt: an interrupt at the end of the
        # `with` block is raised before the first line of `__exit__`, and the lock would stay held.
        if not _here[()]:
            fork.notice()
        if self.is_mine():
            return action()
        # acquire() and release() are both inside the `try`: wherever a KeyboardInterrupt strikes, is_mine() tells
        # whether the lock has to be released. A lock that cannot tell its owner may stay held: see _OpaqueLock.
        try:
            if limit is None:
                self.acquire()
            elif not self.acquire(timeout=limit):
                raise NotFreeError
            result = action()
            self.release()
        except BaseException:
            if self.is_mine():
                self.release()
            raise
        return result

    def try_to_hold(self, action: Callable[[], object], limit: float) -> bool:
        """Call `action` as `hold` does. Return False if the lock was not free in time."""
        try:
            self.hold(action, limit)
        except NotFreeError:
            return False
        return True


def operations_of(lock: LockLike) -> Operations:
    """Return what a writer needs of `lock`. The lock stays alive for any child that inherits it.

    TypeError: `lock` has no acquire or no release, its acquire must be awaited, or it is a class.
    """
    kind, known = type(lock), cast("Any", lock)  # the true type: an object may claim any `__class__`
    if issubclass(kind, type):
        message = f"Can not use {lock} as lock: it is a class, give an object of it, {known.__name__}()"
        raise TypeError(message)
    if issubclass(kind, OwnedLock):  # it looks after its memory itself
        return Operations(known.acquire, known.release, known._is_mine)
    if issubclass(kind, (synchronize.Lock, synchronize.RLock)):
        _semaphores.add(known)
        keepalive.track(known)
        return Operations(known.acquire, known.release, known._semlock._is_mine)
    if issubclass(kind, _THREADING_RLOCKS):  # belongs to one process: no child can use it
        return Operations(known.acquire, known.release, known._is_owned)
    for method in ("acquire", "release"):
        if not callable(getattr(lock, method, None)):
            message = f"Can not use {type(lock)} as lock: expected an object with acquire() and release()"
            raise TypeError(message)
    if inspect.iscoroutinefunction(known.acquire):
        message = f"Can not use {type(lock)} as lock: its acquire() would have to be awaited"
        raise TypeError(message)
    opaque = _OpaqueLock(lock)
    keepalive.track(opaque)  # the lock itself may not support weak references
    return Operations(opaque.acquire, opaque.release, opaque.is_mine)


def guarded(
    lock: LockLike,
    operations: Operations,
    store: Callable[[T], int],
    sleepers: Sleepers,
) -> Callable[[T], None]:
    """Return the function of a writer: it takes the lock, calls `store` with its argument, and releases the lock.

    If this thread already holds the lock, it keeps it. So the function works with a plain Lock as well. After an
    exception in `store` the lock is as it was before. If somebody sleeps with the flag that `store` returns, it is
    woken in the end, after the release if there is one: it may want the lock.
    """
    faster = lock._guard and lock._guard(store, sleepers) if isinstance(lock, OwnedLock) else None
    if faster is not None:
        return faster
    acquire, release, is_mine = operations
    flags = sleepers.flags

    def write(value: T) -> None:
        # Operations.hold(), spelled out: a call of it would add 70 ns to the 290 of a write.
        if not _here[()]:
            fork.notice()
        if is_mine():
            flag = store(value)
        else:
            try:
                acquire()
                flag = store(value)
                release()
            except BaseException:
                if is_mine():
                    release()
                raise
        if flags[flag]:
            sleepers.wake(flag)

    return write


_THREADING_RLOCKS: tuple[type, ...] = (type(threading.RLock()), threading._PyRLock)  # type: ignore[attr-defined]


class _Held(threading.local):
    """The `id()` of each opaque lock that the calling thread has taken through this library."""

    def __init__(self) -> None:
        self.ids: set[int] = set()


_held = _Held()

# multiprocessing's own locks count how often this process holds them. A `Process` resets the counts when it begins. A
# child of a bare os.fork() does not: it would believe that it holds the locks of the thread that forked.
_semaphores: weakref.WeakSet[synchronize.SemLock] = weakref.WeakSet()


def _hold_nothing() -> None:
    _held.ids.clear()
    for lock in _semaphores:
        lock._semlock._after_fork()  # type: ignore[attr-defined]
    for threads_lock in list(_threads_locks):
        threads_lock._begin()


fork.in_child(fork.Step.SEMAPHORES, _hold_nothing)

_SLICE = 0.1
"""Seconds after which a thread that waits looks by itself, because a wake-up may come in vain, or be lost."""


class ThreadsLock:
    """A lock for the threads, or greenlets, of this process only: first come, first served.

    A thread that ends gives it back. A forked child finds it free. It is not re-entrant: ask `is_mine` first.
    """

    __slots__ = ("__weakref__", "_owner", "_waiters")

    def __init__(self) -> None:
        self._begin()
        _threads_locks.add(self)

    def _begin(self) -> None:
        # One step takes the lock and notes the owner: `setdefault`. One step gives it back: `pop`. An interrupt or a
        # signal handler comes before such a step or after it.
        self._owner: dict[str, tuple[weakref.ref[Any], weakref.ref[Any]]] = {}
        # One lock for each thread that waits, in their order. Releasing it wakes the thread.
        self._waiters: deque[threading.Lock] = deque()

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take the lock. False: it was not free in `timeout` seconds (None: for ever), or at once without `block`."""
        me, waiters = execution(), self._waiters
        if not waiters and self._take(me):
            return True
        deadline = math.inf if timeout is None else moment(timeout)
        waiter = threading.Lock()
        waiter.acquire()
        try:
            waiters.append(waiter)
            is_late = False
            while True:
                first = waiters[0] if waiters else waiter
                if (is_late or first is waiter) and self._take(me):
                    # A first waiter that did not take the lock was interrupted before it could leave the queue.
                    _leave(waiters, first)
                    return True
                left = deadline - time.monotonic()
                if not block or left <= 0:
                    return False
                is_late = not waiter.acquire(timeout=min(left, _SLICE))
        finally:
            _leave(waiters, waiter)
            if not self.is_mine():
                self._wake()

    def release(self) -> None:
        """Give the lock back. The calling thread must have it."""
        self._owner.pop("owner")
        self._wake()

    def is_mine(self) -> bool:
        """Whether the calling thread, or greenlet, has the lock."""
        return self._is_of(execution())

    def give_back(self, me: weakref.ref[Any]) -> None:
        """Give the lock back, if it belongs to this thread or greenlet, which has ended."""
        if self._is_of(me):
            self.release()

    def _take(self, me: weakref.ref[Any]) -> bool:
        mine = me, at_end(me, self)
        return self._owner.setdefault("owner", mine) is mine

    def _is_of(self, execution: weakref.ref[Any]) -> bool:
        return self._owner.get("owner", (None,))[0] is execution

    def _wake(self) -> None:
        with suppress(IndexError, RuntimeError):  # no thread waits, or the first one is already woken
            self._waiters[0].release()


def _leave(waiters: deque[threading.Lock], waiter: threading.Lock) -> None:
    with suppress(ValueError):  # it is not in the queue any more
        waiters.remove(waiter)


_threads_locks: weakref.WeakSet[ThreadsLock] = weakref.WeakSet()


class _OpaqueLock:
    """A lock that cannot report its owner: threading's Lock, a manager's, a file lock. This class notes the owner.

    It does not notice when users take the lock with their own `with`. A `set()` inside that `with` takes the lock
    again, which works only with a re-entrant lock. The documentation says so.
    """

    __slots__ = ("__weakref__", "_lock")

    def __init__(self, lock: LockLike) -> None:
        self._lock = lock

    def acquire(self, timeout: float | None = None) -> bool:
        try:
            # A keyword is the only form of the timeout that multiprocessing, threading, managers and filelock share.
            taken = self._lock.acquire() if timeout is None else self._lock.acquire(timeout=timeout)
        except TimeoutError:  # filelock raises it instead of returning False
            taken = False
        if taken is False:
            if timeout is None:
                message = f"{self._lock!r} refused to be acquired, though no timeout was given"
                raise TimeoutError(message)
            return False
        _held.ids.add(id(self._lock))
        return True

    def release(self) -> None:
        _held.ids.discard(id(self._lock))
        self._lock.release()

    def is_mine(self) -> bool:
        return id(self._lock) in _held.ids


def seconds(timeout: float | None, name: str = "timeout") -> float | None:
    """Return `timeout` in the form that every lock takes: None for no limit, else seconds as float.

    TypeError: it is not an int or a float. ValueError: it is negative or NaN.
    """
    if timeout is None:
        return None
    if not issubclass(type(timeout), (int, float)):
        message = f"{name} must be seconds as int or float, or None for no limit, not {type(timeout)}"
        raise TypeError(message)
    try:
        limit = float.__float__(timeout) if issubclass(type(timeout), float) else float(int.__int__(timeout))  # type: ignore[arg-type]
    except OverflowError:
        limit = math.inf if int.__int__(timeout) > 0 else -math.inf  # type: ignore[arg-type]
    if not limit >= 0:  # NaN compares false
        message = f"{name} must not be negative or NaN, but is {limit!r}: give seconds, or None for no limit"
        raise ValueError(message)
    return None if limit > threading.TIMEOUT_MAX else limit  # the limit of every lock: 292 years; 49 days on Windows
