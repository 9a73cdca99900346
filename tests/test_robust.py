"""RobustRLock: what it does when its holder is killed, and that it behaves like an RLock otherwise."""

from __future__ import annotations

import copy
import ctypes
import errno
import gc
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
import weakref
from contextlib import contextmanager, nullcontext
from functools import partial
from multiprocessing.sharedctypes import RawArray, RawValue
from typing import TYPE_CHECKING, Any

import helpers
import pytest
import robust_targets
from enums import WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, WRITERS, alarms, held_elsewhere, in_a_thread, is_free

from multiprocessing_intenum import IntEnumValue, compare_and_set, history, snapshot
from multiprocessing_intenum.locks import execution, pthread, robust
from multiprocessing_intenum.locks.robust import RobustRLock
from multiprocessing_intenum.memory import futex, keepalive
from multiprocessing_intenum.memory.sleepers import Sleepers
from multiprocessing_intenum.memory.words import SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.context import BaseContext
    from multiprocessing.process import BaseProcess
    from types import FrameType

    from robust_targets import Pipe


UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum


class Child:
    """A child process and the pipe to it."""

    def __init__(self, process: BaseProcess, pipe: Pipe) -> None:
        self.process = process
        self.pipe = pipe

    def says(self) -> object:
        assert self.pipe.poll(DEADLINE), "the child says nothing"
        return self.pipe.recv()

    def kill(self) -> None:
        self.process.kill()
        self.ends()

    def ends(self) -> int | None:
        self.process.join(DEADLINE)
        return self.process.exitcode


@contextmanager
def running(ctx: BaseContext, target: Callable[..., object], *args: object) -> Iterator[Child]:
    ours, theirs = ctx.Pipe()
    process = ctx.Process(target=target, args=(theirs, *args))  # type: ignore[attr-defined]
    process.start()
    del args  # so that the test holds the only references
    try:
        yield Child(process, ours)
    finally:
        process.kill()
        process.join(DEADLINE)
        process.close()
        ours.close()
        theirs.close()


def place_of(lock: RobustRLock) -> int:
    """The address of the mutex."""
    return ctypes.addressof(lock._block) + lock._offset


def kill_a_holder(lock: RobustRLock) -> None:
    with running(multiprocessing.get_context("fork"), robust_targets.hold, lock) as holder:
        assert holder.says() == "held"
        holder.kill()


