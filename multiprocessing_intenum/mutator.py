"""The functions that write. A write is typed, takes the lock, and happens completely or not at all.

Each function writes with the target's own `set()`. A subclass that overrides `set()` therefore sees every write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from multiprocessing_intenum.cell import Cell
from multiprocessing_intenum.enums.members import EnumMember, Members
from multiprocessing_intenum.value import HasCell, cell_of, has_cell

__all__ = ["compare_and_exchange", "compare_and_set", "exchange", "resolve", "set_member", "update"]

T = TypeVar("T", bound=EnumMember)


def resolve(members: Members[T], value: object, doing: str = "set") -> T:
    """Return the member that `value` is or names, or a shared value's current member. See `Members.member_of`."""
    return members.member_of(value._self_cell.load() if has_cell(value) else value, doing)


def _now(members: Members[T], given: object, member: T) -> T:
    """Return the member to which `given` was resolved, or if it is a shared value, its member at this moment.

    It is called with the lock held. A member that was read before could undo what another process has written while
    this one waited for the lock. If `given` is the very value that is being written, however it was opened, its member
    is the state, and the write is no change.
    """
    return resolve(members, given) if has_cell(given) else member


def set_member(self: HasCell[T], value: T | str | HasCell[T]) -> None:  # noqa: D417 # a method's self
    """Set the value under its lock.

    Args:
        value: a member of the enum, the name of a member, or another shared value of the same enum. Of a shared value,
            the member at the moment when the lock is taken is set. If both values share one state, nothing is written.

    Raises:
        TypeError: `value` is anything else, for example another enum's member, an int or None.
        KeyError: no member has this name.
        OverflowError: the member does not fit 64 bits.
        ValueError: `value` has the enum's type but is none of its members, or the integer of the other shared value is
            not a member.
        TransitionError: the allowed transitions do not allow this one.
        UnknownMemberError: the class declares transitions, and only a newer version of the enum has the present state.
        FileNotFoundError: the file of a value by path was removed or replaced.
        After an error the shared value is unchanged.

    Example:
        >>> status = WorkerStatus(WorkerStatusEnum.IDLE)
        >>> status.set("CALCULATING")
        >>> status.name
        'CALCULATING'
    """
    cell = self._self_cell
    if type(value) is not cell.exact_type:
        member = resolve(cell.members, value)
        if has_cell(value):
            _copy_state(cell, value)
            return
        value = member
    (cell.write or cell.begin_to_write())(value)  # type: ignore[arg-type]


def _copy_state(cell: Cell[T], other: HasCell[T]) -> None:
    """Store the member that another shared value has when the lock is taken; nothing if both share one state."""
    # A function of its own: the closure would add 50 ns to each `set`.
    if not cell.is_same(other._self_cell):
        write = cell.write or cell.begin_to_write()
        cell.locked(lambda: write(resolve(cell.members, other)), None)


# This function is the method `IntEnumValue.set`. pickle stores a bound method by its name, for example for
# `Process(target=status.set, ...)`.
set_member.__name__, set_member.__qualname__ = "set", "IntEnumValue.set"


def exchange(
    status: HasCell[T],
    new: T | str | HasCell[T],
    timeout: float | None = None,
    *,
    on_death: T | str | None = None,
) -> T:
    """Set a shared value and return its previous member, in one step.

    The idea is Java's `AtomicReference.getAndSet`.

    Args:
        status: the shared value.
        new: what to set, as in `set()`.
        timeout: seconds to wait for the lock; None waits for ever.
        on_death: the member, or its name, that follows if this process ends while the state is still the one that this
            call has set. The process owns the state until then, or until anybody changes it. None: nothing follows.

    Returns:
        The previous member.

    Raises:
        TimeoutError: the lock was not free in time: its holder is busy or dead.
        UnknownMemberError, TransitionError, FileNotFoundError: as for `set()`; the first one also if the class of the
            value declares no transitions, the second one also if `on_death` must not follow `new`.
        TypeError, KeyError, OverflowError, ValueError: `new` cannot be set, or an argument is of the wrong kind.
        NotImplementedError: with `on_death`, the platform can not tell whether a process lives. By path, Linux and
            macOS can.
        After any error nothing was written.

    Example:
        >>> status = WorkerStatus("IDLE")
        >>> exchange(status, "UNAVAILABLE").name
        'IDLE'
    """
    cell = cell_of(status)
    member = resolve(cell.members, new)  # a wrong argument is an error at once, not when the lock is free
    heir = _heir(cell, member, on_death)

    def step() -> T:
        write = cell.attended(status.set)
        before = cell.load()
        now = member if new is member else _now(cell.members, new, member)  # 90 ns faster for a member
        if on_death is None:
            write(now)
        else:
            cell.claim(status.set, now, heir, from_others=True)
        return before

    return cell.locked(step, timeout)


