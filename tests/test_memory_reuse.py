"""Memory is not reused while another process may write to it, and freed if no other process can."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from enums import WorkerState, WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, running
from process_targets import hand_on

from multiprocessing_intenum import RobustRLock, update
from multiprocessing_intenum.memory import keepalive

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE, CALCULATING = WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING

MAKERS: dict[str, Callable[[Any], WorkerStatus]] = {
    "default lock": lambda ctx: WorkerStatus(IDLE, ctx=ctx),
    "RobustRLock": lambda ctx: WorkerStatus(IDLE, lock=RobustRLock()),
    "attribute": lambda ctx: WorkerState.status.proxy_of(WorkerState(ctx)),
}


def write_when_told(status: WorkerStatus, told: Any, written: Any) -> None:
    assert told.wait(DEADLINE)
    status.set(CALCULATING)
    written.set()


@pytest.mark.parametrize("make", list(MAKERS.values())[:2], ids=list(MAKERS)[:2])
def test_what_a_child_writes_to_a_dropped_value_shows_in_no_other(ctx: Any, make: Any) -> None:
    told, written = ctx.Event(), ctx.Event()
    status = make(ctx)
    with running(ctx, write_when_told, status, told, written) as process:
        del status  # with spawn, the child has not opened its arguments yet
        gc.collect()
        others = [make(ctx) for _ in range(50)]
        told.set()
        assert written.wait(DEADLINE)
        process.join(DEADLINE)
        assert process.exitcode == 0
    assert {other.name for other in others} == {"IDLE"}
    assert {update(other, lambda _: CALCULATING, timeout=0) for other in others} == {CALCULATING}


def test_what_the_child_of_a_bare_fork_writes_to_a_dropped_value_shows_in_no_other() -> None:
    status = WorkerStatus(IDLE)
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        with suppress(BaseException):
            os.read(ours, 1)
            status.set(CALCULATING)
            os._exit(0)
        os._exit(1)
    del status
    gc.collect()
    others = [WorkerStatus(IDLE) for _ in range(50)]
    os.write(theirs, b"!")
    assert os.waitpid(child, 0)[1] == 0
    os.close(ours)
    os.close(theirs)
    assert {other.name for other in others} == {"IDLE"}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_values_that_no_process_has_inherited_are_freed(make: Any) -> None:
    def make_use_and_drop() -> int:
        status = make(multiprocessing)
        update(status, lambda _: CALCULATING)
        return ctypes.addressof(status._self_cell._block)

    make_use_and_drop()
    gc.collect()
    tracked, pinned, files = len(keepalive._tracked), len(keepalive._pinned), len(os.listdir("/proc/self/fd"))
    places = {make_use_and_drop() for _ in range(500)}
    gc.collect()
    assert len(places) < 50  # an object with an attribute is only freed by the next collection
    assert (len(keepalive._tracked), len(keepalive._pinned)) == (tracked, pinned)
    assert len(os.listdir("/proc/self/fd")) <= files  # what earlier tests have left may be closed meanwhile


def test_values_with_a_lock_of_the_spawn_context_leave_no_name_behind() -> None:
    ctx = multiprocessing.get_context("spawn")
    status = WorkerStatus(IDLE, lock=ctx.RLock())
    name = status.get_lock()._semlock.name.lstrip("/")  # type: ignore[attr-defined]

    def files() -> list[str]:
        return [each for each in os.listdir("/dev/shm") if each.removeprefix("sem.") == name]  # musl has no prefix

    assert len(files()) == 1
    del status
    gc.collect()
    assert files() == []


LOCKS = {
    name: getattr(multiprocessing.get_context("spawn"), name) for name in ("Lock", "RLock", "Semaphore", "Condition")
}


def hand_on_when_told(status: WorkerStatus, told: Any) -> None:
    assert told.wait(DEADLINE)
    hand_on(multiprocessing.get_context("spawn"), status)


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_a_forked_child_can_still_spawn_with_a_lock_that_its_parent_has_dropped(lock: Any) -> None:
    fork = multiprocessing.get_context("fork")
    told = fork.Event()
    status = WorkerStatus(IDLE, lock=lock())
    with running(fork, hand_on_when_told, status, told) as process:
        del status
        gc.collect()
        told.set()
        process.join(DEADLINE)
        assert process.exitcode == 0
