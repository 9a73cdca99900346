"""The masquerade: each special method of a shared value asks the member that it names at that moment.

One visible line for each method, after werkzeug's `local.py`. wrapt's type answers all of them from its C field, which
is left empty here: a method that was forgotten below raises an error, it never answers with a stale member.
"""

# Pure run time: forwarding.pyi says what a type checker sees. wrapt's annotations know no None for a special method
# that is refused, and neither these nor those of `operator` fit what makes a method of a function.
# pyright: reportAssignmentType=false, reportIncompatibleMethodOverride=false
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import copy
import inspect
import math
import operator
from collections.abc import Callable
from typing import Any, TypeVar

from typing_extensions import Format, get_annotations
from wrapt import ObjectProxy

from multiprocessing_intenum import hooks
from multiprocessing_intenum.cell import SLOTS, HasCell, has_cell, snapshot
from multiprocessing_intenum.locks import lock_of_threads
from multiprocessing_intenum.mutator import update

__all__ = ["special_methods_of"]  # and, for proxy.py alone, _MemberProxy and _OWN_NAMES

R = TypeVar("R")


# The four lines of snapshot() are spelt out below wherever programs read often: a call less.


def unary(operation: Callable[[Any], R]) -> Callable[[Any], R]:
    """`operation(member)`."""

    def method(self: Any) -> R:
        try:
            member = self._self_by_number[self._self_cell[()]]
        except KeyError:
            member = self._self_members[self._self_cell[()]]
        return operation(member)

    return method


def binary(operation: Callable[..., R]) -> Callable[..., R]:
    """`operation(member, other)`; where the other is a shared value, too, an enum's own operator meets its member."""

    def method(self: Any, other: Any) -> R:
        if issubclass(type(other), HasCell):  # has_cell(other) takes 40 ns more
            other = snapshot(other)
        try:
            member = self._self_by_number[self._self_cell[()]]
        except KeyError:
            member = self._self_members[self._self_cell[()]]
        return operation(member, other)

    return method


def reflected(operation: Callable[..., R]) -> Callable[..., R]:
    """`operation(other, member)`."""

    def method(self: Any, other: Any) -> R:
        try:
            member = self._self_by_number[self._self_cell[()]]
        except KeyError:
            member = self._self_members[self._self_cell[()]]
        return operation(other, member)

    return method


