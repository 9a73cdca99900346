"""Growth: do memory and open files grow when values are made and dropped, or when many are alive at once?"""

from __future__ import annotations

import gc
import multiprocessing
import os
from pathlib import Path
from typing import Any

from common import DEFAULT, FORBIDDEN, FORK, LOCKS, RLOCK, Report, State, run_processes

from multiprocessing_intenum import IntEnumAttribute, IntEnumValue, snapshot, update

TOLERATED = 2**20  # bytes, which the allocator may need; keeping 10**5 values would take 30 times as much

ROUNDS = 3  # a leak shows in every round; memory that the allocator keeps for itself shows in one round only

MEMBERS = list(State)


class OurState(IntEnumValue[State]):
    pass


class Holder:
    status = IntEnumAttribute(OurState)

    def __init__(self) -> None:
        self.status = State.IDLE


def resident() -> int:
    """Return the resident memory of this process, in bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def mapped() -> int:
    """Return the number of mapped files. Each semaphore and each arena of multiprocessing's heap is one."""
    return Path("/proc/self/maps").read_text().count("(deleted)")


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def use_and_drop(make: Any, times: int) -> None:
    for number in range(times):
        update(make(), lambda now, number=number: MEMBERS[number % 3])


def growth(make: Any, times: int) -> tuple[int, int, int]:
    """Return by how many bytes, mappings and open files the process grows: the minimum of several rounds."""
    rounds = []
    for _ in range(ROUNDS):
        before = resident(), mapped(), open_files()
        use_and_drop(make, times)
        after = resident(), mapped(), open_files()
        rounds.append([then - now for then, now in zip(after, before, strict=True)])
    memory, mappings, files = map(min, zip(*rounds, strict=True))
    return memory, mappings, files


def check_all(values: list[Any]) -> None:
    """Check, in a child, that many values are independent of each other."""
    for number, status in enumerate(values):
        assert status == MEMBERS[number % 3]
        status.set(MEMBERS[(number + 1) % 3])


def main() -> None:
    report = Report("Growth")
    times = report.count(10**5, 5_000)
    spawn = multiprocessing.get_context("spawn")
    for column, what, make in (
        (DEFAULT, "values", lambda: OurState(State.IDLE)),
        (RLOCK, "values", lambda: OurState(State.IDLE, lock=multiprocessing.RLock())),
        (RLOCK, "values with a lock of the spawn context", lambda: OurState(State.IDLE, lock=spawn.RLock())),
        (DEFAULT, "objects with an attribute", lambda: Holder.status.proxy_of(Holder())),
    ):
        count = times if what == "values" else times // 10
        use_and_drop(make, 2_000)
        memory, mappings, files = growth(make, count)
        print(f"{what}: {memory / 1024:+.0f} KiB of memory")
        check = f"{count:,} {what} made, used and dropped"
        report.seen(check, "memory grows by more than 1 MiB", int(memory > TOLERATED), 1, FORBIDDEN, column)
        report.seen(check, "more mapped files than before", max(0, mappings), count, FORBIDDEN, column)
        report.seen(check, "more open files than before", max(0, files), count, FORBIDDEN, column)
    alive = report.count(10**4, 10**3)
    for column, lock in LOCKS:
        memory, files = resident(), open_files()
        values = [OurState(MEMBERS[number % 3], lock=lock(FORK)) for number in range(alive)]
        print(f"{alive:,} alive: {(resident() - memory) / alive:,.0f} bytes of memory each")
        check = f"{alive:,} values alive at once"
        # multiprocessing's heap grows by a file from time to time, each twice as large as the one before, up to 4 MiB.
        # 10,000 values need 16 MiB.
        report.seen(check, "more than 32 more open files", int(open_files() > files + 32), 1, FORBIDDEN, column)
        wrong = sum(snapshot(status) is not MEMBERS[number % 3] for number, status in enumerate(values))
        report.seen(check, "a value is not its own", wrong, alive, FORBIDDEN, column)
        failed = run_processes(FORK, check_all, [(values,)])
        wrong = sum(snapshot(status) is not MEMBERS[(number + 1) % 3] for number, status in enumerate(values))
        report.seen(check, "a child's write is not seen", wrong + failed, alive, FORBIDDEN, column)
    report.finish()


if __name__ == "__main__":
    main()
