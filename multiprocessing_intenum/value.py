"""What has a cell, for the modules on which `proxy` is built; and `snapshot`."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from typing_extensions import TypeIs

from multiprocessing_intenum.cell import Cell
from multiprocessing_intenum.core import core
from multiprocessing_intenum.enums.members import EnumMember

__all__ = ["SLOTS", "HasCell", "cell_of", "has_cell", "snapshot"]

T = TypeVar("T", bound=EnumMember)

if TYPE_CHECKING:

    class HasCell(Generic[T]):
        """An object with a cell, which only a shared value is. The modules on which `proxy` is built use this name."""

        _self_view: memoryview[int]
        _self_cell: Cell[T]

        def set(self, value: T | str) -> None: ...  # noqa: D102

else:

    class HasCell:
        """An object with a cell. It is generic for type checkers only: typing.Generic would add attributes to it."""

        __slots__ = ()
        __class_getitem__ = classmethod(types.GenericAlias)


SLOTS = ("_self_view", "_self_cell") if core is None else ("_self_view", "_self_cell", "_self_core")
"""What a shared value keeps: the cell, and the cell's view, which each read needs; and what the C core needs."""


def has_cell(value: object) -> TypeIs[HasCell[Any]]:
    """Whether `value` truly has a cell, whatever it claims as its `__class__`."""
    return issubclass(type(value), HasCell)


def snapshot(status: HasCell[T]) -> T:
    """Return the member that a shared value names now.

    It is a real member: `is` holds, json and other C code accept it, and all cases of a `match` on it see one value.

    Args:
        status: the shared value.

    Returns:
        The member, of the enum's type. No lock is taken.

    Raises:
        TypeError: `status` is no shared value.
        UnknownMemberError: only a newer version of the enum has the member.
        ValueError: the shared integer is no member: another program wrote to it.

    Example:
        >>> snapshot(WorkerStatus("IDLE")) is WorkerStatusEnum.IDLE
        True
    """
    if not has_cell(status):
        cell_of(status)  # raises the error
    cell = status._self_cell
    try:  # the lines of Cell.load(), without the call
        return cell.by_number[cell.view[()]]
    except KeyError:
        return cell.load()


if core is not None and not TYPE_CHECKING:
    snapshot = core.snapshot_like(snapshot)


_COLLECTIONS: tuple[type[Any], ...] = (list, tuple, set, frozenset, type(dict[Any, Any]().values()))
"""Only types that are known: to iterate over any other object may have effects, or no end."""


def cell_of(status: HasCell[T]) -> Cell[T]:
    """Return the cell of a shared value; TypeError for anything else."""
    if not has_cell(status):
        several = status.values() if issubclass(type(status), dict) else status
        if issubclass(type(several), _COLLECTIONS) and any(map(has_cell, several)):
            message = (
                f"expected one IntEnumValue, not {type(status)} of several: give each of them by itself; to wait for "
                "any of them, make an asyncio task of multiprocessing_intenum.aio.wait_for(status, ...) for each, and "
                "give the tasks to asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)"
            )
            raise TypeError(message)
        message = (
            f"expected an IntEnumValue, not {type(status)}: a member or an attribute's value is a copy of the state; "
            "give the shared value, an IntEnumValue or any other EnumValue; for an IntEnumAttribute or EnumAttribute "
            "give Class.attribute.proxy_of(instance)"
        )
        raise TypeError(message)
    return status._self_cell
