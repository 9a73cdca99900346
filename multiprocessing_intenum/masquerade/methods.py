"""Which method answers for the values of one enum: that of a subclass, a hot read, one of the table, or none."""

from __future__ import annotations

import operator
from collections.abc import Callable
from inspect import getattr_static
from typing import Any

from multiprocessing_intenum.core import Reads, core
from multiprocessing_intenum.enums.members import Members
from multiprocessing_intenum.masquerade.forwarding import Refused, _MemberProxy, binary, named, unary
from multiprocessing_intenum.masquerade.hot import hot_reads_of
from multiprocessing_intenum.mutator import set_member

__all__ = ["methods_of"]


def methods_of(members: Members[Any], cls: type) -> dict[str, Any]:
    """Return the methods in which the class of one enum's values differs from its base `cls`, `EnumValue` or the like.

    This function decides which method Python finds. A method that a subclass defines comes first, then a hot read, then
    the methods of `_MemberProxy`. If the enum defines special methods that an int does not have, they are forwarded.
    """
    hot = {
        name: method
        for name, method in hot_reads_of(members, _MemberProxy).items()
        if getattr_static(cls, name) is getattr_static(_MemberProxy, name)
    }
    if core is not None and getattr_static(cls, "set") is set_member:
        hot["set"] = vars(Reads)["set"]
    # Python makes a class unhashable if its `__dict__` has __eq__ but not __hash__. So __hash__ is always included.
    return {"__hash__": cls.__hash__, **hot, **_special_methods_of(members.enum_type, cls)}


# An enum may define these methods. A shared value does not forward them: they concern the life of the object itself or,
# from Python 3.14 on, the annotations of its class. The class of a shared value has other annotations.
_NOT_FORWARDED = frozenset({"__del__", "__getnewargs__", "__set_name__", "__annotate__", "__annotate_func__"})

_contains = binary(operator.contains)

# For a method: the operations that Python derives from it, unless the class defines them itself.
_IMPLIED: dict[str, dict[str, Callable[..., Any] | None]] = {
    "__getitem__": {"__iter__": unary(iter), "__contains__": _contains, "__reversed__": unary(reversed)},
    "__iter__": {"__contains__": _contains},
}


# For a method of `_MemberProxy`: the methods that Python tries for its operation. If the enum has none of them, the
# method is refused, so that the value does not claim to be a number. int(), float() and complex() also read text, which
# has isascii(). Before Python 3.11 a complex number has no __complex__(), but conjugate(), as all numbers.
_TRIED = {
    "__int__": ("__int__", "__index__", "__trunc__", "isascii"),
    "__float__": ("__float__", "__index__", "isascii"),
    "__complex__": ("__complex__", "__float__", "__index__", "isascii", "conjugate"),
    "__floor__": ("__floor__", "__float__", "__index__"),
    "__ceil__": ("__ceil__", "__float__", "__index__"),
    **{f"__{name}__": (f"__{name}__",) for name in ("index", "trunc", "round", "neg", "pos", "abs", "invert")},
}


def _special_methods_of(enum_type: type, cls: type) -> dict[str, Any]:
    """Return a forwarder for each special method that the enum has and `cls` lacks, and the methods to refuse.

    Python looks special methods up on the type, so `callable`, `len` or `with` find them only there.
    """
    theirs = _special_names(enum_type)
    own = _special_names(cls)
    methods: dict[str, Any] = {}
    for name, found in theirs.items():
        missing = own.get(name) is None or isinstance(own[name], Refused)
        if callable(found) and missing and name not in _NOT_FORWARDED:
            methods = _IMPLIED.get(name, {}) | methods | {name: named(name)}
        elif found is None and callable(own.get(name)):
            methods[name] = None  # such as `__hash__` of an enum that defines only `__eq__`
    for name, tried in _TRIED.items():
        if own[name] is vars(_MemberProxy)[name] and not any(hasattr(enum_type, each) for each in tried):
            methods[name] = Refused()
    return methods


def _special_names(cls: type) -> dict[str, Any]:
    """Return the special methods as Python finds them for instances. `getattr` would also search the metaclass."""
    return {
        name: found
        for base in reversed(cls.__mro__)
        for name, found in vars(base).items()
        if name.startswith("__") and name.endswith("__")
    }
