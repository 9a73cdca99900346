"""The cell: one integer in shared memory, the lock that guards its writers, and the table from integer to member."""

from __future__ import annotations

import ctypes
import multiprocessing
import types
from collections.abc import Callable
from multiprocessing.context import BaseContext
from multiprocessing.sharedctypes import RawValue
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from typing_extensions import TypeIs

from multiprocessing_intenum import memory
from multiprocessing_intenum.locks import Lock, LockLike, grip
from multiprocessing_intenum.members import IntEnumMember, Members

__all__ = ["SLOTS", "HasCell", "attach", "has_cell", "new_lock", "new_word", "refuse_target", "snapshot"]

T = TypeVar("T", bound=IntEnumMember)


if TYPE_CHECKING:

    class HasCell(Generic[T]):
        """An object with a cell, for the modules below `IntEnumValue`, which is the only such class."""

        _self_word: ctypes.c_int64
        _self_cell: memoryview[int]
        _self_members: Members[T]
        _self_by_number: dict[int, T]
        _self_lock: Lock
        _self_grip: tuple[type, memoryview[Any], Callable[..., object], Callable[[], object], Callable[[], bool]]

        def set(self, value: T | str) -> None: ...  # noqa: D102

else:

    class HasCell:
        """An object with a cell. Generic for type checkers alone: typing.Generic would add attributes to the class."""

        __slots__ = ()
        __class_getitem__ = classmethod(types.GenericAlias)


# Slots of the value itself, not attributes of one more object between: that saves each read a load.
SLOTS = (
    "_self_word",  # the integer in shared memory
    "_self_cell",  # the way to it: a memoryview without dimensions loads it in 17 ns, `word.value` in 43
    "_self_members",  # the table
    "_self_by_number",  # the table's own, a load nearer to the reads
    "_self_lock",  # exactly what the user gave
    "_self_grip",  # all that set() needs, loaded at once: 35 ns less for each of them before Python 3.12
)


def has_cell(value: object) -> TypeIs[HasCell[Any]]:
    """Whether `value` truly has a cell, whatever it claims as its `__class__`."""
    return issubclass(type(value), HasCell)


def new_word(number: int) -> ctypes.c_int64:
    """Return a new shared integer, kept alive for any child that inherits it."""
    word = RawValue(ctypes.c_int64, number)
    memory.track(word)
    return word


def new_lock(ctx: BaseContext | None) -> LockLike:
    """Return the default lock: an RLock of the context."""
    make = getattr(multiprocessing if ctx is None else ctx, "RLock", None)
    if not callable(make):
        message = f"Can not use {type(ctx)} as ctx: expected a context, such as multiprocessing.get_context('spawn')"
        raise TypeError(message)
    return make()  # type: ignore[no-any-return]


def attach(target: Any, members: Members[Any], word: ctypes.c_int64, lock: LockLike) -> None:
    """Give `target` its cell, or nothing: what can fail comes first."""
    cell = memoryview(word).cast("B").cast("q", ())
    writing = (members.exact_type, cell, *grip(lock))
    parts = (word, cell, members, members.by_number, lock, writing)
    assign = target.__self_setattr__  # found once: half the time of the loop
    for slot, part in zip(SLOTS, parts, strict=True):
        assign(slot, part)


def snapshot(status: HasCell[T]) -> T:
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
