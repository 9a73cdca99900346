"""What the processes of the tests of owned records run: they own the state for a while, again and again."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from enums import WorkerStatus, WorkerStatusEnum

from multiprocessing_intenum import compare_and_set

if TYPE_CHECKING:
    from multiprocessing_intenum.postgres import PostgresRecord

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum


def own_again_and_again(record: PostgresRecord, begins: Any) -> None:
    """Own CALCULATING for some milliseconds, and mend what a dead owner has left, until this process is killed."""
    status = WorkerStatus(at=record)
    begins.set()
    while True:
        compare_and_set(status, UNAVAILABLE, IDLE)
        if compare_and_set(status, IDLE, CALCULATING, on_death=UNAVAILABLE):
            time.sleep(random.uniform(0, 0.003))
            if not compare_and_set(status, CALCULATING, IDLE):
                message = "the state was taken from its living owner"
                raise AssertionError(message)


def claim_once(record: PostgresRecord, barrier: Any, winners: Any) -> None:
    """Race for the state, and end when the test says so."""
    status = WorkerStatus(at=record)
    barrier.wait()
    if compare_and_set(status, IDLE, CALCULATING, on_death=UNAVAILABLE):
        winners.put(status._self_cell.owner()[0])  # type: ignore[attr-defined]
    barrier.wait()