def reflected_by_sequence(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
    """`operation(other, member)`, unless the other is a list or its like.

    Those add and repeat in place where asked to, which Python leaves to them once a number's operator has declined.
    """

    def method(self: Any, other: Any) -> Any:
        try:
            member = self._self_by_number[self._self_cell[()]]
        except KeyError:
            member = self._self_members[self._self_cell[()]]
        if type(other) is not int and hasattr(other, "extend"):  # hasattr of an int takes 60 ns
            return getattr(member, name)(other)
        return operation(other, member)

    return method


def in_place(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """An atomic `self.set(operation(member, other))`. It returns self, so that the name stays bound to the value."""

    def method(self: Any, other: Any) -> Any:
        if has_cell(other):
            other = snapshot(other)
        update(self, lambda member: operation(member, other))
        return self

    return method


def named(name: str) -> Callable[..., Any]:
    """`member.name(...)`, for what only the enum itself knows how to do."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(snapshot(self), name)(*args, **kwargs)

    return method


def dict_of(self: Any) -> dict[str, Any]:
    """A copy of the member's dict, which all share: what a cached_property of a subclass puts there is lost."""
    return dict(snapshot(self).__dict__)


class Attribute:
    """The member's attribute of this name, on instances only: the class keeps its own, or has none."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            raise AttributeError(self.name)
        return getattr(snapshot(instance), self.name)


class UnsupportedError(AttributeError, TypeError):
    """An operation that neither the member has nor a shared value.

    The operation's own error is a TypeError; that it is an AttributeError, too, lets `hasattr` say no.
    """


class Refused:
    """A special method of wrapt's type that an int has not, and that only its own operation looks for."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        message = f"'{getattr(instance, '__class__', owner).__name__}' object does not support {self.name}"
        raise UnsupportedError(message)


# So that of two threads that set attributes at once none is forgotten.
_changing_own = lock_of_threads()

# The names under `_self_` that a subclass must leave to the library.
_OWN_NAMES = frozenset({*SLOTS, "_self_own", "_self_table", "_self_origin"})


class _MemberProxy(ObjectProxy, HasCell):  # type: ignore[type-arg]
    """All that a shared value does as its member would."""

    __slots__ = SLOTS
    _self_own: frozenset[str] = frozenset()  # the names of what a subclass has set, perhaps before its __init__

    # wrapt's own costs 100 ns a look-up before anything happens, a fifth of that remains.
    __getattribute__ = object.__getattribute__

    def __getattr__(self, name: str) -> Any:
        if name in {"_self_by_number", "__dict__"}:
            if name == "__dict__":  # wrapt in pure Python has put its own before ours
                return dict_of(self)
            # asked before __init__ has filled the slots
            message = f"{type(self).__name__}.__init__() has not been called, so there is no {name}"
            raise AttributeError(message)
        try:
            member = self._self_by_number[self._self_cell[()]]
        except KeyError:
            member = self._self_members[self._self_cell[()]]
        return getattr(member, name)

    def __setattr__(self, name: str, value: object) -> None:
        # Not on the member, as wrapt would: all who use the enum share it.
        if name in _OWN_NAMES:
            message = f"can not set {name!r} on {type(self).__name__}: the library itself uses it, choose another name"
            raise AttributeError(message)
        if not (name.startswith("_self_") or _declares(type(self), name)):
            message = (
                f"can not set {name!r} on {type(self).__name__}: to change the state use set() or assign to .value; "
                "attributes of its own must be declared by the class or begin with '_self_'"
            )
            raise AttributeError(message)
        self.__self_setattr__(name, value)
        # A property has stored nothing here: sent to a child, the value has what its setter has stored.
        if not isinstance(inspect.getattr_static(type(self), name, None), property):
            with _changing_own:
                self.__self_setattr__("_self_own", self._self_own | {name})

    def __delattr__(self, name: str) -> None:
        # What a class only annotates is out of reach: wrapt looks for it on the member, object refuses before 3.12.
        if not (name in self._self_own and (name.startswith("_self_") or hasattr(type(self), name))):
            message = (
                f"can not delete {name!r} of {type(self).__name__}: only what was set on it can be, if it begins with "
                "'_self_' or has a default in the class"
            )
            raise AttributeError(message)
        super().__delattr__(name)
        with _changing_own:
            self.__self_setattr__("_self_own", self._self_own - {name})

    # What it is
    __class__ = property(lambda self: self._self_members.enum_type)
    __dict__ = property(dict_of)
    __name__ = Attribute("__name__")
    __wrapped__ = Attribute("__wrapped__")
    __self_dict__ = Attribute("__self_dict__")
    # __module__ and __doc__: see _ClassText in proxy.py; they are in the dict of every class
    # __qualname__, __annotations__, __weakref__: can not be redefined in a class; wrapt's raise an error

    def __dir__(self: Any) -> list[str]:
        return sorted({*dir(snapshot(self)), "set", "get_lock"})

    # Text
    __repr__ = unary(repr)
    __str__ = unary(str)

    def __format__(self, spec: str) -> str:  # binary(format) takes 47 ns more: a format is no shared value
        try:
            member = self._self_by_number[self._self_cell[()]]
        except KeyError:
            member = self._self_members[self._self_cell[()]]
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

    # In place: writes
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

    # Copies: the member. Pickling, which shares the cell, is IntEnumValue's own
    __copy__ = unary(copy.copy)

    def __deepcopy__(self: Any, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(snapshot(self), memo)

    # What other libraries look for. An instance shows no more of it than its member does, but for __conform__
    __conform__ = hooks.conform
    __get_pydantic_core_schema__ = hooks.ClassHook(hooks.pydantic_core_schema)

    # Refused, as by an int. A class whose enum has one of them gets it back, see special_methods_of().
    __getitem__ = Refused()
    __setitem__ = Refused()
    __delitem__ = Refused()
    __instancecheck__ = Refused()
    __subclasscheck__ = Refused()
    __mro_entries__ = Refused()
    __enter__ = Refused()
    __aenter__ = Refused()
    # The ABCs of collections.abc and contextlib look for these, and take only None for a no. That is why `len(status)`
    # says "'NoneType' object is not callable". A `with` looks for __enter__ first, so that it gets the better error.
    __iter__ = None
    __len__ = None
    __contains__ = None
    __reversed__ = None
    __exit__ = None
    __aexit__ = None


# What an enum may define and a shared value does not pass on: it has its own life.
_OWN_LIFE = frozenset({"__del__", "__getnewargs__", "__set_name__"})


# What Python does with these alone, where the class has not the other method.
_IMPLIED: dict[str, dict[str, Callable[..., Any] | None]] = {
    "__getitem__": {
        "__iter__": unary(iter),
        "__contains__": binary(operator.contains),
        "__reversed__": unary(reversed),
    },
    "__iter__": {"__contains__": binary(operator.contains)},
}


def special_methods_of(enum_type: type, cls: type) -> dict[str, Callable[..., Any] | None]:
    """Return a forwarder for each special method that the enum has and `cls`, the class of its values, has not yet.

    Python looks special methods up on the type, so that only there `callable`, `len` or `with` can find them.
    """
    theirs = _special_names(enum_type)
    own = _special_names(cls)
    methods: dict[str, Callable[..., Any] | None] = {}
    for name, found in theirs.items():
        missing = own.get(name) is None or isinstance(own[name], Refused)
        if callable(found) and missing and name not in _OWN_LIFE:
            methods = _IMPLIED.get(name, {}) | methods | {name: named(name)}
        elif found is None and callable(own.get(name)):
            methods[name] = None  # `__hash__`, of an enum that has only `__eq__`
    return methods


def _special_names(cls: type) -> dict[str, Any]:
    """Return what instances find under the special names: `getattr(cls, ...)` would find the metaclass's, too."""
    return {
        name: found
        for base in reversed(cls.__mro__)
        for name, found in vars(base).items()
        if name.startswith("__") and name.endswith("__")
    }


# What a shared value is made of: an attribute of an instance would hide it.
_RESERVED = frozenset({"set", "get_lock", "EnumType"})


def _declares(cls: type, name: str) -> bool:
    """Whether a class in the line of `cls` has, or annotates, an attribute of this name that instances may have."""
    if name in _RESERVED or name.startswith("__"):
        return False
    return any(
        name in vars(base) or name in get_annotations(base, format=Format.FORWARDREF)
        for base in cls.__mro__
        # wrapt's classes declare nothing. From Python 3.14 on, get_annotations() raises ValueError for wrapt's C type:
        # its `__annotations__` is a descriptor for instances.
        if base not in ObjectProxy.__mro__
    )
