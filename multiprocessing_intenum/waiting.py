"""`wait_for`: sleep until a shared value meets a condition."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from enum import EnumMeta
from threading import TIMEOUT_MAX
from typing import TypeVar, cast

from multiprocessing_intenum.cell import HasCell, has_cell, refuse_target, snapshot
from multiprocessing_intenum.locks import seconds
from multiprocessing_intenum.members import IntEnumMember
from multiprocessing_intenum.mutator import resolve

__all__ = ["wait_for"]

T = TypeVar("T", bound=IntEnumMember)

FIRST_INTERVAL = 50e-6  # seconds


def wait_for(
    status: HasCell[T],
    condition: T | str | HasCell[T] | Iterable[T | str] | Callable[[T], object],
    timeout: float | None = None,
    *,
    max_interval: float | None = 0.01,
) -> T:
    """Wait until a shared value meets a condition, and return the member that met it.

    It polls the shared integer. The first sleep between two looks is 50 µs, and each next one is twice as long. It
    takes no lock, so no other process, whether running, stopped or dead, can keep it from returning. It can miss a
    state that lasts for less than one sleep.

    Args:
        status: the shared value.
        condition: a member or its name; a collection of these, to wait for any one of them; the enum itself, to wait
            for any of its named members; or a function that takes the current member and returns whether to stop.
        timeout: seconds to wait; None waits for ever, 0 looks once.
        max_interval: the longest sleep between two looks, in seconds. A smaller one notices a change earlier, a larger
            one uses less processor time. With None the sleeps double without a limit.

    Returns:
        The member that met the condition. The state may have moved on by the time you look at it.

    Raises:
        TimeoutError: the time is over. The message tells the state and the condition.
        TypeError, KeyError, ValueError: an argument is of the wrong kind, names no member, or can never be met.
        Whatever a function given as `condition` raises.

    Example:
        >>> status = WorkerStatus("IDLE")
        >>> wait_for(status, {"IDLE", "UNAVAILABLE"}, timeout=1.0).name
        'IDLE'
        >>> wait_for(status, WorkerStatusEnum.CALCULATING, timeout=0.01)
        Traceback (most recent call last):
        TimeoutError: waited 0.01 s for CALCULATING, the state is <WorkerStatusEnum.IDLE: 2>
    """
    if not has_cell(status):
        refuse_target(status)
    is_met, wanted = _condition(status, condition)
    limit = seconds(timeout)
    longest = seconds(max_interval, "max_interval")
    if longest is None:
        longest = TIMEOUT_MAX
    if not longest:
        message = f"max_interval must be a positive number of seconds, not {max_interval!r}"
        raise ValueError(message)
    deadline = None if limit is None else time.monotonic() + limit
    interval = min(FIRST_INTERVAL, longest)
    while True:
        # Read the clock before the value. A write that was in time is then seen, however late this process wakes up.
        remaining = interval if deadline is None else deadline - time.monotonic()
        member = snapshot(status)
        if is_met(member):
            return member
        if remaining <= 0:
            message = f"waited {timeout} s for {wanted}, the state is {member!r}"
            raise TimeoutError(message)
        time.sleep(min(interval, remaining))
        interval = min(2 * interval, longest)


def _condition(status: HasCell[T], condition: object) -> tuple[Callable[[T], object], str]:
    """Return a function that says whether a member meets the condition, and a text for the error."""
    members = status._self_cell.members
    kind = type(condition)
    # Check for a member first, because an enum may make its members iterable or callable. The enum itself is iterable
    # and callable, and counts as a collection.
    is_one = kind is members.enum_type or issubclass(kind, (str, HasCell))
    is_collection = not is_one and issubclass(kind, Iterable)  # hasattr would find the __iter__ of EnumMeta, too
    if not (is_one or is_collection) and callable(condition):
        return condition, f"{getattr(condition, '__qualname__', condition)} to be true"
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
    return lambda member: id(member) in ids, " or ".join(one._name_ or repr(one) for one in accepted)
