"""Waiting: kill those who wait and those who write, follow each change, meet a state in passing, wait in asyncio."""

from __future__ import annotations

import asyncio
import enum
import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from multiprocessing.sharedctypes import RawArray, RawValue
from pathlib import Path
from typing import Any

from common import ALLOWED, DEADLINE, FORBIDDEN, FORK, LATE, Report, State, reap, wait_until

from multiprocessing_intenum import IntEnumValue, aio, changes, history, last_change, snapshot, update, wait_for

LIMIT = 1.0
"""Seconds after which a waiter or a writer counts as late. The library's longest sleep is 0.2, but the machine may be
busy."""

IDLE, CALCULATING, UNAVAILABLE = State

STEPS = 10_007
Step = enum.IntEnum("Step", [(f"S{number}", number) for number in range(STEPS)])
MEMBERS = list(Step)
"""Each change goes to the next member, so that the change with some number always leads to the same member."""


def following(step: Any) -> Any:
    return MEMBERS[(step + 1) % STEPS]


def someone_may_sleep(status: Any) -> bool:
    return any(status._self_cell.words.sleepers.flags)


def is_asleep(process: Any) -> bool:
    # The command, in parentheses, comes before the state.
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def kill(process: Any) -> None:
    os.kill(process.pid, signal.SIGKILL)
    assert reap(process) == -signal.SIGKILL


# Waiters that are killed.


def wait(status: Any, begun: Any, woken: Any, index: int) -> None:
    begun[index] = 1
    wait_for(status, UNAVAILABLE)
    woken[index] = time.monotonic()


class Waiters:
    """Processes that sleep until the state is UNAVAILABLE."""

    def __init__(self, status: Any, count: int) -> None:
        self.status, self.begun, self.woken = status, RawArray("b", count), RawArray("d", count)
        self.processes = [
            FORK.Process(target=wait, args=(status, self.begun, self.woken, index)) for index in range(count)
        ]
        for process in self.processes:
            process.start()
        wait_until(lambda: all(self.begun) and all(map(is_asleep, self.processes)))

    def wake(self) -> list[float]:
        """Wake all, and return how long it took for each: DEADLINE for one that did not wake."""
        started = time.monotonic()
        self.status.set(UNAVAILABLE)
        exit_codes = [reap(process) for process in self.processes]
        return [woken - started if code == 0 else DEADLINE for code, woken in zip(exit_codes, self.woken, strict=True)]


def seconds_of(action: Any, *args: Any) -> float:
    started = time.monotonic()
    action(*args)
    return time.monotonic() - started


def kill_waiters(number: int) -> tuple[list[float], list[float], bool]:
    """Kill some of several waiters, then all of several others.

    Returns:
        How long it took until each waiter that is left has woken, how long each write took, and whether the next change
        to the state that they waited for takes back that somebody may be sleeping.
    """
    status = IntEnumValue(IDLE)
    victims, others = Waiters(status, 4), Waiters(status, 2)
    time.sleep(random.uniform(0, 0.002))
    writes = []
    for process in victims.processes:
        if number % 2:  # so that the victims are killed while they wake up
            writes.append(seconds_of(status.set, CALCULATING if status == IDLE else IDLE))
        kill(process)
    writes.append(seconds_of(status.set, CALCULATING if status == IDLE else IDLE))
    delays = others.wake()
    writes.append(seconds_of(status.set, IDLE))
    is_taken_back = not someone_may_sleep(status)

    for process in Waiters(status, 2).processes:
        kill(process)
    writes.append(seconds_of(status.set, UNAVAILABLE))
    is_taken_back = is_taken_back and not someone_may_sleep(status)
    status.set(CALCULATING)
    delays += Waiters(status, 2).wake()
    return delays, writes, is_taken_back


# Writers that are killed.


def write_each_step(status: Any, at_work: Any) -> None:
    at_work.value = 1
    for step in itertools.cycle([*MEMBERS[1:], MEMBERS[0]]):
        status.set(step)


def watch(status: Any, seen: Any) -> None:
    """Note each state that is another one than the last: all of them, or some if they come too fast."""
    while True:
        seen.value = wait_for(status, lambda step: step != seen.value)


def delay_until(seen: Any, step: Any, started: float) -> float:
    """Return how many seconds after `started` the watching process has seen a step: DEADLINE if it does not."""
    while seen.value != step:
        if time.monotonic() - started > DEADLINE:
            return DEADLINE
        time.sleep(0.0002)
    return time.monotonic() - started


