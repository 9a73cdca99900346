"""`EnumAttribute` and `IntEnumAttribute`: a shared value behind a plain attribute of a class."""

from __future__ import annotations

from inspect import getattr_static
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast, overload

from typing_extensions import Self

from multiprocessing_intenum.core import Attribute, Reads, core
from multiprocessing_intenum.enums.members import EnumMember, of_one_name
from multiprocessing_intenum.mutator import resolve, set_member
from multiprocessing_intenum.proxy import EnumValue, copied
from multiprocessing_intenum.value import has_cell, snapshot

__all__ = ["EnumAttribute", "IntEnumAttribute"]

T = TypeVar("T", bound=EnumMember)
V = TypeVar("V", bound="EnumValue[Any]", covariant=True)


_OURS: tuple[Any, ...] = (set_member,) if core is None else (set_member, vars(Reads)["set"])


class _Shared:
    """The entry in an instance's `__dict__` for an attribute: the shared value, and what the descriptor reads from it.

    The entry cannot be the shared value itself. A deep copy of the instance needs a shared value with its own state,
    but the deep copy of a shared value is its member. Before Python 3.12, a load from this plain object is also 40 ns
    faster.
    """

    __slots__ = ("by_number", "cell", "core", "exact_type", "status", "view")

    def __init__(self, status: EnumValue[Any]) -> None:
        cell = status._self_cell
        self.status, self.view, self.by_number = status, cell.view, cell.by_number
        self.exact_type, self.cell = cell.exact_type, cell
        self.core = None if core is None else cell.core

    # A class may compare, hash or print its instances by their `__dict__`, as types.SimpleNamespace does. There this
    # object behaves like the member.
    def __eq__(self, other: object) -> bool:
        return bool(snapshot(self.status) == (snapshot(other.status) if type(other) is _Shared else other))

    def __hash__(self) -> int:
        return hash(snapshot(self.status))

    def __repr__(self) -> str:
        return repr(snapshot(self.status))

    def __deepcopy__(self, memo: dict[int, Any]) -> _Shared:
        return _Shared(copied(self.status, memo))

    def __reduce__(self) -> tuple[Any, ...]:
        return _Shared, (self.status,)


