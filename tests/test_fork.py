"""Forks, by os.fork() as gunicorn does it and in C as uWSGI does it, where no hook of Python runs."""

from __future__ import annotations

import asyncio
import ctypes
import enum
import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from enums import WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, SAFE_LOCKS, SHORT, TIMED_WRITERS, Child, held_elsewhere, is_free, run
from process_targets import run_in_a_thread, wait_in_a_loop

from multiprocessing_intenum import IntEnumValue, aio, compare_and_set, exchange, fork, last_change, snapshot, update
from multiprocessing_intenum.locks.open_file import MAKING, OpenFile

if TYPE_CHECKING:
    from collections.abc import Callable

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum


@pytest.fixture(params=["in memory", "in memory with an RLock", "by path"])
def a_value(request: pytest.FixtureRequest, tmp_path: Path) -> WorkerStatus:
    """A value of each kind, in turn."""
    if request.param == "by path":
        return WorkerStatus(IDLE, at=tmp_path / "status")
    return WorkerStatus(IDLE, lock=multiprocessing.RLock() if "RLock" in request.param else None)


def fork_in_c() -> int:
    """Fork as a program in C does.

    If a thread of the parent has just asked for the GIL, the child would wait for ever for that thread to take it: a
    program that forks so must have no such threads. So no thread may ask meanwhile; those that wait get the GIL before.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(3_600)
    try:
        time.sleep(2 * interval)
        pid: int = ctypes.PyDLL(None)["fork"]()
        return pid
    finally:
        sys.setswitchinterval(interval)


FORKS: dict[str, Callable[[], int]] = {"by Python": os.fork, "in C": fork_in_c}

each_fork = pytest.mark.parametrize("by", FORKS.values(), ids=FORKS)


@each_fork
@pytest.mark.parametrize("lock", SAFE_LOCKS)
def test_a_child_does_not_believe_that_it_holds_what_the_forking_thread_holds(lock: Any, by: Callable[[], int]) -> None:
    status = WorkerStatus(IDLE, lock=lock())

    def write_in_vain() -> None:
        for write in TIMED_WRITERS.values():
            with pytest.raises(TimeoutError):
                write(status, CALCULATING, SHORT)

    with status.get_lock():  # type: ignore[attr-defined]
        assert Child(write_in_vain, by).succeeds()
        assert snapshot(status) is IDLE
        status.set(CALCULATING)  # the lock is still ours
        assert not is_free(status.get_lock())
    assert is_free(status.get_lock())


@each_fork
@pytest.mark.parametrize("lock", SAFE_LOCKS)
def test_a_child_waits_for_its_parents_lock_and_both_use_the_value(lock: Any, by: Callable[[], int]) -> None:
    status = WorkerStatus(IDLE, lock=lock())
    status.get_lock().acquire()
    child = Child(lambda: exchange(status, CALCULATING, DEADLINE), by)
    status.set(UNAVAILABLE)
    status.get_lock().release()
    assert child.succeeds()
    assert snapshot(status) is CALCULATING
    assert Child(lambda: status.set(UNAVAILABLE), by).succeeds()
    assert compare_and_set(status, UNAVAILABLE, IDLE, timeout=0)


def test_a_forked_child_holds_none_of_its_parents_foreign_locks() -> None:
    """If it did, its writes would not take the lock."""
    status = WorkerStatus(IDLE, lock=threading.Lock())

    def child() -> None:
        assert not status._self_cell.operations.is_mine()

    def function(member: WorkerStatusEnum) -> WorkerStatusEnum:
        assert status._self_cell.operations.is_mine()
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


@each_fork
@pytest.mark.parametrize("ask", ["release", "_is_mine"])
def test_a_child_can_not_give_back_what_its_parent_holds(by: Callable[[], int], ask: str, tmp_path: Path) -> None:
    for where in {}, {"at": tmp_path / "status"}:
        lock: Any = WorkerStatus(IDLE, **where).get_lock()  # type: ignore[arg-type]

        def try_it(lock: Any = lock) -> None:
            if ask == "_is_mine":
                assert not lock._is_mine()
            with pytest.raises(RuntimeError, match="cannot release"):
                lock.release()

        with lock:
            assert Child(try_it, by).succeeds()
            assert not is_free(lock)


@each_fork
@pytest.mark.parametrize("kind", ["robust", "by path"])
def test_a_child_that_takes_the_lock_first_waits_for_its_parent(
    by: Callable[[], int], kind: str, tmp_path: Path
) -> None:
    lock: Any = WorkerStatus(IDLE, **({"at": tmp_path / "status"} if kind == "by path" else {})).get_lock()  # type: ignore[arg-type]

    def take(*, is_there: bool) -> None:
        assert lock.acquire(False) is is_there
        assert lock._is_mine() is is_there

    with lock:
        assert Child(lambda: take(is_there=False), by).succeeds()
        assert not is_free(lock)
    assert Child(lambda: take(is_there=True), by).succeeds()
    assert is_free(lock)


@each_fork
def test_a_child_does_not_give_back_what_another_thread_of_its_parent_holds(
    by: Callable[[], int], tmp_path: Path
) -> None:
    """To the child that thread has ended, and a thread that ends gives back what it holds."""
    status = WorkerStatus(IDLE, at=tmp_path / "status")

    def write_in_vain() -> None:
        with pytest.raises(TimeoutError):
            exchange(status, CALCULATING, timeout=SHORT)

    with held_elsewhere(status.get_lock()):
        assert Child(write_in_vain, by).succeeds()
        assert not is_free(status.get_lock())
    assert Child(lambda: exchange(status, CALCULATING, timeout=0), by).succeeds()
    assert status == CALCULATING


@each_fork
def test_the_child_of_a_bare_fork_writes_under_its_own_id(by: Callable[[], int], a_value: WorkerStatus) -> None:
    a_value.set(UNAVAILABLE)
    child = Child(lambda: a_value.set(CALCULATING), by)
    assert child.succeeds()
    assert last_change(a_value).pid == child.pid


def test_after_a_fork_the_childs_loops_work(status: WorkerStatus) -> None:
    forking = multiprocessing.get_context("fork")

    async def wait_while_a_child_does_too() -> Any:
        waiter = asyncio.create_task(aio.wait_for(status, CALCULATING, DEADLINE))
        while not aio._watchers:
            await asyncio.sleep(0.001)
        # Not in an executor: a process that its thread forks cannot end, as concurrent.futures joins the thread there.
        run(forking, run_in_a_thread, wait_in_a_loop, status)
        return await waiter

    assert asyncio.run(wait_while_a_child_does_too()) is CALCULATING


Count = enum.IntEnum("Count", {f"N{number}": number for number in range(2_001)})


@each_fork
@pytest.mark.parametrize("kind", ["in memory", "in memory with an RLock", "by path"])
def test_children_that_count_up_exclude_each_other_after_a_write_of_their_parent(
    kind: str, by: Callable[[], int], tmp_path: Path
) -> None:
    where: Any = {"at": tmp_path / "count"} if kind == "by path" else {}
    if "RLock" in kind:
        where = {"lock": multiprocessing.RLock()}
    count = IntEnumValue(Count["N1"], **where)
    count.set(Count["N0"])  # at import, in the master: it has opened the file for its lock

    def count_up() -> None:
        for _ in range(500):
            update(count, lambda member: Count(member + 1))

    children = [Child(count_up, by) for _ in range(4)]
    assert [child.succeeds() for child in children] == [True] * 4
    assert int(count) == 4 * 500
    assert last_change(count).pid in {child.pid for child in children}


@each_fork
def test_a_child_does_not_keep_the_lock_of_its_killed_parent(by: Callable[[], int], tmp_path: Path) -> None:
    """The child of a holder has the holder's opening of the file, and with it the lock, until it closes that."""
    path = str(tmp_path / "status")
    status = WorkerStatus(IDLE, at=path)
    reading, writing = os.pipe()

    def hold_and_fork() -> None:
        held = WorkerStatus(at=path)
        held.get_lock().acquire()
        if by() == 0:
            with suppress(TimeoutError):
                exchange(held, UNAVAILABLE, timeout=0)  # what it does first: this closes what it has inherited
            os.write(writing, b"x")
            os.read(reading_end, 1)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)

    reading_end, end = os.pipe()
    holder = Child(hold_and_fork)
    os.waitpid(holder.pid, 0)
    assert os.read(reading, 1) == b"x"
    exchange(status, CALCULATING, timeout=DEADLINE)
    os.write(end, b"x")
    for each in reading, writing, reading_end, end:
        os.close(each)


