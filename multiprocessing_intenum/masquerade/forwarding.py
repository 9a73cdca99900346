"""The masquerade: each special method of a shared value asks the member that the value names at that moment.

There is one visible line for each method, as in werkzeug's `local.py`. wrapt's type would forward all of them to the
object in a C field. Here that field stays empty. A method that is missing below therefore raises an error, and cannot
answer with an outdated member.
"""

# wrapt's annotations do not allow None for a special method. Neither they nor the annotations of `operator` fit the
# functions below, which turn an operation into a method.
# pyright: reportAssignmentType=false, reportIncompatibleMethodOverride=false, reportSelfClsParameterName=false
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable
from inspect import getattr_static
from types import GetSetDescriptorType
from typing import Any, TypeVar

from typing_extensions import Format, get_annotations
from wrapt import ObjectProxy

from multiprocessing_intenum import fork
from multiprocessing_intenum.core import Reads, core
from multiprocessing_intenum.enums.members import refuse
from multiprocessing_intenum.masquerade import hooks
from multiprocessing_intenum.mutator import set_member, update
from multiprocessing_intenum.value import SLOTS, HasCell, has_cell, snapshot

__all__ = ["OWN_NAMES", "Refused", "binary", "named", "unary"]

R = TypeVar("R")


# The most frequent methods spell out the four lines of Cell.load(): a call would add 15 ns to the 75 ns of
# `status < member` (22 to 129 on CPython 3.10).


def unary(operation: Callable[[Any], R]) -> Callable[[Any], R]:
    """`operation(member)`."""

    def method(self: Any) -> R:
        try:
            member = self._self_cell.by_number[self._self_view[()]]
        except KeyError:
            member = self._self_cell.load()
        return operation(member)

    return method


def binary(operation: Callable[..., R]) -> Callable[..., R]:
    """`operation(member, other)`. If `other` is a shared value, the operation gets its member."""

    def method(self: Any, other: Any) -> R:
        if issubclass(type(other), HasCell):  # 40 ns faster than has_cell(other)
            other = snapshot(other)
        try:
            member = self._self_cell.by_number[self._self_view[()]]
        except KeyError:
            member = self._self_cell.load()
        return operation(member, other)

    return method


def reflected(operation: Callable[..., R]) -> Callable[..., R]:
    """`operation(other, member)`."""

    def method(self: Any, other: Any) -> R:
        try:
            member = self._self_cell.by_number[self._self_view[()]]
        except KeyError:
            member = self._self_cell.load()
        return operation(other, member)

    return method


