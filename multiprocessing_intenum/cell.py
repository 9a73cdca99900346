"""The cell: one integer in shared memory, the lock that guards its writers, and the table from integer to member."""

from __future__ import annotations

import ctypes
import multiprocessing
from multiprocessing.sharedctypes import RawValue
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from multiprocessing_intenum import memory
from multiprocessing_intenum.locks import grip
from multiprocessing_intenum.members import IntEnumMember, Members

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

    from typing_extensions import TypeIs

    from multiprocessing_intenum.locks import LockLike
    from multiprocessing_intenum.proxy import IntEnumValue

__all__ = ["SLOTS", "HasCell", "attach", "has_cell", "new_lock", "new_word", "refuse_target", "snapshot"]

T = TypeVar("T", bound=IntEnumMember)


class HasCell:
    """The mark of an object with a cell. Only `IntEnumValue` bears it; the modules below it know it by this."""

    __slots__ = ()


# Slots of the value itself, not attributes of one more object between: that saves each read a load.
SLOTS = (
    "_self_word",  # the integer in shared memory
    "_self_cell",  # the way to it: a memoryview without dimensions loads it in 17 ns, `word.value` in 43
    "_self_members",  # the table
    "_self_by_number",  # the table's own, a load nearer to the reads
    "_self_lock",  # exactly what the user gave
    "_self_grip",  # all that set() needs, loaded at once: 35 ns less for each of them before Python 3.12
)


def has_cell(value: object) -> TypeIs[IntEnumValue[Any]]:
    """Whether `value` truly has a cell, whatever it claims as its `__class__`."""
    return issubclass(type(value), HasCell)


def new_word(number: int) -> ctypes.c_int64:
    """Return a new shared integer, kept alive for any child that inherits it."""
    word = RawValue(ctypes.c_int64, number)
    memory.track(word)
    return word


def new_lock(ctx: BaseContext | None) -> LockLike:
    """Return the default lock: an RLock of the context, kept alive for any child that inherits it."""
    make = getattr(multiprocessing if ctx is None else ctx, "RLock", None)
    if not callable(make):
        message = f"Can not use {type(ctx)} as ctx: expected a context, such as multiprocessing.get_context('spawn')"
        raise TypeError(message)
    lock: LockLike = make()  # pyright: ignore[reportAssignmentType]
    memory.track(lock)
    return lock


def attach(target: Any, members: Members[Any], word: ctypes.c_int64, lock: LockLike) -> None:
    """Give `target` its cell, or nothing: what can fail comes first."""
    cell = memoryview(word).cast("B").cast("q", ())
    writing = (members.exact_type, cell, *grip(lock))
    parts = (word, cell, members, members.by_number, lock, writing)
    assign = target.__self_setattr__  # found once: half the time of the loop
    for slot, part in zip(SLOTS, parts, strict=True):
        assign(slot, part)


def snapshot(status: IntEnumValue[T]) -> T:
    """Return the member that a shared value names now.

    A real member: `is` holds, json and other C code take it, and a `match` on it sees one value in all its cases.

    Args:
        status: the shared value.

    Returns:
        The member, of the enum's type. It takes no lock.

    Raises:
        TypeError: `status` is no `IntEnumValue`.
        ValueError: the shared integer is no member: another program wrote to it.

    Example:
        >>> snapshot(WorkerStatus("IDLE")) is WorkerStatusEnum.IDLE
        True
    """
    if not has_cell(status):
        refuse_target(status)
    try:
        return status._self_by_number[status._self_cell[()]]
    except KeyError:
        return status._self_members[status._self_cell[()]]


def refuse_target(target: object) -> NoReturn:
    """Raise the TypeError of a function that was given something else than a shared value."""
    message = (
        f"expected an IntEnumValue, not {type(target)}: a member or an attribute's value is a copy of the state; "
        "for an IntEnumAttribute give Class.attribute.proxy_of(instance)"
    )
    raise TypeError(message)
