"""The table from numbers to members, and the check that a value is a member or names one."""

from __future__ import annotations

import enum
import operator
import weakref
from collections.abc import Callable, Mapping
from inspect import getattr_static
from operator import attrgetter
from typing import Any, Generic, NoReturn, Protocol, TypeVar, cast, final

__all__ = ["EnumMember", "IntEnumMember", "Members", "UnknownMemberError", "members_of", "of_one_name", "refuse"]

SMALLEST, LARGEST = -(2**63), 2**63 - 1  # what a c_int64 holds


class EnumMember(Protocol):
    """What the members of every enum have."""

    @property
    def _name_(self) -> str | None: ...  # None: a combination of flags
    @property
    def _value_(self) -> Any: ...


class IntEnumMember(EnumMember, Protocol):
    """What the members of every int-valued enum have: `IntEnum`, `IntFlag`, `class X(int, Enum)`, `IntegerChoices`."""

    def __index__(self) -> int: ...
    def bit_length(self) -> int: ...  # noqa: D102 # an int's


T = TypeVar("T", bound=EnumMember)


class UnknownMemberError(ValueError):
    """The state of a value by path is a member that only a newer version of the program has.

    The class of the value may declare a member to be read instead: see `unknown=` of `IntEnumValue`.

    Args:
        number: the number in the shared memory.
        name: the name of the member; None if no process that has used the value knows it.
        enum_name: the name of the enum.

    Raises:
        TypeError: an argument is missing.

    The idea is that of Protocol Buffers, where a reader keeps the numbers of an enum that it does not know.

    Example:
        >>> error = UnknownMemberError(4, "PAUSED", "WorkerStatusEnum")
        >>> error.number, error.name
        (4, 'PAUSED')
    """

    number: int
    name: str | None

    def __init__(self, number: int, name: str | None, enum_name: str) -> None:
        self.number, self.name, self._enum_name = number, name, enum_name
        super().__init__(number, name, enum_name)  # pickle and copy make the error again from these

    def __str__(self) -> str:
        if self.name is None:
            return (
                f"{self.number} is no member of {self._enum_name}, and no process that has used the value has "
                "described it: another program may have written it; set a member to repair the value"
            )
        return (
            f"{self.name} ({self.number}) is no member of {self._enum_name} here: a newer version of the program has "
            "written it; deploy that version here as well, or declare the member that it counts as, with "
            "class V(EnumValue[E], unknown=E.X)"
        )


@final
class _Nothing:
    """A type that no member has. If it is the `exact_type` of an enum, every write goes through `member_of`."""


class Members(Generic[T]):
    """The table of one enum's members by number. Each enum has one table, which `members_of` returns.

    An enum may make members on demand: combinations of flags, or members that `_missing_` makes. Such a member enters
    the table when it is first read or written. A member is never replaced, so no entry goes out of date.

    The hot reads look numbers up in `by_number`, `names` and `values`, and call `Cell.load` after a KeyError.
    These three are plain dicts, because Python has a specialised instruction for plain dicts: a look-up takes 18 ns. In
    a subclass with `__missing__` it takes 36 ns.

    Args:
        enum_type: the enum.

    Raises:
        TypeError: two of its members have the same number.
    """

    __slots__ = (
        "__weakref__", "by_name", "by_number", "enum_type", "exact_type", "in_c", "names", "number_of", "values",
    )  # fmt: skip

    enum_type: type[T]
    number_of: Callable[[T], int]
    """The number by which the cell stores a member. See `_numbers_of`."""
    by_name: Mapping[str, T]
    by_number: dict[int, T]
    names: dict[int, str | None]
    values: dict[int, Any]
    exact_type: type
    """A value of this type is stored without a check. It is the enum if all its members fit the cell and are in the
    table from the start. A forged member, `int.__new__(Enum, 99)`, is not detected, because the check would cost each
    write a dict look-up."""
    in_c: Any
    """The same table for the C core, from the first value on. See `core`."""

    def __init__(self, enum_type: type[T]) -> None:
        self.enum_type, self.in_c = enum_type, None
        self.by_name = cast("Any", enum_type).__members__
        self.number_of = number_of = _numbers_of(enum_type)
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
        """Return the member of this number. The enum makes it if it does not exist yet.

        Raises:
            ValueError: the enum has no member of this number.
        """
        member = self.find(number)
        if member is None:
            message = (
                f"{number} is no member of '{self.enum_type}': another program may have written to the shared memory; "
                "set a member to repair the value, or make it anew"
            )
            raise ValueError(message) from None  # the KeyError of a read's first look-up explains nothing
        return member

    def find(self, number: int) -> T | None:
        """Return the member of this number, from the table or newly made by the enum, or None if there is none."""
        try:
            return self.by_number[number]
        except KeyError:
            pass
        try:
            member = self.enum_type(number)  # type: ignore[call-arg]
            # Python 3.10 gives the complement of an IntFlag a negative number, and later ones a positive number.
            is_complement = number < 0 and issubclass(self.enum_type, enum.IntFlag)
            # `_missing_` may return a default member, which has another number. A flag with EJECT returns a bare int.
            if type(member) is not self.enum_type or not (is_complement or self.number_of(member) == number):
                return None
        except Exception:  # whatever an enum's own `_missing_` may raise
            return None
        return self._enter(number, member)

    def _enter(self, number: int, member: T) -> T:
        self.names[number] = member._name_
        self.values[number] = member._value_
        return self.by_number.setdefault(number, member)

    def member_of(self, value: object, doing: str = "set") -> T:
        """Return the member that `value` is or names. The member fits the cell.

        If `_missing_` does not remember the members that it makes, the enum has several objects for one number. The
        table has one of these objects, and this method returns it for all of them.

        Args:
            value: a member of the enum, or the name of a member as str.
            doing: what the caller does with the member, for the text of an error: "set", "expect", "wait for" or "use".

        Raises:
            TypeError: `value` is neither. For example, it is another enum's member, an int, a bool or None.
            KeyError: the enum has no member of this name.
            OverflowError: the member does not fit 64 bits.
            ValueError: `value` has the enum's type, but the enum has no member of its number.
        """
        # This compares types and does not use isinstance, because an object may claim any `__class__`.
        if type(value) is self.enum_type:
            member: T = value
        elif issubclass(type(value), str) and not isinstance(type(value), enum.EnumMeta):
            member = self._named(str.__str__(value))  # pyright: ignore[reportArgumentType]
        else:
            refuse(self.enum_type, value, doing)
        number = self.number_of(member)
        if not SMALLEST <= number <= LARGEST:
            message = (
                f"Can not store {self.enum_type.__name__} member {member._name_} = {number}: "
                f"a shared value holds 64 bits, from {SMALLEST} to {LARGEST}"
            )
            raise OverflowError(message)
        found = self.find(number)
        if found is None:
            message = f"Can not {doing} {number}: it has the type '{self.enum_type}', but is none of its members"
            raise ValueError(message)
        return found

    def _named(self, name: str) -> T:
        try:
            return self.by_name[name]
        except KeyError:
            message = f"'{self.enum_type}' has no member named {name!r}; its names are {', '.join(self.by_name)}"
            for member in self.by_name.values():
                if type(member._value_) is str and member._value_ == name:
                    message += (
                        f"; {name!r} is the value of {member._name_}, and a str is always a name: give the member"
                    )
            if "|" in name and issubclass(self.enum_type, enum.Flag):
                message += "; to combine members, give the combined member"
            raise KeyError(message) from None


