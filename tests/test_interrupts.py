"""KeyboardInterrupt at any moment of a write, raised by real signals, which Windows does not have."""

from __future__ import annotations

import random
import signal
import time
from typing import Any

import pytest
from enums import WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, SAFE_LOCKS, WRITERS, is_free

from multiprocessing_intenum import snapshot

IDLE, CALCULATING = WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("lock", SAFE_LOCKS)
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_an_interrupt_at_any_moment_leaves_the_lock_free_and_the_value_whole(lock: Any, write: Any) -> None:
    status = WorkerStatus(IDLE, lock=lock())

    def write_until_interrupted() -> None:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(20e-6, 200e-6))
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            write(status, CALCULATING)
            write(status, IDLE)

    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for _ in range(40):
            try:
                write_until_interrupted()
            except KeyboardInterrupt:
                # Checked while the traceback is still alive: handling an interrupt may take long.
                assert is_free(status.get_lock())
            assert type(snapshot(status)) is WorkerStatusEnum
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
