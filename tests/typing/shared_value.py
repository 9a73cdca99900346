"""Only type checkers read this file, it is never run: what a user's code sees of a shared value."""

from __future__ import annotations

import enum
import logging
import math
import multiprocessing
import operator
import threading
from typing import Any, SupportsFloat, SupportsIndex, SupportsInt, TypeVar

from typing_extensions import assert_type

from multiprocessing_intenum import IntEnumValue, RobustRLock, snapshot

logger = logging.getLogger(__name__)


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = enum.auto()
    IDLE = enum.auto()
    CALCULATING = enum.auto()


class WorkerStatus(IntEnumValue[WorkerStatusEnum]):
    pass


def construction(other: WorkerStatus) -> None:
    assert_type(WorkerStatus(WorkerStatusEnum.IDLE), WorkerStatus)
    assert_type(WorkerStatus("IDLE"), WorkerStatus)
    assert_type(WorkerStatus(other), WorkerStatus)
    assert_type(IntEnumValue(WorkerStatusEnum.IDLE), IntEnumValue[WorkerStatusEnum])
    assert_type(IntEnumValue[WorkerStatusEnum]("IDLE"), IntEnumValue[WorkerStatusEnum])
    assert_type(IntEnumValue[WorkerStatusEnum](other), IntEnumValue[WorkerStatusEnum])
    assert_type(WorkerStatus.EnumType, type[WorkerStatusEnum])
    assert_type(other.EnumType, type[WorkerStatusEnum])


def locks(status: WorkerStatus) -> None:
    context = multiprocessing.get_context("spawn")
    WorkerStatus(WorkerStatusEnum.IDLE, multiprocessing.RLock())
    WorkerStatus(WorkerStatusEnum.IDLE, lock=multiprocessing.Lock())
    WorkerStatus(WorkerStatusEnum.IDLE, lock=threading.Lock())
    WorkerStatus(WorkerStatusEnum.IDLE, lock=threading.RLock())
    WorkerStatus(WorkerStatusEnum.IDLE, lock=multiprocessing.Manager().RLock())
    WorkerStatus(WorkerStatusEnum.IDLE, lock=RobustRLock())
    WorkerStatus(WorkerStatusEnum.IDLE, lock=status.get_lock())
    WorkerStatus(WorkerStatusEnum.IDLE, lock=None)
    WorkerStatus(WorkerStatusEnum.IDLE, ctx=context)
    with status.get_lock():
        status.set(WorkerStatusEnum.CALCULATING)


def reading(status: WorkerStatus) -> None:
    assert_type(status.name, str)
    assert_type(status.value, int)
    assert_type(status == WorkerStatusEnum.IDLE, bool)
    assert_type(WorkerStatusEnum.IDLE == status, bool)  # noqa: SIM300
    assert_type(status != WorkerStatusEnum.IDLE, bool)
    assert_type(status == status, bool)
    assert_type(status == None, bool)  # noqa: E711
    assert_type(status < WorkerStatusEnum.CALCULATING, bool)
    assert_type(status >= 2, bool)
    assert_type(WorkerStatusEnum.IDLE < status, bool)  # noqa: SIM300
    assert_type(status + 1, int)
    assert_type(1 + status, int)
    assert_type(status + WorkerStatusEnum.IDLE, int)
    assert_type(-status, int)
    assert_type(status / 2, float)
    assert_type(status << 1, int)
    assert_type(int(status), int)
    assert_type(float(status), float)
    assert_type(bool(status), bool)
    assert_type(str(status), str)
    assert_type(f"{status.name} is {status:d}", str)
    assert_type(hash(status), int)
    assert_type(status.bit_length(), int)
    assert_type(operator.index(status), int)
    assert_type(math.sqrt(status), float)
    assert_type(["a", "b", "c", "d"][status], str)
    assert_type({WorkerStatusEnum.IDLE: "idle"}[snapshot(status)], str)
    assert_type(WorkerStatusEnum(status), WorkerStatusEnum)
    assert_type(status in {WorkerStatusEnum.IDLE}, bool)


