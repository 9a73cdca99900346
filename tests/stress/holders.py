"""Holders of the default lock: a stopped one, a thread that ends, and one that dies of the signal that another handles.

The default lock is a `RobustRLock`. Here it is given as `lock=`, with a repair that notes each death of a holder.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from multiprocessing.sharedctypes import RawArray, RawValue
from typing import TYPE_CHECKING, Any

from common import DEADLINE, FORBIDDEN, FORK, LATE, Report, State, reap, wait_until, writes_are_refused

from multiprocessing_intenum import IntEnumValue, RobustRLock, exchange, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE, CALCULATING, UNAVAILABLE = State


class Repairs:
    """Counts the repairs, and notes the state that the last one found."""

    status: Any

    def __init__(self) -> None:
        self.count, self.found = RawValue("q", 0), RawValue("q", 0)

    def __call__(self, lock: RobustRLock) -> None:
        self.count.value += 1
        self.found.value = snapshot(self.status)


def new() -> tuple[Any, Repairs]:
    repairs = Repairs()
    repairs.status = IntEnumValue(IDLE, lock=RobustRLock(repairs))
    return repairs.status, repairs


# A process that is stopped.

HELD, GO_ON = 1, 2


def hold_and_write(status: Any, step: Any) -> None:
    with status.get_lock():
        step.value = HELD
        wait_until(lambda: bool(step.value == GO_ON))
        assert snapshot(status) is IDLE  # nobody has written meanwhile
        status.set(CALCULATING)


def write(status: Any, begun: Any) -> None:
    begun.value = 1
    status.set(UNAVAILABLE)


def stop_a_holder() -> set[str]:
    """Stop a process that holds the lock, let others try to write, and let it go on."""
    faults = set()
    status, repairs = new()
    step, begun = RawValue("b", 0), RawValue("b", 0)
    holder = FORK.Process(target=hold_and_write, args=(status, step))
    writer = FORK.Process(target=write, args=(status, begun))
    holder.start()
    assert holder.pid is not None
    try:
        wait_until(lambda: bool(step.value))
        os.kill(holder.pid, signal.SIGSTOP)
        os.waitpid(holder.pid, os.WUNTRACED)  # returns when it has stopped
        writer.start()
        wait_until(lambda: bool(begun.value))
        if not writes_are_refused(status):
            faults.add("not refused")
        if not writer.is_alive() or snapshot(status) is not IDLE:
            faults.add("written")
        step.value = GO_ON
    finally:
        os.kill(holder.pid, signal.SIGCONT)
    ended = [reap(holder), reap(writer)]
    if ended != [0, 0] or snapshot(status) is not UNAVAILABLE:
        faults.add("does not go on")
    if repairs.count.value:
        faults.add("counts as dead")
    return faults


# A thread that ends.


def hold_and_end(status: Any, held: threading.Event, end: threading.Event) -> None:
    status.get_lock().acquire()
    status.set(CALCULATING)
    held.set()
    end.wait()


def write_next(status: Any, begun: Any, done: Any) -> None:
    begun.value = 1
    exchange(status, UNAVAILABLE, timeout=LATE)
    done.value = 1


def end_a_thread(start: Callable[..., Any], waits: bool) -> set[str]:
    """End a thread that holds the lock.

    Args:
        start: starts the next writer, a thread or a process.
        waits: whether the next writer waits for the lock already when the thread ends.
    """
    status, repairs = new()
    held, end = threading.Event(), threading.Event()
    begun, done = RawValue("b", 0), RawValue("b", 0)
    holder = threading.Thread(target=hold_and_end, args=(status, held, end))
    writer = start(target=write_next, args=(status, begun, done))
    holder.start()
    held.wait()
    if waits:
        writer.start()
        wait_until(lambda: bool(begun.value))
        time.sleep(random.uniform(0, 0.005))
    end.set()
    holder.join()
    if not waits:
        writer.start()
    writer.join(DEADLINE)
    faults = set()
    if not done.value:
        faults.add("does not go on")
    if (repairs.count.value, repairs.found.value) != (1, CALCULATING):
        faults.add("repair")
    return faults


# A group that gets SIGTERM.


def hold_until_terminated(status: Any, steps: Any) -> None:
    signal.alarm(int(DEADLINE))
    os.setpgid(0, 0)
    with status.get_lock():
        steps[0] = 1
        while True:
            signal.pause()


def write_in_a_handler_too(status: Any, steps: Any, group: int) -> None:
    def handle(*_: object) -> None:
        status.set(UNAVAILABLE)
        steps[2] = 1

    signal.alarm(int(DEADLINE))
    os.setpgid(0, group)
    signal.signal(signal.SIGTERM, handle)
    steps[1] = 1
    status.set(CALCULATING)
    while not steps[2]:  # the signal may come only now
        time.sleep(0.001)


def terminate_a_group() -> set[str]:
    """Send SIGTERM to two processes: one dies with the lock held, the other waits for it and writes in its handler."""
    status, repairs = new()
    steps = RawArray("b", 3)
    holder = FORK.Process(target=hold_until_terminated, args=(status, steps))
    holder.start()
    wait_until(lambda: bool(steps[0]))
    assert holder.pid is not None
    writer = FORK.Process(target=write_in_a_handler_too, args=(status, steps, holder.pid))
    writer.start()
    wait_until(lambda: bool(steps[1]))
    time.sleep(random.uniform(0, 0.01))
    os.killpg(holder.pid, signal.SIGTERM)
    faults = set()
    ended = [reap(holder), reap(writer)]
    if ended != [-signal.SIGTERM, 0] or not steps[2] or snapshot(status) is IDLE:
        faults.add("error")
    if (repairs.count.value, repairs.found.value) != (1, IDLE):
        faults.add("repair")
    if status.get_lock().acquire(timeout=0.05):
        status.get_lock().release()
    else:
        faults.add("held")
    return faults


def main() -> None:
    report = Report("Holders")

    def check(what: str, trials: list[set[str]], outcomes: dict[str, str]) -> None:
        counts = Counter(fault for faults in trials for fault in faults)
        assert counts.keys() <= outcomes.keys()
        for fault, outcome in outcomes.items():
            report.seen(what, outcome, counts[fault], len(trials), FORBIDDEN)

    check(
        "SIGSTOP of the holder, SIGCONT later",
        [stop_a_holder() for _ in range(report.count(50, 5))],
        {
            "not refused": "a write with timeout= is late, or writes",
            "written": "a set() does not wait",
            "counts as dead": "the lock counts the holder as dead",
            "does not go on": "the holder or the writer does not go on",
        },
    )
    kinds = [(start, waits) for start in (threading.Thread, FORK.Process) for waits in (False, True)]
    check(
        "a thread ends while it holds the lock",
        [end_a_thread(*kinds[number % len(kinds)]) for number in range(report.count(200, 20))],
        {
            "does not go on": "the next writer does not go on",
            "repair": "the repair does not run once, before the next write",
        },
    )
    check(
        "SIGTERM to the holder and to a writer whose handler writes",
        [terminate_a_group() for _ in range(report.count(200, 10))],
        {
            "error": "an error, or a wait without end",
            "repair": "the repair does not run once, before any write",
            "held": "the lock is not free afterwards",
        },
    )
    report.finish()


if __name__ == "__main__":
    main()
