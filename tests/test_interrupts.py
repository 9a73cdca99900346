"""KeyboardInterrupt at any moment of a write, raised by real signals, which Windows does not have."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from contextlib import suppress
from multiprocessing.sharedctypes import RawArray
from typing import TYPE_CHECKING, Any

import pytest
from enums import WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, SAFE_LOCKS, WRITERS, is_free, running

from multiprocessing_intenum import RobustRLock, snapshot

if TYPE_CHECKING:
    from types import FrameType

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum


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
        signal.setitimer(signal.ITIMER_REAL, random.uniform(20e-6, 200e-6))

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 20e-6)
        deadline = time.monotonic() + DEADLINE
        while handled < 200 and time.monotonic() < deadline:
            with suppress(TypeError):  # what the handler has written may not be what compare_and_set expects
                write(status, CALCULATING)
                write(status, IDLE)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert handled >= 200
    assert is_free(status.get_lock())


def hold_until_terminated(status: WorkerStatus, ready: Any) -> None:
    with status.get_lock():  # type: ignore[attr-defined]
        ready.send("held")
        signal.pause()


def write_in_a_handler_too(status: WorkerStatus, ready: Any) -> None:
    def handle(number: int, frame: FrameType | None) -> None:
        status.set(UNAVAILABLE)
        done.append("handler")

    done: list[str] = []
    signal.signal(signal.SIGTERM, handle)
    ready.send("waits")
    status.set(CALCULATING)
    while not done:  # the signal may come only now
        signal.pause()
    ready.send((done, status.name))


class Deaths:
    """Notes each repair, and the state that it found."""

    def __init__(self) -> None:
        self.seen = RawArray("q", 3)

    def __call__(self, lock: RobustRLock) -> None:
        self.seen[0] += 1
        self.seen[1] = int(self.status)  # type: ignore[attr-defined]


@pytest.mark.parametrize("trial", range(20))
def test_a_handler_writes_while_its_thread_waits_for_a_holder_that_dies_of_the_same_signal(trial: int) -> None:
    fork = multiprocessing.get_context("fork")
    deaths = Deaths()
    status = deaths.status = WorkerStatus(IDLE, lock=RobustRLock(deaths))  # type: ignore[attr-defined]
    ours, theirs = fork.Pipe()
    with running(fork, hold_until_terminated, status, theirs) as holder:
        assert ours.poll(DEADLINE)
        assert ours.recv() == "held"
        with running(fork, write_in_a_handler_too, status, theirs) as writer:
            assert ours.poll(DEADLINE)
            assert ours.recv() == "waits"
            time.sleep(random.uniform(0, 0.01))  # a random moment
            for process in random.sample([holder, writer], 2):
                os.kill(process.pid, signal.SIGTERM)
            assert ours.poll(DEADLINE), "the writer hangs, or has died of an error"
            done, name = ours.recv()
            assert done == ["handler"]
            assert name in ("CALCULATING", "UNAVAILABLE")
    assert deaths.seen[:2] == [1, int(IDLE)]  # repaired once, and before anybody wrote
    assert is_free(status.get_lock())
