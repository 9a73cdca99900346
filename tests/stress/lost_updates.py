"""Lost updates: several processes change one value as fast as they can. How many of their changes are lost?"""

from __future__ import annotations

import enum
import threading
from multiprocessing.sharedctypes import RawArray, RawValue
from typing import TYPE_CHECKING, Any

from common import ALLOWED, DEFAULT, FORBIDDEN, FORK, LOCKS, PEER, Bits, Report, load_peer, run_processes

from multiprocessing_intenum import IntEnumValue, compare_and_set, snapshot, update

if TYPE_CHECKING:
    from collections.abc import Callable

PROCESSES = 4
THREADS = 2

Ring = enum.IntEnum("Ring", {f"M{number}": number for number in range(1009)})
RING = list(Ring)


def claim_next(status: Any, members: list[Any], times: int) -> int:
    """Move to the next member with `compare_and_set`, and return how often it reached the start of the ring."""
    laps = 0
    for _ in range(times):
        while True:
            now = snapshot(status)
            new = members[(now + 1) % len(members)]
            if compare_and_set(status, now, new):
                laps += new is members[0]
                break
    return laps


def update_to_next(status: Any, members: list[Any], times: int) -> int:
    return sum(update(status, lambda now: members[(now + 1) % len(members)]) is members[0] for _ in range(times))


def move_unlocked(status: Any, members: list[Any], times: int) -> int:
    for _ in range(times):
        while True:
            now = status.value
            if status.value == now:
                status.set(members[now + 1])
                break
    return 0


def add_in_threads(status: Any, total: Any, times: int) -> int:
    """Add to a total in several threads, one step at a time, each with the value's lock held."""

    def add() -> None:
        for _ in range(times // THREADS):
            with status.get_lock():
                total.value += 1

    threads = [threading.Thread(target=add) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 0


def toggle(status: Any, bit: Any, times: int) -> int:
    """Flip a bit that no other process flips, and return how often the bit changed in between."""
    lost, expected = 0, snapshot(status) & bit
    for _ in range(times):
        lost += snapshot(status) & bit != expected
        status ^= bit
        expected = snapshot(status) & bit
    return lost


def toggle_unlocked(status: Any, bit: Any, times: int) -> int:
    lost, expected = 0, snapshot(status) & bit
    for _ in range(times):
        lost += snapshot(status) & bit != expected
        new = snapshot(status) ^ bit
        status.set(new)
        expected = new & bit
    return lost


def work(function: Callable[..., int], barrier: Any, results: Any, index: int, *args: Any) -> None:
    barrier.wait()
    results[index] = function(*args)


def race(function: Callable[..., int], *arguments: tuple[Any, ...]) -> int:
    """Run the function in one process per tuple of arguments, all at once, and return the sum of the results."""
    barrier = FORK.Barrier(len(arguments))
    results = RawArray("q", len(arguments))
    failed = run_processes(
        FORK, work, [(function, barrier, results, index, *args) for index, args in enumerate(arguments)]
    )
    assert not failed, f"{failed} processes failed"
    return sum(results)


def main() -> None:
    report = Report("Lost updates")
    times = report.count(20_000, 2_000)
    total = PROCESSES * times
    for column, lock in LOCKS:
        for check, function in ("compare_and_set round a ring of 1,009", claim_next), ("update", update_to_next):
            status = IntEnumValue(RING[0], lock=lock(FORK))
            laps = race(function, *[(status, RING, times)] * PROCESSES)
            lost = total - (laps * len(RING) + snapshot(status))
            report.seen(f"{PROCESSES} processes: {check}", "an update is lost", lost, total, FORBIDDEN, column)
        flags = IntEnumValue(Bits(0), lock=lock(FORK))
        lost = race(toggle, *[(flags, bit, times) for bit in Bits])
        lost += int(flags).bit_count()  # after an even number of flips, each bit is 0 again
        report.seen("4 processes: flags ^= bit, one a bit", "an update is lost", lost, total, FORBIDDEN, column)
        added, steps = RawValue("q", 0), report.count(50_000, 5_000)
        race(add_in_threads, *[(IntEnumValue(Bits(0), lock=lock(FORK)), added, steps)] * PROCESSES)
        check = f"{PROCESSES} processes, {THREADS} threads each: add 1 to a total, with the lock held"
        lost = PROCESSES * steps - added.value
        report.seen(check, "an update is lost", lost, PROCESSES * steps, FORBIDDEN, column)

    # Without compare_and_set. The line is longer than all moves together, so the position at the end is the number of
    # moves that were not lost.
    Line = enum.IntEnum("Line", {f"M{number}": number for number in range(total + 1)})  # noqa: N806
    line = list(Line)

    class PeerLine(load_peer().IntEnumValue[Line]):
        pass

    for column, verdict, status in (DEFAULT, ALLOWED, IntEnumValue(line[0])), (PEER, "", PeerLine(line[0])):
        race(move_unlocked, *[(status, line, times)] * PROCESSES)
        lost = total - int(status.value)
        report.seen("4 processes: check, then set, unlocked", "an update is lost", lost, total, verdict, column)
    flags = IntEnumValue(Bits(0))
    lost = race(toggle_unlocked, *[(flags, bit, times) for bit in Bits])
    report.seen("4 processes: set(flags ^ bit), unlocked", "an update is lost", lost, total, ALLOWED)
    report.finish()


if __name__ == "__main__":
    main()
