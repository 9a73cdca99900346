"""Torn or impossible values: read while a writer alternates between two patterns that have no bit in common."""

from __future__ import annotations

import enum
from itertools import repeat
from multiprocessing.sharedctypes import RawValue
from operator import is_
from typing import Any

from common import FORBIDDEN, FORK, Report, reap

from multiprocessing_intenum import IntEnumValue, snapshot

CHUNK = 1_000_000


class Pattern(enum.IntEnum):
    FIVES = 0x5555555555555555
    AS = ~FIVES


def write(status: Any, stop: Any, writes: Any) -> None:
    while not stop.value:
        for _ in range(1000):
            status.set(Pattern.AS)
            status.set(Pattern.FIVES)
        writes.value += 2000


def read_a_chunk(status: Any) -> int | ValueError:
    """Read in a loop that runs in C, and count the second pattern. A torn value is not a member."""
    try:
        return sum(map(is_, map(snapshot, repeat(status, CHUNK)), repeat(Pattern.AS)))
    except ValueError as error:
        return error


def main() -> None:
    report = Report("Torn values")
    reads = report.count(10**8, 4 * 10**6)
    status = IntEnumValue(Pattern.FIVES)
    stop, writes = RawValue("b", 0), RawValue("q", 0)
    writer = FORK.Process(target=write, args=(status, stop, writes))
    writer.start()
    while not writes.value:
        pass
    torn = ones = changes = 0
    last = Pattern.FIVES
    for _ in range(reads // CHUNK):
        found = read_a_chunk(status)
        if isinstance(found, ValueError):
            torn += 1
            print(found)
        else:
            ones += found
    for _ in range(CHUNK):
        now = snapshot(status)
        changes += now is not last
        last = now
    stop.value = 1
    assert reap(writer) == 0
    assert 0 < ones < reads, "the writer did not write"
    check = f"reads beside {writes.value:,} writes of two 64-bit patterns"
    report.seen(check, "a value that nobody wrote", torn, reads, FORBIDDEN)
    report.seen(check, "one pattern", reads - ones, reads, "allowed")
    report.seen(check, "the other pattern", ones, reads, "allowed")
    report.seen(check, "another value than the read before", changes, CHUNK, "allowed")
    report.finish()


if __name__ == "__main__":
    main()
