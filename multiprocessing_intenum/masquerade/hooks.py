"""The methods that other libraries look for on a shared value. The libraries chose the names."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

from multiprocessing_intenum.value import has_cell, snapshot

__all__ = ["Attribute", "conform", "pydantic_core_schema"]


class Attribute:
    """For an instance, the member's attribute of this name. The class has the given method, or no such attribute."""

    def __init__(self, method: Callable[..., Any] | None = None) -> None:
        self.method = method

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is not None:
            return getattr(snapshot(instance), self.name)
        if self.method is None:
            raise AttributeError(self.name)
        return types.MethodType(self.method, owner)


def conform(self: Any, protocol: object) -> Any:
    """Return what sqlite3 would bind for the member. The enum may have an adapter.

    sqlite3 looks for this method on the instance. For any other protocol, return what the member's own `__conform__`
    returns, or None.
    """
    member = snapshot(self)
    sqlite3 = sys.modules.get("sqlite3")
    if sqlite3 is not None and protocol is sqlite3.PrepareProtocol:
        return sqlite3.adapt(member, protocol, member)
    members_own = getattr(member, "__conform__", None)
    return None if members_own is None else members_own(protocol)


def pydantic_core_schema(cls: Any, source: object, handler: Any) -> dict[str, Any]:
    """Let a pydantic model be annotated with the class of a shared value.

    Such a field holds the live shared value that it is given. A dump has the current member. The field accepts no data,
    because data would become a new shared value that no other process has. Annotate a field for data with the enum.
    """
    # The functions of pydantic_core.core_schema return such dicts. Written out, they need no import of pydantic.
    dumped = {"type": "function-plain", "function": _member, "return_schema": handler.generate_schema(cls.EnumType)}
    return {"type": "is-instance", "cls": cls, "serialization": dumped}


def _member(value: Any) -> Any:
    return snapshot(value) if has_cell(value) else value  # the deep copy of a model holds a member