class EnumAttribute(Attribute, Generic[V]):
    """A data descriptor. A read returns the current member. An assignment writes to shared memory, under the lock.

    The first assignment makes the shared value. It belongs in `__init__`, and must happen before the processes that
    share the instance start. If it happens in a child, only that child has the value.

    pyright needs an annotation, `status: EnumAttribute[WorkerStatus] = EnumAttribute(WorkerStatus)`. Without it,
    pyright infers the type of the attribute also from the values that the class's methods assign to it.

    Args:
        value_type: the class of the shared value, a subclass of `EnumValue` or `EnumValue[YourEnum]`.
        default: for a dataclass field: the first member, or its name, if no value is given.

    Raises:
        TypeError: `value_type` is not such a class, or `default` is not a member of its enum.
        KeyError: no member has the name given as `default`.

    Example:
        >>> class WorkerState:
        ...     status = EnumAttribute(WorkerStatus)
        ...     def __init__(self):
        ...         self.status = WorkerStatusEnum.IDLE
        >>> state = WorkerState()
        >>> state.status = "CALCULATING"
        >>> state.status is WorkerStatusEnum.CALCULATING
        True
        >>> compare_and_set(WorkerState.status.proxy_of(state), "CALCULATING", "IDLE")
        True
    """

    __slots__ = ("__dict__", "__weakref__", "_name")

    def __init__(self, value_type: type[V], *, default: EnumMember | str | None = None) -> None:
        if not (issubclass(type(value_type), type) and issubclass(value_type, EnumValue)):
            message = (
                "expected a subclass of IntEnumValue or EnumValue, such as IntEnumValue[YourEnum] or "
                f"EnumValue[YourEnum], not {value_type!r}"
            )
            raise TypeError(message)
        self._value_type = value_type
        self._default = default
        if default is not None and value_type._self_table is not None:
            self._default = resolve(value_type._self_table, default)
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        if self._name not in ("", name):
            message = f"this EnumAttribute is already {self._name!r}: make another one for {owner.__name__}.{name}"
            raise TypeError(message)
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self: EnumAttribute[EnumValue[T]], instance: object, owner: type | None = None) -> T: ...
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        # The instance's `__dict__` has a _Shared under the attribute's own name. Attribute access does not find it
        # there, because a data descriptor takes precedence. pickle stores it with the instance.
        try:
            shared = instance.__dict__[self._name]
            return shared.by_number[shared.view[()]]
        except (AttributeError, KeyError):
            pass
        return snapshot(self.proxy_of(instance))  # raises the right error, or has the enum make the member

    def __set__(self: EnumAttribute[EnumValue[T]], instance: object, value: T | str | EnumValue[T]) -> None:
        """Write the member under the lock. The first assignment makes the shared value, or adopts the one given.

        Args:
            instance: the object whose attribute it is.
            value: a member, the name of a member, or a shared value. If the first assignment gives a shared value of
                this attribute's class, the attribute uses that shared value. A later assignment of a shared value
                writes its current member, or nothing if that value has the same state as the attribute.

        Raises:
            TypeError, KeyError, OverflowError, ValueError: as for `EnumValue.set`.
            After an error the state is unchanged.
        """
        try:
            shared = instance.__dict__[self._name]
            status = shared.status
        except (AttributeError, KeyError):
            pass
        else:
            if type(value) is shared.exact_type and type(status).set in _OURS:  # pyright: ignore[reportUnknownMemberType]
                (shared.cell.write or shared.cell.begin_to_write())(value)
            else:
                status.set(value)
            return
        self._begin(instance, value)

    def __delete__(self, instance: object) -> None:
        message = (
            f"can not delete {self._name!r} of a {type(instance).__name__}: other processes may share it; "
            "assign a member that says what you mean"
        )
        raise AttributeError(message)

    if core is not None and not TYPE_CHECKING:
        _get, _set, _delete = __get__, __set__, __delete__  # the C core calls these where the case is not plain
        __get__, __set__, __delete__ = Attribute.__get__, Attribute.__set__, Attribute.__delete__

    def _begin(self, instance: object, value: Any) -> None:
        """Handle the first assignment: make the shared value, or adopt the one given."""
        values = self._values_of(instance)
        if issubclass(type(value), self._value_type):
            status = value
        elif has_cell(value):
            ours, theirs = cast("Any", self._value_type), cast("Any", type(value))
            hint = of_one_name(ours, theirs) or of_one_name(ours.EnumType, theirs.EnumType)
            message = (
                f"can not adopt a {type(value).__name__} as {type(instance).__name__}.{self._name}: "
                f"expected a {self._value_type.__name__}, or a member to make one from{hint}"
            )
            raise TypeError(message)
        else:
            status = self._value_type(self._first(instance, value))
        # If several threads make the first assignment at once, the value of one is kept. The others write to it.
        shared = values.setdefault(self._name, _Shared(status))
        if type(shared) is not _Shared:
            self._refuse_what_is_in(values, instance)
        if shared.status is not status:
            shared.status.set(status)

    def proxy_of(self, instance: object) -> V:
        """Return the live shared value behind the attribute, for `compare_and_set` and the like.

        Args:
            instance: the object whose attribute it is.

        Raises:
            AttributeError: nothing has been assigned yet.
            TypeError: the class of the instance does not have this attribute.
        """
        values = self._values_of(instance)
        shared = values.get(self._name)
        if type(shared) is _Shared:
            return shared.status  # type: ignore[return-value]
        if self._name in values:
            self._refuse_what_is_in(values, instance)
        message = (
            f"'{type(instance).__name__}' object has no shared {self._name!r} yet: "
            "assign it in __init__, before the processes that share it start"
        )
        raise AttributeError(message)

    def _refuse_what_is_in(self, values: dict[str, Any], instance: object) -> NoReturn:
        message = (
            f"'{type(instance).__name__}' object has a {type(values[self._name]).__name__} in its __dict__ where "
            f"{self._name!r} keeps its shared value: give an object that has this attribute, and assign to it "
            "as an attribute, never through __dict__"
        )
        raise TypeError(message)

    def _first(self, instance: object, value: Any) -> Any:
        if value is not self:
            return value
        # The default of a dataclass field is the class attribute of the same name, which is this descriptor.
        if self._default is None:
            message = (
                f"{type(instance).__name__}() needs a value for {self._name!r}: the field has no default; "
                f"EnumAttribute({self._value_type.__name__}, default=...) would give it one"
            )
            raise TypeError(message)
        return self._default

    def _values_of(self, instance: object) -> dict[str, Any]:
        if not self._name:
            message = "an EnumAttribute gets its name from the body of its class: declare it there, `name = ...`"
            raise TypeError(message)
        try:
            return instance.__dict__
        except AttributeError:
            if getattr_static(type(instance), self._name, None) is not self:
                message = f"'{type(instance).__name__}' objects lack the attribute {self._name!r}: give one with it"
                raise TypeError(message) from None
            message = (
                f"'{type(instance).__name__}' objects have no __dict__ to keep a shared {self._name!r} in: "
                "add '__dict__' to the __slots__ of the class, or give slots=False to the decorator that made them"
            )
            raise TypeError(message) from None


if core is not None:
    core.use_attribute(EnumAttribute, _Shared)

IntEnumAttribute = EnumAttribute
"""The name that `EnumAttribute` had when there were only values of int-valued enums."""
