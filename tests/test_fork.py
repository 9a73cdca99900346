"""Forks, also by os.fork() without multiprocessing, as gunicorn does it: the child holds no lock."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from enums import WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, SAFE_LOCKS, SHORT, TIMED_WRITERS, is_free, run
from process_targets import run_in_a_thread, wait_in_a_loop

from multiprocessing_intenum import aio, compare_and_set, exchange, last_change, snapshot, update

if TYPE_CHECKING:
    from collections.abc import Callable

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum


class Child:
    """A child of os.fork() that calls the function; it succeeds if the function raises nothing."""

    def __init__(self, function: Callable[[], object]) -> None:
        self.pid = os.fork()
        if not self.pid:
            code = 1
            try:
                function()
                code = 0
            finally:
                os._exit(code)

    def succeeds(self) -> bool:
        deadline = time.monotonic() + DEADLINE
        while (ended := os.waitpid(self.pid, os.WNOHANG))[0] == 0:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.001)
        return ended[1] == 0


@pytest.mark.parametrize("lock", SAFE_LOCKS)
def test_a_child_does_not_believe_that_it_holds_what_the_forking_thread_holds(lock: Any) -> None:
    status = WorkerStatus(IDLE, lock=lock())

    def write_in_vain() -> None:
        for write in TIMED_WRITERS.values():
            with pytest.raises(TimeoutError):
                write(status, CALCULATING, SHORT)

    with status.get_lock():  # type: ignore[attr-defined]
        assert Child(write_in_vain).succeeds()
        assert snapshot(status) is IDLE
        status.set(CALCULATING)  # the lock is still ours
        assert not is_free(status.get_lock())
    assert is_free(status.get_lock())


@pytest.mark.parametrize("lock", SAFE_LOCKS)
def test_a_child_waits_for_its_parents_lock_and_both_use_the_value(lock: Any) -> None:
    status = WorkerStatus(IDLE, lock=lock())
    status.get_lock().acquire()
    child = Child(lambda: exchange(status, CALCULATING, DEADLINE))
    status.set(UNAVAILABLE)
    status.get_lock().release()
    assert child.succeeds()
    assert snapshot(status) is CALCULATING
    assert Child(lambda: status.set(UNAVAILABLE)).succeeds()
    assert compare_and_set(status, UNAVAILABLE, IDLE, timeout=0)


def test_a_forked_child_holds_none_of_its_parents_foreign_locks() -> None:
    """If it did, its writes would not take the lock."""
    status = WorkerStatus(IDLE, lock=threading.Lock())

    def child() -> None:
        assert not status._self_cell.is_mine()

    def function(member: WorkerStatusEnum) -> WorkerStatusEnum:
        assert status._self_cell.is_mine()
        run(multiprocessing.get_context("fork"), child)
        return CALCULATING

    assert update(status, function) is CALCULATING


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize("kind", ["RLock", "Lock"])
def test_a_lock_of_the_fork_context_is_refused_by_the_others_and_the_value_stays(method: str, kind: str) -> None:
    status = WorkerStatus(IDLE, lock=getattr(multiprocessing.get_context("fork"), kind)())
    process = multiprocessing.get_context(method).Process(target=snapshot, args=(status,))
    with pytest.raises(RuntimeError, match=r"made for children that are forked: give ctx= or lock= .* to send it by"):
        process.start()
    assert snapshot(status) is IDLE


def test_the_child_of_a_bare_fork_writes_under_its_own_id(status: WorkerStatus) -> None:
    child = os.fork()
    if not child:
        status.set(CALCULATING)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert last_change(status).pid == child


def test_after_a_fork_the_childs_loops_work(status: WorkerStatus) -> None:
    fork = multiprocessing.get_context("fork")

    async def wait_while_a_child_does_too() -> Any:
        waiter = asyncio.create_task(aio.wait_for(status, CALCULATING, DEADLINE))
        while not aio._watchers:
            await asyncio.sleep(0.001)
        # Not in an executor: a process that its thread forks cannot end, as concurrent.futures joins the thread there.
        run(fork, run_in_a_thread, wait_in_a_loop, status)
        return await waiter

    assert asyncio.run(wait_while_a_child_does_too()) is CALCULATING
