"""Waking up: how long it takes until a waiting process notices a change, and how much processor time waiting takes."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import random
import statistics
import threading
import time
import timeit
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paired import Finding, ratio_of, turns
from states import WorkerStatusEnum
from targets import Target

from multiprocessing_intenum import IntEnumValue, aio, wait_for
from multiprocessing_intenum.memory import futex

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "AIO",
    "IDLE_SECONDS",
    "POLLING",
    "WAIT_FOR",
    "WAYS",
    "beside_others",
    "coroutine",
    "idle",
    "idle_times",
    "percentile",
    "waiter",
    "wake_ups",
]

WAIT_FOR, AIO, POLLING = "wait_for", "aio.wait_for", "wait_for, polling"
EVENT, CONDITION = "multiprocessing.Event", "multiprocessing.Condition"
THREAD = "a thread that a pipe wakes, and asyncio"

IDLE_SECONDS = 5.0
"""How long a process waits without any change, to see what its waiting costs."""

_WAKES, _LATE, _COROUTINE = Target(0.65, 1.15), Target(1.0, 1.0), Target(2.0, 2.0)
"""The longest times allowed until `wait_for` wakes: the median, and what 99 % stay below, relative to that of
`multiprocessing.Event`; and until `aio.wait_for` wakes, relative to `wait_for`."""
_IDLE = Target(0.002, 0.0025)
"""The most processor time allowed while nothing changes for `IDLE_SECONDS`."""
_OTHERS = 50
_OTHERS_COST, _OTHERS_DELAY = Target(8e-6, 8e-6), Target(1.1, 1.1)
"""The most processor time allowed for each of `_OTHERS` waiters for another state and each change; and how long a
change may take beside them, relative to one of a value for which nobody waits."""

_FORK = multiprocessing.get_context("fork")
# Seconds between two changes, in which the writer sleeps. After the shortest pause a waiter sleeps, too; after the
# longest one it polls at its slowest, where it polls.
_PAUSES, _PAUSES_OF_POLLING = (0.005, 0.02), (0.005, 0.05)
_TURN = 10  # changes, until it is another waiter's turn
_DEADLINE = 60.0  # seconds until all of `_OTHERS` sleep


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


def wake_ups(ways: Sequence[str], changes: int) -> dict[str, list[float]]:
    """Return, by way to wait, the times until the waiter wakes.

    Args:
        ways: those to measure, in turns.
        changes: how often to wake each waiter.
    """
    return _measure(ways, changes, _PAUSES_OF_POLLING)


def idle_times(ways: Sequence[str]) -> dict[str, float]:
    """Return, by way to wait, the processor time that a wait of `IDLE_SECONDS` uses while nothing changes."""
    return dict(zip(ways, _idle([WAYS[way]() for way in ways]), strict=True))


def waiter(blocks: int) -> list[Finding]:
    """Measure how long it takes until a waiter wakes, in turns with an event.

    Args:
        blocks: how often to wake each waiter a hundred times. What 99 % stay below is found for each block, and the
            median of the blocks counts: the few late ones of one block may be another program's doing.
    """
    found = [_measure((WAIT_FOR, EVENT), 100, _PAUSES) for _ in range(blocks)]
    return [
        _compared("until a waiter wakes", found, EVENT, 50, _WAKES),
        _compared("until 99 % of the waiters wake", found, EVENT, 99, _LATE),
    ]


def coroutine(blocks: int) -> list[Finding]:
    """Measure how long it takes until a coroutine wakes, in turns with `wait_for`, and with asyncio alone."""
    found = [_measure((AIO, WAIT_FOR, THREAD), 50, _PAUSES) for _ in range(blocks)]
    return [
        _compared("until a coroutine wakes", found, WAIT_FOR, 50, _COROUTINE),
        _compared("until a coroutine wakes, and asyncio alone", found, THREAD, 50, Target()),
    ]


def _compared(label: str, found: list[dict[str, list[float]]], other: str, percent: int, target: Target) -> Finding:
    """Compare the first of the measured ways with another one of them."""
    ours = next(iter(found[0]))
    our, its = (statistics.median(percentile(block[way], percent) for block in found) for way in (ours, other))
    return Finding(label, other, our, its, our / its, target.here)


def idle() -> list[Finding]:
    """Measure the processor time of `wait_for` while nothing changes: the median of three processes."""
    used = statistics.median(_idle([_futex() for _ in range(3)]))
    return [Finding(f"processor time of {IDLE_SECONDS:g} s of waiting", "", used, None, used, _IDLE.here)]


def beside_others(rounds: int) -> list[Finding]:
    """Measure changes between two states while processes wait for a third one, in turns with those of another value."""
    status, alone = IntEnumValue(WorkerStatusEnum.IDLE), IntEnumValue(WorkerStatusEnum.IDLE)
    waiters = [
        _FORK.Process(target=wait_for, args=(status, WorkerStatusEnum.UNAVAILABLE), daemon=True) for _ in range(_OTHERS)
    ]
    for waiter in waiters:
        waiter.start()
    give_up = time.monotonic() + _DEADLINE
    while not all(_is_asleep(waiter.pid) for waiter in waiters):
        if time.monotonic() > give_up:
            message = f"{_OTHERS} processes that wait for a state do not sleep after {_DEADLINE:g} s"
            raise TimeoutError(message)
        time.sleep(0.01)
    timers = [
        timeit.Timer(
            "set_(a); set_(b)",
            globals={"set_": value.set, "a": WorkerStatusEnum.CALCULATING, "b": WorkerStatusEnum.IDLE},
        )
        for value in (status, alone)
    ]
    before = sum(_processor_time(waiter.pid) for waiter in waiters)
    times, counts = turns(timers, rounds)
    used = (sum(_processor_time(waiter.pid) for waiter in waiters) - before) / _OTHERS / (2 * counts[0])
    status.set(WorkerStatusEnum.UNAVAILABLE)
    for waiter in waiters:
        waiter.join()
    beside, without = ([each / 2 for each in own] for own in times)
    medians = statistics.median(beside), statistics.median(without)
    label = f"a change, processor time of each of {_OTHERS} waiters"
    return [
        Finding(label, "", used, None, used, _OTHERS_COST.here),
        Finding("a change beside them", "one without them", *medians, ratio_of(beside, without), _OTHERS_DELAY.here),
    ]


def percentile(latencies: list[float], percent: int) -> float:
    """Return the latency that so many per cent of all do not exceed."""
    return sorted(latencies)[(len(latencies) - 1) * percent // 100]


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


WAYS: dict[str, Callable[[], _Way]] = {
    WAIT_FOR: _futex,
    AIO: _aio,
    EVENT: _event,
    THREAD: _thread,
    CONDITION: _condition,
    POLLING: functools.partial(_futex, _take_the_futex_away),
}


class _Waiter:
    """A process that waits in one way whenever it is told to."""

    def __init__(self, way: _Way) -> None:
        self._way = way
        self._pipe, theirs = _FORK.Pipe()
        self._process = _FORK.Process(target=_wait, args=(way, theirs), daemon=True)
        self._process.start()
        self.begin()

    def begin(self) -> None:
        """Return when the process is about to wait."""
        self._pipe.send("wait")
        self._pipe.recv()

    def wake(self) -> tuple[float, float]:
        """Return the seconds until the waiter is awake, and the processor time that its wait has used."""
        begin = time.perf_counter()  # the same clock in all processes
        self._way.change()
        now, used = self._pipe.recv()
        return now - begin, used

    def stop(self) -> None:
        """End the process, which does not wait now."""
        self._pipe.send(None)
        self._process.join()


def _measure(ways: Sequence[str], changes: int, pauses: tuple[float, float]) -> dict[str, list[float]]:
    waiters = {way: _Waiter(WAYS[way]()) for way in ways}
    latencies: dict[str, list[float]] = {way: [] for way in ways}
    for waiter in waiters.values():
        waiter.wake()  # the first time loads what the others find loaded
    for _ in range(changes // _TURN):
        for way, waiter in waiters.items():
            for _ in range(_TURN):
                waiter.begin()
                time.sleep(random.uniform(*pauses))
                latencies[way].append(waiter.wake()[0])
    for waiter in waiters.values():
        waiter.stop()
    return latencies


def _idle(ways: list[_Way]) -> list[float]:
    waiters = [_Waiter(way) for way in ways]
    for waiter in waiters:
        waiter.wake()
        waiter.begin()
    time.sleep(IDLE_SECONDS)
    used = [waiter.wake()[1] for waiter in waiters]
    for waiter in waiters:
        waiter.stop()
    return used


def _wait(way: _Way, theirs: Any) -> None:
    way.prepare()
    while theirs.recv():
        theirs.send("ready")
        used = time.process_time()
        way.wait()
        now, used = time.perf_counter(), time.process_time() - used
        way.reset()
        theirs.send((now, used))
