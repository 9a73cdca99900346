"""One winner: several processes submit a job at once. How many believe that theirs was accepted?"""

from __future__ import annotations

import os
from multiprocessing.sharedctypes import RawArray
from typing import Any

from common import ALLOWED, FORBIDDEN, FORK, LOCKS, PEER, Report, State, load_peer, run_processes

from multiprocessing_intenum import IntEnumValue, compare_and_set

PROCESSES = 8


def submit(status: Any) -> bool:
    return compare_and_set(status, State.IDLE, State.CALCULATING)


def submit_unlocked(status: Any) -> bool:
    if status == State.IDLE:
        status.set(State.CALCULATING)
        return True
    return False


def compete(function: Any, arrived: Any, values: list[Any], wins: Any, index: int) -> None:
    for number, status in enumerate(values):
        # A Barrier would release the processes one by one. Here all that have a core when the last arrives go at once.
        arrived[index] = number + 1
        while min(arrived[:]) <= number:
            os.sched_yield()
        wins[number * PROCESSES + index] = function(status)


def main() -> None:
    report = Report("One winner")
    rounds = report.count(1_000, 100)

    class PeerState(load_peer().IntEnumValue[State]):
        pass

    class OurState(IntEnumValue[State]):
        pass

    for column, kind, lock in (
        *((column, OurState, lock) for column, lock in LOCKS),
        (PEER, PeerState, lambda ctx: ctx.RLock()),
    ):
        for check, function, verdict in (
            ("8 processes compare_and_set at once", submit, FORBIDDEN),
            ("8 processes check, then set, at once, unlocked", submit_unlocked, ALLOWED),
        ):
            if kind is PeerState and function is submit:
                continue  # the peer has no compare_and_set
            the_lock = lock(FORK)
            values = [kind(State.IDLE, lock=the_lock) for _ in range(rounds)]
            arrived, wins = RawArray("q", PROCESSES), RawArray("b", rounds * PROCESSES)
            failed = run_processes(
                FORK, compete, [(function, arrived, values, wins, index) for index in range(PROCESSES)]
            )
            assert not failed, f"{failed} processes failed"
            winners = [sum(wins[start : start + PROCESSES]) for start in range(0, len(wins), PROCESSES)]
            verdict = "" if column == PEER else verdict
            report.seen(check, "nobody wins", winners.count(0), rounds, FORBIDDEN if verdict else "", column)
            several = rounds - winners.count(0) - winners.count(1)
            report.seen(check, "more than one wins", several, rounds, verdict, column)
    report.finish()


if __name__ == "__main__":
    main()
