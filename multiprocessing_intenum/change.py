"""The changes of a shared value: the last one, the last ones, and those to come."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Generic, TypeVar

from typing_extensions import NamedTuple

from multiprocessing_intenum.cell import Cell, HasCell, cell_of
from multiprocessing_intenum.enums.members import EnumMember
from multiprocessing_intenum.memory.words import Entry
from multiprocessing_intenum.waiting import Deadline, Sleeper

__all__ = ["Change", "Feed", "changes", "history", "last_change"]

T = TypeVar("T", bound=EnumMember)


class Change(NamedTuple, Generic[T]):
    """A change of a shared value, as `last_change`, `history` and `changes` return it.

    Args:
        before: the member before; None for the first change, which made the value. In the mirror of a record it is also
            None if changes before this one are missing.
        after: the member after.
        at: when it was written, an aware datetime in UTC.
        pid: the id of the process that wrote it; 0 if an unknown program did. Then `at` is when the change was noticed.
        number: the number of the change; 0 for the one that made the value, 1 for the next.

    Raises:
        TypeError: an argument is missing.

    Example:
        >>> status = WorkerStatus("IDLE")
        >>> status.set("CALCULATING")
        >>> change = last_change(status)
        >>> change.before.name, change.after.name, change.number, change.at.tzname()
        ('IDLE', 'CALCULATING', 1, 'UTC')
    """

    before: T | None
    after: T
    at: datetime
    pid: int
    number: int


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LATEST = datetime(9999, 12, 30, tzinfo=timezone.utc).timestamp()
"""The latest time that a change can have, in seconds since the epoch: every time zone can show it."""


def _change(cell: Cell[T], entry: Entry) -> Change[T]:
    if not 0 <= entry.time <= _LATEST:  # also NaN
        raise cell.words.damaged(f"the time of the change number {entry.number} is {entry.time!r}")
    before = None if entry.before is None else cell.member_in_history(entry.before)
    # Not datetime.fromtimestamp(): the C library of Windows knows no year after 3000.
    at = _EPOCH + timedelta(seconds=entry.time)
    return Change(before, cell.member_in_history(entry.after), at, entry.pid, entry.number)


def last_change(status: HasCell[T]) -> Change[T]:
    """Return the last change of a shared value: the members before and after it, its time, and its process.

    Writing the member that the value already has is no change. No lock is taken.

    Args:
        status: the shared value.

    Returns:
        The change. Its number is 0 if the value has not changed since it was made.

    Raises:
        TypeError: `status` is no shared value.
        ValueError: another program has written to the shared memory, and what is there makes no sense.

    Example:
        >>> last_change(WorkerStatus("IDLE")).before is None
        True
    """
    cell = cell_of(status)
    return _change(cell, cell.words.changes_since(-1, by_others=True).entries[-1])


def history(status: HasCell[T]) -> list[Change[T]]:
    """Return the last changes of a shared value, the oldest one first.

    At least 16 are kept; the first one, which made the value, counts as one. The last one led to the present state,
    even if its writer was killed in the middle of the write. No lock is taken.

    Args:
        status: the shared value.

    Returns:
        The changes, at least one.

    Raises:
        TypeError: `status` is no shared value.
        ValueError: another program has written to the shared memory, and what is there makes no sense.

    Example:
        >>> status = WorkerStatus("IDLE")
        >>> status.set("CALCULATING")
        >>> status.set("IDLE")
        >>> [change.after.name for change in history(status)]
        ['IDLE', 'CALCULATING', 'IDLE']
    """
    cell = cell_of(status)
    return [_change(cell, entry) for entry in cell.words.changes_since(-1, by_others=True).entries]


class Feed(Generic[T]):
    """The changes of a cell from now on, one after the other."""

    __slots__ = ("_cell", "_entries", "_last", "count")

    count: int
    """The count of changes when they were last read."""

    def __init__(self, cell: Cell[T]) -> None:
        self._cell = cell
        self._entries: list[Entry] = []
        self.count, _, self._last = cell.words.changes_since(cell.words.count[()])

    def next(self) -> Change[T] | None:
        """Return the next change, or None if there is none yet."""
        if not self._entries:
            self.count, self._entries, self._last = self._cell.words.changes_since(self._last)
            self._entries.reverse()
        return _change(self._cell, self._entries.pop()) if self._entries else None


def changes(status: HasCell[T], *, timeout: float | None = None) -> Iterator[Change[T]]:
    """Return an iterator over the changes of a shared value, from this call on, in order.

    It waits for each change as `wait_for` does, and takes no lock. Every consumer, in whatever process, gets every
    change while it is no more than 16 changes behind. If it falls further behind, it misses some, and `number` shows
    the gap.

    In a coroutine use `multiprocessing_intenum.aio.changes`.

    Args:
        status: the shared value.
        timeout: seconds without a change after which the iterator ends; None: never; 0: when no change is left.

    Returns:
        An iterator of `Change`.

    Raises:
        TypeError: `status` is no shared value, or `timeout` no number.
        ValueError: `timeout` is negative, or another program has written to the shared memory.

    Example:
        >>> status = WorkerStatus("IDLE")
        >>> feed = changes(status, timeout=0)
        >>> status.set("CALCULATING")
        >>> status.set("UNAVAILABLE")
        >>> [f"{change.before.name} -> {change.after.name}" for change in feed]
        ['IDLE -> CALCULATING', 'CALCULATING -> UNAVAILABLE']
    """
    cell = cell_of(status)
    Deadline(timeout)  # a wrong timeout is an error now, not at the first change
    return _follow(cell, Feed(cell), timeout)  # the feed begins at this call


def _follow(cell: Cell[T], feed: Feed[T], timeout: float | None) -> Iterator[Change[T]]:
    while True:
        deadline, sleeper = Deadline(timeout), Sleeper(cell.words)
        while True:
            left = deadline.left()
            change = feed.next()
            if change is not None:
                break
            if left <= 0:
                return
            sleeper.sleep(feed.count, left)
        yield change
