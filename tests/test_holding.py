"""Every kind of lock with every writer: the lock is taken once, released, and free after any error."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import filelock
import pytest
from enums import Perm, Permissions, WorkerState, WorkerStatus, WorkerStatusEnum
from helpers import (
    DEADLINE,
    METHODS,
    SHORT,
    TIMED_WRITERS,
    WRITERS,
    held_elsewhere,
    in_a_thread,
    interrupt_at_random,
    is_free,
    run,
)

from multiprocessing_intenum import RobustRLock, compare_and_set, snapshot, update
from multiprocessing_intenum.locks.execution import execution
from multiprocessing_intenum.locks.holding import ThreadsLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.managers import SyncManager
    from pathlib import Path

IDLE, CALCULATING = WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING


class Spy:
    """A user's own lock, which has only acquire and release. It is not re-entrant."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self._lock = threading.Lock()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        self.calls.append("acquire" if timeout == -1 else ("acquire", timeout))
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        self.calls.append("release")
        self._lock.release()


@pytest.fixture(scope="module")
def manager() -> Iterator[SyncManager]:
    with multiprocessing.Manager() as manager:
        yield manager


LOCKS: dict[str, Callable[[], Any]] = {
    "RLock": multiprocessing.RLock,
    "Lock": multiprocessing.Lock,
    "spawn RLock": multiprocessing.get_context("spawn").RLock,
    "spawn Lock": multiprocessing.get_context("spawn").Lock,
    "threading.RLock": threading.RLock,
    "threading.RLock in Python": threading._PyRLock,  # type: ignore[attr-defined]
    "threading.Lock": threading.Lock,
    "threading.Condition": threading.Condition,
    "threading.Semaphore": threading.Semaphore,
    "multiprocessing.Condition": multiprocessing.Condition,
    "Spy": Spy,
}
OWNED = ["RLock", "Lock", "spawn RLock", "spawn Lock", "threading.RLock", "threading.RLock in Python"]
"""Locks that can say who holds them."""


