"""The optional C core: whether this process has it, and what the cells of shared values give it.

`_core.c` says what it does, and which lines of Python do the same without it.
"""

from __future__ import annotations

import ctypes
import os
from importlib import import_module
from inspect import getattr_static
from typing import TYPE_CHECKING, Any

import wrapt

from multiprocessing_intenum import fork

__all__ = ["Attribute", "Reads", "address_of", "allowed_in", "core", "here_address", "kind", "table_of"]


def _load() -> Any:
    # The C core needs the slots of a class, which the pure-Python wrapt with its metaclass lays out in its own way.
    if os.environ.get("MULTIPROCESSING_INTENUM_PURE") == "1" or type(wrapt.ObjectProxy) is not type:
        return None
    try:
        module = import_module("multiprocessing_intenum._core")
    except ImportError:  # not compiled, or this process has imported it before
        return None
    return module


core: Any = _load()
"""The C module, or None."""


if TYPE_CHECKING or core is None:

    class Reads:
        """A base of the classes of shared values. A class uses its methods only if its own `__dict__` names them."""

        __slots__ = ()

    class Attribute:
        """The base of `EnumAttribute`."""

        __slots__ = ()

else:
    Reads, Attribute = core.Reads, core.Attribute

kind: str = "pure Python" if core is None else "C core"
"""How it runs, for the user."""


def address_of(view: Any) -> int:
    """Return where a writable view has its memory. The caller keeps the view."""
    return ctypes.addressof(ctypes.c_char.from_buffer(view))


here_address: int = address_of(fork.here) if core is not None and issubclass(type(fork.here), memoryview) else 0
"""Where the word lies that is zero in a forked child that has not noticed its fork; 0: it is no word of memory."""


def table_of(members: Any) -> Any:
    """Return the table of an enum, its `Members`, in C. It is made once, with the members that there are by then."""
    if members.in_c is None:
        numbers = [number for number in list(members.by_number) if -(2**63) <= number < 2**63]
        rows = [
            (number, members.by_number[number], members.names[number], members.values[number]) for number in numbers
        ]
        equal = getattr_static(members.enum_type, "__eq__")
        table = core.Table(rows, equal in (object.__eq__, int.__eq__, str.__eq__))
        members.in_c = table, numbers
    table, _ = members.in_c
    return table


def allowed_in(members: Any, transitions: Any) -> bytes | None:
    """Return, for each pair of rows of the table, one byte: whether the second state may follow the first one."""
    if transitions is None:
        return None
    if transitions.in_c is None:
        _, numbers = members.in_c
        followers = [transitions.allowed.get(before, ()) for before in numbers]
        transitions.in_c = bytes(after in found for found in followers for after in numbers)
    found: bytes = transitions.in_c
    return found