def kill_a_writer() -> tuple[float, float, set[str]]:
    """Kill a process that writes, while another one waits for each change.

    Returns:
        How long after the kill the other process had seen the last change, how long the next write took, and what was
        found.
    """
    status = IntEnumValue(MEMBERS[0])
    seen, at_work = RawValue("q", 0), RawValue("b", 0)
    watcher = FORK.Process(target=watch, args=(status, seen))
    writer = FORK.Process(target=write_each_step, args=(status, at_work))
    watcher.start()
    wait_until(lambda: someone_may_sleep(status))
    writer.start()
    pid = writer.pid
    wait_until(lambda: bool(at_work.value))
    time.sleep(random.uniform(0, 0.02))
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    assert reap(writer) == -signal.SIGKILL
    last = snapshot(status)
    delay = delay_until(seen, last, killed)

    found = set()
    words = status._self_cell.words
    if words.state[()] != words.settled[()]:
        found.add("in the middle")
    new = following(following(last))  # a step that the writer would not have written
    write = seconds_of(status.set, new)
    delay = max(delay, delay_until(seen, new, time.monotonic()))
    kill(watcher)
    entries = history(status)
    if entries[-1].after is not snapshot(status) or snapshot(status) is not new or entries[-1].pid != os.getpid():
        found.add("the last entry is not the state")
    if any(
        (after.before, after.number) != (before.after, before.number + 1)
        for before, after in itertools.pairwise(entries)
    ):
        found.add("gap")
    if any(
        each.after != each.number % STEPS or each.pid != (pid if each.number else os.getpid()) for each in entries[:-1]
    ):
        found.add("wrong entry")
    return delay, write, found


# Consumers.

BEHIND = 16  # changes that a consumer may be behind without losing any


def write_in_turns(status: Any, count: int, seen: Any) -> None:
    for _ in range(count):
        # Both writers may come here at once, and each then writes one.
        while last_change(status).number - min(seen) > BEHIND - 2:
            time.sleep(0.0002)
        update(status, following)


def consume(status: Any, count: int, seen: Any, ready: Any, found: Any, index: int) -> None:
    before, number = MEMBERS[0], 0
    feed = changes(status, timeout=DEADLINE / 2)
    ready[index] = 1
    for change in feed:
        found[3 * index] += change.number != number + 1
        found[3 * index + 1] += change.before is not before or change.after != change.number % STEPS
        found[3 * index + 2] += 1
        before, seen[index], number = change.after, change.number, change.number
        if number == count:
            break