@each_fork
def test_a_child_of_a_waiting_loop_can_wait_itself(by: Callable[[], int], status: WorkerStatus) -> None:
    """The watcher of the parent is a thread, which a fork does not copy."""

    async def wait_while_a_child_does_too() -> Any:
        waiter = asyncio.create_task(aio.wait_for(status, CALCULATING, DEADLINE))
        while not aio._watchers:
            await asyncio.sleep(0.001)
        child = Child(lambda: run_in_a_thread(wait_in_a_loop, status), by)
        return await waiter, await asyncio.get_running_loop().run_in_executor(None, child.succeeds)

    assert asyncio.run(wait_while_a_child_does_too()) == (CALCULATING, True)


@pytest.mark.parametrize("where", ["on an old kernel", "on macOS"])
def test_a_fork_in_c_is_noticed_where_the_kernel_does_not_tell(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EINVAL, where)

    with monkeypatch.context() as patch:
        if where == "on macOS":
            patch.setattr(sys, "platform", "darwin")
        else:
            patch.setattr(fork.mmap, "mmap", refuse)
        word = fork._new_word()
    assert word[()]

    def look() -> None:
        assert not word[()]
        word[()] = 1
        assert word[()]

    assert Child(look, FORKS["in C"]).succeeds()
    assert word[()]


