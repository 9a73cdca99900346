"""Only type checkers read this file, it is never run: `IntEnumAttribute`."""

from __future__ import annotations

import enum
import multiprocessing
from dataclasses import dataclass

from typing_extensions import assert_never, assert_type

from multiprocessing_intenum import IntEnumAttribute, IntEnumValue, compare_and_set, update


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = enum.auto()
    IDLE = enum.auto()
    CALCULATING = enum.auto()


class FrutEnum(enum.IntEnum):
    APPLE = enum.auto()


class Perm(enum.IntFlag):
    R = enum.auto()
    W = enum.auto()


class WorkerStatus(IntEnumValue[WorkerStatusEnum]):
    def is_idle(self) -> bool:
        return self == WorkerStatusEnum.IDLE


class WorkerState:
    # The annotations are for pyright: see PlainState.
    status: IntEnumAttribute[WorkerStatus] = IntEnumAttribute(WorkerStatus)
    before: IntEnumAttribute[IntEnumValue[WorkerStatusEnum]] = IntEnumAttribute(IntEnumValue[WorkerStatusEnum])
    flags: IntEnumAttribute[IntEnumValue[Perm]] = IntEnumAttribute(IntEnumValue[Perm])

    def __init__(self) -> None:
        self.lock = multiprocessing.RLock()
        self.status = WorkerStatus(WorkerStatusEnum.IDLE, lock=self.lock)
        self.before = WorkerStatusEnum.UNAVAILABLE
        self.flags = Perm.R


class DerivedState(WorkerState):
    def start(self) -> None:
        self.before = self.status
        self.status = WorkerStatusEnum.CALCULATING
        assert_type(DerivedState.status.proxy_of(self), WorkerStatus)


def reading(state: WorkerState) -> str:
    assert_type(state.status, WorkerStatusEnum)
    assert_type(state.before, WorkerStatusEnum)
    assert_type(state.flags, Perm)
    assert_type(state.status.name, str)  # pyright: ignore[reportAssertTypeFailure]
    assert_type(state.status is WorkerStatusEnum.IDLE, bool)
    match state.status:
        case WorkerStatusEnum.UNAVAILABLE:
            return "none"
        case WorkerStatusEnum.IDLE:
            return "free"
        case WorkerStatusEnum.CALCULATING:
            return "busy"
        case other:  # pyright: ignore[reportUnnecessaryComparison]
            assert_never(other)


def writing(state: WorkerState, other: IntEnumValue[WorkerStatusEnum]) -> None:
    state.status = WorkerStatusEnum.CALCULATING
    state.status = "CALCULATING"
    assert_type(state.status, WorkerStatusEnum)
    state.status = other
    assert_type(state.status, WorkerStatusEnum)
    state.flags |= Perm.W
    assert_type(state.flags, Perm)


def through_the_class(state: WorkerState) -> None:
    assert_type(WorkerState.status, IntEnumAttribute[WorkerStatus])
    assert_type(WorkerState.status.proxy_of(state), WorkerStatus)
    assert_type(WorkerState.status.proxy_of(state).is_idle(), bool)
    assert_type(WorkerState.before.proxy_of(state), IntEnumValue[WorkerStatusEnum])
    assert_type(compare_and_set(WorkerState.status.proxy_of(state), "IDLE", "CALCULATING"), bool)
    assert_type(update(WorkerState.flags.proxy_of(state), lambda flags: flags | Perm.W), Perm)


def mistakes(state: WorkerState) -> None:
    state.status = FrutEnum.APPLE  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    state.status = 2  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    state.status = None  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    state.status = IntEnumValue(FrutEnum.APPLE)  # type: ignore[arg-type]  # pyright: ignore[reportAttributeAccessIssue]
    state.before = FrutEnum.APPLE  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    state.flags = WorkerStatusEnum.IDLE  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    state.status.name = "IDLE"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    state.staus = WorkerStatusEnum.IDLE  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    compare_and_set(state.status, "IDLE", "CALCULATING")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    state.status.set("IDLE")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    IntEnumAttribute(WorkerStatusEnum)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    IntEnumAttribute(WorkerStatusEnum.IDLE)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    IntEnumAttribute("WorkerStatus")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class WrongState:
    status: IntEnumAttribute[WorkerStatus] = IntEnumAttribute(WorkerStatus)
    fruit: IntEnumAttribute[IntEnumValue[FrutEnum]] = IntEnumAttribute(WorkerStatus)  # type: ignore[arg-type]  # pyright: ignore[reportAssignmentType]

    def __init__(self) -> None:
        self.status = FrutEnum.APPLE  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]


@dataclass
class DataState:
    status: IntEnumAttribute[WorkerStatus] = IntEnumAttribute(WorkerStatus, default="IDLE")  # noqa: RUF009
    job: int = -1


def dataclasses() -> None:
    assert_type(DataState().status, WorkerStatusEnum)
    assert_type(DataState("IDLE", 5).status, WorkerStatusEnum)
    # A false positive: mypy's dataclass support looks at `__set__` without binding it to the attribute. Names work.
    DataState(WorkerStatusEnum.IDLE)  # type: ignore[arg-type]
    DataState(FrutEnum.APPLE)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    DataState(2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    IntEnumAttribute(WorkerStatus, default=2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class PlainState:
    """The attribute has no annotation.

    mypy infers the type from the first assignment, which is the one in the class body. pyright uses all assignments, so
    it also adds the types that the class's own methods assign.
    """

    status = IntEnumAttribute(WorkerStatus)

    def __init__(self) -> None:
        self.status = WorkerStatusEnum.IDLE

    def start(self) -> None:
        self.status = WorkerStatusEnum.CALCULATING


def plain(state: PlainState) -> None:
    assert_type(state.status, WorkerStatusEnum)
    state.status = "CALCULATING"
    assert_type(state.status, WorkerStatusEnum)
    state.status = FrutEnum.APPLE  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    assert_type(PlainState.status, IntEnumAttribute[WorkerStatus])  # pyright: ignore[reportAssertTypeFailure]
