"""Throughput: how often per second several processes can read or write the same state."""

from __future__ import annotations

import multiprocessing
import statistics
import time
import timeit
from multiprocessing.sharedctypes import RawArray, RawValue
from typing import Any

from contenders import OURS, PEER, names_of
from operations import OPERATIONS
from paired import Finding, ratio_of
from targets import AT_LEAST, Target

__all__ = ["COUNTS", "beside_a_writer", "of_four_writers", "rates"]

COUNTS = (1, 2, 4, 8)  # processes
_READS_TARGET, _WRITES_TARGET = Target(10, 6), Target(1)
"""How many times as many as the peer's."""

_READ = next(operation for operation in OPERATIONS if operation.label == "s == member").statements
# Two writes, each of another member than the one before: to set the same member again would write nothing here.
_WRITE = next(operation for operation in OPERATIONS if operation.label == "s.set(other); s.set(member)").statements
_STATEMENTS = {"reads": (1, _READ), "writes": (2, _WRITE)}
_CHUNK = 500  # how often a process reads or writes before it looks at the clock
_FORK = multiprocessing.get_context("fork")  # children inherit the states, which is fair to every contender


def rates(contenders: list[str], seconds: float) -> list[dict[str, Any]]:
    """Return the operations per second by contender and number of processes, with and without a tight writer.

    Args:
        contenders: which ones to measure.
        seconds: how long each measurement lasts.
    """
    return [
        {
            "what": what,
            "writer": with_writer,
            "processes": processes,
            "contender": contender,
            "per_second": times * _rate(contender, statements[contender], processes, seconds, with_writer=with_writer),
        }
        for what, (times, statements) in _STATEMENTS.items()
        for with_writer in (False, True)
        for processes in COUNTS
        for contender in contenders
    ]


def beside_a_writer(seconds: float, rounds: int) -> list[Finding]:
    """Count the reads of two processes while another one writes, in turns with the peer."""
    return _compared("reads a second, 2 readers beside a writer", "reads", 2, seconds, rounds, _READS_TARGET)


def of_four_writers(seconds: float, rounds: int) -> list[Finding]:
    """Count the writes of four processes, in turns with the peer."""
    return _compared("writes a second, 4 writers", "writes", 4, seconds, rounds, _WRITES_TARGET)


def _compared(label: str, what: str, processes: int, seconds: float, rounds: int, target: Target) -> list[Finding]:
    times, statements = _STATEMENTS[what]
    with_writer = what == "reads"
    turns = [
        [times * _rate(each, statements[each], processes, seconds, with_writer=with_writer) for each in (OURS, PEER)]
        for _ in range(rounds)
    ]
    ours, peers = (list(own) for own in zip(*turns, strict=True))
    medians = statistics.median(ours), statistics.median(peers)
    return [Finding(label, PEER, *medians, ratio_of(ours, peers), target.here, sense=AT_LEAST, unit="/s")]


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
