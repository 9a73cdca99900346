"""What other libraries look for on a shared value, under the names that they chose."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

from multiprocessing_intenum.cell import has_cell, snapshot

__all__ = ["ClassHook", "conform", "pydantic_core_schema"]


class ClassHook:
    """A method that is looked for on the class alone: an instance has the member's own, if any."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        return types.MethodType(self.function, owner) if instance is None else getattr(snapshot(instance), self.name)


def conform(self: Any, protocol: object) -> Any:
    """Say what sqlite3 shall bind: what it would for the member, whose type may have an adapter.

    sqlite3 looks for it on the instance. None, to anybody else who asks, means that there is no answer.
    """
    member = snapshot(self)
    sqlite3 = sys.modules.get("sqlite3")
    if sqlite3 is not None and protocol is sqlite3.PrepareProtocol:
        return sqlite3.adapt(member, protocol, member)
    members_own = getattr(member, "__conform__", None)
    return None if members_own is None else members_own(protocol)


def pydantic_core_schema(cls: Any, source: object, handler: Any) -> dict[str, Any]:
    """Let a pydantic model be annotated with the class of a shared value.

    A field holds the shared value that it was given, live, and is dumped as the member of that moment. It takes no
    data, which would have to make a new shared value that nobody shares: annotate a field for data with the enum.
    """
    # What pydantic_core.core_schema's functions return: dicts. So nothing is imported for those who do without it.
    dumped = {"type": "function-plain", "function": _member, "return_schema": handler.generate_schema(cls.EnumType)}
    return {"type": "is-instance", "cls": cls, "serialization": dumped}


def _member(value: Any) -> Any:
    return snapshot(value) if has_cell(value) else value  # a deep copy of a model has the member already