@pytest.fixture(params=[*LOCKS, "manager Lock", "manager RLock", "FileLock"])
def lock(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param.startswith("manager"):
        return getattr(request.getfixturevalue("manager"), request.param.split()[1])()
    if request.param == "FileLock":
        return filelock.FileLock(tmp_path / "lock")
    return LOCKS[request.param]()


def gives(lock: Any) -> bool:
    """Whether another thread can take the lock, whatever kind of lock it is."""

    def try_it() -> bool:
        try:
            taken = lock.acquire(timeout=SHORT)
        except TimeoutError:
            return False
        if taken is not False:
            lock.release()
        return taken is not False

    return in_a_thread(try_it)


@pytest.mark.parametrize("cls", [RobustRLock, threading.Condition, filelock.FileLock, type("Mine", (Spy,), {})])
def test_the_class_of_a_lock_is_no_lock(cls: Any) -> None:
    with pytest.raises(
        TypeError, match=rf"Can not use {cls} as lock: it is a class, give an object of it, {cls.__name__}"
    ):
        WorkerStatus(IDLE, lock=cls)


@pytest.mark.parametrize("lock", [1, object(), "lock", type("OnlyAcquire", (), {"acquire": lambda self: True})()])
def test_something_without_acquire_and_release_is_no_lock(lock: Any) -> None:
    with pytest.raises(TypeError, match=r"Can not use <class .*> as lock: expected an object with acquire\(\) and"):
        WorkerStatus(IDLE, lock=lock)


def test_a_lock_of_asyncio_is_no_lock() -> None:
    with pytest.raises(TypeError, match=r"Can not use <class 'asyncio.locks.Lock'> as lock: .* have to be awaited"):
        WorkerStatus(IDLE, lock=asyncio.Lock())  # type: ignore[arg-type]


def test_get_lock_is_exactly_the_object_given(lock: Any) -> None:
    assert WorkerStatus(IDLE, lock=lock).get_lock() is lock


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_every_writer_takes_the_lock_and_gives_it_back(lock: Any, write: Callable[[Any, Any], object]) -> None:
    status = WorkerStatus(IDLE, lock=lock)
    for member in (CALCULATING, IDLE, CALCULATING):
        write(status, member)
        assert snapshot(status) is member
    assert gives(lock)


@pytest.mark.parametrize("write", TIMED_WRITERS.values(), ids=TIMED_WRITERS)
def test_a_held_lock_is_a_timeout_error_and_nothing_is_written(lock: Any, write: Callable[..., object]) -> None:
    status = WorkerStatus(IDLE, lock=lock)
    with held_elsewhere(lock):
        with pytest.raises(TimeoutError) as caught:
            write(status, CALCULATING, SHORT)
        assert str(caught.value) == (
            f"could not lock 'WorkerStatusEnum' within {SHORT} s, nothing was written, the state is {IDLE!r}: "
            "the holder of the lock is busy, or dead (see RobustRLock)"
        )
        assert snapshot(status) is IDLE
        with pytest.raises(TimeoutError, match="within 0 s"):
            write(status, CALCULATING, 0)
    assert snapshot(status) is IDLE
    write(status, CALCULATING, DEADLINE)
    assert snapshot(status) is CALCULATING
    assert gives(lock)


def test_readers_never_wait_for_the_lock(lock: Any) -> None:
    status = WorkerStatus(IDLE, lock=lock)
    with held_elsewhere(lock):
        assert (status.name, status.value, int(status), repr(status)) == (IDLE.name, IDLE.value, int(IDLE), repr(IDLE))
        assert status == IDLE
        assert hash(status) == hash(IDLE)
        assert snapshot(status) is IDLE


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_writing_inside_update_does_not_take_the_lock_again(lock: Any, write: Callable[[Any, Any], object]) -> None:
    status = WorkerStatus(IDLE, lock=lock)

    def function(member: WorkerStatusEnum) -> str:
        write(status, "UNAVAILABLE")
        assert not gives(lock)
        return "CALCULATING"

    assert update(status, function) is CALCULATING
    assert gives(lock)


@pytest.mark.parametrize("name", OWNED)
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_writing_inside_the_users_own_with_works_with_locks_that_are_not_reentrant_too(
    name: str, write: Callable[[Any, Any], object]
) -> None:
    status = WorkerStatus(IDLE, lock=LOCKS[name]())
    with status.get_lock():  # type: ignore[attr-defined]
        for _ in range(2):
            write(status, CALCULATING)
            assert not gives(status.get_lock())
    assert snapshot(status) is CALCULATING
    assert gives(status.get_lock())


def test_values_that_share_a_lock_exclude_each_others_writers(lock: Any) -> None:
    status, permissions = WorkerStatus(IDLE, lock=lock), Permissions(Perm.R, lock=lock)

    def function(flags: Perm) -> Perm:
        assert compare_and_set(status, IDLE, CALCULATING)  # same thread, same lock: it must not wait for itself
        assert not gives(lock)
        return flags | Perm.W

    update(permissions, function)
    assert (snapshot(status), snapshot(permissions)) == (CALCULATING, Perm.R | Perm.W)
    assert gives(lock)


def test_set_waits_for_the_lock(lock: Any) -> None:
    status = WorkerStatus(IDLE, lock=lock)
    with held_elsewhere(lock):
        writer = threading.Thread(target=status.set, args=(CALCULATING,), daemon=True)
        writer.start()
        writer.join(SHORT)
        assert writer.is_alive()
        assert snapshot(status) is IDLE
    writer.join(DEADLINE)
    assert snapshot(status) is CALCULATING


def test_a_foreign_lock_is_asked_for_a_timeout_only_where_one_was_given() -> None:
    lock = Spy()
    status = WorkerStatus(IDLE, lock=lock)
    status.set(CALCULATING)
    compare_and_set(status, CALCULATING, IDLE, timeout=2)
    assert lock.calls == ["acquire", "release", ("acquire", 2.0), "release"]


def test_a_foreign_lock_that_refuses_without_a_timeout_is_a_timeout_error() -> None:
    class Refusing(Spy):
        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
            return False

    lock = Refusing()
    status = WorkerStatus(IDLE, lock=lock)
    for write in WRITERS.values():
        with pytest.raises(TimeoutError, match="refused to be acquired, though no timeout was given"):
            write(status, CALCULATING)
        assert snapshot(status) is IDLE
    assert lock.calls == []  # a lock that was not taken must not be released


def test_a_foreign_lock_whose_acquire_returns_nothing_is_taken() -> None:
    class Silent(Spy):
        def acquire(self, blocking: bool = True, timeout: float = -1) -> None:  # type: ignore[override]
            super().acquire(blocking, timeout)

    lock = Silent()
    status = WorkerStatus(IDLE, lock=lock)
    for write in WRITERS.values():
        write(status, CALCULATING)
    assert lock.calls == ["acquire", "release"] * len(WRITERS)


@pytest.mark.parametrize("failing", ["acquire", "release"])
def test_what_a_foreign_lock_raises_comes_out(failing: str) -> None:
    lock = Spy()
    status = WorkerStatus(IDLE, lock=lock)

    def fail(*args: object, **kwargs: object) -> bool:
        raise ConnectionError

    setattr(lock, failing, fail)
    for write in WRITERS.values():
        with pytest.raises(ConnectionError):
            write(status, CALCULATING)
        lock._lock = threading.Lock()
    delattr(lock, failing)
    status.set(IDLE)
    assert snapshot(status) is IDLE


def test_two_foreign_locks_are_told_apart() -> None:
    one, two = WorkerStatus(IDLE, lock=Spy()), WorkerStatus(IDLE, lock=Spy())

    def function(member: WorkerStatusEnum) -> WorkerStatusEnum:
        two.set(CALCULATING)
        return snapshot(two)

    assert update(one, function) is CALCULATING
    assert two.get_lock().calls == ["acquire", "release"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("moment", ["acquire", "release"])
def test_an_interrupt_between_taking_the_lock_and_giving_it_back_leaves_it_free(
    moment: str, write: Callable[[Any, Any], object]
) -> None:
    """Just after the lock was taken, and just before it is released. test_interrupts covers every other moment."""

    class Interrupted(threading._PyRLock):  # type: ignore[name-defined, misc]
        interrupts = 1

        def acquire(self, *args: Any, **kwargs: Any) -> bool:
            taken: bool = super().acquire(*args, **kwargs)
            self.interrupt("acquire")
            return taken

        def release(self) -> None:
            self.interrupt("release")
            super().release()

        def interrupt(self, where: str) -> None:
            if where == moment and self.interrupts:
                self.interrupts = 0
                raise KeyboardInterrupt

    status = WorkerStatus(IDLE, lock=Interrupted())
    with pytest.raises(KeyboardInterrupt):
        write(status, CALCULATING)
    assert snapshot(status) is (IDLE if moment == "acquire" else CALCULATING)
    assert gives(status.get_lock())


def check_and_count(state: WorkerState, times: int) -> None:
    """Check and change both parts of the state together, `times` times."""
    live = WorkerState.status.proxy_of(state)
    done = 0
    while done < times:
        with state.lock:
            if compare_and_set(live, IDLE, CALCULATING):
                state.job_id.value += 1
                state.status = IDLE
                done += 1


def test_threads_and_processes_that_change_two_parts_under_one_lock_lose_nothing(ctx: Any) -> None:
    state = WorkerState(ctx)
    processes = [ctx.Process(target=check_and_count, args=(state, 200)) for _ in range(2)]
    threads = [threading.Thread(target=check_and_count, args=(state, 200)) for _ in range(2)]
    try:
        for worker in (*processes, *threads):
            worker.start()
        for worker in (*threads, *processes):
            worker.join(DEADLINE)
        assert [process.exitcode for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.join()
    assert state.job_id.value == -1 + 4 * 200
    assert state.status is IDLE
    assert is_free(state.lock)


def write_in_the_child(status: WorkerStatus) -> None:
    status.set("UNAVAILABLE")
    assert snapshot(status) is WorkerStatusEnum.UNAVAILABLE


def test_a_managers_lock_serves_a_spawned_child(manager: SyncManager) -> None:
    status = WorkerStatus(IDLE, lock=manager.Lock())
    ctx = multiprocessing.get_context("spawn")
    process = ctx.Process(target=write_in_the_child, args=(status,))
    process.start()
    process.join(DEADLINE)
    assert process.exitcode == 0
    assert snapshot(status) is WorkerStatusEnum.UNAVAILABLE


class Logged(WorkerStatus):
    """The recipe of docs/howto/attribute.md."""

    log: list[str]

    def set(self, value: Any) -> None:
        with self.get_lock():
            super().set(value)
            self.log.append(snapshot(self).name)


REENTRANT: dict[str, Callable[[], Any]] = {
    name: LOCKS[name] for name in ("RLock", "spawn RLock", "threading.RLock", "threading.RLock in Python")
}
if sys.platform == "linux":
    REENTRANT["RobustRLock"] = RobustRLock


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("make", REENTRANT.values(), ids=REENTRANT)
def test_a_set_that_takes_the_lock_works_with_each_reentrant_lock(make: Any, write: Any) -> None:
    status = Logged(IDLE, lock=make())
    status.log = []
    in_a_thread(lambda: write(status, CALCULATING))
    assert status.log == ["CALCULATING"]
    assert is_free(status.get_lock())


# The lock of the threads of one process


def wait_for_the_queue(lock: ThreadsLock, length: int) -> None:
    end = time.monotonic() + DEADLINE
    while len(lock._waiters) != length:
        assert time.monotonic() < end
        time.sleep(0.001)


def test_the_threads_of_a_process_take_their_turns_in_the_order_in_which_they_came() -> None:
    lock = ThreadsLock()
    order: list[int] = []

    def take(number: int) -> None:
        assert lock.acquire()
        order.append(number)
        lock.release()

    assert lock.acquire()
    threads = [threading.Thread(target=take, args=(number,)) for number in range(5)]
    for number, thread in enumerate(threads):
        thread.start()
        wait_for_the_queue(lock, number + 1)
    lock.release()
    assert lock.acquire()  # behind them
    order.append(5)
    lock.release()
    for thread in threads:
        thread.join(DEADLINE)
    assert order == list(range(6))


def test_the_turn_of_a_thread_is_no_other_threads() -> None:
    lock = ThreadsLock()
    assert not lock.is_mine()
    assert lock.acquire()
    assert lock.is_mine()
    assert not in_a_thread(lock.is_mine)
    assert not in_a_thread(lambda: lock.acquire(False))
    assert not in_a_thread(lambda: lock.acquire(timeout=SHORT))
    with pytest.raises(ValueError, match="not a number"):
        in_a_thread(lambda: lock.acquire(timeout=float("nan")))
    lock.release()
    assert not lock.is_mine()
    assert is_free(lock)


def test_a_thread_that_ends_gives_its_turn_to_the_next_one() -> None:
    lock = ThreadsLock()
    may_end = threading.Event()

    def take_and_end() -> None:
        lock.acquire()
        may_end.wait(DEADLINE)

    thread = threading.Thread(target=take_and_end)
    thread.start()
    next_one = threading.Thread(target=lambda: lock.acquire() and lock.release())
    next_one.start()
    wait_for_the_queue(lock, 1)
    may_end.set()
    next_one.join(DEADLINE)
    assert not next_one.is_alive()
    assert is_free(lock)


def test_a_lock_that_is_dropped_by_a_thread_that_has_it_harms_nobody() -> None:
    def take_and_drop() -> None:
        lock = ThreadsLock()
        lock.acquire()
        del lock
        gc.collect()

    in_a_thread(take_and_drop)


def test_the_end_of_a_thread_gives_back_only_what_it_has() -> None:
    """It may be noticed late: when another one has the lock already, or when the lock is gone."""
    lock = ThreadsLock()
    assert lock.acquire()
    another = in_a_thread(execution)
    lock.give_back(another)
    assert lock.is_mine()
    lock.give_back(execution())
    assert is_free(lock)
    assert lock.acquire()
    (_, end) = lock._owner["owner"]
    gone = weakref.ref(lock)
    del lock
    gc.collect()
    assert gone() is None
    end.__callback__(end)  # type: ignore[misc]


def test_one_that_did_not_leave_the_queue_keeps_nobody_out() -> None:
    """As after a second interrupt."""
    lock = ThreadsLock()
    stale = threading.Lock()
    stale.acquire()
    lock._waiters.append(stale)
    assert lock.acquire(timeout=DEADLINE)
    assert not lock._waiters
    lock.release()


def test_one_that_was_taken_for_gone_gets_its_turn_all_the_same() -> None:
    lock = ThreadsLock()
    assert lock.acquire()
    thread = threading.Thread(target=lambda: lock.acquire() and lock.release())
    thread.start()
    wait_for_the_queue(lock, 1)
    lock._waiters.clear()
    lock.release()
    thread.join(DEADLINE)
    assert not thread.is_alive()
    assert is_free(lock)


def take_in_a_child(lock: ThreadsLock) -> None:
    assert not lock.is_mine()
    assert lock.acquire(False)
    assert lock.is_mine()
    lock.release()


if "fork" in METHODS:

    def test_a_forked_child_finds_the_lock_of_its_parents_threads_free() -> None:
        lock = ThreadsLock()
        fork = multiprocessing.get_context("fork")
        lock.acquire()
        thread = threading.Thread(target=lambda: lock.acquire() and lock.release())
        thread.start()
        wait_for_the_queue(lock, 1)
        run(fork, take_in_a_child, lock)
        lock.release()
        thread.join(DEADLINE)
        with held_elsewhere(lock):
            run(fork, take_in_a_child, lock)


if sys.platform != "win32":  # which has no timer for a signal

    def test_an_interrupt_leaves_the_lock_of_threads_free() -> None:
        lock = ThreadsLock()

        def take_and_release() -> None:
            try:
                lock.acquire()
                lock.release()
            except BaseException:
                if lock.is_mine():
                    lock.release()
                raise

        for _ in range(5):
            interrupt_at_random(take_and_release, lambda: in_a_thread(lambda: lock.acquire(timeout=DEADLINE)))


def test_a_threads_lock_that_ends_with_the_interpreter_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The globals of the module are gone by then."""
    lock = ThreadsLock()
    with monkeypatch.context() as patch:
        patch.setattr("sys.is_finalizing", lambda: True)
        assert lock.acquire()
    (_, end) = lock._owner["owner"]
    end.__callback__(end)  # type: ignore[misc]
    assert lock.is_mine()
    lock.release()
    assert lock.acquire()
    (_, end) = lock._owner["owner"]
    end.__callback__(end)  # type: ignore[misc]
    assert not lock.is_mine()