def compare_and_set(
    status: HasCell[T],
    expected: T | str | HasCell[T],
    new: T | str | HasCell[T],
    timeout: float | None = None,
    *,
    on_death: T | str | None = None,
) -> bool:
    """Set a shared value if it is the expected member, and return whether it was.

    If several processes try this at once, exactly one succeeds. The idea is Java's `AtomicReference.compareAndSet`.

    Args:
        status: the shared value.
        expected: the member, or its name, that the shared value must have for the write to happen.
        new: what to set, as in `set()`.
        timeout: seconds to wait for the lock; None waits for ever.
        on_death: the member, or its name, that follows if this process ends while the state is still the one that this
            call has set. The process owns the state until then, or until anybody changes it. None: nothing follows.

    Returns:
        True if the value was `expected` and has been set to `new`, else False.

    Raises:
        TimeoutError: the lock was not free in time: its holder is busy or dead.
        UnknownMemberError, TransitionError, FileNotFoundError: as for `set()`; the first one also if the class of the
            value declares no transitions, the second one also if `on_death` must not follow `new`.
        TypeError, KeyError, OverflowError, ValueError: an argument is of the wrong kind or names no member.
        NotImplementedError: with `on_death`, the platform can not tell whether a process lives. By path, Linux and
            macOS can.
        After any error nothing was written.

    Example:
        >>> status = WorkerStatus("IDLE")
        >>> compare_and_set(status, "IDLE", "CALCULATING"), compare_and_set(status, "IDLE", "CALCULATING")
        (True, False)
        >>> compare_and_set(status, "CALCULATING", "IDLE", on_death="UNAVAILABLE")
        True
    """
    return _compare(status, expected, new, timeout, on_death)[0]


def compare_and_exchange(
    status: HasCell[T],
    expected: T | str | HasCell[T],
    new: T | str | HasCell[T],
    timeout: float | None = None,
    *,
    on_death: T | str | None = None,
) -> T:
    """Set a shared value if it is the expected member, and return the member that was found.

    If the write was refused, that member tells why. The idea is C++'s `std::atomic::compare_exchange_strong`.

    Args:
        status: the shared value.
        expected: the member, or its name, that the shared value must have for the write to happen.
        new: what to set, as in `set()`.
        timeout: seconds to wait for the lock; None waits for ever.
        on_death: the member, or its name, that follows if this process ends while the state is still the one that this
            call has set. The process owns the state until then, or until anybody changes it. None: nothing follows.

    Returns:
        The previous member. The write happened if, and only if, this member is `expected`.

    Raises:
        TimeoutError: the lock was not free in time: its holder is busy or dead.
        UnknownMemberError, TransitionError, FileNotFoundError: as for `set()`; the first one also if the class of the
            value declares no transitions, the second one also if `on_death` must not follow `new`.
        TypeError, KeyError, OverflowError, ValueError: an argument is of the wrong kind or names no member.
        NotImplementedError: with `on_death`, the platform can not tell whether a process lives. By path, Linux and
            macOS can.
        After any error nothing was written.

    Example:
        >>> status = WorkerStatus("UNAVAILABLE")
        >>> compare_and_exchange(status, "IDLE", "CALCULATING").name
        'UNAVAILABLE'
    """
    return _compare(status, expected, new, timeout, on_death)[1]


def _heir(cell: Cell[T], new: T, on_death: T | str | None) -> T:
    """Return the member that follows if the owner of a state ends; `new` if there is to be none."""
    if on_death is None:
        return new
    member = resolve(cell.members, on_death)
    cell.check_follows(new, member)
    return member


def _compare(
    status: HasCell[T],
    expected: T | str | HasCell[T],
    new: T | str | HasCell[T],
    timeout: float | None,
    on_death: T | str | None,
) -> tuple[bool, T]:
    """Set a shared value if it is the expected member. Return whether it was, and the member that was found."""
    cell = cell_of(status)
    members = cell.members
    expected_member = resolve(members, expected, "expect")
    new_member = resolve(members, new)
    heir = _heir(cell, new_member, on_death)

    def step() -> tuple[bool, T]:
        write = cell.attended(status.set)
        found = cell.load()
        wanted = expected_member if expected is expected_member else _now(members, expected, expected_member)
        # The table has one member for each number, so `is` compares them whatever the enum's own __eq__ does.
        is_expected = found is wanted
        if is_expected:
            now = new_member if new is new_member else _now(members, new, new_member)
            if on_death is None:
                write(now)
            else:
                is_expected = cell.claim(status.set, now, heir, from_others=False)
        return is_expected, found

    return cell.locked(step, timeout)


def update(status: HasCell[T], function: Callable[[T], T | str | HasCell[T]], timeout: float | None = None) -> T:
    """Set a shared value to what a function returns for its current member, in one step.

    No other write can come between the read and the write. The idea is Java's `AtomicReference.updateAndGet`. Here the
    function runs only once, under the lock, so keep it short.

    Args:
        status: the shared value.
        function: takes the current member and returns the member to set. It may itself call `set()` on the value.
        timeout: seconds to wait for the lock; None waits for ever.

    Returns:
        The new member.

    Raises:
        TimeoutError: the lock was not free in time: its holder is busy or dead.
        UnknownMemberError, TransitionError, FileNotFoundError: as for `set()`; the first one also if the class of the
            value declares no transitions.
        TypeError, KeyError, OverflowError, ValueError: an argument is of the wrong kind, or the result of `function`
            cannot be set.
        Whatever `function` raises. After any error the lock is as it was before the call, and nothing was written
        except what `function` itself wrote.

    Example:
        >>> rotation = list(WorkerStatusEnum)
        >>> status = WorkerStatus("IDLE")
        >>> update(status, lambda member: rotation[member % 3]).name
        'CALCULATING'
    """
    cell = cell_of(status)
    if not callable(function):
        message = f"expected a function from member to member, not {type(function)}"
        raise TypeError(message)

    def step() -> T:
        write = cell.attended(status.set)
        write(resolve(cell.members, function(cell.load())))
        return cell.load()

    return cell.locked(step, timeout)
