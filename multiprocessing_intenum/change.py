"""The changes of a shared value: the last one, the last ones, and those to come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any, Generic, TypeVar

from typing_extensions import NamedTuple, Self

from multiprocessing_intenum.cell import Cell
from multiprocessing_intenum.enums.members import EnumMember, UnknownMemberError
from multiprocessing_intenum.memory.words import Entry, Words
from multiprocessing_intenum.value import HasCell, cell_of
from multiprocessing_intenum.waiting import Deadline, Looks, Sleeper

__all__ = ["Change", "Feed", "change_of", "changes", "history", "last_change"]

T = TypeVar("T", bound=EnumMember)


class Change(NamedTuple, Generic[T]):
    """A change of a shared value, as `last_change`, `history` and `changes` return it.

    Args:
        before: the member before; None for the change number 0. It is also None if only a newer version of the enum has
            that member and, in the mirror of a record, if changes before this one are missing.
        after: the member after.
        at: when it was written, an aware datetime in UTC.
        pid: the id of the process that wrote it; 0 if an unknown program did. Then `at` is when the change was noticed.
        number: the number of the change; 0 for the one that made the value, or began it anew by path; 1 for the next.

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


def change_of(cell: Cell[T], entry: Entry) -> Change[T]:
    """Return a change with the members that its numbers mean. For the errors see `changes`."""
    if not 0 <= entry.time <= _LATEST:  # also NaN
        raise cell.words.damaged(f"the time of the change number {entry.number} is {entry.time!r}")
    after, before = cell.member_in_history(entry.after), None
    if entry.before is not None:
        with suppress(UnknownMemberError):
            before = cell.member_in_history(entry.before)
    # Not datetime.fromtimestamp(): the C library of Windows knows no year after 3000.
    return Change(before, after, _EPOCH + timedelta(seconds=entry.time), entry.pid, entry.number)


def last_change(status: HasCell[T]) -> Change[T]:
    """Return the last change of a shared value: the members before and after it, its time, and its process.

    Writing the member that the value already has is no change. No lock is taken.

    Args:
        status: the shared value.

    Returns:
        The change. Its number is 0 if the value has not changed since it was made.

    Raises:
        TypeError: `status` is no shared value.
        UnknownMemberError: only a newer version of the enum has the member after the change.
        ValueError: another program has written to the shared memory, and what is there makes no sense; or a value that
            is only read goes on with another file, and that file holds another enum.

    Example:
        >>> last_change(WorkerStatus("IDLE")).before is None
        True
    """
    cell = cell_of(status)
    return change_of(cell, _last_entries(cell)[-1])


def _last_entries(cell: Cell[Any]) -> list[Entry]:
    if not cell.is_named():
        with suppress(FileNotFoundError):  # the value can still be read
            cell.keep_up()
    return cell.words.changes_since(-1, by_others=True).entries


def history(status: HasCell[T]) -> list[Change[T]]:
    """Return the last changes of a shared value, the oldest one first.

    A value keeps all its changes as long as there are no more than 16, and then the last 16 at least. That it was made
    counts as the first one. The last one led to the present state, even if its writer was killed in the middle of the
    write. If a value by path was begun anew, the changes before that are not among them. No lock is taken.

    Args:
        status: the shared value.

    Returns:
        The changes, at least one.

    Raises:
        TypeError: `status` is no shared value.
        UnknownMemberError: only a newer version of the enum has the member after one of them.
        ValueError: another program has written to the shared memory, and what is there makes no sense; or a value that
            is only read goes on with another file, and that file holds another enum.

    Example:
        >>> status = WorkerStatus("IDLE")
        >>> status.set("CALCULATING")
        >>> status.set("IDLE")
        >>> [change.after.name for change in history(status)]
        ['IDLE', 'CALCULATING', 'IDLE']
    """
    cell = cell_of(status)
    return [change_of(cell, entry) for entry in _last_entries(cell)]


class Feed(Looks[Change[T]]):
    """The changes of a cell from now on, one after the other.

    Args:
        cell: the cell.
        after: begin after the change with this count, numbered from that base; None: after the last change.
    """

    __slots__ = ("_base", "_entries", "_last", "words")

    cell: Cell[T]
    count: int
    words: Words

    def __init__(self, cell: Cell[T], after: tuple[int, int] | None = None) -> None:
        self.cell, self.words = cell, cell.words
        self._entries: list[Entry] = []
        found = self.words.changes_since(self.words.count[()])
        self.count, self._last, self._base = found.counted, found.last, found.base
        if after is not None:
            self._last, self._base = after

    def __call__(self) -> Change[T] | None:
        """Return the next change, or None if there is none yet.

        After an error the next call goes on with the change after the one that it was about.
        """
        entry = self.entry()
        return None if entry is None else change_of(self.cell, entry)

    def entry(self) -> Entry | None:
        """Return the next change as numbers, or None if there is none yet."""
        while not self._entries:
            words = self.words
            self.count, self._entries, self._last, self._base = words.changes_since(self._last, self._base)
            self._entries.reverse()
            if not self._entries:
                if words is self.cell.words:
                    return None
                self.words, self._last, self._base = self.cell.words, -1, 0  # the cell goes on with another file
        return self._entries.pop()


def changes(status: HasCell[T], *, timeout: float | None = None) -> Iterator[Change[T]]:
    """Return an iterator over the changes of a shared value, from this call on, in order.

    It waits for each change as `wait_for` does, and takes no lock. Every consumer, in whatever process, gets every
    change while it is no more than 16 changes behind. If it falls further behind, it misses some, and `number` shows
    the gap. If a value by path is begun anew, the numbers go on from 0.

    In a coroutine use `multiprocessing_intenum.aio.changes`.

    Args:
        status: the shared value.
        timeout: seconds without a change after which a loop over the iterator ends; None: never; 0: when no change is
            left. Another loop over the same iterator goes on, with the next change after the last one that it gave.

    Returns:
        An iterator of `Change`. It raises the errors below as well, and can be iterated again after them.

    Raises:
        TypeError: `status` is no shared value, or `timeout` no number.
        ValueError: `timeout` is negative, or another program has written to the shared memory.
        UnknownMemberError: only a newer version of the enum has the member after the change.
        FileNotFoundError: the file of a value by path was removed or replaced. A value that is only read goes on with
            the file that now has its name; ValueError: that file holds another enum.

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
    cell.keep_up()
    return _Changes(cell, timeout)


class _Changes(Generic[T]):
    """The iterator of `changes`. A generator would end with the first error."""

    def __init__(self, cell: Cell[T], timeout: float | None) -> None:
        self._feed, self._timeout = Feed(cell), timeout

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change[T]:
        change = Sleeper(self._feed.cell.words).until(self._feed, Deadline(self._timeout))
        if change is None:
            raise StopIteration
        return change
