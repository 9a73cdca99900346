"""What one measurement finds; and statements that take turns in one process, so that noise slows down all of them."""

from __future__ import annotations

import statistics
import timeit
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contenders import BARE, MEMBER, OURS, PEER, PLAIN_VALUE, names_of
from operations import OPERATIONS, SLACK
from targets import AT_MOST

from multiprocessing_intenum import core

if TYPE_CHECKING:
    from operations import Operation

__all__ = ["UNROLL", "Finding", "against_member", "against_peer", "against_plain_value", "ratio_of", "timer", "turns"]

UNROLL = 10
"""How often a statement is repeated in the body of the loop, so that the loop itself costs almost nothing."""

_SLICE = 0.002  # seconds that a statement runs before the next one takes its turn
_EQUAL = OPERATIONS[0]


@dataclass(frozen=True)
class Finding:
    """What one measurement has found.

    Attributes:
        label: what was measured; for a single operation its label.
        against: what it is compared with: the peer, the plain member if the peer does not have the operation, or
            another way to do the same; empty if the figure is no ratio.
        ours, other: the medians of both, in `unit`. If there is nothing to compare with, `other` is None.
        figure: how many times as much as the other it is, as the median of all turns. If there is nothing to compare
            with, it is `ours`. Beside a plain member: how much longer it takes, in units of the peer's `==`.
        target: what the figure must keep, if there is a target.
        sense: whether the figure must be at most or at least the target: "≤" or "≥".
        floor: the figure of the bare pieces, if they have the operation.
        unit: what `ours` and `other` are counted in: seconds, "/s" or "B".
        flavour: whether the C core was there.
    """

    label: str
    against: str
    ours: float
    other: float | None
    figure: float
    target: float | None
    sense: str = AT_MOST
    floor: float | None = None
    unit: str = "s"
    flavour: str = core.kind

    @property
    def is_met(self) -> bool:
        """Whether the target is met, or there is none."""
        return self.target is None or self.excess <= 1

    @property
    def excess(self) -> float:
        """How many times too much it is, or too little; any order will do where there is no target."""
        return self.figure / (self.target or 1) if self.sense == AT_MOST else (self.target or 1) / self.figure


def timer(operation: Operation, contender: str) -> timeit.Timer:
    """Return a timer for one contender's statement, repeated `UNROLL` times in each loop."""
    return timeit.Timer("\n".join([operation.statements[contender]] * UNROLL), globals=names_of(contender))


def against_peer(operation: Operation, rounds: int) -> list[Finding]:
    """Compare an operation with the peer's."""
    contenders = [contender for contender in (OURS, PEER, BARE) if contender in operation.statements]
    ours, peers, *bare = _turns_of([timer(operation, contender) for contender in contenders], rounds)
    figure, *floor = (ratio_of(times, peers) for times in (ours, *bare))
    medians = statistics.median(ours), statistics.median(peers)
    target = operation.target.here
    return [Finding(operation.label, PEER, *medians, figure, target, floor=floor[0] if floor else None)]


def against_member(operation: Operation, rounds: int) -> list[Finding]:
    """Compare an operation with that of the plain member, in units of the peer's `==`."""
    timers = [timer(operation, OURS), timer(operation, MEMBER), timer(_EQUAL, PEER)]
    ours, members, units = _turns_of(timers, rounds)
    figure = statistics.median((our - plain) / unit for our, plain, unit in zip(ours, members, units, strict=True))
    return [Finding(operation.label, MEMBER, statistics.median(ours), statistics.median(members), figure, SLACK)]


def against_plain_value(operation: Operation, variant: str, rounds: int) -> list[Finding]:
    """Compare an operation of a variant with that of the `IntEnumValue`."""
    times, others = _turns_of([timer(operation, variant), timer(operation, OURS)], rounds)
    medians = statistics.median(times), statistics.median(others)
    label = f"{operation.label}, {variant}"
    return [Finding(label, PLAIN_VALUE, *medians, ratio_of(times, others), operation.target.here)]


def ratio_of(ours: list[float], others: list[float]) -> float:
    """Return the median of the ratios of all turns."""
    return statistics.median(one / other for one, other in zip(ours, others, strict=True))


def turns(timers: list[timeit.Timer], rounds: int) -> tuple[list[list[float]], list[int]]:
    """Return the seconds that each timer's statement took in each round, and how often each ran in all rounds."""
    loops = []
    for each in timers:
        each.timeit(100)  # so that the interpreter specialises the code before it is timed
        loops.append(max(1, int(20 * _SLICE / each.timeit(20))))
    times: list[list[float]] = [[] for _ in timers]
    for _ in range(rounds):
        for each, number, own in zip(timers, loops, times, strict=True):
            own.append(each.timeit(number) / number)
    return times, [number * rounds for number in loops]


def _turns_of(timers: list[timeit.Timer], rounds: int) -> list[list[float]]:
    times, _ = turns(timers, rounds)
    return [[each / UNROLL for each in own] for own in times]
