"""Own writes: threads write and read back, and Python switches them as often as it can. How many reads are stale?"""

from __future__ import annotations

import sys
import threading
from typing import Any

from common import FORBIDDEN, FORK, LOCKS, Report, State

from multiprocessing_intenum import IntEnumValue, exchange, snapshot, update

WRITERS, READERS = 4, 2


def write_and_read_back(status: Any, member: Any, times: int, stale: list[int]) -> None:
    for _ in range(times):
        with status.get_lock():
            status.set(member)
            stale.append(
                (status != member)
                + (status.name != member.name)
                + (int(status) != int(member))
                + (snapshot(status) is not member)
                + (exchange(status, member) is not member)
                + (update(status, lambda now: now) is not member)
            )


def read(status: Any, stop: threading.Event, impossible: list[str]) -> None:
    while not stop.is_set():
        name = status.name
        if name not in State.__members__:
            impossible.append(name)


def main() -> None:
    report = Report("Own writes")
    times = report.count(25_000, 1_500)
    sys.setswitchinterval(1e-6)
    for column, lock in LOCKS:
        status = IntEnumValue(State.IDLE, lock=lock(FORK))
        stale: list[int] = []
        impossible: list[str] = []
        stop = threading.Event()
        members = list(State)
        writers = [
            threading.Thread(target=write_and_read_back, args=(status, members[index % 3], times, stale))
            for index in range(WRITERS)
        ]
        readers = [threading.Thread(target=read, args=(status, stop, impossible)) for _ in range(READERS)]
        for thread in readers + writers:
            thread.start()
        for thread in writers:
            thread.join()
        stop.set()
        for thread in readers:
            thread.join()
        assert len(stale) == WRITERS * times
        check = f"{WRITERS} threads write and read back, {READERS} read, switch interval 1 µs"
        report.seen(check, "a read is older than the thread's own write", sum(stale), 6 * len(stale), FORBIDDEN, column)
        report.seen(check, "a reader sees no member", len(impossible), len(stale), FORBIDDEN, column)
    report.finish()


if __name__ == "__main__":
    main()
