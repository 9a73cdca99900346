"""Waking up: how long it takes until a waiting process notices a change, and how much processor time waiting takes."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import random
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paired import Finding
from states import WorkerStatusEnum

from multiprocessing_intenum import IntEnumValue, aio, wait_for
from multiprocessing_intenum.memory import futex

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IDLE_SECONDS", "cost", "latency", "wake_ups"]

WAIT_FOR, AIO, POLLING = "wait_for", "aio.wait_for", "wait_for, polling"
EVENT, CONDITION = "multiprocessing.Event", "multiprocessing.Condition"

IDLE_SECONDS = 5.0
"""How long a process waits without any change, to see what its waiting costs."""

LATENCY_TARGET = 2.0
"""The longest time allowed until `wait_for` wakes, relative to that of `multiprocessing.Event`. Both sides have just
slept, so most of the time goes to code that is no longer in a cache, and here more of that code is Python."""

COST_TARGET = 1 / 1000
"""The most processor time allowed while nothing changes, as a share of a core: 5 ms of 5 s."""

_FORK = multiprocessing.get_context("fork")
# Seconds between two changes. After the shorter pause a waiter sleeps, after the longer one it polls at its slowest.
_PAUSES = 0.005, 0.05


@dataclass(frozen=True)
class _Way:
    """A way to wait.

    Attributes:
        wait: returns after the change; called in the waiting process.
        change: what the other process does.
        reset: takes the change back; called in the waiting process.
        prepare: called in the waiting process before anything else.
    """

    wait: Callable[[], object]
    change: Callable[[], object]
    reset: Callable[[], object]
    prepare: Callable[[], object] = lambda: None


def wake_ups(changes: int) -> list[dict[str, Any]]:
    """Return the latency of each way to wait, and the processor time that it uses while nothing changes.

    Args:
        changes: how often to wake each waiter.
    """
    rows = []
    for way, make in _WAYS.items():
        latencies, processor_time = _measure(make(), changes, IDLE_SECONDS)
        p99 = latencies[int(0.99 * (len(latencies) - 1))]
        rows.append({"way": way, "median": statistics.median(latencies), "p99": p99, "processor_time": processor_time})
    return rows


def latency(changes: int, rounds: int) -> Finding:
    """Measure how long it takes until a waiter wakes, in turns with `multiprocessing.Event`, and return the finding."""
    turns = [
        [statistics.median(_measure(_WAYS[way](), changes)[0]) for way in (WAIT_FOR, EVENT)] for _ in range(rounds)
    ]
    ours, events = zip(*turns, strict=True)
    figure = statistics.median(our / event for our, event in turns)
    return Finding(
        "until a waiter wakes", EVENT, statistics.median(ours), statistics.median(events), figure, LATENCY_TARGET
    )


def cost() -> Finding:
    """Measure the processor time of `wait_for` while nothing changes, and return the finding."""
    _, used = _measure(_WAYS[WAIT_FOR](), 1, IDLE_SECONDS)
    return Finding(
        "processor time of waiting", "the time it waits", used, IDLE_SECONDS, used / IDLE_SECONDS, COST_TARGET
    )


def _futex(prepare: Callable[[], object] = lambda: None) -> _Way:
    status = IntEnumValue(WorkerStatusEnum.IDLE)
    return _Way(
        lambda: wait_for(status, WorkerStatusEnum.CALCULATING),
        lambda: status.set(WorkerStatusEnum.CALCULATING),
        lambda: status.set(WorkerStatusEnum.IDLE),
        prepare,
    )


def _take_the_futex_away() -> None:
    futex.is_available = lambda: False  # as on other platforms than Linux


def _aio() -> _Way:
    status = IntEnumValue(WorkerStatusEnum.IDLE)
    loop = functools.cache(asyncio.new_event_loop)  # made by the process that waits
    return _Way(
        lambda: loop().run_until_complete(aio.wait_for(status, WorkerStatusEnum.CALCULATING)),
        lambda: status.set(WorkerStatusEnum.CALCULATING),
        lambda: status.set(WorkerStatusEnum.IDLE),
    )


def _event() -> _Way:
    event = _FORK.Event()
    return _Way(event.wait, event.set, event.clear)


def _condition() -> _Way:
    condition = _FORK.Condition()
    status = IntEnumValue(WorkerStatusEnum.IDLE, lock=condition)

    def wait() -> None:
        with condition:
            condition.wait_for(lambda: status == WorkerStatusEnum.CALCULATING)

    def change() -> None:
        with condition:
            status.set(WorkerStatusEnum.CALCULATING)
            condition.notify_all()

    return _Way(wait, change, lambda: status.set(WorkerStatusEnum.IDLE))


_WAYS: dict[str, Callable[[], _Way]] = {
    WAIT_FOR: _futex,
    AIO: _aio,
    EVENT: _event,
    CONDITION: _condition,
    POLLING: functools.partial(_futex, _take_the_futex_away),
}


def _measure(way: _Way, changes: int, idle_seconds: float = 0.0) -> tuple[list[float], float]:
    """Return the sorted times until the waiter wakes, and the processor time of a wait of `idle_seconds`."""
    ours, theirs = _FORK.Pipe()
    waiter = _FORK.Process(target=_wait, args=(way, changes, theirs), daemon=True)
    waiter.start()
    latencies = []
    for _ in range(changes):
        ours.recv()  # the child is about to wait
        time.sleep(random.uniform(*_PAUSES))
        begin = time.perf_counter()  # the same clock in all processes
        way.change()
        latencies.append(ours.recv() - begin)
    ours.recv()
    time.sleep(idle_seconds)
    way.change()
    processor_time: float = ours.recv()
    waiter.join()
    return sorted(latencies), processor_time


def _wait(way: _Way, changes: int, theirs: Any) -> None:
    way.prepare()
    for _ in range(changes):
        theirs.send("ready")
        way.wait()
        now = time.perf_counter()
        way.reset()
        theirs.send(now)
    theirs.send("ready")
    used = time.process_time()
    way.wait()
    theirs.send(time.process_time() - used)