def without_functions(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    function = ctypes.CDLL.__getitem__

    def one_of_the_others(library: ctypes.CDLL, name: str) -> Callable[..., int]:
        if name in missing:
            raise AttributeError(name)
        return function(library, name)

    monkeypatch.setattr(ctypes.CDLL, "__getitem__", one_of_the_others)
    monkeypatch.setattr(robust, "pthread", pthread.pthread.__wrapped__)  # without its cache


@pytest.fixture
def deaths() -> ctypes.c_int64:
    return RawValue(ctypes.c_int64, 0)


# When the holder dies


def test_the_next_one_goes_on_within_a_second_of_the_kill(ctx: BaseContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robust, "_SLICE", DEADLINE)  # so that only the kernel can hand over the lock in time
    lock = RobustRLock()
    taken_after = []
    for _ in range(3):
        with running(ctx, robust_targets.hold, lock) as holder:
            assert holder.says() == "held"
            assert not lock.acquire(block=False)
            holder.process.kill()
            killed = time.monotonic()
            assert lock.acquire(timeout=DEADLINE)
            taken_after.append(time.monotonic() - killed)
        lock.release()
        assert is_free(lock)
    assert min(taken_after) < 1  # the minimum, because a busy machine ends processes late


def test_one_who_waits_already_goes_on_after_the_kill(ctx: BaseContext) -> None:
    lock = RobustRLock()
    with running(ctx, robust_targets.hold, lock) as holder:
        assert holder.says() == "held"
        with running(ctx, robust_targets.take_once_asked, lock) as waiter:
            assert waiter.says() == "asking"
            holder.kill()
            assert waiter.says() is True
            assert waiter.ends() == 0


def test_on_holder_death_runs_exactly_once_and_with_the_lock_held(ctx: BaseContext) -> None:
    robust_targets.notes.clear()
    lock = RobustRLock(robust_targets.note_who_holds)
    with running(ctx, robust_targets.hold, lock) as holder:
        assert holder.says() == "held"
        holder.kill()
    for _ in range(3):
        with lock:
            assert robust_targets.notes == [(True, False)]
    assert is_free(lock)
    assert robust_targets.notes == [(True, False)]


def test_on_holder_death_runs_once_for_each_death_in_whichever_process_comes_next(
    ctx: BaseContext, deaths: ctypes.c_int64
) -> None:
    lock = RobustRLock(partial(robust_targets.count_death, deaths))
    for expected in (0, 1, 2):
        with running(ctx, robust_targets.hold, lock) as holder:
            assert holder.says() == "held"
            assert deaths.value == expected
            holder.kill()
    with running(ctx, robust_targets.take_once_asked, lock) as last:
        assert last.says() == "asking"
        assert last.says() is True
    with lock:
        assert deaths.value == 3


def test_an_on_holder_death_that_raises_leaves_the_lock_usable(ctx: BaseContext, deaths: ctypes.c_int64) -> None:
    lock = RobustRLock(partial(robust_targets.count_death_and_fail, deaths))
    with running(ctx, robust_targets.hold, lock) as holder:
        assert holder.says() == "held"
        holder.kill()
    with pytest.raises(ZeroDivisionError, match="cannot be put right"):
        lock.acquire()
    assert not lock._is_mine()
    assert is_free(lock)
    with lock, running(ctx, robust_targets.try_to_misuse, lock) as other:
        assert other.says() is False
        assert other.says() is False
    assert deaths.value == 1


def test_when_the_one_who_puts_right_is_killed_too_the_next_one_does_it(
    ctx: BaseContext, deaths: ctypes.c_int64
) -> None:
    ours, theirs = ctx.Pipe()
    lock = RobustRLock(partial(robust_targets.get_stuck_the_first_time, deaths, theirs))
    with running(ctx, robust_targets.hold, lock) as holder:
        assert holder.says() == "held"
        holder.kill()
    with running(ctx, robust_targets.hold, lock) as repairer:
        assert ours.poll(DEADLINE)
        assert ours.recv() == "repairing"
        assert not lock.acquire(block=False)
        repairer.kill()
    with lock:
        assert deaths.value == 2
    with lock:
        assert deaths.value == 2
    ours.close()
    theirs.close()


def test_a_process_that_ends_without_releasing_passes_the_lock_on(ctx: BaseContext, deaths: ctypes.c_int64) -> None:
    lock = RobustRLock(partial(robust_targets.count_death, deaths))
    with running(ctx, robust_targets.hold_twice_and_end, lock) as holder:
        assert holder.says() == "held"
        assert holder.ends() == 0
    assert lock.acquire(timeout=DEADLINE)
    lock.release()
    assert deaths.value == 1


def test_a_thread_that_ends_without_releasing_passes_the_lock_on(deaths: ctypes.c_int64) -> None:
    lock = RobustRLock(partial(robust_targets.count_death, deaths))
    for expected in range(1, 10):
        assert in_a_thread(lock.acquire) is True
        # Thread ids are reused: of several threads in turn, some have the id of the thread that held the lock.
        assert in_a_thread(lock._is_mine) is False
        with lock:
            assert deaths.value == expected


def test_a_lock_dropped_while_held_is_still_passed_on(deaths: ctypes.c_int64) -> None:
    lock = RobustRLock(partial(robust_targets.count_death, deaths))
    with running(multiprocessing.get_context("spawn"), robust_targets.drop_while_held_and_end, [lock]) as holder:
        assert holder.says() == "held"
        assert holder.ends() == 0
    assert lock.acquire(timeout=DEADLINE)
    assert deaths.value == 1
    lock.release()


def test_a_mutex_that_is_lost_for_good_raises_the_error_by_its_name() -> None:
    lock = RobustRLock()
    kill_a_holder(lock)
    assert lock._trylock(lock._mutex) == errno.EOWNERDEAD
    assert lock._unlock(lock._mutex) == 0  # without making it consistent
    with pytest.raises(OSError, match="ENOTRECOVERABLE") as caught:
        lock.acquire()
    assert caught.value.errno == errno.ENOTRECOVERABLE


@pytest.mark.parametrize("callback", [0, "repair", object()])
def test_an_on_holder_death_that_cannot_be_called_is_refused(callback: Callable[[RobustRLock], object]) -> None:
    with pytest.raises(TypeError, match="on_holder_death"):
        RobustRLock(callback)


# As an RLock


class Counted(RobustRLock):
    """A user's own kind of lock."""

    taken = 0

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        taken = super().acquire(block, timeout)
        self.taken += taken
        return taken


def test_a_write_takes_the_lock_by_the_acquire_of_its_own_class() -> None:
    status = WorkerStatus(IDLE, lock=Counted())
    for number, write in enumerate(WRITERS.values()):
        assert status.get_lock().taken == number  # type: ignore[attr-defined]
        write(status, CALCULATING)
    assert is_free(status.get_lock())


@pytest.mark.parametrize(("start_method", "times"), [("fork", 50_000), ("spawn", 5_000), ("forkserver", 5_000)])
def test_no_increment_of_four_processes_is_lost(start_method: str, times: int) -> None:
    ctx = multiprocessing.get_context(start_method)
    lock, total = RobustRLock(), RawValue(ctypes.c_int64, 0)
    target = (ctx, robust_targets.count_up, lock, total, times)
    with running(*target) as a, running(*target) as b, running(*target) as c, running(*target) as d:
        for child in (a, b, c, d):
            assert child.says() == "ready"
        for child in (a, b, c, d):
            child.pipe.send("go")
        for child in (a, b, c, d):
            assert child.says() == "done"
    assert total.value == 4 * times


def test_no_increment_of_four_threads_is_lost() -> None:
    lock, total = RobustRLock(), [0]

    def count_up() -> None:
        for _ in range(2_000):
            with lock:
                before = total[0]
                os.sched_yield()
                total[0] = before + 1

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert total == [4 * 2_000]


def test_a_holder_that_releases_lets_the_next_one_in_without_on_holder_death(
    ctx: BaseContext, deaths: ctypes.c_int64, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(robust, "_SLICE", DEADLINE)  # so that only the holder's release can wake us in time
    lock = RobustRLock(partial(robust_targets.count_death, deaths))
    for _ in range(5):
        with running(ctx, robust_targets.hold_then_release, lock) as holder:
            assert holder.says() == "held"
            assert not lock.acquire(timeout=0.01)
            holder.pipe.send("let go")
            began = time.monotonic()
            assert lock.acquire(timeout=DEADLINE)
            assert time.monotonic() - began < 10
            lock.release()
            assert holder.says() == "released"
    assert deaths.value == 0


def test_timeouts_hold(ctx: BaseContext) -> None:
    lock = RobustRLock()
    with running(ctx, robust_targets.hold, lock) as holder:
        assert holder.says() == "held"
        for timeout in (0.02, 0.25):
            began = time.monotonic()
            assert lock.acquire(timeout=timeout) is False
            assert timeout <= time.monotonic() - began < timeout + 10
        began = time.monotonic()
        assert lock.acquire(block=False) is False
        assert lock.acquire(False, DEADLINE) is False
        assert lock.acquire(True, 0) is False
        assert lock.acquire(timeout=-1) is False
        assert lock.acquire(timeout=float("-inf")) is False
        assert time.monotonic() - began < 10
        assert not lock._is_mine()


def test_a_timeout_does_not_hinder_taking_a_free_lock() -> None:
    lock = RobustRLock()
    for timeout in (None, 0, -1, 0.5, float("inf"), 1e300):
        assert lock.acquire(timeout=timeout) is True
        lock.release()


def test_without_the_monotonic_clock_timeouts_hold_too(monkeypatch: pytest.MonkeyPatch, ctx: BaseContext) -> None:
    without_functions(monkeypatch, "pthread_mutex_clocklock")  # musl does not have it
    # The wall clock is set back meanwhile.
    by_the_wall = time.time
    monkeypatch.setattr(time, "time", lambda: by_the_wall() + DEADLINE)
    lock = RobustRLock()
    with running(ctx, robust_targets.hold, lock) as holder:
        assert holder.says() == "held"
        began = time.monotonic()
        assert lock.acquire(timeout=0.25) is False
        assert 0.25 <= time.monotonic() - began < 10
        holder.kill()
        assert lock.acquire(timeout=DEADLINE)
        lock.release()


@pytest.mark.parametrize(("timeout", "error"), [(float("nan"), ValueError), ("1", TypeError), ([], TypeError)])
def test_a_timeout_that_is_no_number_is_refused(timeout: float, error: type[Exception]) -> None:
    lock = RobustRLock()
    with pytest.raises(error):
        lock.acquire(timeout=timeout)
    assert not lock._is_mine()
    assert is_free(lock)


def test_it_is_free_after_as_many_releases_as_acquires() -> None:
    lock = RobustRLock()
    for _ in range(3):
        assert lock.acquire() is True
    for _ in range(3):
        assert lock._is_mine()
        assert not is_free(lock)
        lock.release()
    assert not lock._is_mine()
    assert is_free(lock)


def test_with_holds_it_and_an_exception_frees_it() -> None:
    lock = RobustRLock()
    with lock as held:
        assert held is True
        assert not is_free(lock)
    assert is_free(lock)
    with pytest.raises(ZeroDivisionError), lock:
        raise ZeroDivisionError
    assert is_free(lock)


def test_to_release_what_nobody_holds_is_an_error() -> None:
    lock = RobustRLock()
    with pytest.raises(RuntimeError, match="does not hold"):
        lock.release()
    with lock:
        pass
    with pytest.raises(RuntimeError, match="does not hold"):
        lock.release()


def test_an_error_of_the_c_library_in_release_is_raised_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = RobustRLock()
    lock.acquire()
    monkeypatch.setattr(lock, "_unlock", lambda mutex: errno.EPERM)
    with pytest.raises(PermissionError, match="EPERM"):
        lock.release()
    monkeypatch.undo()
    assert lock._unlock(lock._mutex) == 0


def test_to_release_what_another_thread_holds_is_an_error_and_it_stays_held() -> None:
    lock = RobustRLock()

    def release() -> str:
        with pytest.raises(RuntimeError, match="does not hold") as caught:
            lock.release()
        return str(caught.value)

    with lock:
        assert in_a_thread(release)
        assert lock._is_mine()
        assert not is_free(lock)


def test_the_c_library_refuses_a_strangers_release_as_well() -> None:
    lock = RobustRLock()
    with lock:
        assert in_a_thread(lambda: lock._unlock(lock._mutex)) == errno.EPERM


def test_a_child_does_not_hold_what_its_parent_holds(ctx: BaseContext) -> None:
    lock = RobustRLock()
    lock.acquire()
    with running(ctx, robust_targets.try_to_misuse, lock) as child:
        assert child.says() is False  # the child does not believe that it holds the lock
        assert child.says() is False  # and it cannot take it
        assert "does not hold" in str(child.says())
        assert lock._is_mine()
        lock.release()
        child.pipe.send("go on")
        assert child.says() is True
        assert child.ends() == 0


def test_repr_says_who_holds_it() -> None:
    lock = RobustRLock()
    assert repr(lock) == "<RobustRLock not held by this thread>"
    with lock, lock:
        assert repr(lock) == "<RobustRLock held 2 deep by this thread>"
        assert in_a_thread(lock.__repr__) == "<RobustRLock not held by this thread>"


# Interrupts


class Interruption(BaseException):
    """Like KeyboardInterrupt: not an Exception, and raised anywhere."""


def test_a_signal_ends_the_wait() -> None:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interruption

    lock = RobustRLock()
    with held_elsewhere(lock), alarms(interrupt) as alarm_in:
        alarm_in(0.05)
        began = time.monotonic()
        with pytest.raises(Interruption):
            lock.acquire(timeout=DEADLINE)
        assert time.monotonic() - began < 10
    assert not lock._is_mine()
    assert is_free(lock)


@pytest.mark.parametrize("died", [False, True])
def test_an_interrupt_right_after_the_mutex_was_taken_leaves_it_free(died: bool, deaths: ctypes.c_int64) -> None:
    lock = RobustRLock(partial(robust_targets.count_death, deaths))
    if died:
        kill_a_holder(lock)
    trylock = lock._trylock

    def take_it_and_be_interrupted(mutex: int) -> int:
        lock._trylock = trylock
        assert trylock(mutex) == (errno.EOWNERDEAD if died else 0)
        raise Interruption

    lock._trylock = take_it_and_be_interrupted
    with pytest.raises(Interruption):
        lock.acquire()
    assert not lock._is_mine()
    assert is_free(lock)
    assert deaths.value == died


def test_an_interrupt_while_another_one_holds_it_leaves_it_to_that_one() -> None:
    lock = RobustRLock()
    trylock = lock._trylock

    def be_interrupted(mutex: int) -> int:
        lock._trylock = trylock
        raise Interruption

    with lock:
        lock._trylock = be_interrupted

        def acquire() -> None:
            with pytest.raises(Interruption):
                lock.acquire()

        in_a_thread(acquire)
        assert lock._is_mine()
        assert not is_free(lock)
    assert is_free(lock)


# Pickling and memory


def test_it_is_pickled_for_a_child_only() -> None:
    lock = RobustRLock()
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(RuntimeError, match="being spawned"):
            attempt(lock)
    with pytest.raises(RuntimeError, match="being spawned"):
        RobustRLock.__new__(RobustRLock).__setstate__((lock._block, lock._offset, None, None))


def test_a_child_can_use_a_lock_that_its_parent_has_dropped_and_no_new_one_takes_its_place(ctx: BaseContext) -> None:
    lock = RobustRLock()
    place = place_of(lock)
    with running(ctx, robust_targets.hold_then_release, lock) as child:
        del lock
        # The parent's Process drops its arguments after it has started.
        gc.collect()
        others = [RobustRLock() for _ in range(200)]
        assert place not in [place_of(other) for other in others]
        assert child.says() == "held"
        assert all(is_free(other) for other in others)
        child.pipe.send("let go")
        assert child.says() == "released"
        assert child.ends() == 0


def test_a_lock_that_no_other_process_has_seen_is_freed() -> None:
    alive = weakref.ref(RobustRLock()._block)
    gc.collect()
    assert alive() is None
    assert len({place_of(RobustRLock()) for _ in range(1000)}) < 10


def test_what_is_alive_at_a_fork_stays_alive_and_what_is_not_does_not() -> None:
    kept, dropped = RawValue(ctypes.c_int64), RawValue(ctypes.c_int64)
    keepalive.track(kept)
    keepalive.track(dropped)
    there, gone = weakref.ref(kept), weakref.ref(dropped)
    del dropped
    gc.collect()
    process = multiprocessing.get_context("fork").Process()
    process.start()
    process.join(DEADLINE)
    del kept
    gc.collect()
    assert there() is not None
    assert gone() is None


def test_the_mutex_lies_aligned_and_wholly_in_its_memory() -> None:
    for lock, _ in [(RobustRLock(), RawValue(ctypes.c_int64)) for _ in range(20)]:
        begin = ctypes.addressof(lock._block)
        assert place_of(lock) % 64 == 0
        assert begin <= place_of(lock)
        assert place_of(lock) + 128 <= begin + ctypes.sizeof(lock._block)


# Other platforms


def test_elsewhere_it_says_what_to_use_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(NotImplementedError, match=r"multiprocessing\.RLock.*filelock"):
        RobustRLock()


def test_a_c_library_without_robust_mutexes_gives_the_same_error(monkeypatch: pytest.MonkeyPatch) -> None:
    without_functions(monkeypatch, "pthread_mutexattr_setrobust")
    with pytest.raises(NotImplementedError, match=r"multiprocessing\.RLock.*filelock"):
        RobustRLock()


def test_a_kernel_without_robust_mutexes_gives_the_same_error_and_names_the_cause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pthread.pthread(), "_init", lambda mutex, attributes: errno.ENOSYS)
    with pytest.raises(NotImplementedError, match=r"multiprocessing\.RLock.*filelock") as caught:
        RobustRLock()
    assert "ENOSYS" in str(caught.value.__cause__)


def test_it_can_be_imported_where_nothing_of_posix_is() -> None:
    code = """
import ctypes, errno, multiprocessing.sharedctypes, os, wrapt
del os.register_at_fork, ctypes.CDLL, ctypes.PyDLL, ctypes.pythonapi, errno.EOWNERDEAD, errno.ENOTRECOVERABLE
import multiprocessing_intenum.memory, multiprocessing_intenum.locks.robust
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=DEADLINE, env=environment)


# As the default lock


def test_the_default_lock_is_a_robust_one(ctx: BaseContext) -> None:
    for status in (WorkerStatus(IDLE), WorkerStatus(IDLE, ctx=ctx)):
        assert type(status.get_lock()) is RobustRLock


def test_a_value_goes_to_a_child_of_each_start_method_without_ctx(ctx: BaseContext) -> None:
    status = WorkerStatus(IDLE)
    with running(ctx, robust_targets.write_and_be_killed_holding, status) as child:
        assert child.says() == "held"
        assert status.name == "CALCULATING"
        child.kill()
    assert compare_and_set(status, "CALCULATING", "IDLE", timeout=DEADLINE)


def test_it_guards_a_multiprocessing_value_and_condition_as_well(ctx: BaseContext) -> None:
    status = WorkerStatus(IDLE)
    job = ctx.Value("q", 0, lock=status.get_lock())
    condition = ctx.Condition(status.get_lock())
    assert job.get_lock() is status.get_lock()
    with running(ctx, robust_targets.notify_once_asked, condition, job) as child:
        assert child.says() == "ready"
        with condition, condition:  # twice: wait() must release it as often
            child.pipe.send("go")
            assert condition.wait_for(lambda: job.value == 7, timeout=DEADLINE)
        assert is_free(status.get_lock())
        assert child.says() == "notified"
    with pytest.raises(AssertionError, match="must acquire"):
        condition.wait()


# What it refuses, and odd moments


def test_a_process_of_another_pid_namespace_is_refused_where_that_can_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = RobustRLock()
    with running(multiprocessing.get_context("fork"), robust_targets.hold, lock) as holder:
        assert holder.says() == "held"
        monkeypatch.setattr(robust, "_pid_namespace", lambda: -1)
        with pytest.raises(RuntimeError, match="another PID namespace"):
            lock.acquire()
        with pytest.raises(RuntimeError, match="another PID namespace"):
            IntEnumValue(IDLE, lock=lock).set("CALCULATING")
        monkeypatch.setattr(robust, "_pid_namespace", lambda: None)
        assert not lock.acquire(block=False)
        monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
        monkeypatch.setattr(robust, "_pid_namespace", lambda: -1)
        with pytest.raises(RuntimeError, match="another PID namespace"):
            RobustRLock.__new__(RobustRLock).__setstate__((lock._block, lock._offset, lock._namespace, None))


def test_without_proc_nobody_knows_the_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "stat", refuse)
    assert robust._pid_namespace() is None


@pytest.mark.parametrize("unlocked", [False, True])
def test_an_interrupt_in_release_leaves_the_lock_free(unlocked: bool) -> None:
    lock = RobustRLock()
    unlock = lock._unlock

    def be_interrupted(mutex: Any) -> int:
        lock._unlock = unlock
        if unlocked:
            unlock(mutex)
        raise Interruption

    lock.acquire()
    lock._unlock = be_interrupted
    with pytest.raises(Interruption):
        lock.release()
    assert is_free(lock)
    assert not lock._is_mine()


@pytest.mark.parametrize("raises", [False, True])
def test_a_handler_uses_a_mutex_whose_owner_is_not_noted_yet(raises: bool, deaths: ctypes.c_int64) -> None:
    lock = RobustRLock(partial(robust_targets.count_death, deaths))
    kill_a_holder(lock)
    trylock = lock._trylock

    def take_it_and_handle_a_signal(mutex: Any) -> int:
        lock._trylock = trylock
        error = trylock(mutex)
        assert error == errno.EOWNERDEAD
        with lock, lock:  # the handler
            assert deaths.value == 1  # it repairs before it goes on
            assert lock._count() == 2
        assert not lock._is_mine()
        assert not is_free(lock)  # it is not the handler's to unlock
        if raises:
            raise Interruption
        return error

    lock._trylock = take_it_and_handle_a_signal
    with pytest.raises(Interruption) if raises else nullcontext():
        lock.acquire()
    assert lock._is_mine() is not raises
    if not raises:
        lock.release()
    assert is_free(lock)
    assert deaths.value == 1


# Signals


def hold_until_terminated(status: WorkerStatus, ready: Any) -> None:
    with status.get_lock():  # type: ignore[attr-defined]
        ready.send("held")
        signal.pause()


def write_in_a_handler_too(status: WorkerStatus, ready: Any) -> None:
    def handle(number: int, frame: FrameType | None) -> None:
        status.set(UNAVAILABLE)
        # A handler may take the lock that its thread has, and so also in the middle of the repair.
        is_repairing = any(each.f_code is Deaths.__call__.__code__ for each, _ in traceback.walk_stack(frame))
        done.append("handler in the repair" if is_repairing else "handler")

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
        self.seen = RawArray("q", 2)

    def __call__(self, lock: RobustRLock) -> None:
        self.seen[0] += 1
        self.seen[1] = int(self.status)  # type: ignore[attr-defined]


@pytest.mark.parametrize("trial", range(20))
def test_a_handler_writes_while_its_thread_waits_for_a_holder_that_dies_of_the_same_signal(trial: int) -> None:
    fork = multiprocessing.get_context("fork")
    deaths = Deaths()
    status = deaths.status = WorkerStatus(IDLE, lock=RobustRLock(deaths))  # type: ignore[attr-defined]
    ours, theirs = fork.Pipe()
    with helpers.running(fork, hold_until_terminated, status, theirs) as holder:
        assert ours.poll(DEADLINE)
        assert ours.recv() == "held"
        with helpers.running(fork, write_in_a_handler_too, status, theirs) as writer:
            assert ours.poll(DEADLINE)
            assert ours.recv() == "waits"
            time.sleep(random.uniform(0, 0.01))  # a random moment
            for process in random.sample([holder, writer], 2):
                os.kill(process.pid, signal.SIGTERM)
            assert ours.poll(DEADLINE), "the writer hangs, or has died of an error"
            (done,), name = ours.recv()
            assert name in ("CALCULATING", "UNAVAILABLE")
    assert deaths.seen[0] == 1
    if done != "handler in the repair":
        assert done == "handler"
        assert deaths.seen[1] == IDLE  # it was repaired before anybody wrote
    assert is_free(status.get_lock())


def die_with_the_lock(status: Any) -> None:
    status.get_lock().acquire()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("is_thread", [True, False], ids=["thread", "process"])
@pytest.mark.parametrize("is_before", [True, False], ids=["before the mutex is consistent", "after that"])
def test_a_handler_that_comes_while_a_dead_holder_is_noticed_repairs_before_it_writes(
    monkeypatch: pytest.MonkeyPatch, is_before: bool, is_thread: bool
) -> None:
    deaths = Deaths()
    status = deaths.status = WorkerStatus(IDLE, lock=RobustRLock(deaths))  # type: ignore[attr-defined]
    if is_thread:
        in_a_thread(status.get_lock().acquire)  # it ends, and is the dead holder
    else:
        with helpers.running(multiprocessing.get_context("fork"), die_with_the_lock, status) as holder:
            holder.join(DEADLINE)
    functions = status.get_lock()._c  # type: ignore[attr-defined]
    real, is_handler = functions.consistent, False

    def consistent(mutex: Any) -> int:
        nonlocal is_handler
        error: int | None = None if is_before else real(mutex)
        if not is_handler:
            is_handler = True
            status.set(UNAVAILABLE)
        return real(mutex) if error is None else error

    monkeypatch.setattr(functions, "consistent", consistent)
    status.set(CALCULATING)
    assert deaths.seen[:2] == [1, int(IDLE)]
    assert snapshot(status) is CALCULATING
    assert [change.after for change in history(status)] == [IDLE, UNAVAILABLE, CALCULATING]
    assert is_free(status.get_lock())


def test_a_write_of_a_handler_that_fails_leaves_the_mutex_to_the_frame_below() -> None:
    lock = RobustRLock()
    trylock = lock._trylock

    def fail(value: object) -> None:
        raise ZeroDivisionError

    write = lock._guard(fail, Sleepers(memoryview(bytes(SIZE)), 0))
    assert write is not None

    def take_it_and_fail_in_a_handler(mutex: Any) -> int:
        lock._trylock = trylock
        error = trylock(mutex)
        with pytest.raises(ZeroDivisionError):
            write(None)
        assert not lock._is_mine()
        assert not is_free(lock)
        return error

    lock._trylock = take_it_and_fail_in_a_handler
    with lock:
        assert not is_free(lock)
    assert is_free(lock)


# Greenlets: tests/compat/test_greenlets.py has the real ones


def test_where_greenlets_share_a_thread_a_waiter_sleeps_by_the_patched_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lock, sleeps = RobustRLock(), []
    real_sleep = time.sleep

    def let_others_run(seconds: float) -> None:
        sleeps.append(seconds)
        real_sleep(seconds)

    monkeypatch.setattr(robust, "greenlets_share_a_thread", lambda: True)
    monkeypatch.setattr(execution.time, "sleep", let_others_run)
    with running(multiprocessing.get_context("fork"), robust_targets.hold, lock) as holder:
        assert holder.says() == "held"
        assert not lock.acquire(timeout=0.02)
        assert sleeps
        holder.kill()
        assert lock.acquire(timeout=DEADLINE)
        lock.release()


def test_the_lock_of_an_execution_that_has_ended_is_taken_over(deaths: ctypes.c_int64) -> None:
    lock = RobustRLock(partial(robust_targets.count_death, deaths))
    lock.acquire()
    greenlet = execution.Execution()
    lock._owner = weakref.ref(greenlet)  # as if another greenlet of this thread had taken it
    assert not lock.acquire(block=False)
    del greenlet
    assert lock.acquire(block=False)
    assert deaths.value == 1
    lock.release()
    assert is_free(lock)


# Errors of the C library


def test_a_write_under_a_mutex_that_is_lost_for_good_is_an_error_by_its_name() -> None:
    lock = RobustRLock()
    status = WorkerStatus(IDLE, lock=lock)
    kill_a_holder(lock)
    assert lock._trylock(lock._mutex) == errno.EOWNERDEAD
    assert lock._unlock(lock._mutex) == 0
    with pytest.raises(OSError, match="ENOTRECOVERABLE"):
        status.set(CALCULATING)
    assert status == IDLE


@pytest.mark.parametrize("name", ["pthread_mutexattr_init", "pthread_mutexattr_setrobust"])
def test_attributes_that_the_c_library_refuses_are_an_error_with_its_cause(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = ctypes.CDLL.__getitem__
    monkeypatch.setattr(
        ctypes.CDLL,
        "__getitem__",
        lambda library, asked: (lambda *_: errno.EINVAL) if asked == name else function(library, asked),
    )
    with pytest.raises(NotImplementedError, match="robust mutex") as caught:
        pthread.Pthread()
    assert "EINVAL" in str(caught.value.__cause__)


class OneMutex:
    """A C library whose mutex is like musl's: first its type, then the word of the holder."""

    def __init__(self, kind: int) -> None:
        self.kind = kind
        self.locked = False

    def function(self, library: ctypes.CDLL, name: str) -> Callable[..., int]:
        return Function(getattr(self, name.removeprefix("pthread_mutex_"), lambda *_: 0))

    def write(self, mutex: Any, holder: int) -> int:
        words = ctypes.cast(mutex, ctypes.POINTER(ctypes.c_uint32))
        words[0], words[1] = self.kind, holder
        return 0

    def init(self, mutex: Any, attributes: object) -> int:
        return self.write(mutex, 0)

    def trylock(self, mutex: Any) -> int:
        return self.write(mutex, threading.get_native_id())

    def unlock(self, mutex: Any) -> int:
        return self.write(mutex, 0)


class Function:
    """A function of the C library, which ctypes is told the types of."""

    restype: Any = ctypes.c_int

    def __init__(self, function: Callable[..., int]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> int:
        return self._function(*args)


class Library:
    """The C library, but for its mutexes."""

    def __init__(self, library: Any, mutex: OneMutex) -> None:
        self._library, self._mutex = library, mutex

    def __getitem__(self, name: str) -> Any:
        return self._mutex.function(self._library, name) if name.startswith("pthread_") else self._library[name]


def test_the_word_of_the_holder_is_the_one_that_changes_whatever_the_thread_id_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 132 is musl's type of such a mutex, and an ordinary thread id in a container.
    for thread_id in (132, 1, 2**22 - 1):
        monkeypatch.setattr(threading, "get_native_id", lambda thread_id=thread_id: thread_id)
        mutex, library = OneMutex(132), ctypes.PyDLL

        def opened(*given: Any, mutex: OneMutex = mutex, library: Any = library, **more: Any) -> Any:
            return Library(library(*given, **more), mutex)

        with monkeypatch.context() as patch:
            patch.setattr(ctypes, "PyDLL", opened)
            assert pthread.Pthread()._word == 4


def test_robust_mutexes_without_a_robust_list_of_the_kernel_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    # qemu-user claims them, and answers this call with ENOSYS.
    monkeypatch.setitem(pthread._GET_ROBUST_LIST, futex.machine(), 10**6)
    monkeypatch.setattr(robust, "pthread", pthread.pthread.__wrapped__)
    with pytest.raises(NotImplementedError, match=r"multiprocessing\.RLock.*filelock") as caught:
        RobustRLock()
    assert "ENOSYS" in str(caught.value.__cause__)
    assert type(WorkerStatus(IDLE).get_lock()) is type(multiprocessing.RLock())


def test_on_a_processor_whose_number_of_that_call_is_not_known_the_c_library_is_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(pthread._GET_ROBUST_LIST, futex.machine())
    monkeypatch.setattr(robust, "pthread", pthread.pthread.__wrapped__)
    with RobustRLock() as taken:
        assert taken


def test_a_mutex_that_does_not_tell_its_holder_will_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "get_native_id", lambda: -1)
    with pytest.raises(NotImplementedError, match="robust mutex"):
        pthread.Pthread()
