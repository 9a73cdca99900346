"""Only type checkers read this file, it is never run: both mypy and pyright must catch each mistake below."""

from __future__ import annotations

import asyncio
import enum

from multiprocessing_intenum import (
    IntEnumValue,
    RobustRLock,
    aio,
    changes,
    compare_and_exchange,
    compare_and_set,
    exchange,
    history,
    last_change,
    snapshot,
    update,
    wait_for,
)


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = enum.auto()
    IDLE = enum.auto()
    CALCULATING = enum.auto()


class FrutEnum(enum.IntEnum):
    APPLE = enum.auto()
    ORANGE = enum.auto()


class Perm(enum.IntFlag):
    R = enum.auto()
    W = enum.auto()


class Word(str, enum.Enum):
    HELLO = "hello"


class Plain(enum.Enum):
    ONE = 1


class WorkerStatus(IntEnumValue[WorkerStatusEnum]):
    pass


IDLE, APPLE = WorkerStatusEnum.IDLE, FrutEnum.APPLE


def construction(fruit: IntEnumValue[FrutEnum]) -> None:
    WorkerStatus(APPLE)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    WorkerStatus(2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    WorkerStatus(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    WorkerStatus(fruit)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    WorkerStatus(IDLE, lock=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    WorkerStatus(IDLE, ctx="spawn")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    WorkerStatus(IDLE, locks=None)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    IntEnumValue(2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    IntEnumValue(Plain.ONE)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    IntEnumValue[WorkerStatusEnum](APPLE)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wrong: IntEnumValue[FrutEnum] = WorkerStatus(IDLE)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(wrong)


def type_arguments(
    text: IntEnumValue[str],  # type: ignore[type-var]  # pyright: ignore[reportInvalidTypeArguments]
    number: IntEnumValue[int],  # type: ignore[type-var]  # pyright: ignore[reportInvalidTypeArguments]
    word: IntEnumValue[Word],  # type: ignore[type-var]  # pyright: ignore[reportInvalidTypeArguments]
    plain: IntEnumValue[Plain],  # type: ignore[type-var]  # pyright: ignore[reportInvalidTypeArguments]
) -> None:
    print(text, number, word, plain)


class Text(IntEnumValue[str]):  # type: ignore[type-var]  # pyright: ignore[reportInvalidTypeArguments]
    pass


def writing(status: WorkerStatus, other: WorkerStatus, fruit: IntEnumValue[FrutEnum]) -> None:
    status.set(APPLE)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    status.set(2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    status.set(True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    status.set(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # This works at run time, see IntEnumValue.set. Type checkers accept `status.value = other`, `set(snapshot(other))`.
    status.set(other)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    status.set(fruit)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    status.value = APPLE  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    status.value = 2  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    status.value = fruit  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    status.name = "IDLE"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    status.vaule = IDLE  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def functions(status: WorkerStatus, fruit: IntEnumValue[FrutEnum]) -> None:
    exchange(status, APPLE)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
    exchange(status, 2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    exchange(status, fruit)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    exchange(IDLE, IDLE)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    compare_and_set(status, APPLE, IDLE)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
    compare_and_set(status, IDLE, APPLE)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
    compare_and_set(status, 2, IDLE)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    compare_and_set(status, IDLE, 2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    compare_and_set(status, IDLE)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    compare_and_set(status, IDLE, IDLE, timeout="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    compare_and_exchange(status, APPLE, IDLE)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
    compare_and_exchange(status, IDLE, APPLE)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
    compare_and_exchange(status, IDLE, 2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    update(status, lambda _: APPLE)  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
    update(status, lambda _: 2)  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
    update(status, IDLE)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wait_for(status, APPLE)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wait_for(status, 2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wait_for(status, [APPLE])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    wait_for(status, fruit)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wait_for(status, IDLE, 1.0, 0.01)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    snapshot(IDLE)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wrong: FrutEnum = snapshot(status)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(wrong)
    last_change(IDLE)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    history(IDLE)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    changes(status, 1.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    changes(status, timeout="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    asyncio.run(aio.wait_for(status, 2))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    aio.changes(IDLE)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    RobustRLock(on_holder_death=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def not_the_member(status: WorkerStatus) -> WorkerStatusEnum:
    return status  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


def not_of_an_int(status: WorkerStatus) -> None:
    bool(status < "IDLE")  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue, reportUnknownArgumentType]
    len(status)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    list(status)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    print(*status)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownArgumentType]
    status()  # type: ignore[misc]  # pyright: ignore[reportOptionalCall]
    with status:  # type: ignore[attr-defined, misc]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    status += 1  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


def not_of_flags(flags: IntEnumValue[Perm]) -> None:
    bool(IDLE in flags)  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
    flags.name.lower()  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    flags |= "W"  # type: ignore[arg-type]  # pyright: ignore[reportOperatorIssue, reportUnknownVariableType]


class Narrow(IntEnumValue[WorkerStatusEnum]):
    def set(self, value: str) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        super().set(value)
