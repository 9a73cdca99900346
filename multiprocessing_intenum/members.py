"""The table from integer to member, and the check of everything that is to become a member."""

from __future__ import annotations

import enum
import weakref
from collections.abc import Callable, Mapping
from inspect import getattr_static
from typing import Any, Generic, NoReturn, Protocol, TypeVar, final

__all__ = ["IntEnumMember", "Members", "members_of", "number_of", "refuse"]

SMALLEST, LARGEST = -(2**63), 2**63 - 1  # what a c_int64 holds

number_of: Callable[[Any], int] = int.__int__  # int() would call the enum's own `__int__`, if it has one


class IntEnumMember(Protocol):
    """What a member of every int-valued enum has: `IntEnum`, `IntFlag`, `class X(int, Enum)`, `IntegerChoices`."""

    @property
    def _name_(self) -> str | None: ...  # None: a combination of flags
    @property
    def _value_(self) -> Any: ...  # an enum may give its members a value that is not the int
    def __index__(self) -> int: ...
    def bit_length(self) -> int: ...  # noqa: D102 # an int's


T = TypeVar("T", bound=IntEnumMember)


@final
class _Nothing:
    """A type that no member has. As `exact_type` it makes every write of an enum go through `member_of`."""


class Members(Generic[T]):
    """The members of one enum by their number. There is one table for each enum: `members_of` returns it.

    An enum may make members when they are asked for: combinations of flags, the work of `_missing_`. They enter the
    table when they are first read or written. A member is never replaced, so the table caches no state.

    The hot reads look into `by_number`, `names` and `values` directly, and ask `members[number]` after a KeyError. They
    are plain dicts because Python has a specialised instruction for these: 18 ns, where a subclass with `__missing__`
    takes 36.

    Args:
        enum_type: an enum whose members are ints.

    Raises:
        TypeError: it is no such enum, or two of its members are the same integer.
    """

    __slots__ = ("__weakref__", "by_name", "by_number", "enum_type", "exact_type", "names", "values")

    enum_type: type[T]
    by_name: Mapping[str, T]
    by_number: dict[int, T]
    names: dict[int, str | None]
    values: dict[int, Any]
    exact_type: type
    """A value of this type can be stored without a closer look. It is the enum, if all its members fit the cell and are
    in the table from the start. A forged member, `int.__new__(Enum, 99)`, is not detected: that would cost each write a
    dict look-up."""

    def __init__(self, enum_type: type[T]) -> None:
        if not (isinstance(enum_type, enum.EnumMeta) and issubclass(enum_type, int)):
            message = (
                f"Can not share a value of '{enum_type}': expected an enum whose members are ints, "
                "such as IntEnum, IntFlag or class X(int, Enum)"
            )
            raise TypeError(message)
        self.enum_type = enum_type
        self.by_name = enum_type.__members__
        self.by_number, self.names, self.values = {}, {}, {}
        for member in self.by_name.values():
            number = number_of(member)
            if self._enter(number, member) is not member:
                message = (
                    f"Can not share a value of '{enum_type}': {self[number]._name_} and {member._name_} are both the "
                    f"integer {number}, by which a shared value tells its members apart"
                )
                raise TypeError(message)
        # Looked up statically: the enum's own `_missing_` may be a staticmethod, which has no `__func__`.
        makes_members = getattr_static(enum_type, "_missing_") is not getattr_static(enum.Enum, "_missing_")
        grows = makes_members or issubclass(enum_type, enum.Flag)
        fits = all(SMALLEST <= number <= LARGEST for number in self.by_number)
        self.exact_type = enum_type if fits and not grows else _Nothing

    def __getitem__(self, number: int) -> T:
        """Return the member, which the enum may have to make first.

        Raises:
            ValueError: the enum has no member of this number.
        """
        member = self._find(number)
        if member is None:
            message = (
                f"{number} is no member of '{self.enum_type}': another program may have written to the shared memory"
            )
            raise ValueError(message) from None  # the KeyError of a read's first look-up explains nothing
        return member

    def _find(self, number: int) -> T | None:
        """Return the member from the table, or the one that the enum makes, or None."""
        try:
            return self.by_number[number]
        except KeyError:
            pass
        try:
            member = self.enum_type(number)  # type: ignore[call-arg]
        except Exception:  # whatever an enum's own `_missing_` may raise
            return None
        # An enum's `_missing_` may return a default member, and a flag with EJECT a bare int: neither has this number.
        if type(member) is not self.enum_type or number_of(member) != number:
            return None
        return self._enter(number, member)

    def _enter(self, number: int, member: T) -> T:
        self.names[number] = member._name_
        self.values[number] = member._value_
        return self.by_number.setdefault(number, member)

    def member_of(self, value: object, doing: str = "set") -> T:
        """Return the member that `value` is or names, sure to fit the cell.

        A value of the enum's type stands for the member of its number: an enum whose `_missing_` keeps no record of the
        members that it makes has several objects for one number, and the table has one of them.

        Args:
            value: a member of the enum, or the name of one as str.
            doing: what the caller does with the member, for the text of an error: "set", "expect" or "wait for".

        Raises:
            TypeError: it is neither: another enum's member, an int, a bool, None.
            KeyError: the enum has no member of this name.
            OverflowError: the member does not fit 64 bits.
            ValueError: it has the enum's type, but the enum has no member of its number.
        """
        # The true type is asked, never isinstance: an object may claim any `__class__`.
        if type(value) is self.enum_type:
            member: T = value
        elif issubclass(type(value), str) and not isinstance(type(value), enum.EnumMeta):
            member = self._named(str.__str__(value))  # pyright: ignore[reportArgumentType]
        else:
            refuse(self.enum_type, value, doing)
        number = number_of(member)
        if not SMALLEST <= number <= LARGEST:
            message = (
                f"Can not store {self.enum_type.__name__} member {member._name_} = {number}: "
                f"a shared value holds 64 bits, from {SMALLEST} to {LARGEST}"
            )
            raise OverflowError(message)
        found = self._find(number)
        if found is None:
            message = (
                f"Can not {doing} '{self.enum_type}' to {number}: it has the enum's type but is none of its members"
            )
            raise ValueError(message)
        return found

    def _named(self, name: str) -> T:
        try:
            return self.by_name[name]
        except KeyError:
            message = f"'{self.enum_type}' has no member named {name!r}; its names are {', '.join(self.by_name)}"
            raise KeyError(message) from None


# The tables live as long as something uses them, as the enums in the keys do.
_tables: weakref.WeakValueDictionary[type, Members[Any]] = weakref.WeakValueDictionary()


def members_of(enum_type: type[T]) -> Members[T]:
    """Return the table of an enum, the same one for each call. See `Members` for what it raises."""
    members = _tables.get(enum_type)
    return _tables.setdefault(enum_type, Members(enum_type)) if members is None else members


def refuse(enum_type: type, value: object, doing: str = "set") -> NoReturn:
    """Raise the TypeError of a value that is no member of `enum_type`; `doing` as in `Members.member_of`."""
    to_be = "to" if doing == "set" else "to be a"
    message = f"Can not {doing} '{enum_type}' {to_be} value of type '{type(value)}'"
    raise TypeError(message)
