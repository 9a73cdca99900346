# What a type checker sees of a shared value: forwarding.py is pure run time, which no annotation could describe.

import enum
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, overload

from typing_extensions import Self

from multiprocessing_intenum.cell import HasCell
from multiprocessing_intenum.members import IntEnumMember

__all__ = ["special_methods_of"]

_OWN_NAMES: frozenset[str]

_T = TypeVar("_T", bound=IntEnumMember)
_F = TypeVar("_F", bound=enum.IntFlag)

class MemberName:
    # The type of `name`: a str, but with flags, whose combinations have no name, `str | None`.

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: _MemberProxy[_F], owner: type) -> str | None: ...
    @overload
    def __get__(self, instance: object, owner: type) -> str: ...

class EnumTypeOf:
    # The type of `EnumType`: the class's and the value's.

    @overload
    def __get__(self, instance: None, owner: type[_MemberProxy[_T]]) -> type[_T]: ...
    @overload
    def __get__(self, instance: _MemberProxy[_T], owner: type) -> type[_T]: ...

class _MemberProxy(int, HasCell[_T]):
    # To a type checker a shared value is an int: it does all that an int does.

    name: ClassVar[MemberName]
    EnumType: ClassVar[EnumTypeOf]

    # What the enum itself defines, as Any; snapshot(status) has the types. To assign to it stays an error.
    def __getattr__(self, name: str) -> Any: ...

    # Else mypy would find these as well. For flags, which have some of them, there is snapshot(flags).
    __iter__: ClassVar[None]
    __len__: ClassVar[None]
    __getitem__: ClassVar[None]
    __call__: ClassVar[None]
    __enter__: ClassVar[None]
    __await__: ClassVar[None]

    # Without it checkers take a comparison with a member for a mistake, as the two types have nothing in common.
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...

    # Writes; of the others (`+=` ...) the result is an int, which is no member.
    def __iand__(self, other: int) -> Self: ...
    def __ior__(self, other: int) -> Self: ...
    def __ixor__(self, other: int) -> Self: ...
    def __contains__(self: _MemberProxy[_F], other: _F) -> bool: ...
    def __copy__(self) -> _T: ...
    def __deepcopy__(self, memo: dict[int, Any]) -> _T: ...

    _self_own: frozenset[str]

def special_methods_of(enum_type: type, cls: type) -> dict[str, Callable[..., Any] | None]: ...
