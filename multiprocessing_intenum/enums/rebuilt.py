"""An enum that is made anew from the description in a file, for a program that does not import the application."""

from __future__ import annotations

import enum
import sys
from collections.abc import Mapping
from typing import Any

from multiprocessing_intenum.enums.schema import ValueByText

__all__ = ["Flags", "enum_of"]


class _Ints(enum.IntEnum):
    """The base of an enum that is made from the header of a file."""

    @classmethod
    def _missing_(cls, value: Any) -> Any:
        # The application's enum may make members that the header does not have. Here their number is their name.
        member = int.__new__(cls, value)
        member._name_, member._value_ = str(value), value
        return member


_keep_all: dict[str, Any] = {"boundary": vars(enum)["KEEP"]} if sys.version_info >= (3, 11) else {}


class Flags(enum.IntFlag, **_keep_all):
    """The same for flags."""


class _Places(enum.Enum):
    """The same for an enum that is stored by places."""


def enum_of(description: Mapping[str, Any]) -> Any:
    """Return the enum; ValueError if the names can not be those of one."""
    kind, members = description["kind"], description["members"]
    base: Any = {"ints": _Ints, "flags": Flags, "places": _Places}[kind]
    aliases = description.get("aliases", [])
    # The first name of a number is that of the member. A database does not keep the order of the names.
    members = {name: members[name] for name in sorted(members, key=aliases.__contains__)}
    if kind == "places":
        values: dict[int, ValueByText] = {}  # an alias has the place of its member
        for name, place in members.items():
            values.setdefault(place, ValueByText(description["values"][name]))
        members = {name: values[place] for name, place in members.items()}
    try:
        found = base(description["enum"], members)
    except Exception as error:  # the names may be anything, and the enum module may raise anything
        message = f"can not make the enum {description['enum']} from the names in the file: {error}"
        raise ValueError(message) from error
    if not members or found.__members__.keys() != members.keys():
        message = f"the names in the file can not all be names of an enum's members: {', '.join(members)}"
        raise ValueError(message)
    return found
