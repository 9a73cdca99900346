"""KeyboardInterrupt at any moment of a write, raised by real signals, which Windows does not have."""

from __future__ import annotations

import random
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from enums import WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, SAFE_LOCKS, WRITERS, alarms, is_free

from multiprocessing_intenum import futex, snapshot, wait_for

if TYPE_CHECKING:
    from types import FrameType

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum

REPEAT = 0.05
"""Seconds between alarms, because on a busy machine CPython 3.10 was seen to miss one signal of some thousands until
the next one came: four runs of this file at once on two processors, in loops that never gave up the GIL."""


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("lock", SAFE_LOCKS)
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_an_interrupt_at_any_moment_leaves_the_lock_free_and_the_value_whole(lock: Any, write: Any) -> None:
    status = WorkerStatus(IDLE, lock=lock())
    armed = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal armed
        if armed:  # else it is a repeated alarm, and the lock is being looked at
            armed = False
            raise KeyboardInterrupt

    def write_until_interrupted() -> None:
        nonlocal armed
        armed = True
        alarm_in(random.uniform(20e-6, 200e-6), every=REPEAT)
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            write(status, CALCULATING)
            write(status, IDLE)

    with alarms(interrupt) as alarm_in:
        for _ in range(40):
            try:
                write_until_interrupted()
            except KeyboardInterrupt:
                # Checked while the traceback is still alive: handling an interrupt may take long.
                assert is_free(status.get_lock())
            assert not armed
            assert type(snapshot(status)) is WorkerStatusEnum


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
