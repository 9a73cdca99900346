"""Kills: SIGKILL a process that reads, writes, holds the lock or waits. What can the other processes still do?

Each trial has its own value and its own victim, and kills the victim at a random moment. Then another process checks:
does a read return? Does `wait_for` return? Is the lock free? If not, does each writing function keep to its timeout?
"""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
import time
from collections import Counter
from contextlib import suppress
from multiprocessing.sharedctypes import RawArray, RawValue
from typing import TYPE_CHECKING, Any

from common import (
    ALLOWED,
    DEADLINE,
    DEFAULT,
    FORBIDDEN,
    FORK,
    LATE,
    LOCKS,
    METHODS,
    NEXT,
    PEER,
    RLOCK,
    Report,
    State,
    is_refused,
    load_peer,
    reap,
    wait_until,
    writes_are_refused,
)

from multiprocessing_intenum import (
    IntEnumValue,
    compare_and_exchange,
    compare_and_set,
    exchange,
    snapshot,
    update,
    wait_for,
)

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import BaseContext

BATCH = 8  # victims at the same time
PEER_BLOCKED_AFTER = 1.0  # seconds; by then no process is left that could end the peer's wait

IDLE, CALCULATING, UNAVAILABLE = State


class OurState(IntEnumValue[State]):
    pass


# The victims. Each does the same with the peer, if the peer can do it.


def read(status: Any) -> None:
    while True:
        status.name, status == IDLE, status.value  # noqa: B018


def write(status: Any) -> None:
    while True:
        status.set(CALCULATING)
        status.set(IDLE)


def claim(status: Any) -> None:
    while True:
        with status.get_lock():
            status.set(CALCULATING if status == IDLE else IDLE)


def change(status: Any) -> None:
    if issubclass(type(status), IntEnumValue):
        while True:
            update(status, NEXT.__getitem__)
    while True:  # the peer has no update; this comes closest
        with status.get_lock():
            status.set(NEXT[status.value])


def wait(status: Any) -> None:
    if issubclass(type(status), IntEnumValue):
        wait_for(status, UNAVAILABLE)
    while status != UNAVAILABLE:  # the peer has no wait_for; this comes closest
        time.sleep(50e-6)


ROLES = {
    "a reader": read,
    "a writer": write,
    "a claimer, who holds the lock": claim,
    "an updater": change,
    "a waiter in wait_for": wait,
}


STARTING, READY, AT_WORK = range(3)


def be_a_victim(role: Any, status: Any, progress: Any, index: int, go: Any) -> None:
    progress[index] = READY
    while not go.value:  # leaves the processors to the victims that still have to start
        time.sleep(0.001)
    progress[index] = AT_WORK
    role(status)


# What the other processes find.


def inspect_ours(status: Any, found: set[str]) -> None:
    state = snapshot(status)
    assert (status == state, status.name, int(status)) == (True, state.name, int(state))
    assert isinstance(status, State)
    assert {state: True}[status]
    found.add("read")
    assert wait_for(status, state) is state
    if not is_refused(wait_for, status, NEXT[state]):
        found.add("wait_for is late")
    found.add("waited")
    started = time.monotonic()
    if status.get_lock().acquire(timeout=0.05):  # takes a free lock at once, even on a busy machine
        if time.monotonic() - started > LATE:
            found.add("late")
        status.get_lock().release()
        status.set(UNAVAILABLE)
        exchange(status, IDLE, timeout=0.05)
        compare_and_set(status, IDLE, CALCULATING, timeout=0.05)
        compare_and_exchange(status, CALCULATING, UNAVAILABLE, timeout=0.05)
        assert update(status, lambda now: IDLE, timeout=0.05) is IDLE
        assert snapshot(status) is IDLE
    else:
        found.add("held")
        if not writes_are_refused(status):
            found.add("not refused")
    found.add("done")


def inspect_peer(status: Any, found: set[str]) -> None:
    if status.get_lock().acquire(timeout=0.05):
        status.get_lock().release()
    else:
        found.add("held")
    status.name, status == IDLE, hash(status)
    found.add("read")
    status.set(IDLE)
    found.add("done")