def _numbers_of(enum_type: type[Any]) -> Callable[[Any], int]:
    """Return the function from member to number.

    The number of an int is the int itself, and the number of a flag is its value. The number of any other member is its
    place in the order of definition, because its value may be anything, and may differ between processes.
    """
    if issubclass(enum_type, int):
        return operator.index  # int() would call the enum's own `__int__`, if it has one; int.__int__ takes 20 ns more
    if issubclass(enum_type, enum.Flag):
        for member in cast("Any", enum_type).__members__.values():
            if not isinstance(member._value_, int):
                message = (
                    f"Can not share a value of '{enum_type}': the value of {member!r} is no int, as a flag's must be"
                )
                raise TypeError(message)
        return attrgetter("_value_")
    members: Any = enum_type.__members__.values()
    places: dict[int, int] = {}  # by id, because a member may be unhashable, or equal another one
    for member in members:
        places.setdefault(id(member), len(places))

    def place_of(member: Any) -> int:
        try:
            return places[id(member)]
        except KeyError:
            message = (
                f"Can not share a value of '{enum_type}' that is none of its named members: "
                "another process could not know it"
            )
            raise ValueError(message) from None

    return place_of


# A table lives as long as something uses it, and its entry keeps the enum alive.
_tables: weakref.WeakValueDictionary[type, Members[Any]] = weakref.WeakValueDictionary()


def members_of(enum_type: type[T]) -> Members[T]:
    """Return the table of an enum. Every call returns the same table. See `Members` for the errors."""
    members = _tables.get(enum_type)
    return _tables.setdefault(enum_type, Members(enum_type)) if members is None else members


def refuse(enum_type: type, value: object, doing: str = "set", hint: str = "") -> NoReturn:
    """Raise the TypeError for a value that is not a member of `enum_type`. For `doing` see `Members.member_of`."""
    to_be = "to" if doing == "set" else "to be a"
    hint = hint or of_one_name(enum_type, type(value))
    message = f"Can not {doing} '{enum_type}' {to_be} value of type '{type(value)}'{hint}"
    raise TypeError(message)


def of_one_name(ours: type, given: type) -> str:
    """Return a hint for an error about two different classes of one name; an empty text for any other two."""
    if ours is given or ours.__qualname__ != given.__qualname__:
        return ""
    if ours.__module__ != given.__module__:
        return (
            f": these are two classes of one name, one from the module {ours.__module__}, one from the module "
            f"{given.__module__}; import the class from the same module everywhere"
        )
    return (
        f": these are two classes of one name, because the class {ours.__qualname__} was made anew (by a cell of a "
        "notebook that ran again, by a reloader), and one of the two is the older one; make the shared value anew as "
        "well, with the new class, and use no members of the older one"
    )
