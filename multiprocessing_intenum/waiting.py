"""Waiting for a shared value: sleep until its state changes, or until it is what you wait for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from enum import EnumMeta
from threading import TIMEOUT_MAX
from types import MappingProxyType
from typing import Any, Protocol, TypeVar, cast

from multiprocessing_intenum import fork
from multiprocessing_intenum.cell import Cell
from multiprocessing_intenum.core import core
from multiprocessing_intenum.enums.members import EnumMember, UnknownMemberError
from multiprocessing_intenum.locks.execution import Pauses, greenlets_share_a_thread
from multiprocessing_intenum.locks.holding import seconds
from multiprocessing_intenum.memory import futex
from multiprocessing_intenum.memory.sleepers import ALL, flag_of
from multiprocessing_intenum.memory.words import Words
from multiprocessing_intenum.mutator import resolve
from multiprocessing_intenum.value import HasCell, cell_of

__all__ = ["Deadline", "Look", "Looks", "Sleeper", "wait_for"]

T = TypeVar("T", bound=EnumMember)
R = TypeVar("R", covariant=True)

SLICE, SLICE_IF_OWNED = 0.9, 0.2
"""Seconds after which a sleeper in the kernel looks again. A wake-up is lost if the writer is killed before it, or if a
processor reorders the store and the wake-up. That delays a waiter by no more than this. Nobody wakes a waiter when the
owner of a state ends, so it looks more often where a state has an owner. If it was already asleep when the state was
claimed, it still looks within a second."""

LONGEST_PAUSE = 0.01
"""Seconds of the longest sleep between two looks, where the kernel cannot wake a sleeper."""


class Deadline:
    """The end of a wait, from a `timeout` in seconds or None."""

    __slots__ = ("_moment",)

    def __init__(self, timeout: float | None) -> None:
        limit = seconds(timeout)
        self._moment = None if limit is None else time.monotonic() + limit

    def left(self) -> float:
        """Return how many seconds are left: none or less if the time is over."""
        return TIMEOUT_MAX if self._moment is None else self._moment - time.monotonic()


class Looks(Protocol[R]):
    """Looks for something that comes with a change."""

    __slots__ = ("cell", "count")

    cell: Cell[Any]
    count: int
    """The count of changes at the last look, or when this object was made. Changes up to then are taken as seen."""
    wanted: Mapping[int, Any] = MappingProxyType({})
    """What is found if the state is one of these numbers. Any other state needs a look."""
    flags: tuple[int, ...] = ALL
    """The flags of the states with which it is found: see `Sleepers`."""
    wait: Callable[[int, float], Any] | None = None
    """Sleep in the C core, and return what a look would find; None if Python has to look."""
    words: Words
    """The words that it has looked at. They are no longer those of the cell if that goes on with another file."""

    def __call__(self) -> R | None:
        """Return what is found, or None."""


class Sleeper:
    """Sleeps until the count of changes is another one: in the kernel or, where that is impossible, between looks.

    `longest` is how many seconds it sleeps at most between two looks.
    """

    __slots__ = ("_pauses", "_words", "is_woken")

    is_woken: bool
    """Whether the kernel wakes it."""

    def __init__(self, words: Words, longest: float = LONGEST_PAUSE) -> None:
        self._words = words
        self._pauses = Pauses(longest)
        # A system call would stop all the greenlets of the thread.
        self.is_woken = futex.is_available() and words.sleepers.can_sleep and not greenlets_share_a_thread()

    def announce(self, count: int, flags: tuple[int, ...] = ALL) -> int:
        """Announce that this thread is going to sleep, and return a ticket: see `Sleepers`. It must look once more.

        Without a kernel that wakes it there is nothing to announce: zero.
        """
        return self._words.sleepers.announce(flags, count) if self.is_woken else 0

    def sleep(self, ticket: int, limit: float, flags: tuple[int, ...] = ALL) -> None:
        """Sleep until a writer takes the ticket back, but no longer than `limit` seconds. It may return early."""
        if not self.is_woken:
            self._pauses.sleep(limit)
            return
        words = self._words
        try:
            words.sleepers.sleep(flags, ticket, min(limit, SLICE_IF_OWNED if words.claimed[()] else SLICE))
        except OSError:  # whatever the reason is: a waiter must see the change, so from now on it looks by itself
            self.is_woken = False

    def until(self, look: Looks[R], deadline: Deadline) -> R | None:
        """Sleep until a look finds something, and return what it has found; None if the time is over."""
        woken: Any
        ticket = 0
        while True:
            # The clock comes before the look: a write in time is seen, however late this process is woken.
            left = deadline.left()
            found = look()
            if found is not None:
                return found
            if look.cell.keep_up() or look.words is not look.cell.words:
                continue
            if left <= 0:
                return None
            if self.is_woken and look.wait is not None and not look.words.claimed[()]:
                try:
                    woken = look.wait(look.count, left)
                except OSError:
                    self.is_woken = False
                    continue
                if woken is not None:
                    return woken  # type: ignore[no-any-return]
                continue
            if not ticket:
                ticket = self.announce(look.count, look.flags)
                if ticket and look.words.count[()] != look.count:
                    continue  # there is something new to look at before the sleep
            self.sleep(ticket, left, look.flags)
            ticket = 0
            # Mostly a waiter is woken for the state. After a sleep the code of a look is cold, and would take 40 µs.
            woken = look.wanted.get(look.cell.view[()])
            if woken is not None:
                return woken  # type: ignore[no-any-return]


class Look(Looks[T]):
    """Looks whether a value meets the condition of a `wait_for`, or has met it since the last look."""

    __slots__ = ("_is_met", "_last", "_text", "flags", "wait", "wanted", "words")

    cell: Cell[T]
    count: int
    flags: tuple[int, ...]
    wanted: Mapping[int, Any]
    wait: Callable[[int, float], Any] | None
    words: Words

    def __init__(self, cell: Cell[T], condition: object) -> None:
        self._is_met, self._text, accepted = _condition(cell, condition)
        self.flags, self.wait, self.wanted = ALL, None, {}
        if accepted is not None:
            self.wanted = {cell.members.number_of(member): member for member in accepted}
            self.flags = tuple(set(map(flag_of, self.wanted)))
            self.wait = None if core is None else cell.waiter(self.wanted)
        self.cell, self.words = cell, cell.words
        self.count = self._last = cell.words.count[()]

    def __call__(self) -> T | None:
        """Return the member that meets the condition, or None."""
        cell = self.cell
        # The state comes first, because a waiter is mostly woken for it. This saves 40 µs: after a sleep the code below
        # is cold.
        state = cell.known()
        if state is not None and self._is_met(state):
            return state
        while True:
            words = self.words
            found = words.changes_since(self._last, 0)
            for entry in found.entries:
                with suppress(UnknownMemberError):  # a wait does not end by a state that it can not know
                    member = cell.member_in_history(entry.after)
                    if member is not state and self._is_met(member):
                        return member
            self.count, self._last = found.counted, found.last
            if words is cell.words:
                return None
            self.words, self._last = cell.words, -1  # the cell goes on with another file

    def too_late(self, timeout: float | None) -> str:
        """Return the text of the TimeoutError."""
        return f"waited {timeout} s for {self._text}, the state is {self.cell.shown()}"


def wait_for(
    status: HasCell[T],
    condition: T | str | HasCell[T] | Iterable[T | str] | Callable[[T], object],
    timeout: float | None = None,
    *,
    max_interval: float | None = LONGEST_PAUSE,
) -> T:
    """Wait until a shared value meets a condition, and return the member that met it.

    On Linux it sleeps in the kernel, and a change to a state that it waits for wakes it; each change does if the
    condition is a function. It also looks by itself about once a second. It takes no lock, so no other process, whether
    running, stopped or dead, can keep it from returning. A state that held only in passing, between two looks, counts
    as met. Elsewhere it looks again and again, with sleeps that double from 50 µs. A state that only a newer version of
    the enum has does not end the wait, and is not given to a function.

    In a coroutine use `multiprocessing_intenum.aio.wait_for`.

    Args:
        status: the shared value. For any of several values, wait for each in an asyncio task of its own.
        condition: a member, or its name; a collection of them, any of which is enough (the enum itself: any of its
            named members); or a function that takes a member and returns whether it is enough.
        timeout: seconds to wait; None waits for ever, 0 only looks.
        max_interval: seconds of the longest sleep between two looks, where the kernel cannot wake a sleeper. A shorter
            one wakes earlier, a longer one works less. None: the sleeps go on doubling.

    Returns:
        The member that met the condition. The state may have moved on by the time you look at it.

    Raises:
        TimeoutError: the time is over; the message has the state and the condition.
        TypeError, KeyError, ValueError: an argument of a wrong kind, an unknown name, or a condition never to be met.
        FileNotFoundError: the file of a value by path was removed or replaced. A value that is only read goes on with
            the file that now has its name; ValueError: that file holds another enum.
        Whatever a function given as `condition` raises.

    Example:
        >>> status = WorkerStatus("IDLE")
        >>> wait_for(status, {"IDLE", "UNAVAILABLE"}, timeout=1.0).name
        'IDLE'
        >>> wait_for(status, WorkerStatusEnum.CALCULATING, timeout=0.01)
        Traceback (most recent call last):
        TimeoutError: waited 0.01 s for CALCULATING, the state is <WorkerStatusEnum.IDLE: 2>
    """
    fork.notice()
    cell = cell_of(status)
    cell.keep_up()
    look = Look(cell, condition)
    deadline = Deadline(timeout)
    longest = seconds(max_interval, "max_interval")
    if longest == 0:
        message = f"max_interval must be a positive number of seconds, not {max_interval!r}"
        raise ValueError(message)
    sleeper = Sleeper(cell.words, TIMEOUT_MAX if longest is None else longest)
    member = sleeper.until(look, deadline)
    if member is None:
        raise TimeoutError(look.too_late(timeout))
    return member


def _condition(cell: Cell[T], condition: object) -> tuple[Callable[[T], object], str, list[T] | None]:
    """Return a function that says whether a member meets the condition, a text for the error, and the members."""
    members = cell.members
    kind = type(condition)
    # Check for a member first, because an enum may make its members iterable or callable. The enum itself is iterable
    # and callable, and counts as a collection.
    is_one = kind is members.enum_type or issubclass(kind, (str, HasCell))
    is_collection = not is_one and issubclass(kind, Iterable)  # hasattr would find the __iter__ of EnumMeta, too
    if not (is_one or is_collection) and callable(condition):
        return condition, f"{getattr(condition, '__qualname__', condition)} to be true", None
    wanted: list[object]
    if issubclass(kind, EnumMeta):
        # This is not list(condition), which from Python 3.11 on leaves out flags of several bits or none.
        wanted = list(cast("EnumMeta", condition).__members__.values())
    else:
        wanted = list(condition) if is_collection else [condition]  # type: ignore[call-overload]
    if not wanted:
        message = "the collection of members to wait for is empty: it would never be met"
        raise ValueError(message)
    accepted = [resolve(members, one, "wait for") for one in wanted]
    ids = set(map(id, accepted))  # compared by identity, as in mutator.py
    return lambda member: id(member) in ids, " or ".join(one._name_ or repr(one) for one in accepted), accepted
