"""Throughput: how often per second several processes can read or write the same state."""

from __future__ import annotations

import multiprocessing
import statistics
import time
import timeit
from multiprocessing.sharedctypes import RawArray, RawValue
from typing import Any

from contenders import BARE, MANAGER, OURS, PEER, VALUE, names_of
from operations import OPERATIONS
from paired import Finding
from targets import Target

__all__ = ["COUNTS", "beside_a_writer", "of_four_writers", "throughput"]

COUNTS = (1, 2, 4, 8)  # processes
_READS_TARGET = Target(1 / 10, 1 / 6)
"""The longest time allowed for a read beside a tight writer, relative to the peer's: ten or six times as many reads."""
_WRITES_TARGET = Target(1.0)

_READ = next(operation for operation in OPERATIONS if operation.label == "s == member").statements
# Two writes, each of another member than the one before: to set the same member again would write nothing here.
_WRITE = next(operation for operation in OPERATIONS if operation.label == "s.set(other); s.set(member)").statements
_STATEMENTS = {"reads": (1, _READ), "writes": (2, _WRITE)}
_CHUNK = 500  # how often a process reads or writes before it looks at the clock
_FORK = multiprocessing.get_context("fork")  # children inherit the states, which is fair to every contender


def throughput(seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Return the operations per second by contender and number of processes, with and without a tight writer.

    Args:
        seconds: how long each measurement lasts.
        rounds: how often to repeat the whole series; the median counts.
    """
    cases = [
        (what, with_writer, processes, contender)
        for what in _STATEMENTS
        for with_writer in (False, True)
        for processes in COUNTS
        for contender in (OURS, PEER, VALUE, MANAGER, BARE)
    ]
    rates: dict[tuple[str, bool, int, str], list[float]] = {case: [] for case in cases}
    for _ in range(rounds):
        for (what, with_writer, processes, contender), own in rates.items():
            times, statements = _STATEMENTS[what]
            own.append(times * _rate(contender, statements[contender], processes, seconds, with_writer=with_writer))
    names = ("what", "writer", "processes", "contender")
    return [dict(zip(names, case, strict=True)) | {"per_second": statistics.median(own)} for case, own in rates.items()]


def beside_a_writer(seconds: float, rounds: int) -> Finding:
    """Measure two processes that read while one writes, in turns with the peer, and return the finding."""
    return _compared("a read, 2 readers beside a writer", _READ, 2, seconds, rounds, _READS_TARGET, with_writer=True)


def of_four_writers(seconds: float, rounds: int) -> Finding:
    """Measure four processes that write, in turns with the peer, and return the finding."""
    return _compared("two writes, 4 writers", _WRITE, 4, seconds, rounds, _WRITES_TARGET, with_writer=False)


def _compared(
    label: str,
    statements: dict[str, str],
    processes: int,
    seconds: float,
    rounds: int,
    target: Target,
    *,
    with_writer: bool,
) -> Finding:
    rates = [
        [_rate(each, statements[each], processes, seconds, with_writer=with_writer) for each in (OURS, PEER)]
        for _ in range(rounds)
    ]
    ours, peers = ([1 / rate for rate in each] for each in zip(*rates, strict=True))
    figure = statistics.median(our / peer for our, peer in zip(ours, peers, strict=True))
    return Finding(label, PEER, statistics.median(ours), statistics.median(peers), figure, target.here)


def _rate(contender: str, statement: str, processes: int, seconds: float, *, with_writer: bool) -> float:
    """Return how often per second all processes together run the statement."""
    names_of(contender)  # makes the states here, so that the processes inherit them
    rates = RawArray("d", processes)
    stop = RawValue("b", 0)
    start = _FORK.Barrier(processes + with_writer + 1)
    workers = [
        _FORK.Process(target=_count, args=(contender, statement, seconds, start, rates, number))
        for number in range(processes)
    ]
    writer = [_FORK.Process(target=_write, args=(contender, start, stop))] if with_writer else []
    for process in workers + writer:
        process.start()
    start.wait()
    for process in workers:
        process.join()
    stop.value = 1
    for process in writer:
        process.join()
    return sum(rates)


def _count(contender: str, statement: str, seconds: float, start: Any, rates: Any, number: int) -> None:
    chunk = timeit.Timer(statement, globals=names_of(contender))
    chunk.timeit(_CHUNK)
    start.wait()
    begin = time.perf_counter()
    done, now = 0, begin
    while now < begin + seconds:
        chunk.timeit(_CHUNK)
        done += _CHUNK
        now = time.perf_counter()
    rates[number] = done / (now - begin)


def _write(contender: str, start: Any, stop: Any) -> None:
    chunk = timeit.Timer(_WRITE[contender], globals=names_of(contender))
    start.wait()
    while not stop.value:
        chunk.timeit(_CHUNK)
