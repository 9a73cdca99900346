"""Waiting for a shared value, and following its changes, in asyncio.

Nothing here blocks the event loop, and nothing uses its executor. For each value that coroutines wait for, one daemon
thread sleeps in the kernel and wakes the coroutines of all loops. It ends when no coroutine waits any more.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from threading import TIMEOUT_MAX
from typing import Any, Generic, TypeVar

from typing_extensions import Self

from multiprocessing_intenum import fork
from multiprocessing_intenum.cell import Cell
from multiprocessing_intenum.change import Change, Feed
from multiprocessing_intenum.enums.members import EnumMember
from multiprocessing_intenum.memory.words import Words
from multiprocessing_intenum.value import HasCell, cell_of
from multiprocessing_intenum.waiting import LONGEST_PAUSE, Deadline, Look, Looks, Sleeper

__all__ = ["changes", "wait_for"]

T = TypeVar("T", bound=EnumMember)
R = TypeVar("R")

_log = logging.getLogger(__name__)

_THREAD_NAME = "multiprocessing_intenum.aio"
_WARNING = "waiting for changes goes on by looking again and again, after an error"

_watching = fork.lock_of_threads()  # guards the watchers and what each of them has
_watchers: dict[Cell[Any], _Watcher] = {}

fork.in_child(fork.Step.WATCHERS, _watchers.clear)  # their threads are not in a forked child


class _Watcher:
    """The thread that sleeps until a cell changes, and the futures that it completes then."""

    def __init__(self, cell: Cell[Any]) -> None:
        self._cell = cell
        self._words: Words = cell.words
        self._count = cell.words.count[()]
        self.futures: set[asyncio.Future[None]] = set()
        self.has_thread = False

    def start(self) -> None:
        """Start the thread if it is not started yet. `_watching` must be free.

        Before Thread.start() returns, the garbage collector may run in the new thread and end an abandoned wait. Ending
        it takes `_watching`.
        """
        try:
            with _watching:
                is_first, self.has_thread = not self.has_thread, True
            if is_first:
                threading.Thread(target=self._run, name=_THREAD_NAME, daemon=True).start()
        except BaseException:
            with _watching:
                self._forget()
                self._complete()  # the other waits start another watcher, or get their own error
            raise

    def add(self, future: asyncio.Future[None], look: Looks[Any]) -> None:
        """Complete the future once there is something new since this look."""
        words = self._cell.words
        if words is not look.words or words.count[()] != look.count:
            future.set_result(None)
        else:
            self.futures.add(future)

    def _run(self) -> None:
        # Only this thread wakes the coroutines, so it ends only when none waits. Whatever fails (the kernel, the
        # memory, an event loop), the thread goes on, and looks again and again until a round succeeds.
        sleeper, has_warned = None, False
        failure: BaseException | None = None
        while True:
            try:
                if failure is not None:
                    time.sleep(LONGEST_PAUSE)
                    if not has_warned:
                        has_warned = True
                        _log.warning(_WARNING, exc_info=failure)
                else:
                    sleeper = sleeper or Sleeper(self._cell.words)
                    ticket = sleeper.announce(self._count)
                    if self._cell.words.count[()] == self._count:
                        sleeper.sleep(ticket, TIMEOUT_MAX)
                if self._look():
                    return
                failure = None
            except BaseException as error:  # noqa: PERF203 # that is what the loop is for
                failure = error

    def _look(self) -> bool:
        """Complete the futures if there was a change. If there are none, forget this watcher and return True."""
        words = self._cell.words
        is_named = self._cell.is_named()
        if is_named:
            self._cell.look_after_owner()
        with _watching:
            if not self.futures:
                self._forget()
                return True
            count = words.count[()]
            # A writer that was killed before it counted its change has changed the state nevertheless.
            # And a waiter has to look itself if the file of the value has lost its name. If another one has looked, so
            # that the cell goes on with another file, that one may have the same count.
            is_same = words is self._words and count == self._count and words.settled[()] == words.state[()]
            if not (is_same and is_named):
                self._complete()
                # Noted only when all are complete: after an error the next round completes the rest.
                self._words, self._count = words, count
        return False

    def _forget(self) -> None:
        if _watchers.get(self._cell) is self:
            del _watchers[self._cell]

    def _complete(self) -> None:
        failure: BaseException | None = None
        loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        for future in self.futures.copy():  # in any call the garbage collector may end an abandoned wait
            loops.setdefault(future.get_loop(), []).append(future)
        for loop, futures in loops.items():
            try:
                loop.call_soon_threadsafe(_set_results, futures)
            except BaseException as error:
                if not loop.is_closed():  # in a closed loop no coroutine waits
                    failure = error
                    continue
            self.futures.difference_update(futures)
        if failure is not None:
            raise failure


def _set_results(futures: Iterable[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)


async def _change_since(look: Looks[Any], limit: float) -> None:
    """Sleep until there is something new since this look, but no longer than `limit` seconds. It may return early."""
    cell = look.cell
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    fork.notice()
    with _watching:
        watcher = _watchers.get(cell)
        if watcher is None:
            watcher = _watchers[cell] = _Watcher(cell)
        watcher.add(future, look)
    watcher.start()
    timer = loop.call_later(limit, _set_results, (future,)) if limit < TIMEOUT_MAX else None
    try:
        await future
    finally:
        if timer is not None:
            timer.cancel()
        with _watching:
            watcher.futures.discard(future)


async def _until(look: Looks[R], timeout: float | None) -> R | None:
    """Do what `Sleeper.until` does, in a coroutine."""
    deadline = Deadline(timeout)
    while True:
        left = deadline.left()
        found = look()
        if found is not None:
            return found
        if look.cell.keep_up() or look.words is not look.cell.words:
            continue
        if left <= 0:
            return None
        await _change_since(look, left)


_timeout_error: type[TimeoutError] = TimeoutError
if sys.version_info < (3, 11):

    class _BothTimeoutError(TimeoutError, asyncio.TimeoutError):
        """On Python 3.10 asyncio has its own TimeoutError. This one is caught as either."""

    _timeout_error = _BothTimeoutError


async def wait_for(
    status: HasCell[T],
    condition: T | str | HasCell[T] | Iterable[T | str] | Callable[[T], object],
    timeout: float | None = None,
) -> T:
    """Wait in a coroutine until a shared value meets a condition, and return the member that met it.

    The event loop goes on meanwhile, and cancelling the coroutine ends the wait at once. Otherwise it is
    `multiprocessing_intenum.wait_for`: a state that held only in passing counts as met, and no lock is taken.

    Args:
        status: the shared value.
        condition: a member, or its name; a collection of them, any of which is enough (the enum itself: any of its
            named members); or a function that takes a member and returns whether it is enough. The event loop calls it.
        timeout: seconds to wait; None waits for ever, 0 only looks.

    Returns:
        The member that met the condition.

    Raises:
        TimeoutError: the time is over; on Python 3.10 it is an `asyncio.TimeoutError` as well.
        TypeError, KeyError, ValueError: an argument of a wrong kind, an unknown name, or a condition never to be met.
        FileNotFoundError, ValueError: the file of a value by path was removed or replaced, as for `wait_for`.
        Whatever a function given as `condition` raises.

    Example:
        >>> import asyncio
        >>> from multiprocessing_intenum import aio
        >>> async def work(status):
        ...     asyncio.get_running_loop().call_later(0.01, status.set, "CALCULATING")
        ...     return await aio.wait_for(status, "CALCULATING", timeout=60)
        >>> asyncio.run(work(WorkerStatus("IDLE"))).name
        'CALCULATING'
    """
    cell = cell_of(status)
    cell.keep_up()
    look = Look(cell, condition)
    member = await _until(look, timeout)
    if member is None:
        raise _timeout_error(look.too_late(timeout))
    return member


def changes(status: HasCell[T], *, timeout: float | None = None) -> AsyncIterator[Change[T]]:
    """Return an asynchronous iterator over the changes of a shared value, from this call on, in order.

    The event loop goes on meanwhile, and cancelling the coroutine ends the iteration at once. Otherwise it is
    `multiprocessing_intenum.changes`.

    Args:
        status: the shared value.
        timeout: seconds without a change after which a loop over the iterator ends; None: never; 0: when no change is
            left. Another loop over the same iterator goes on, with the next change after the last one that it gave.

    Returns:
        An asynchronous iterator of `Change`. It raises the errors below as well, and can be iterated again after them.

    Raises:
        TypeError: `status` is no shared value, or `timeout` no number.
        ValueError: `timeout` is negative, or another program has written to the shared memory; an `UnknownMemberError`
            if only a newer version of the enum has the member after the change.
        FileNotFoundError, ValueError: the file of a value by path was removed or replaced, as for `changes`.

    Example:
        >>> import asyncio
        >>> from multiprocessing_intenum import aio
        >>> async def follow(status):
        ...     feed = aio.changes(status, timeout=0)
        ...     status.set("CALCULATING")
        ...     return [change.after.name async for change in feed]
        >>> asyncio.run(follow(WorkerStatus("IDLE")))
        ['CALCULATING']
    """
    cell = cell_of(status)
    Deadline(timeout)  # a wrong timeout is an error now, not at the first change
    cell.keep_up()
    return _Changes(cell, timeout)


class _Changes(Generic[T]):
    """The iterator of `changes`. An asynchronous generator would need closing, or the loop would close it late."""

    def __init__(self, cell: Cell[T], timeout: float | None) -> None:
        self._cell, self._timeout = cell, timeout
        self._feed = Feed(cell)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change[T]:
        change = await _until(self._feed, self._timeout)
        if change is None:
            raise StopAsyncIteration
        return change
