"""The enums and shared values of the tests, in a module that spawned children can import."""

from __future__ import annotations

import enum
import multiprocessing
import sys
import threading
from typing import Any

from multiprocessing_intenum import EnumAttribute, EnumValue, IntEnumAttribute, IntEnumValue, snapshot

if sys.version_info >= (3, 11):
    from enum import StrEnum
else:

    class StrEnum(str, enum.Enum):
        __str__ = str.__str__


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = enum.auto()
    IDLE = enum.auto()
    CALCULATING = enum.auto()


class FrutEnum(enum.IntEnum):
    APPLE = enum.auto()
    ORANGE = enum.auto()


class Perm(enum.IntFlag):
    R = 4
    W = 2
    X = 1


class Big(enum.IntEnum):
    SMALL = 1
    LARGEST = 2**63 - 1
    SMALLEST = -(2**63)
    TOO_LARGE = 2**63
    TOO_SMALL = -(2**63) - 1


class RecordType(enum.IntEnum):
    """As dnspython's RdataType: a member that is not named is made anew each time, and not kept."""

    A = 1
    NS = 2

    @classmethod
    def _missing_(cls, value: Any) -> Any:
        self = int.__new__(cls, value)
        self._name_, self._value_ = f"TYPE{value}", value
        return self


class StaticallyMade(enum.IntEnum):
    """Its `_missing_` is a staticmethod, which enum allows."""

    A = 1

    @staticmethod
    def _missing_(value: Any) -> Any:
        self = int.__new__(StaticallyMade, value)
        self._name_, self._value_ = f"TYPE{value}", value
        return self


class Strict(enum.IntFlag, **({"boundary": enum.STRICT} if hasattr(enum, "STRICT") else {})):  # type: ignore[misc]
    """A flag that has no members but the combinations of its own bits (before Python 3.11, see `_missing_`)."""

    R = 4
    W = 2

    @classmethod
    def _missing_(cls, value: Any) -> Any:
        if value & ~6:
            message = f"{value} is not a valid {cls.__name__}"
            raise ValueError(message)
        return super()._missing_(value)


class Priority(StrEnum):
    LOW = "low"
    HIGH = "high"
    URGENT = "urgent"


class Tool(enum.Enum):
    """Members whose values can not be hashed, not be pickled, or are nothing that another process could know."""

    LIST = [1, []]  # noqa: RUF012
    LOCK = threading.Lock()
    CALL = (lambda number: 2 * number,)
    NOTHING = None
    THING = object()


class Paint(enum.Flag):
    BLUE = 1
    RED = 2
    LIME = 4


class WorkerStatus(IntEnumValue[WorkerStatusEnum]):
    pass


class Permissions(IntEnumValue[Perm]):
    pass


class LoggingStatus(IntEnumValue[WorkerStatusEnum]):
    """The seeds' example: an overridden set() sees every write. The log is an attribute of the subclass."""

    log: list[str]
    label: str = "a worker's"

    def set(self, value: Any) -> None:
        super().set(value)
        self.log.append(snapshot(self).name)


class WorkerState:
    """A state with two parts that share a lock and change together."""

    status = IntEnumAttribute(WorkerStatus)

    def __init__(self, ctx: Any = multiprocessing) -> None:
        self.lock = ctx.RLock()
        self.status = WorkerStatus(WorkerStatusEnum.IDLE, lock=self.lock)
        self.job_id = ctx.Value("i", -1, lock=self.lock)


class PriorityValue(EnumValue[Priority]):
    pass


class Order:
    """An order with a state of each kind of enum, which share a lock and change together."""

    priority = EnumAttribute(PriorityValue)
    tool = EnumAttribute(EnumValue[Tool])
    paint = EnumAttribute(EnumValue[Paint])

    def __init__(self, ctx: Any = multiprocessing) -> None:
        self.lock = ctx.RLock()
        self.priority = PriorityValue(Priority.LOW, lock=self.lock)
        self.tool = EnumValue[Tool](Tool.LOCK, lock=self.lock)
        self.paint = EnumValue[Paint](Paint.BLUE | Paint.RED, lock=self.lock)
