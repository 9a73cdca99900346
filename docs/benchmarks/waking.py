"""Waking up: how long it takes until a waiting process notices a change, and how much processor time waiting takes."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import random
import statistics
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paired import Finding
from states import WorkerStatusEnum
from targets import Target

from multiprocessing_intenum import IntEnumValue, aio, wait_for
from multiprocessing_intenum.memory import futex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["AIO", "IDLE_SECONDS", "POLLING", "WAIT_FOR", "beside_others", "cost", "latency", "wake_ups"]

WAIT_FOR, AIO, POLLING = "wait_for", "aio.wait_for", "wait_for, polling"
EVENT, CONDITION = "multiprocessing.Event", "multiprocessing.Condition"
THREAD = "a thread that a pipe wakes, and asyncio"

IDLE_SECONDS = 5.0
"""How long a process waits without any change, to see what its waiting costs."""

_LATENCY, _LATE, _COROUTINE = Target(0.65, 1.15), Target(1.0, 1.0), Target(2.0, 2.0)
"""The longest times allowed until `wait_for` wakes: the median, and what 99 % stay below, relative to that of
`multiprocessing.Event`; and until `aio.wait_for` wakes, relative to what asyncio needs to be woken by a thread."""
_IDLE = Target(0.002, 0.0025)
"""The most processor time allowed while nothing changes for `IDLE_SECONDS`."""
_OTHERS = 50
_OTHERS_COST, _OTHERS_DELAY = 8e-6, 1.1
"""The most processor time allowed for each of `_OTHERS` waiters for another state and each change; and how long a
change may take beside them, relative to one without them."""

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


def latency(changes: int, rounds: int) -> Iterator[Finding]:
    """Measure how long it takes until a waiter wakes, in turns with what that is compared with."""
    ways = (WAIT_FOR, EVENT, AIO, THREAD)
    turns = [{way: _measure(_WAYS[way](), changes)[0] for way in ways} for _ in range(rounds)]

    def compared(label: str, ours: str, other: str, percent: int, target: Target) -> Finding:
        pairs = [
            [turn[way][len(turn[way]) * percent // 100 - (percent == 100)] for way in (ours, other)] for turn in turns
        ]
        medians = [statistics.median(each) for each in zip(*pairs, strict=True)]
        figure = statistics.median(one / another for one, another in pairs)
        return Finding(label, other, *medians, figure, target.here)

    yield compared("until a waiter wakes", WAIT_FOR, EVENT, 50, _LATENCY)
    yield compared("until 99 % of the waiters wake", WAIT_FOR, EVENT, 99, _LATE)
    yield compared("until a coroutine wakes", AIO, THREAD, 50, _COROUTINE)


def cost() -> Finding:
    """Measure the processor time of `wait_for` while nothing changes, and return the finding."""
    _, used = _measure(_WAYS[WAIT_FOR](), 1, IDLE_SECONDS)
    limit = _IDLE.here or 0
    return Finding(f"{IDLE_SECONDS:g} s of waiting, processor time", "the limit", used, limit, used / limit, 1.0)


def beside_others(changes: int, rounds: int) -> Iterator[Finding]:
    """Measure changes between two states while processes wait for a third one, and yield the findings."""
    status = IntEnumValue(WorkerStatusEnum.IDLE)

    def change() -> float:
        begin = time.perf_counter()
        for _ in range(changes // 2):
            status.set(WorkerStatusEnum.CALCULATING)
            status.set(WorkerStatusEnum.IDLE)
        return (time.perf_counter() - begin) / changes

    alone = min(change() for _ in range(rounds))
    waiters = [
        _FORK.Process(target=wait_for, args=(status, WorkerStatusEnum.UNAVAILABLE), daemon=True) for _ in range(_OTHERS)
    ]
    for waiter in waiters:
        waiter.start()
    while not all(_is_asleep(waiter.pid) for waiter in waiters):
        time.sleep(0.01)
    before = sum(_processor_time(waiter.pid) for waiter in waiters)
    beside = min(change() for _ in range(rounds))
    used = (sum(_processor_time(waiter.pid) for waiter in waiters) - before) / _OTHERS / (changes * rounds)
    status.set(WorkerStatusEnum.UNAVAILABLE)
    for waiter in waiters:
        waiter.join()
    label = f"a change, for each of {_OTHERS} that wait for another state"
    yield Finding(label, "the limit", used, _OTHERS_COST, used / _OTHERS_COST, 1.0)
    yield Finding("a change beside them", "a change without them", beside, alone, beside / alone, _OTHERS_DELAY)


def _is_asleep(pid: int | None) -> bool:
    # The command, in parentheses, comes before the state.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def _processor_time(pid: int | None) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


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


def _thread() -> _Way:
    """A thread that wakes a coroutine, without this library."""
    loop = functools.cache(asyncio.new_event_loop)
    ours, theirs = _FORK.Pipe()

    async def wait() -> None:
        woken = asyncio.Event()
        thread = threading.Thread(
            target=lambda: ours.recv() is None and loop().call_soon_threadsafe(woken.set), daemon=True
        )
        thread.start()
        await woken.wait()
        thread.join()

    return _Way(lambda: loop().run_until_complete(wait()), lambda: theirs.send(None), lambda: None)


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
    THREAD: _thread,
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