def reflected_by_sequence(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
    """`operation(other, member)`, except if `other` is a list or another mutable sequence.

    Then the method returns the result of the member's own reflected method, or NotImplemented if there is none. Python
    tries the in-place `+=` or `*=` of the sequence only after NotImplemented.
    """

    def method(self: Any, other: Any) -> Any:
        try:
            member = self._self_cell.by_number[self._self_view[()]]
        except KeyError:
            member = self._self_cell.load()
        if type(other) is not int and hasattr(other, "extend"):  # hasattr of an int takes 60 ns
            own = getattr(member, name, None)
            return NotImplemented if own is None else own(other)
        return operation(other, member)

    return method


def in_place(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """An atomic `self.set(operation(member, other))`. It returns self, so the variable keeps the shared value."""

    def method(self: Any, other: Any) -> Any:
        def step(member: Any) -> Any:
            # Another shared value is read under the lock, because it may share the state of this one.
            result = operation(member, snapshot(other) if has_cell(other) else other)
            if type(result) is not type(member):
                refuse(type(member), result)  # a str would be taken as a name
            return result

        update(self, step)
        return self

    return method


def named(name: str) -> Callable[..., Any]:
    """`member.name(...)`, for a special method that only the enum defines. It gets members for shared values."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args:
            args = tuple(snapshot(each) if has_cell(each) else each for each in args)
        return getattr(snapshot(self), name)(*args, **kwargs)

    return method


def dict_of(self: Any) -> dict[str, Any]:
    """A copy of the member's `__dict__`, because a write to the original would change the member for all its users.

    A `functools.cached_property` in a subclass therefore computes its value at each access.
    """
    return dict(snapshot(self).__dict__)


class UnsupportedError(AttributeError, TypeError):
    """An operation that a shared value and its member do not support.

    It is a TypeError, as the operation itself would raise, and also an AttributeError, so that `hasattr` returns False.
    """


class Refused:
    """A special method that the member lacks, but wrapt's type or `_MemberProxy` has. No ABC looks for it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        message = f"'{getattr(instance, '__class__', owner).__name__}' object does not support {self.name}"
        raise UnsupportedError(message)


# Guards `_self_own`. If two threads set attributes at once, neither name may be lost.
_changing_own = fork.lock_of_threads()

OWN_NAMES = frozenset({*SLOTS, "_self_own", "_self_table", "_self_transitions", "_self_origin"})
"""The names with `_self_` that a subclass must not use."""

_metaclass: Any = type(ObjectProxy)
if _metaclass is not type:  # the pure-Python wrapt

    class _Metaclass(_metaclass):  # type: ignore[misc]
        # wrapt's metaclass has these as properties, which the texts of this class itself would hide.
        __module__, __doc__ = (vars(_metaclass)[name] for name in ("__module__", "__doc__"))

        def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **keywords: Any) -> Any:
            # wrapt's own __new__ takes no keywords of a class. So it makes another class, just for its additions.
            texts = {text: namespace[text] for text in ("__module__", "__doc__") if text in namespace}
            additions = vars(super().__new__(mcs, name, (), texts))
            return type.__new__(mcs, name, bases, {**namespace, **additions}, **keywords)

    _metaclass = _Metaclass


class _MemberProxy(ObjectProxy, Reads, HasCell, metaclass=_metaclass):  # type: ignore[metaclass,type-arg]
    """The part of a shared value that behaves like its member."""

    __slots__ = SLOTS
    _self_own: frozenset[str] = frozenset()  # the names of the attributes that a subclass has set on this instance

    # wrapt's own method adds 100 ns to each look-up. This one adds a fifth of that.
    __getattribute__ = object.__getattribute__

    def __getattr__(self, name: str) -> Any:
        if name in {"_self_cell", "_self_view", "__dict__"}:
            if name == "__dict__":  # the pure-Python wrapt defines its own `__dict__` in each class
                return dict_of(self)
            # The slots are empty until __init__ has run.
            message = f"{type(self).__name__}.__init__() has not been called, so there is no {name}"
            raise AttributeError(message)
        try:
            member = self._self_cell.by_number[self._self_view[()]]
        except KeyError:
            member = self._self_cell.load()
        return getattr(member, name)

    def __setattr__(self, name: str, value: object) -> None:
        # wrapt would set the attribute on the member, which every user of the enum shares.
        if name in OWN_NAMES:
            message = f"can not set {name!r} on {type(self).__name__}: the library itself uses it, choose another name"
            raise AttributeError(message)
        if not (name.startswith("_self_") or _declares(type(self), name)):
            message = (
                f"can not set {name!r} on {type(self).__name__}: to change the state use set() or assign to .value; "
                "any other attribute must be declared by the class, or its name must begin with '_self_'"
            )
            raise AttributeError(message)
        self.__self_setattr__(name, value)
        # A property stores nothing under its own name. If its setter stores other attributes, they are already noted.
        if not isinstance(getattr_static(type(self), name, None), (property, GetSetDescriptorType)):
            with _changing_own:
                self.__self_setattr__("_self_own", self._self_own | {name})

    def __delattr__(self, name: str) -> None:
        # An attribute that the class only annotates cannot be deleted: wrapt would look for it on the member, and
        # object.__delattr__ refuses it before Python 3.12.
        if not (name in self._self_own and (name.startswith("_self_") or hasattr(type(self), name))):
            message = (
                f"can not delete {name!r} of {type(self).__name__}: only an attribute that was set on it can be deleted"
                ", and only if its name begins with '_self_' or its class has a default for it"
            )
            raise AttributeError(message)
        super().__delattr__(name)
        with _changing_own:
            self.__self_setattr__("_self_own", self._self_own - {name})

    # Class and introspection
    __class__ = property(lambda self: self._self_cell.members.enum_type)
    __dict__ = property(dict_of)
    __name__ = hooks.Attribute()
    __wrapped__ = hooks.Attribute()
    __self_dict__ = hooks.Attribute()
    # __module__ and __doc__ are in the `__dict__` of every class: see _ClassText in proxy.py.
    # __qualname__, __annotations__ and __weakref__ cannot be redefined in a class. wrapt's own raise an error.

    @property
    def name(self) -> str | None:
        """The member's name, or None for a combination of flags without a name. It cannot be assigned."""
        name: str | None = snapshot(self).name
        return name

    @property
    def value(self) -> Any:
        """The member's value. Assigning a member or a name is the same as `set()`."""
        return snapshot(self).value

    @value.setter
    def value(self, value: Any) -> None:
        self.set(value)

    def __dir__(self: Any) -> list[str]:
        return sorted({*dir(snapshot(self)), "set", "get_lock"})

    # Text
    __repr__ = unary(repr)
    __str__ = unary(str)

    def __format__(self, spec: str) -> str:  # 47 ns faster than binary(format): a spec is never a shared value
        try:
            member = self._self_cell.by_number[self._self_view[()]]
        except KeyError:
            member = self._self_cell.load()
        return format(member, spec)

    __bytes__ = unary(bytes)

    # Comparison
    __eq__ = binary(operator.eq)
    __ne__ = binary(operator.ne)
    __hash__ = unary(hash)
    __bool__ = unary(bool)
    __lt__ = binary(operator.lt)
    __le__ = binary(operator.le)
    __gt__ = binary(operator.gt)
    __ge__ = binary(operator.ge)

    # Conversion
    __int__ = unary(int)
    __index__ = unary(operator.index)
    __float__ = unary(float)
    __complex__ = unary(complex)
    __trunc__ = unary(math.trunc)
    __floor__ = unary(math.floor)
    __ceil__ = unary(math.ceil)

    def __round__(self: Any, *ndigits: Any) -> Any:
        return round(snapshot(self), *ndigits)

    # Arithmetic
    __neg__ = unary(operator.neg)
    __pos__ = unary(operator.pos)
    __abs__ = unary(operator.abs)
    __invert__ = unary(operator.invert)
    __add__ = binary(operator.add)
    __sub__ = binary(operator.sub)
    __mul__ = binary(operator.mul)
    __truediv__ = binary(operator.truediv)
    __floordiv__ = binary(operator.floordiv)
    __mod__ = binary(operator.mod)
    __divmod__ = binary(divmod)

    def __pow__(self: Any, *others: Any) -> Any:  # the exponent, perhaps a modulus
        return pow(snapshot(self), *(snapshot(other) if has_cell(other) else other for other in others))

    __lshift__ = binary(operator.lshift)
    __rshift__ = binary(operator.rshift)
    __and__ = binary(operator.and_)
    __xor__ = binary(operator.xor)
    __or__ = binary(operator.or_)
    __matmul__ = binary(operator.matmul)
    __radd__ = reflected_by_sequence("__radd__", operator.add)
    __rsub__ = reflected(operator.sub)
    __rmul__ = reflected_by_sequence("__rmul__", operator.mul)
    __rtruediv__ = reflected(operator.truediv)
    __rfloordiv__ = reflected(operator.floordiv)
    __rmod__ = reflected(operator.mod)
    __rdivmod__ = reflected(divmod)

    def __rpow__(self: Any, other: Any, *modulus: Any) -> Any:
        return pow(other, snapshot(self), *modulus)

    __rlshift__ = reflected(operator.lshift)
    __rrshift__ = reflected(operator.rshift)
    __rand__ = reflected(operator.and_)
    __rxor__ = reflected(operator.xor)
    __ror__ = reflected(operator.or_)
    __rmatmul__ = reflected(operator.matmul)

    # In-place operators, which write
    __iadd__ = in_place(operator.iadd)
    __isub__ = in_place(operator.isub)
    __imul__ = in_place(operator.imul)
    __itruediv__ = in_place(operator.itruediv)
    __ifloordiv__ = in_place(operator.ifloordiv)
    __imod__ = in_place(operator.imod)
    __ipow__ = in_place(operator.ipow)
    __ilshift__ = in_place(operator.ilshift)
    __irshift__ = in_place(operator.irshift)
    __iand__ = in_place(operator.iand)
    __ixor__ = in_place(operator.ixor)
    __ior__ = in_place(operator.ior)
    __imatmul__ = in_place(operator.imatmul)

    # A copy is the member. Pickling shares the cell: see EnumValue.__reduce__.
    __copy__ = unary(copy.copy)

    def __deepcopy__(self: Any, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(snapshot(self), memo)

    # Hooks of other libraries. An instance has __conform__ even if its member does not have it.
    __conform__ = hooks.conform
    __get_pydantic_core_schema__ = hooks.Attribute(hooks.pydantic_core_schema)

    # An int does not support these methods. If an enum defines one of them, methods_of() forwards it.
    __getitem__ = Refused()
    __setitem__ = Refused()
    __delitem__ = Refused()
    __instancecheck__ = Refused()
    __subclasscheck__ = Refused()
    __mro_entries__ = Refused()
    __enter__ = Refused()
    __aenter__ = Refused()
    # The ABCs of collections.abc and contextlib look for these, and count a method as missing only if it is None. That
    # is why `len(status)` says "'NoneType' object is not callable". A `with` looks for __enter__ first, and so raises
    # the better error of Refused.
    __iter__ = None  # type: ignore[assignment]
    __len__ = None  # type: ignore[assignment]
    __contains__ = None  # type: ignore[assignment]
    __reversed__ = None  # type: ignore[assignment]
    __exit__ = None  # type: ignore[assignment]
    __aexit__ = None  # type: ignore[assignment]


if core is not None:
    core.use(_MemberProxy, set_member)


class _IntProxy(HasCell[Any]):  # pyright: ignore[reportUnusedClass]
    """What makes a shared value an int to type checkers: see declared.pyi."""

    __slots__ = ()


# The interface of a shared value. An instance attribute with such a name would hide it.
_RESERVED = frozenset({"set", "get_lock", "EnumType"})


def _declares(cls: type, name: str) -> bool:
    """Whether `cls` or one of its bases defines or annotates an attribute of this name that an instance may set."""
    if name in _RESERVED or name.startswith("__"):
        return False
    return any(
        name in vars(base) or name in get_annotations(base, format=Format.FORWARDREF)
        for base in cls.__mro__
        # wrapt's classes declare none. From Python 3.14 on, get_annotations() raises ValueError for wrapt's C type:
        # its `__annotations__` is a descriptor for instances.
        if base not in ObjectProxy.__mro__
    )
