"""The targets: statements take turns in one process, so that whatever slows the machine down slows all of them."""

from __future__ import annotations

import functools
import statistics
import timeit
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contenders import BARE, MEMBER, OURS, PEER, PLAIN_VALUE, names_of
from operations import OPERATIONS, OPERATIONS_OF_VARIANTS, SLACK

from multiprocessing_intenum import core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from operations import Operation

__all__ = ["UNROLL", "Finding", "best_of", "best_of_all", "findings", "timer"]

UNROLL = 10
"""How often a statement is repeated in the body of the loop, so that the loop itself costs almost nothing."""

_SLICE = 0.002  # seconds that a statement runs before the next one takes its turn
_EQUAL = OPERATIONS[0]


@dataclass(frozen=True)
class Finding:
    """The result for one operation.

    Attributes:
        label: the label of the operation.
        against: what it is compared with: the peer, or the plain member if the peer does not have the operation. For
            variants of this library's value it is the `IntEnumValue`. For waiting it is `multiprocessing.Event`, or
            the time that the wait lasts.
        ours, other: the medians of the times, in seconds.
        figure: the median of the ratios of all rounds. If the peer does not have the operation, how much longer it
            takes than on the plain member, in units of the peer's `==`.
        target: what the figure must not exceed, if there is a target.
        floor: the figure of the bare pieces, if they have the operation.
        unit: what `ours` and `other` are counted in.
        flavour: whether the C core was there.
    """

    label: str
    against: str
    ours: float
    other: float
    figure: float
    target: float | None
    floor: float | None = None
    unit: str = "s"
    flavour: str = core.kind

    @property
    def is_met(self) -> bool:
        """Whether the target is met, or there is none."""
        return self.target is None or self.figure <= self.target


def timer(operation: Operation, contender: str) -> timeit.Timer:
    """Return a timer for one contender's statement, repeated `UNROLL` times in each loop."""
    return timeit.Timer("\n".join([operation.statements[contender]] * UNROLL), globals=names_of(contender))


def findings(rounds: int = 60, attempts: int = 4) -> Iterator[Finding]:
    """Yield the finding of each operation that is compared with the peer, the plain member, or the `IntEnumValue`.

    Args:
        rounds: how many turns each statement takes.
        attempts: how often to time an operation that misses its target. Other programs on the machine can make it miss
            the target, but can hardly make it meet the target.
    """
    for operation in OPERATIONS:
        if operation.group == "masquerade":
            yield best_of(attempts, functools.partial(_against_member, operation, rounds))
        elif PEER in operation.statements:
            yield best_of(attempts, functools.partial(_against_peer, operation, rounds))
    for operation in OPERATIONS_OF_VARIANTS:
        for variant in operation.statements:
            if variant != OURS:
                yield best_of(attempts, functools.partial(_against_plain_value, operation, variant, rounds))


def best_of(attempts: int, measure: Callable[[], Finding]) -> Finding:
    """Return the first finding that meets its target, or else the best one."""
    tried: list[Finding] = []
    while len(tried) < attempts and not (tried and tried[-1].is_met):
        tried.append(measure())
    return min(tried, key=lambda finding: finding.figure)


def best_of_all(attempts: int, measure: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """Do the same for findings that are measured together: measure until each has met its target, or to the last."""
    tried: list[list[Finding]] = []
    while len(tried) < attempts and not (tried and all(map(_best_is_met, zip(*tried, strict=True)))):
        tried.append(list(measure()))
    return [min(each, key=lambda finding: finding.figure) for each in zip(*tried, strict=True)]


def _best_is_met(tried: tuple[Finding, ...]) -> bool:
    return any(finding.is_met for finding in tried)


def _against_peer(operation: Operation, rounds: int) -> Finding:
    contenders = [contender for contender in (OURS, PEER, BARE) if contender in operation.statements]
    ours, peers, *bare = _turns([timer(operation, contender) for contender in contenders], rounds)
    figure, *floor = (
        statistics.median(time / peer for time, peer in zip(times, peers, strict=True)) for times in (ours, *bare)
    )
    medians = statistics.median(ours), statistics.median(peers)
    return Finding(operation.label, PEER, *medians, figure, operation.target.here, *floor)


def _against_member(operation: Operation, rounds: int) -> Finding:
    timers = [timer(operation, OURS), timer(operation, MEMBER), timer(_EQUAL, PEER)]
    ours, members, units = _turns(timers, rounds)
    figure = statistics.median((our - plain) / unit for our, plain, unit in zip(ours, members, units, strict=True))
    return Finding(operation.label, MEMBER, statistics.median(ours), statistics.median(members), figure, SLACK)


def _against_plain_value(operation: Operation, variant: str, rounds: int) -> Finding:
    times, others = _turns([timer(operation, variant), timer(operation, OURS)], rounds)
    figure = statistics.median(time / other for time, other in zip(times, others, strict=True))
    medians = statistics.median(times), statistics.median(others)
    return Finding(f"{operation.label}, {variant}", PLAIN_VALUE, *medians, figure, operation.target.here)


def _turns(timers: list[timeit.Timer], rounds: int) -> list[list[float]]:
    """Return the seconds that each statement took in each round."""
    loops = []
    for each in timers:
        each.timeit(100)  # so that the interpreter specialises the code before it is timed
        loops.append(max(1, int(20 * _SLICE / each.timeit(20))))
    times: list[list[float]] = [[] for _ in timers]
    for _ in range(rounds):
        for each, number, own in zip(timers, loops, times, strict=True):
            own.append(each.timeit(number) / number / UNROLL)
    return times
