"""KeyboardInterrupt at any moment of a write, raised by real signals, which Windows does not have."""

from __future__ import annotations

import random
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from enums import WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, REPEAT, SAFE_LOCKS, WRITERS, alarms, interrupt_at_random, is_free

from multiprocessing_intenum import snapshot, wait_for
from multiprocessing_intenum.memory import futex

if TYPE_CHECKING:
    from types import FrameType

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("lock", SAFE_LOCKS)
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_an_interrupt_at_any_moment_leaves_the_lock_free_and_the_value_whole(lock: Any, write: Any) -> None:
    status = WorkerStatus(IDLE, lock=lock())

    def write_twice() -> None:
        write(status, CALCULATING)
        write(status, IDLE)

    def look() -> None:
        assert is_free(status.get_lock())
        assert type(snapshot(status)) is WorkerStatusEnum

    interrupt_at_random(write_twice, look)


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("lock", SAFE_LOCKS)
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_signal_handler_can_write_at_any_moment(lock: Any, write: Any) -> None:
    status = WorkerStatus(IDLE, lock=lock())
    handled = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal handled
        write(status, UNAVAILABLE)
        assert snapshot(status) is UNAVAILABLE
        handled += 1
        alarm_in(random.uniform(20e-6, 200e-6), every=REPEAT)

    with alarms(handle) as alarm_in:
        alarm_in(20e-6, every=REPEAT)
        deadline = time.monotonic() + DEADLINE
        while handled < 200 and time.monotonic() < deadline:
            with suppress(TypeError):  # what the handler has written may not be what compare_and_set expects
                write(status, CALCULATING)
                write(status, IDLE)
    assert handled >= 200
    assert is_free(status.get_lock())


@pytest.mark.parametrize("kernel", [True, False], ids=["woken by the kernel", "looking again and again"])
def test_a_signal_ends_the_sleep_of_a_waiter_at_once(kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not kernel:
        monkeypatch.setattr(futex, "is_available", lambda: False)
    with alarms(signal.default_int_handler) as alarm_in:
        alarm_in(0.05)
        with pytest.raises(KeyboardInterrupt):
            wait_for(WorkerStatus(IDLE), CALCULATING, DEADLINE)
