"""Only type checkers read this file, it is never run: the functions that read, write and wait, and `RobustRLock`."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Iterator
from datetime import datetime

from typing_extensions import assert_never, assert_type

from multiprocessing_intenum import (
    Change,
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


class WorkerStatus(IntEnumValue[WorkerStatusEnum]):
    pass


IDLE, CALCULATING = WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING


def reading(status: WorkerStatus) -> None:
    assert_type(snapshot(status), WorkerStatusEnum)
    assert_type(snapshot(IntEnumValue(IDLE)), WorkerStatusEnum)
    member = snapshot(status)
    match member:
        case WorkerStatusEnum.UNAVAILABLE:
            print("no")
        case WorkerStatusEnum.IDLE | WorkerStatusEnum.CALCULATING:
            print("yes")
        case _:
            assert_never(member)


def writing(status: WorkerStatus, other: IntEnumValue[WorkerStatusEnum]) -> None:
    assert_type(exchange(status, IDLE), WorkerStatusEnum)
    assert_type(exchange(status, "IDLE", timeout=1.5), WorkerStatusEnum)
    assert_type(exchange(status, other, 1), WorkerStatusEnum)
    assert_type(compare_and_set(status, IDLE, CALCULATING), bool)
    assert_type(compare_and_set(status, "IDLE", "CALCULATING", timeout=None), bool)
    assert_type(compare_and_set(status, other, other), bool)
    assert_type(compare_and_set(status, expected=IDLE, new=CALCULATING), bool)
    assert_type(compare_and_exchange(status, IDLE, CALCULATING), WorkerStatusEnum)
    assert_type(compare_and_exchange(status, "IDLE", other, timeout=0), WorkerStatusEnum)
    assert_type(update(status, lambda member: CALCULATING if member is IDLE else member), WorkerStatusEnum)
    assert_type(update(status, lambda member: member.name, timeout=1.0), WorkerStatusEnum)
    assert_type(update(status, opposite), WorkerStatusEnum)
    assert_type(update(status, lambda _: other), WorkerStatusEnum)


def opposite(member: WorkerStatusEnum) -> WorkerStatusEnum:
    return CALCULATING if member is IDLE else IDLE


def waiting(status: WorkerStatus, other: IntEnumValue[WorkerStatusEnum]) -> None:
    assert_type(wait_for(status, IDLE), WorkerStatusEnum)
    assert_type(wait_for(status, "IDLE", 1), WorkerStatusEnum)
    assert_type(wait_for(status, other), WorkerStatusEnum)
    assert_type(wait_for(status, {IDLE, CALCULATING}, timeout=1.5), WorkerStatusEnum)
    assert_type(wait_for(status, ["IDLE", "CALCULATING"], max_interval=0.001), WorkerStatusEnum)
    assert_type(wait_for(status, (IDLE, "CALCULATING")), WorkerStatusEnum)
    assert_type(wait_for(status, WorkerStatusEnum), WorkerStatusEnum)
    assert_type(wait_for(status, lambda member: member is not IDLE), WorkerStatusEnum)
    assert_type(wait_for(status, is_working), WorkerStatusEnum)


def following(status: WorkerStatus) -> None:
    change = last_change(status)
    assert_type(change, Change[WorkerStatusEnum])
    assert_type(change.before, WorkerStatusEnum | None)
    assert_type(change.after, WorkerStatusEnum)
    assert_type(change.at, datetime)
    assert_type(change.pid, int)
    assert_type(change.number, int)
    assert_type(history(status), list[Change[WorkerStatusEnum]])
    assert_type(changes(status), Iterator[Change[WorkerStatusEnum]])
    for each in changes(status, timeout=1):
        assert_type(each.after, WorkerStatusEnum)


async def in_a_coroutine(status: WorkerStatus) -> None:
    assert_type(await aio.wait_for(status, IDLE), WorkerStatusEnum)
    assert_type(await aio.wait_for(status, {"IDLE", CALCULATING}, timeout=1.5), WorkerStatusEnum)
    assert_type(await aio.wait_for(status, is_working, 1), WorkerStatusEnum)
    assert_type(aio.changes(status), AsyncIterator[Change[WorkerStatusEnum]])
    async for each in aio.changes(status, timeout=None):
        assert_type(each, Change[WorkerStatusEnum])


def is_working(member: WorkerStatusEnum) -> bool:
    return member is CALCULATING


def put_right(lock: RobustRLock) -> None:
    print(lock)


def robust_locks() -> None:
    lock = RobustRLock(on_holder_death=put_right)
    assert_type(lock.acquire(), bool)
    assert_type(lock.acquire(True, 1.5), bool)
    assert_type(lock.acquire(block=False), bool)
    assert_type(lock.acquire(timeout=1), bool)
    assert_type(lock.release(), None)
    with RobustRLock():
        WorkerStatus(IDLE, lock=lock)
