"""os.fork() without multiprocessing, as gunicorn does it: the child has the value, and holds nothing."""

from __future__ import annotations

import multiprocessing
import os
from typing import TYPE_CHECKING, Any

import pytest
from enums import WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, SHORT, TIMED_WRITERS, is_free

from multiprocessing_intenum import RobustRLock, compare_and_set, exchange, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum


class Child:
    """A child of os.fork(), whose exit status is whether the function raised nothing."""

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
        return os.waitpid(self.pid, 0)[1] == 0


@pytest.mark.parametrize("lock", [multiprocessing.RLock, multiprocessing.Lock, RobustRLock])
def test_a_child_does_not_believe_that_it_holds_what_the_forking_thread_holds(lock: Any) -> None:
    status = WorkerStatus(IDLE, lock=lock())

    def write_in_vain() -> None:
        for write in TIMED_WRITERS.values():
            with pytest.raises(TimeoutError):
                write(status, CALCULATING, SHORT)

    with status.get_lock():  # type: ignore[attr-defined]
        assert Child(write_in_vain).succeeds()
        assert snapshot(status) is IDLE
        status.set(CALCULATING)  # it is still ours
        assert not is_free(status.get_lock())
    assert is_free(status.get_lock())


@pytest.mark.parametrize("lock", [multiprocessing.RLock, multiprocessing.Lock, RobustRLock])
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
