"""`EnumValue` and `IntEnumValue`: a shared number that looks, to any code that reads it, like the member it names."""

from __future__ import annotations

import copy
import enum
import os
import sys
import types
import typing
import warnings
import weakref
from collections.abc import Callable, Collection, Mapping
from multiprocessing.context import BaseContext
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from typing_extensions import Self, TypeAliasType

from multiprocessing_intenum import fork, mutator
from multiprocessing_intenum.by_path.shared_file import SharedFile
from multiprocessing_intenum.cell import Cell, OpensCell, default_lock
from multiprocessing_intenum.core import core
from multiprocessing_intenum.enums.members import EnumMember, IntEnumMember, Members, members_of, of_one_name, refuse
from multiprocessing_intenum.enums.transitions import Rules
from multiprocessing_intenum.locks.holding import Lock, LockLike
from multiprocessing_intenum.masquerade.forwarding import OWN_NAMES
from multiprocessing_intenum.masquerade.methods import methods_of
from multiprocessing_intenum.value import HasCell, has_cell, snapshot

if TYPE_CHECKING:
    from multiprocessing_intenum.masquerade.declared import IntProxy, MemberProxy  # pyright: ignore[reportMissingModuleSource]
else:
    from multiprocessing_intenum.masquerade.forwarding import _IntProxy as IntProxy
    from multiprocessing_intenum.masquerade.forwarding import _MemberProxy as MemberProxy

__all__ = ["EnumValue", "IntEnumValue", "copied", "value_on"]

T = TypeVar("T", bound=EnumMember)
I = TypeVar("I", bound=IntEnumMember)  # noqa: E741

_NOTHING: Any = object()


class _ClassText(str):
    """The `__module__` or `__doc__` of a class. For an instance it is the text of the member."""

    name: str

    def __new__(cls, name: str, text: str | None) -> Self:
        self = super().__new__(cls, text or "")
        self.name = name
        return self

    def __get__(self, instance: Any, owner: type) -> Any:
        return (self or None) if instance is None else getattr(snapshot(instance), self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str(self),)  # pickle stores the __module__ of a class as text


_TYPE_ALIASES: tuple[type, ...] = (TypeAliasType, getattr(typing, "TypeAliasType", TypeAliasType))


class _GenericAlias(types.GenericAlias):
    """`EnumValue[T]`. Indexing it with an enum gives the same class as indexing `EnumValue` with it."""

    def __getitem__(self, item: Any) -> Any:
        cls: Any = self.__origin__
        (argument,) = super().__getitem__(item).__args__
        return cls[argument]


