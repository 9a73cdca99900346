# What a type checker sees of a shared value, instead of the two classes of the same names in forwarding.py. No
# annotation could describe what those do at run time. This file is never loaded.

import enum
from typing import Any, ClassVar, Generic, Protocol, TypeVar, overload

from typing_extensions import Self

from multiprocessing_intenum.enums.members import EnumMember, IntEnumMember
from multiprocessing_intenum.value import HasCell

class _StrEnumMember(EnumMember, Protocol):
    # What the members of a StrEnum have, and of `class X(str, Enum)`.

    def isidentifier(self) -> bool: ...

_T = TypeVar("_T", bound=EnumMember)
_F = TypeVar("_F", bound=enum.Flag)
_I = TypeVar("_I", bound=IntEnumMember)
_S = TypeVar("_S", bound=_StrEnumMember)

class MemberName:
    # The type of `name`: a str, or for flags `str | None`, because their combinations have no name.

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: MemberProxy[_F], owner: type) -> str | None: ...
    @overload
    def __get__(self, instance: object, owner: type) -> str: ...

class MemberValue(Generic[_T]):
    # The type of `value`, as far as the kind of the enum says it; snapshot(status).value has the rest.

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: MemberProxy[_I], owner: type) -> int: ...
    @overload
    def __get__(self, instance: MemberProxy[_F], owner: type) -> int: ...
    @overload
    def __get__(self, instance: MemberProxy[_S], owner: type) -> str: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Any: ...
    def __set__(self, instance: object, value: _T | str | HasCell[_T]) -> None: ...

class EnumTypeOf:
    # The type of `EnumType`, of a class and of a value.

    @overload
    def __get__(self, instance: None, owner: type[MemberProxy[_T]]) -> type[_T]: ...
    @overload
    def __get__(self, instance: MemberProxy[_T], owner: type) -> type[_T]: ...

class MemberProxy(HasCell[_T]):
    name: ClassVar[MemberName]
    value: MemberValue[_T]
    EnumType: ClassVar[EnumTypeOf]

    # What the enum itself defines, as Any; snapshot(status) has the types. Assigning to it stays an error.
    def __getattr__(self, name: str) -> Any: ...

    # Without these lines mypy would take them from __getattr__. Some enums have some of them: use snapshot(status).
    __iter__: ClassVar[None]
    __len__: ClassVar[None]
    __getitem__: ClassVar[None]
    __call__: ClassVar[None]
    __enter__: ClassVar[None]
    __await__: ClassVar[None]

    # Without it checkers report a comparison with a member as a mistake, because the two types do not overlap.
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...

    # These write. The result of the others (`+=` ...) is no member.
    def __iand__(self, other: _T | HasCell[_T]) -> Self: ...
    def __ior__(self, other: _T | HasCell[_T]) -> Self: ...
    def __ixor__(self, other: _T | HasCell[_T]) -> Self: ...
    def __contains__(self: MemberProxy[_F], other: _F) -> bool: ...
    def __copy__(self) -> _T: ...
    def __deepcopy__(self, memo: dict[int, Any]) -> _T: ...

    _self_own: frozenset[str]

class IntProxy(int, HasCell[_I]):
    # To a type checker a shared value of an int-valued enum is an int: it supports every operation of an int.

    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...
