"""What the child processes of the tests run. Each checks its arguments, then writes what its parent waits for."""

from __future__ import annotations

import asyncio
import enum
from typing import Any

from enums import (
    LoggingStatus,
    Order,
    Paint,
    Perm,
    Permissions,
    Priority,
    PriorityValue,
    RecordType,
    Tool,
    WorkerState,
    WorkerStatus,
    WorkerStatusEnum,
)
from helpers import DEADLINE, in_a_thread, run

from multiprocessing_intenum import (
    EnumValue,
    IntEnumValue,
    aio,
    changes,
    compare_and_set,
    exchange,
    snapshot,
    update,
    wait_for,
)

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


def write_alternately(status: WorkerStatus, times: int) -> None:
    for index in range(times):
        status.set((CALCULATING, IDLE)[index % 2])


def follow(status: WorkerStatus, ready: Any, step: Any, finished: Any) -> None:
    """Consume 300 changes, and tell each, and their numbers at the end."""
    feed = changes(status, timeout=DEADLINE)
    ready.release()
    numbers = []
    expected = (CALCULATING, UNAVAILABLE, IDLE)
    for change in feed:
        assert change.after is expected[(change.number - 1) % 3]
        numbers.append(change.number)
        step.release()
        if change.number == 300:
            break
    finished.put(numbers)


def wait_in_a_loop(status: WorkerStatus) -> None:
    async def wait() -> None:
        waiter = asyncio.create_task(aio.wait_for(status, CALCULATING, DEADLINE))
        await asyncio.sleep(0)
        status.set(CALCULATING)
        assert await waiter is CALCULATING

    asyncio.run(wait())


def run_in_a_thread(target: Any, status: WorkerStatus) -> None:
    """The child of a fork inside a running loop still has that loop in its main thread."""
    in_a_thread(lambda: target(status))


def read_and_set(steps: Any) -> None:
    """For each shared value: check the member that it names here, and set it to another one."""
    for status, before, new in steps:
        assert snapshot(status) is (status.EnumType[before] if isinstance(before, str) else before)
        status.set(new)


def use_text(priority: Any) -> None:
    assert type(priority) is PriorityValue
    assert (priority, priority.upper(), {"low": 1}[priority]) == ("low", "LOW", 1)
    priority.set("HIGH")
    assert wait_for(priority, "URGENT", DEADLINE) is Priority.URGENT
    assert compare_and_set(priority, "URGENT", Priority.LOW)


def use_tools(tool: Any) -> None:
    """Go through the members. The value of each is the one of this process."""
    assert type(tool) is EnumValue[Tool]
    for member in Tool:
        tool.set(member.name)
        assert snapshot(tool) is member
        assert tool.value is member.value
    assert exchange(tool, Tool.LOCK) is Tool.THING
    with tool.value:
        assert Tool.LOCK.value.locked()
    assert exchange(tool, Tool.CALL) is Tool.LOCK
    assert tool.value[0](4) == 8


def use_paint(paint: Any) -> None:
    assert snapshot(paint) is Paint.BLUE | Paint.RED
    for _ in range(100):
        paint ^= Paint.LIME
    paint |= Paint.LIME


def use_order(order: Order) -> None:
    priority = Order.priority.proxy_of(order)
    assert priority.get_lock() is Order.tool.proxy_of(order).get_lock() is order.lock
    assert (order.priority, order.tool, order.paint) == (Priority.LOW, Tool.LOCK, Paint.BLUE | Paint.RED)
    with order.lock:
        assert compare_and_set(priority, "LOW", "URGENT")
        order.tool = "CALL"  # type: ignore[assignment]
        order.paint = Paint.RED | Paint.LIME  # type: ignore[assignment]
    assert order.tool is Tool.CALL


def claim_text(number: int) -> int:
    return int(compare_and_set(_shared, "LOW", "HIGH"))