class EnumValue(MemberProxy[T]):
    """A number in shared memory that looks, to any code that reads it, like the enum member that it names now.

    The enum may be of any kind: `Enum` with values of any type, `StrEnum`, `class X(str, Enum)`, Django's
    `TextChoices`, `Flag`. For ints there is the subclass `IntEnumValue`, which type checkers take for an int.

    The shared memory holds the number of a member: an int itself, the value of a flag, or else the place in the order
    of definition. No value of a member is sent to another process: each has the enum, and finds the member there.

    Everything else is as `IntEnumValue` says, also the keywords of a subclass, `transitions=` and `unknown=`. A plain
    str is always a name, even if the enum's members are strings.

    Args:
        value: the first member; its name as str, if the class is bound to an enum; or another shared value, whose
            current member is used. With `at=` it may be left out: then the value must already exist.
        lock: the lock that writers take. See `IntEnumValue`.
        ctx: the context of the default lock. See `IntEnumValue`.
        at: the path of a file, a `SharedFile`, or a `PostgresRecord`. See `IntEnumValue`. If the process that made the
            file has the members in another order, its enum counts as another one. New members must come last.

    Raises:
        TypeError: `value` is not a member of the enum, `lock` is not a lock, or two arguments exclude each other.
        KeyError: no member has this name.
        OverflowError: the member does not fit 64 bits.
        ValueError: `value` is a member that the enum's `_missing_` has made, not one of its named members.
        FileNotFoundError, ValueError, OSError, NotImplementedError: with `at=`, as for `IntEnumValue`.

    Example:
        >>> import enum
        >>> class Priority(str, enum.Enum):
        ...     LOW = "low"
        ...     HIGH = "high"
        >>> priority = EnumValue(Priority.LOW)
        >>> priority == "low", priority.upper(), priority[0]
        (True, 'LOW', 'l')
        >>> priority.set("HIGH")
        >>> priority.name, priority.value
        ('HIGH', 'high')
    """

    __slots__ = ()

    _self_table: ClassVar[Members[Any] | None] = None  # the enum's table; None if the class is unbound
    _self_rules: ClassVar[Rules] = Rules()

    if not TYPE_CHECKING:

        def __class_getitem__(cls, item):
            """Return the class bound to an enum. For a type variable, return an alias that can be indexed again."""
            while isinstance(item, _TYPE_ALIASES):  # `type Item = YourEnum`
                item = item.__value__
            if not isinstance(item, type) or item is Any:  # Any is a class from Python 3.11 on
                return _GenericAlias(cls, item)
            if cls._self_table is not None:
                if item is cls.EnumType:
                    return cls
                message = f"{cls.__name__} is already bound to '{cls.EnumType}'{of_one_name(cls.EnumType, item)}"
                raise TypeError(message)
            with _binding:
                bound = _bound.get((cls, item))
                if bound is None:
                    bound = _bound[cls, item] = _bind(cls, item)
            return bound

    def __init_subclass__(
        cls, *, transitions: Mapping[Any, Collection[Any]] | None = None, unknown: Any = None, **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        for base in vars(cls).get("__orig_bases__", ()):
            if isinstance(base, _GenericAlias) and not (base.__parameters__ or base.__args__ == (Any,)):
                (item,) = base.__args__
                kind = "a mere name" if isinstance(item, str) else "which is no class"
                message = f"{cls.__name__} can not be bound to {item!r}, {kind}: give the enum itself"
                raise TypeError(message)
        for name in sorted(OWN_NAMES & vars(cls).keys()):
            message = f"{cls.__name__} can not define {name}: the library itself uses it, choose another name"
            raise TypeError(message)
        # EnumValue[A] and EnumValue[B] as bases are an error. Of two named subclasses, the first one determines
        # the enum, as with any attribute.
        enum_types: set[type] = {vars(base)["EnumType"] for base in cls.__bases__ if "_self_origin" in vars(base)}
        if len(enum_types) > 1:
            names = " and ".join(sorted(map(repr, enum_types)))
            message = f"{cls.__name__} can not be bound to {names} at once: a shared value has one enum"
            raise TypeError(message)
        if transitions is not None or unknown is not None:
            if cls._self_table is None:
                keyword, base = "unknown=" if transitions is None else "transitions", _library_class(cls).__name__
                message = f"{cls.__name__} has {keyword} but no enum: derive it from {base}[YourEnum]"
                raise TypeError(message)
            cls._self_rules = cls._self_rules.of(cls._self_table, transitions=transitions, unknown=unknown)
        if isinstance(vars(cls)["__module__"], str):  # else the metaclass of pure-Python wrapt has done this
            first_line = vars(cls).get("__firstlineno__")
            for name in ("__module__", "__doc__"):
                setattr(cls, name, _ClassText(name, getattr(cls, name)))
            if first_line is not None:  # the assignment of __module__ has removed it
                cls.__firstlineno__ = first_line  # type: ignore[attr-defined]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make a value. If this class is unbound, use the class bound to the enum of the first member."""
        if cls._self_table is None and (args or "value" in kwargs):  # else __init__ reports what is missing
            value = args[0] if args else kwargs["value"]
            # The first argument of a subclass's own __init__ may be anything.
            is_ours = vars(EnumValue)["__init__"] is cls.__init__
            if is_ours or isinstance(type(value), enum.EnumMeta) or has_cell(value):
                cls = cls[_enum_of(cls, value)]  # type: ignore[index]
        return super().__new__(cls)

    def __init__(
        self,
        value: T | str | EnumValue[T] = _NOTHING,
        lock: LockLike | None = None,
        *,
        ctx: BaseContext | None = None,
        at: str | os.PathLike[str] | SharedFile | OpensCell | None = None,
    ) -> None:
        if value is _NOTHING and at is None:
            message = (
                f"{type(self).__name__}.__init__() missing 1 required positional argument: 'value', the first member; "
                "it may be left out only with at="
            )
            raise TypeError(message)
        members: Members[T] | None = type(self)._self_table
        if members is None:
            message = (
                f"{type(self).__name__} is bound to no enum, and its __init__ is too late to choose one: "
                f"derive it from {_library_class(type(self)).__name__}[YourEnum]"
            )
            raise TypeError(message)
        number: int | None = None
        if value is not _NOTHING:
            member = cast("T", value) if type(value) is members.exact_type else mutator.resolve(members, value)
            number = members.number_of(member)
        if ctx is not None and not (lock is None and at is None):
            other = "lock=" if at is None else "at="
            message = f"{other} and ctx= exclude each other: ctx only says where the default lock is made"
            raise TypeError(message)
        cell: Cell[T]
        if at is not None:
            from multiprocessing_intenum.by_path.cell import open_cell  # needed for values by path only

            cell = open_cell(members, at, number, lock, self._self_rules)
        else:
            made = default_lock(ctx) if lock is None else lock
            cell = Cell[T].in_memory(members, cast("int", number), made, self._self_rules)
        self._attach(cell)

    def _attach(self, cell: Cell[T]) -> None:
        self.__self_setattr__("_self_cell", cell)
        self.__self_setattr__("_self_view", cell.view)
        if core is not None:
            self.__self_setattr__("_self_core", cell.core)
            core.drop_dict(self)

    if TYPE_CHECKING:
        # At run time set() accepts another shared value, too. If the annotation allowed that, a type checker would
        # reject an override with the signature `def set(self, value: WorkerStatusEnum | str)`.
        def set(self, value: T | str) -> None:
            """Set the value under its lock, to a member or to the member of this name."""

    else:
        EnumType = enum.Enum
        """The enum. In the unbound `EnumValue` it is `enum.Enum`, in the unbound `IntEnumValue` `enum.IntEnum`."""

        set = mutator.set_member  # the function itself: a method that calls it would cost another call

    def get_lock(self) -> Lock:
        """Return the lock that writers take: the very object given as `lock=`, or the default lock.

        By default, a value with `at=` has the lock of its file, and a record has the lock of the whole fleet.
        """
        return self._self_cell.lock

    def __reduce__(self) -> tuple[Any, ...]:
        make_cell, parts = self._self_cell.pickled(type(self).__name__)
        # The attributes of a subclass are pickled as state, after the value itself, because they may refer back to it.
        return _rebuild, (_origin_of(type(self)), make_cell, parts), _own_of(self) or None, None, None, _set_own


class IntEnumValue(EnumValue[I], IntProxy[I]):
    """An integer in shared memory that looks, to any code that reads it, like the enum member that it names now.

    Every read loads the shared integer again, without a lock. Writes take the lock: `set()`, assignment to `.value`,
    the in-place operators, and functions such as `compare_and_set`. `snapshot()` returns the real member.

    Bind the class to an enum: use `IntEnumValue[YourEnum]` or a subclass of it. Such a class refuses another enum's
    members and accepts names. An unbound class uses the enum of its first member. Make the value before the processes
    that share it start.

    Args:
        value: the first member; its name as str, if the class is bound to an enum; or another shared value, whose
            current member is used. With `at=` it may be left out: then the value must already exist.
        lock: the lock that writers take: any object with acquire and release. Several values may share a lock. None
            makes a `RobustRLock`, which no killed process can keep, or a `multiprocessing.RLock` where the platform has
            no robust mutex. On Linux `lock=multiprocessing.RLock()` makes `set()` faster, but a killed holder leaves
            that lock locked.
        ctx: the context that makes the `multiprocessing.RLock`, instead of the default context. It matters only where
            there is no robust mutex: a lock of the fork context cannot be sent to a spawned process.
        at: the path of a file, or a `SharedFile`, to share the value with processes that have no common parent (Linux,
            macOS). The first process that opens the file makes the value from its `value`; the others find it there.
            The value lives as long as a process uses it. All these processes share its lock; as `lock` only the lock of
            another value by path can be given. Or a `PostgresRecord`, to share the value with processes on other
            machines: opening and writing can then raise every error of its lock's methods.

    Two keywords can be given to a subclass, as in `class V(IntEnumValue[E], transitions={E.A: [E.B]}, unknown=E.A)`.
    Subclasses of it inherit them. They take members or names.

    `transitions` says for each member which ones may follow it. Another write is a `TransitionError`. By path they are
    written into the file, and also hold for processes whose class declares none.

    `unknown` is the member that counts for a state that only a newer version of the enum has, by path. To this process
    the state is that member in every respect. Without the keyword a read of such a state is an `UnknownMemberError`. In
    memory it has no effect.

    Raises:
        TypeError: `value` is not a member of the enum, the enum's members are not ints, `lock` is not a lock, or two
            arguments exclude each other.
        KeyError: no member has this name.
        OverflowError: the member does not fit 64 bits.
        FileNotFoundError: there is no value at the path yet and none was given, or there is no such directory.
        ValueError: the file at the path holds something else: an enum that does not contain this one, and is not
            contained in it. The file is left as it is.
        OSError: the path names no file that is safe to use (see `SharedFile`), or the system refuses.
        NotImplementedError: the platform has no values by path.

    Example:
        >>> class WorkerStatus(IntEnumValue[WorkerStatusEnum]):
        ...     pass
        >>> status = WorkerStatus(WorkerStatusEnum.IDLE)
        >>> status == WorkerStatusEnum.IDLE, isinstance(status, WorkerStatusEnum), f"{status.name} is {status:d}"
        (True, True, 'IDLE is 2')
        >>> status.set(WorkerStatusEnum.CALCULATING)
        >>> {WorkerStatusEnum.CALCULATING: "busy"}[status]
        'busy'

    The name and the idea come from multiprocessing-intenum 1.1. The value is shared like a `multiprocessing.Value`.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        def __iand__(self, other: int | I | HasCell[I]) -> Self: ...
        def __ior__(self, other: int | I | HasCell[I]) -> Self: ...
        def __ixor__(self, other: int | I | HasCell[I]) -> Self: ...

    else:
        EnumType = enum.IntEnum


# The classes made by indexing. A class lives as long as something uses it, and its entry keeps the enum alive.
_bound: weakref.WeakValueDictionary[tuple[type, type], type] = weakref.WeakValueDictionary()

_binding = fork.lock_of_threads()  # threads that index at once get the same class


_EXPECTED: dict[type, str] = {
    enum.Enum: "an enum",
    int: "an enum whose members are ints, such as IntEnum, IntFlag or class X(int, Enum); for others use EnumValue",
}


def _bind(cls: type, enum_type: Any) -> type:
    """Make the subclass of `cls` for the values of one enum. `methods_of` decides what its methods are."""
    base = _base_of(cls)
    if not (isinstance(enum_type, enum.EnumMeta) and issubclass(enum_type, base)):
        expected = _EXPECTED.get(base, f"an enum derived from '{base}', the base of {cls.__name__}'s enums")
        message = f"Can not share a value of '{enum_type}': expected {expected}"
        raise TypeError(message)
    kind: Any = enum_type  # the check above has narrowed it to an EnumMeta of object
    members: Members[Any] = members_of(kind)
    namespace: dict[str, Any] = {"__module__": cls.__module__, "__slots__": (), "EnumType": enum_type}
    if members.by_number:  # an enum without members is a base for other enums
        namespace |= methods_of(members, cls)
    for method in ("set", "get_lock"):
        of_members = any(method in getattr(member, "__dict__", ()) for member in members.by_number.values())
        if (of_members or hasattr(enum_type, method)) and method not in members.by_name:
            message = (
                f"'{enum_type}' defines {method}, but on a shared value it is {_library_class(cls).__name__}.{method}: "
                f"call the enum's own as snapshot(status).{method}"
            )
            warnings.warn(message, RuntimeWarning, stacklevel=_level_of_the_user())
    bound: Any = types.new_class(
        f"{cls.__name__}[{enum_type.__name__}]", (cls,), exec_body=lambda ns: ns.update(namespace)
    )
    bound._self_origin = (*_origin_of(cls), enum_type)
    bound._self_table = members if members.by_number else None
    return bound  # type: ignore[no-any-return]


def _level_of_the_user() -> int:
    """Return the `stacklevel` for a warning that points to the user's line, the first one outside of this package."""
    # From Python 3.12 on warnings.warn(skip_file_prefixes=...) could do this.
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        level, frame = level + 1, frame.f_back
    return level


def _enum_of(cls: Any, value: object) -> type:
    """Return the enum of the first member given to an unbound class."""
    if has_cell(value):
        value = snapshot(value)
    if issubclass(type(value), str) and not isinstance(type(value), enum.EnumMeta):
        message = (
            f"{cls.__name__} is bound to no enum that could have a member named {value!r}: "
            f"write {cls.__name__}[YourEnum]({value!r}), or give the member"
        )
        raise TypeError(message)
    if not (isinstance(type(value), enum.EnumMeta) and issubclass(type(value), _base_of(cls))):
        refuse(cls.EnumType, value, hint=": use EnumValue" if isinstance(type(value), enum.EnumMeta) else "")
    return type(value)


def _base_of(cls: Any) -> type:
    """Return the class from which the enums of an unbound class must derive."""
    return int if cls.EnumType is enum.IntEnum else cls.EnumType  # the default stands for any int-valued enum


def _library_class(cls: Any) -> type:
    """Return what a user has derived the class from."""
    return IntEnumValue if issubclass(cls, IntEnumValue) else EnumValue


def _origin_of(cls: type) -> tuple[type, ...]:
    """Return what pickle stores for the class: itself, or an importable class and the enums to index it with."""
    origin: tuple[type, ...] = vars(cls).get("_self_origin", (cls,))
    return origin


def _rebuild(origin: tuple[Any, ...], make_cell: Callable[..., Cell[Any]], parts: tuple[Any, ...]) -> EnumValue[Any]:
    """Make the value again in a spawned child, on the same shared memory."""
    cls, *enum_types = origin
    for enum_type in enum_types:
        cls = cls[enum_type]
    return value_on(cls, make_cell(*parts, cls._self_rules))


def copied(status: EnumValue[Any], memo: dict[int, Any]) -> EnumValue[Any]:
    """Return a deep copy with the same lock and its own state, at first an equal one. By path it shares the state.

    It is for the deep copy of an object that holds a shared value. `copy.deepcopy` of the value gives the member.
    """
    key: Any = (copied, id(status))  # copy.deepcopy stores the member under the id alone
    if key not in memo:
        memo[key] = value_on(type(status), status._self_cell.copy())
        _set_own(memo[key], copy.deepcopy(_own_of(status), memo))
    return memo[key]  # type: ignore[no-any-return]


def value_on(cls: Any, cell: Cell[Any]) -> EnumValue[Any]:
    """Return a value on an existing cell, without calling the `__init__` of its class."""
    status: EnumValue[Any] = cls.__new__(cls)
    status._attach(cell)
    return status


def _own_of(status: EnumValue[Any]) -> dict[str, object]:
    """Return the attributes that a subclass has set on this value."""
    return {name: getattr(status, name) for name in status._self_own}


def _set_own(status: EnumValue[Any], own: dict[str, object]) -> None:
    for name, value in own.items():
        setattr(status, name, value)
