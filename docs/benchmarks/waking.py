"""Waking up: how long it takes until a waiting process notices a change, and how much processor time waiting takes."""

from __future__ import annotations

import multiprocessing
import random
import statistics
import time
from typing import TYPE_CHECKING, Any

from states import WorkerStatusEnum

from multiprocessing_intenum import IntEnumValue, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["wake_ups"]

_FORK = multiprocessing.get_context("fork")
_IDLE = 0.05  # the longest pause between two changes, in seconds: wait_for has reached its longest sleep by then


def wake_ups(changes: int, idle_seconds: float) -> list[dict[str, Any]]:
    """Return the latency of each way to wait, and the share of a core that it uses while idle.

    Args:
        changes: how often to wake each waiter.
        idle_seconds: how long to let it wait without any change.
    """
    ways = {
        "wait_for": _polling(),
        "wait_for, max_interval=0.001": _polling(max_interval=0.001),
        "multiprocessing.Event": _event(),
        "multiprocessing.Condition": _condition(),
    }
    return [{"way": way, **_measure(*make, changes, idle_seconds)} for way, make in ways.items()]


def _polling(**options: float) -> tuple[Callable[[], object], Callable[[], object], Callable[[], object]]:
    status = IntEnumValue(WorkerStatusEnum.IDLE)
    return (
        lambda: wait_for(status, WorkerStatusEnum.CALCULATING, **options),
        lambda: status.set(WorkerStatusEnum.CALCULATING),
        lambda: status.set(WorkerStatusEnum.IDLE),
    )


def _event() -> tuple[Callable[[], object], Callable[[], object], Callable[[], object]]:
    event = _FORK.Event()
    return event.wait, event.set, event.clear


def _condition() -> tuple[Callable[[], object], Callable[[], object], Callable[[], object]]:
    condition = _FORK.Condition()
    status = IntEnumValue(WorkerStatusEnum.IDLE, lock=condition)

    def wait() -> None:
        with condition:
            condition.wait_for(lambda: status == WorkerStatusEnum.CALCULATING)

    def change() -> None:
        with condition:
            status.set(WorkerStatusEnum.CALCULATING)
            condition.notify_all()

    return wait, change, lambda: status.set(WorkerStatusEnum.IDLE)


def _measure(
    wait: Callable[[], object],
    change: Callable[[], object],
    reset: Callable[[], object],
    changes: int,
    idle_seconds: float,
) -> dict[str, float]:
    ours, theirs = _FORK.Pipe()
    waiter = _FORK.Process(target=_wait, args=(wait, reset, changes, theirs), daemon=True)
    waiter.start()
    latencies = []
    for _ in range(changes):
        ours.recv()  # the child is about to wait
        time.sleep(random.uniform(0, _IDLE))
        begin = time.perf_counter()  # the same clock in all processes
        change()
        latencies.append(ours.recv() - begin)
    ours.recv()
    time.sleep(idle_seconds)
    change()
    idle_cpu = ours.recv()
    waiter.join()
    latencies.sort()
    return {
        "median": statistics.median(latencies),
        "p99": latencies[int(0.99 * (len(latencies) - 1))],
        "idle_cpu": idle_cpu,
    }


def _wait(wait: Callable[[], object], reset: Callable[[], object], changes: int, theirs: Any) -> None:
    for _ in range(changes):
        theirs.send("ready")
        wait()
        now = time.perf_counter()
        reset()
        theirs.send(now)
    theirs.send("ready")
    begin, used = time.perf_counter(), time.process_time()
    wait()
    theirs.send((time.process_time() - used) / (time.perf_counter() - begin))
