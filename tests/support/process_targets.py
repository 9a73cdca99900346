"""What the child processes of the tests run. Each checks its arguments, then writes what its parent waits for."""

from __future__ import annotations

import enum
from typing import Any

from enums import LoggingStatus, Perm, Permissions, RecordType, WorkerState, WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, run

from multiprocessing_intenum import IntEnumValue, compare_and_set, exchange, snapshot, update, wait_for

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum


def use(status: WorkerStatus) -> None:
    """Do everything that one can do with a shared value, and wait for the parent's answer in between."""
    assert type(status) is WorkerStatus
    assert isinstance(status, WorkerStatusEnum)
    assert snapshot(status) is IDLE
    status.set("CALCULATING")
    assert wait_for(status, "UNAVAILABLE", DEADLINE) is UNAVAILABLE
    with status.get_lock():  # type: ignore[attr-defined]
        assert compare_and_set(status, UNAVAILABLE, IDLE)
    assert exchange(status, CALCULATING) is IDLE
    assert update(status, lambda member: WorkerStatusEnum(member - 1)) is IDLE


def use_unbound(status: Any) -> None:
    assert type(status) is IntEnumValue[WorkerStatusEnum]
    status.set(CALCULATING)


def use_flags(permissions: Permissions) -> None:
    for _ in range(100):
        permissions ^= Perm.X
    permissions |= Perm.W


def use_own_attributes(status: LoggingStatus) -> None:
    assert (status.label, status.log, status._self_note) == ("mine", ["CALCULATING"], 7)  # type: ignore[attr-defined]
    status.label = "the child's"
    status.set("IDLE")
    assert status.log == ["CALCULATING", "IDLE"]


def use_state(state: WorkerState) -> None:
    live = WorkerState.status.proxy_of(state)
    assert live.get_lock() is state.lock
    assert state.job_id.get_lock() is state.lock
    with state.lock:
        assert compare_and_set(live, IDLE, CALCULATING)
        state.job_id.value = 7
    assert state.status is CALCULATING


def hand_on(ctx: Any, status: WorkerStatus) -> None:
    run(ctx, set_to_unavailable, status)


def set_to_unavailable(status: WorkerStatus) -> None:
    status.set(UNAVAILABLE)


class Node(IntEnumValue[WorkerStatusEnum]):
    peer: Node


def follow_peers(one: Node) -> None:
    two = one.peer
    assert two.peer is one
    assert (snapshot(one), snapshot(two)) == (IDLE, CALCULATING)
    one.set(UNAVAILABLE)
    two.set(IDLE)


class Common(enum.IntEnum):
    """An enum without members, as a base for enums that share methods."""


class Job(Common):
    WAITING = 1
    RUNNING = 2


AnyJob = IntEnumValue[Common]


def start_job(status: Any) -> None:
    assert type(status) is AnyJob[Job]  # type: ignore[misc]
    status.set("RUNNING")


# Pools and executors take the shared value through their initializer

_shared: Any = None


def keep(status: WorkerStatus) -> None:
    global _shared
    _shared = status


def claim(number: int) -> int:
    """Take part in a race that has exactly one winner."""
    return int(compare_and_set(_shared, IDLE, CALCULATING))


def name_of(member: Any) -> tuple[type, str]:
    return type(member), member.name


def set_a_record_type(status: Any) -> None:
    assert snapshot(status) == RecordType(65280)
    status.set(RecordType(65281))