def follow_each_change(count: int) -> list[Counter[str]]:
    """Let two processes write and two others follow the changes, and return what each of these found."""
    status = IntEnumValue(MEMBERS[0])
    seen, ready, found = RawArray("q", 2), RawArray("b", 2), RawArray("q", 6)
    consumers = [
        FORK.Process(target=consume, args=(status, count, seen, ready, found, index)) for index in range(len(seen))
    ]
    writers = [FORK.Process(target=write_in_turns, args=(status, count // 2, seen)) for _ in range(2)]
    for process in consumers:
        process.start()
    wait_until(lambda: all(ready))
    for process in writers:
        process.start()
    failed = sum(reap(process) != 0 for process in writers + consumers)
    assert not failed, f"{failed} processes failed"
    assert last_change(status).number == count
    names = ("out of order", "wrong pair", "read")
    return [Counter(dict(zip(names, found[start : start + 3], strict=True))) for start in (0, 3)]


# A state that came and went.


OTHERS = 50
"""Processes that wait for another state meanwhile."""


def meet(status: Any, rounds: int, current: Any, begun: Any, done: Any, met: Any, by_member: bool) -> None:
    for number in range(1, rounds + 1):
        while current.value != number:  # the state of the round before has gone by then
            os.sched_yield()

        def look(state: State, number: int = number) -> bool:
            begun.value = number  # the wait has begun: what comes from now on counts
            return state is CALCULATING

        if by_member:
            begun.value = number  # the flag will tell that the wait has begun
        with suppress(TimeoutError):
            met.value += wait_for(status, CALCULATING if by_member else look, timeout=LATE) is CALCULATING
        done.value = number


def come_and_go(rounds: int, by_member: bool) -> int:
    """Let a state come and go while another process waits for it, and return how often it was met.

    Args:
        rounds: how often it comes and goes.
        by_member: whether the process waits for the member, or for a function to be true.
    """
    status = IntEnumValue(IDLE)
    flags = status._self_cell.words.sleepers.flags
    current, begun, done, met = (RawValue("q", 0) for _ in range(4))
    others = Waiters(status, OTHERS)
    waiter = FORK.Process(target=meet, args=(status, rounds, current, begun, done, met, by_member))
    waiter.start()
    for number in range(1, rounds + 1):
        flags[CALCULATING] = 0  # nobody waits now, but a look after the announcement may have found the state
        current.value = number
        while begun.value != number or (by_member and not flags[CALCULATING]):
            os.sched_yield()
        if number % 2:  # half of the times the waiter still runs, half of the times it sleeps
            time.sleep(random.uniform(0, 0.002))
        status.set(CALCULATING)
        if number % 3 == 0:
            os.sched_yield()
        status.set(IDLE)
        wait_until(lambda number=number: done.value == number)
    assert reap(waiter) == 0
    assert max(others.wake()) < LATE
    return int(met.value)


# asyncio.

COROUTINES = 1_000


def write_when_told(status: Any, go: Any, written: Any) -> None:
    wait_until(lambda: bool(go.value))
    written.value = time.monotonic()
    status.set(CALCULATING)


async def wait_in_coroutines(status: Any, go: Any) -> tuple[list[float], int]:
    """Return when each of the coroutines has woken, and how many threads had watched for them."""

    async def coroutine() -> float:
        await aio.wait_for(status, CALCULATING, timeout=LATE)
        return time.monotonic()

    tasks = [asyncio.create_task(coroutine()) for _ in range(COROUTINES)]
    await asyncio.sleep(random.uniform(0.05, 0.1))
    threads = sum(thread.name == "multiprocessing_intenum.aio" for thread in threading.enumerate())
    go.value = 1
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return [result for result in results if isinstance(result, float)], threads


def wake_coroutines() -> tuple[int, float, int]:
    """Return how many coroutines woke, how long it took until the last one did, and how many threads watched."""
    status = IntEnumValue(IDLE)
    go, written = RawValue("b", 0), RawValue("d", 0)
    writer = FORK.Process(target=write_when_told, args=(status, go, written))
    writer.start()
    woken, threads = asyncio.run(wait_in_coroutines(status, go))
    assert reap(writer) == 0
    wait_until(lambda: threading.active_count() == 1)  # the watching thread ends, and no fork meets it
    return len(woken), max(woken, default=DEADLINE) - written.value, threads


def main() -> None:
    report = Report("Waiting")

    trials = report.count(200, 10)
    check = "SIGKILL of 4 of 6 sleepers in wait_for, and of 2 of 2"
    delays, writes, taken_back = zip(*(kill_waiters(number) for number in range(trials)), strict=True)
    report.slowest(check, "until another waiter wakes", list(itertools.chain(*delays)), LIMIT)
    report.slowest(check, "a write", list(itertools.chain(*writes)), LIMIT)
    outcome = "the value counts a dead sleeper after the next change to that state"
    report.seen(check, outcome, taken_back.count(False), trials, FORBIDDEN)

    check = "SIGKILL of a writer while another process waits"
    waits, writes, findings = zip(*(kill_a_writer() for _ in range(trials)), strict=True)
    counts = Counter(itertools.chain(*findings))
    report.slowest(check, "until the waiter has seen the last change", list(waits), LIMIT)
    report.slowest(check, "the next write", list(writes), LIMIT)
    report.seen(check, "killed in the middle of a change", counts["in the middle"], trials, ALLOWED)
    for fault, outcome in {
        "the last entry is not the state": "the last entry of the history is not the state",
        "gap": "an entry does not follow on the one before",
        "wrong entry": "an entry is lost, double or wrong",
    }.items():
        report.seen(check, outcome, counts[fault], trials, FORBIDDEN)

    count = report.count(5_000, 500)
    check = "2 writers, 2 consumers of changes, at most 16 behind"
    consumers = follow_each_change(count)
    for fault, outcome in (
        ("out of order", "a change is missing, double or out of order"),
        ("wrong pair", "a change does not go on where the one before ended"),
    ):
        report.seen(check, outcome, sum(each[fault] for each in consumers), 2 * count, FORBIDDEN)
    unread = 2 * count - sum(each["read"] for each in consumers)
    report.seen(check, "a change is not read", unread, 2 * count, FORBIDDEN)

    count = report.count(1_000, 100)
    check = f"a state comes and goes while a process waits for it, and {OTHERS} for another one"
    for by_member, outcome in ((False, "it is not met"), (True, "it is not met, by a member")):
        report.seen(check, outcome, count - come_and_go(count, by_member), count, FORBIDDEN)

    rounds = report.count(20, 3)
    check = f"{COROUTINES:,} coroutines of one loop wait, another process writes"
    woken, lasts, threads = zip(*(wake_coroutines() for _ in range(rounds)), strict=True)
    report.seen(check, "a coroutine does not wake", COROUTINES * rounds - sum(woken), COROUTINES * rounds, FORBIDDEN)
    report.slowest(check, "until the last one wakes", list(lasts), LIMIT)
    report.seen(check, "more or fewer than one thread watches", rounds - threads.count(1), rounds, FORBIDDEN)
    report.finish()


if __name__ == "__main__":
    main()