def inspect(values: list[Any], pipe: Connection) -> None:
    """Look at each value in its own thread, because looking may block."""
    ours = issubclass(type(values[0]), IntEnumValue)
    findings: list[set[str]] = [set() for _ in values]
    threads = [
        threading.Thread(target=inspect_ours if ours else inspect_peer, args=args, daemon=True)
        for args in zip(values, findings, strict=True)
    ]
    for thread in threads:
        thread.start()
    limit = time.monotonic() + (DEADLINE if ours else PEER_BLOCKED_AFTER)
    for thread in threads:
        thread.join(max(0, limit - time.monotonic()))
    pipe.send([set(found) for found in findings])
    pipe.close()
    os._exit(0)  # even if threads are still blocked


def kill(ctx: BaseContext, role: Any, values: list[Any], delays: list[float] | None) -> None:
    """Kill a victim of each value. After every second kill write to the value at once, and add how long that took.

    The victims of the others are left to `inspect`, which finds the lock as its holder's death left it.
    """
    progress, go = RawArray("b", len(values)), RawValue("b", 0)
    victims = [
        ctx.Process(target=be_a_victim, args=(role, status, progress, index, go)) for index, status in enumerate(values)
    ]
    for victim in victims:
        victim.start()
    wait_until(lambda: all(step == READY for step in progress))
    go.value = 1
    wait_until(lambda: all(step == AT_WORK for step in progress))
    for index, victim in enumerate(victims):
        time.sleep(random.uniform(0, 0.002))
        killed = time.monotonic()
        victim.kill()
        if delays is not None and index % 2:
            with suppress(TimeoutError):
                exchange(values[index], IDLE, timeout=LATE)
            delays.append(time.monotonic() - killed)
    for victim in victims:
        victim.join()
        victim.close()


def trial(ctx: BaseContext, role: Any, make: Any, times: int, delays: list[float] | None) -> Counter[str]:
    counts: Counter[str] = Counter()
    for start in range(0, times, BATCH):
        values = [make(ctx) for _ in range(min(BATCH, times - start))]
        kill(ctx, role, values, delays)
        ours, theirs = FORK.Pipe(duplex=False)
        inspector = FORK.Process(target=inspect, args=(values, theirs))
        inspector.start()
        theirs.close()
        for found in ours.recv():
            counts.update(found)
        reap(inspector)
    return counts


def main() -> None:
    report = Report("Kills")

    class PeerState(load_peer().IntEnumValue[State]):
        pass

    def seen(outcome: str, number: int, of: int, verdict: str) -> None:
        report.seen(check, outcome, number, of, "" if column == PEER else verdict, column)

    makers = [
        *((column, lambda ctx, lock=lock: OurState(IDLE, lock=lock(ctx))) for column, lock in LOCKS),
        (PEER, lambda ctx: PeerState(IDLE)),
    ]
    for name, role in ROLES.items():
        for method in METHODS:
            ctx = multiprocessing.get_context(method)
            times = report.count(200, 16 if method == "fork" else 4)
            check = f"SIGKILL of {name}, {method}"
            for column, make in makers:
                if column == PEER and method != "fork":
                    continue  # its default value cannot be passed to such a process
                delays: list[float] = []
                counts = trial(ctx, role, make, times, delays if column == DEFAULT else None)
                held = counts["held"]
                seen("a read blocks for ever", times - counts["read"], times, FORBIDDEN)
                if column != PEER:
                    blocked = times - counts["waited"] + counts["wait_for is late"]
                    seen("wait_for blocks or is late", blocked, times, FORBIDDEN)
                # A reader and a waiter never take the lock, so they cannot leave it held.
                left = ALLOWED if column == RLOCK and role in (write, claim, change) else FORBIDDEN
                seen("the lock is held by the dead", held, times, left)
                if column == RLOCK and held:
                    seen("then a write with timeout= is late, or writes", counts["not refused"], held, FORBIDDEN)
                if column != PEER:
                    neither = times - counts["done"] + counts["late"]
                    seen("a later write neither succeeds nor raises", neither, times, FORBIDDEN)
                if column == DEFAULT:
                    what = f"from the kill to the next write, the slowest of {len(delays)}"
                    report.slowest(check, what, delays, LATE)
    report.finish()


if __name__ == "__main__":
    main()
