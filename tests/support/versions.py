"""Two versions of some enums, as two versions of a program have them, and the classes of their shared values."""

from __future__ import annotations

import enum
import sys
from typing import TYPE_CHECKING, Any

from multiprocessing_intenum import EnumValue, IntEnumValue

if TYPE_CHECKING or sys.version_info >= (3, 11):
    from enum import StrEnum
else:

    class StrEnum(str, enum.Enum):
        """What Python 3.10 has for it."""


class Old(enum.IntEnum):
    IDLE = 1
    BUSY = 2
    UNAVAILABLE = 3


class New(enum.IntEnum):
    IDLE = 1
    CALCULATING = 2
    BUSY = 2  # the name of before
    UNAVAILABLE = 3
    PAUSED = 4


class Other(enum.IntEnum):
    """Neither contains nor is contained."""

    IDLE = 1
    BUSY = 5
    UNAVAILABLE = 3


class OldPerm(enum.Flag):
    R = 1
    W = 2


class NewPerm(enum.Flag):
    R = 1
    W = 2
    X = 4


class OldMode(StrEnum):
    NORMAL = "normal"
    MAINTENANCE = "maintenance"


class NewMode(StrEnum):
    NORMAL = "normal"
    MAINTENANCE = "maintenance"
    DRAINING = "draining"


class MovedMode(StrEnum):
    """The new member is not the last one, so another one has another place."""

    NORMAL = "normal"
    DRAINING = "draining"
    MAINTENANCE = "maintenance"


class OldValue(IntEnumValue[Old]): ...


class NewValue(IntEnumValue[New]): ...


class OldValueWithStandIn(IntEnumValue[Old], unknown=Old.UNAVAILABLE): ...


class OldStrictValue(
    IntEnumValue[Old],
    transitions={Old.IDLE: [Old.BUSY], Old.BUSY: [Old.IDLE], Old.UNAVAILABLE: [Old.IDLE]},
): ...


class OldStrictValueWithStandIn(OldStrictValue, unknown="UNAVAILABLE"): ...


class NewStrictValue(
    IntEnumValue[New],
    transitions={
        New.IDLE: [New.CALCULATING, New.PAUSED],
        New.CALCULATING: [New.IDLE],
        New.PAUSED: [New.IDLE],
        New.UNAVAILABLE: [New.IDLE],
    },
): ...


PAIRS: dict[str, tuple[Any, Any, str, str]] = {
    "ints": (OldValue, NewValue, "IDLE", "PAUSED"),
    "flags": (EnumValue[OldPerm], EnumValue[NewPerm], "R", "X"),
    "texts": (EnumValue[OldMode], EnumValue[NewMode], "NORMAL", "DRAINING"),
}
"""For each kind the class of an old and of a new version, a member of both, and a member of the new one only."""