def test_without_forks_there_is_nothing_to_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")
    assert fork._new_word()[()] == 0
    word = fork._new_word()
    word[()] = 1
    assert word[()] == 1


def test_the_steps_of_a_child_come_in_their_order_whatever_one_of_them_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def fail() -> None:
        done.append("fail")
        raise ZeroDivisionError

    steps = {fork.Step.FOLLOWERS: lambda: done.append("last"), fork.Step.PROCESS: fail}
    monkeypatch.setattr(fork, "_in_child", steps | {fork.Step.LOCKS_OF_THREADS: lambda: done.append("first")})

    def look() -> None:
        assert done == ["first", "fail", "last"]
        fork.notice()  # once is enough
        assert done == ["first", "fail", "last"]

    assert Child(look).succeeds()


def test_a_step_that_writes_does_not_begin_the_steps_again(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[bool] = []

    def write() -> None:
        done.append(True)
        fork.notice()

    monkeypatch.setattr(fork, "_in_child", {fork.Step.PROCESS: write})

    def look() -> None:
        fork.notice()
        assert done == [True]

    assert Child(look, FORKS["in C"]).succeeds()


@each_fork
def test_a_child_finds_the_locks_of_threads_free_but_for_those_of_the_thread_that_forked(
    by: Callable[[], int],
) -> None:
    ours, anothers = fork.lock_of_threads(), fork.lock_of_threads()

    def look() -> None:
        fork.notice()
        with anothers:
            pass
        ours.__exit__(None, None, None)
        with ours:
            pass

    try:
        with held_elsewhere(anothers), ours:
            assert Child(look, by).succeeds()
    finally:
        del fork._locks[-2:]


def test_a_fork_does_not_wait_for_a_thread_that_opens_a_file(tmp_path: Path) -> None:
    status = WorkerStatus(IDLE, at=tmp_path / "status")
    stuck = OpenFile(str(tmp_path / "status"), os.O_RDWR)  # a process that is stopped in the middle of opening it
    assert stuck.lock(MAKING)
    code = f"""if True:
        import os, sys, threading; sys.path.insert(0, {str(Path(__file__).parent / "support")!r})
        from enums import *
        from multiprocessing_intenum.by_path import life
        reached = threading.Event()
        making = life._while_making
        def say(*args):
            reached.set()
            return making(*args)
        life._while_making = say
        threading.Thread(target=lambda: WorkerStatus("IDLE", at={str(tmp_path / "status")!r}), daemon=True).start()
        reached.wait()
        life._while_making = making
        if os.fork() == 0:
            WorkerStatus("IDLE", at={str(tmp_path / "other")!r}).set("CALCULATING")
            os._exit(0)
        print(os.wait()[1], flush=True)
        os._exit(0)
    """
    with subprocess.Popen([sys.executable, "-W", "ignore", "-c", code], stdout=subprocess.PIPE, text=True) as process:
        out, _ = process.communicate(timeout=DEADLINE)
    stuck.close()
    assert out == "0\n"
    assert status == IDLE