def passing(status: WorkerStatus) -> None:
    integer: int = status
    index: SupportsIndex = status
    as_int: SupportsInt = status
    as_float: SupportsFloat = status
    value: IntEnumValue[WorkerStatusEnum] = status
    anything: IntEnumValue[Any] = status
    print(integer, index, as_int, as_float, value, anything)


def writing(status: WorkerStatus, other: IntEnumValue[WorkerStatusEnum]) -> None:
    status.set(WorkerStatusEnum.CALCULATING)
    status.set("CALCULATING")
    status.set(value=WorkerStatusEnum.CALCULATING)
    status.set(snapshot(other))
    status.value = WorkerStatusEnum.CALCULATING
    assert_type(status.value, int)
    status.value = "CALCULATING"
    assert_type(status.value, int)
    status.value = other
    assert_type(status.value, int)


def matching(status: WorkerStatus) -> str:
    match snapshot(status):
        case WorkerStatusEnum.IDLE:
            return "free"
        case WorkerStatusEnum.UNAVAILABLE | WorkerStatusEnum.CALCULATING:
            return "busy"
    # The checkers know that this is unreachable. If you match on the value itself, they report a missing `return`.


class LoggingStatus(IntEnumValue[WorkerStatusEnum]):
    """An override like the one in the announcement of multiprocessing-intenum."""

    def set(self, value: WorkerStatusEnum | str) -> None:
        super().set(value)
        logger.info(f"WorkerStatus set to '{self.name}'")


class WideStatus(IntEnumValue[WorkerStatusEnum]):
    """An override that accepts more types."""

    def set(self, value: WorkerStatusEnum | str | IntEnumValue[WorkerStatusEnum]) -> None:
        super().set(snapshot(value) if isinstance(value, IntEnumValue) else value)


class CountingStatus(WorkerStatus):
    """A subclass with its own attribute and method."""

    writes: int = 0

    def __init__(self, value: WorkerStatusEnum | str, limit: int) -> None:
        super().__init__(value)
        self.limit = limit

    def set(self, value: WorkerStatusEnum | str) -> None:
        super().set(value)
        self.writes += 1

    @property
    def is_idle(self) -> bool:
        return self == WorkerStatusEnum.IDLE


def subclasses(logging_status: LoggingStatus, wide: WideStatus, counting: CountingStatus) -> None:
    for status in (logging_status, wide, counting):
        status.set(WorkerStatusEnum.IDLE)
        status.set("IDLE")
        status.value = WorkerStatusEnum.IDLE
    wide.set(counting)
    assert_type(counting.writes, int)
    assert_type(counting.limit, int)
    assert_type(counting.is_idle, bool)
    assert_type(snapshot(counting), WorkerStatusEnum)


EnumT = TypeVar("EnumT", bound=enum.IntEnum)


class Audited(IntEnumValue[EnumT]):
    """A base class for the values of several enums."""

    def member(self) -> EnumT:
        return snapshot(self)


class AuditedStatus(Audited[WorkerStatusEnum]):
    pass


def generic(audited: AuditedStatus) -> None:
    assert_type(audited.member(), WorkerStatusEnum)
    assert_type(Audited(WorkerStatusEnum.IDLE), Audited[WorkerStatusEnum])
    assert_type(log_of(audited), str)


def log_of(status: IntEnumValue[EnumT]) -> str:
    return f"{status.name} = {status.value}"


class WorkerState:
    """Like the class in the announcement of multiprocessing-intenum: a property hides the shared value."""

    def __init__(self) -> None:
        self._status = WorkerStatus(WorkerStatusEnum.IDLE)

    @property
    def status(self) -> WorkerStatusEnum:
        return snapshot(self._status)

    @status.setter
    def status(self, status: WorkerStatusEnum | str) -> None:
        self._status.set(status)
