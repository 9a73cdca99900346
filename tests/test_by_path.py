"""Values by path: shared by processes that have no common parent, for as long as one of them uses the file."""

from __future__ import annotations

import copy
import ctypes
import enum
import errno
import mmap
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import sharedctypes
from typing import TYPE_CHECKING, Any

import enums
import pytest
from enums import Perm, PriorityValue, WorkerStatus, WorkerStatusEnum
from forged import BEGINNING_AT
from helpers import DEADLINE, SHORT, WRITERS, alarms, held_elsewhere, in_a_thread, interrupt_at_random, is_free, run
from path_targets import strangers

from multiprocessing_intenum import (
    EnumValue,
    IntEnumAttribute,
    IntEnumValue,
    RobustRLock,
    SharedFile,
    changes,
    compare_and_set,
    history,
    last_change,
    snapshot,
    update,
    value_at,
    wait_for,
)
from multiprocessing_intenum.by_path import file_lock
from multiprocessing_intenum.locks import open_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.context import BaseContext
    from pathlib import Path

    from path_targets import Stranger

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "status")


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    with strangers(1) as (found,):
        yield found


def opens(path: str, first: str = "'IDLE', ") -> str:
    return f"status = WorkerStatus({first}at={path!r})"


# One value for all


def test_processes_without_a_common_parent_share_the_value(path: str) -> None:
    with strangers(2) as (one, other):
        assert one.ask(opens(path)) == "None"
        assert other.ask(opens(path, "'UNAVAILABLE', ")) == "None"  # made already: what it would begin with is nothing
        assert other.ask("status") == repr(IDLE)
        assert one.ask("status.set('CALCULATING')") == "None"
        assert other.ask("compare_and_set(status, 'CALCULATING', 'UNAVAILABLE')") == "True"
        assert one.ask("snapshot(status)") == repr(UNAVAILABLE)
        status = WorkerStatus(at=path)
        assert status == UNAVAILABLE
        assert [change.after for change in history(status)] == [IDLE, CALCULATING, UNAVAILABLE]
        assert [change.pid for change in history(status)] == [one.process.pid, one.process.pid, other.process.pid]


def test_it_looks_like_the_member_as_any_value_does(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    assert (status, status.name, status.value, hash(status)) == (IDLE, "IDLE", 2, hash(IDLE))
    assert isinstance(status, WorkerStatusEnum)
    assert f"{status:03d}" == "002"
    assert copy.copy(status) is copy.deepcopy(status) is IDLE
    assert IntEnumValue(IDLE, at=path) == IDLE


def test_opened_twice_it_is_the_same_value_under_one_lock(path: str) -> None:
    one, other = WorkerStatus(IDLE, at=path), WorkerStatus(at=SharedFile(path))
    assert one.get_lock() is other.get_lock()
    with one.get_lock():
        other.set(CALCULATING)
    assert one == CALCULATING


def test_forked_it_is_the_same_value_under_one_lock(path: str, stranger: Stranger) -> None:
    status = WorkerStatus(IDLE, at=path)
    child = multiprocessing.get_context("fork").Process(target=count_up, args=(status, 2_000))
    child.start()
    stranger.ask("def turn(): update(status, lambda member: WorkerStatusEnum(member % 3 + 1))")
    assert stranger.ask(opens(path)) == "None"
    stranger.tell("[turn() for _ in range(2000)] and None")
    count_up(status, 2_000)
    child.join(DEADLINE)
    assert child.exitcode == 0
    assert stranger.answer() == "None"
    assert last_change(status).number == 6_000
    assert snapshot(status) is WorkerStatusEnum((IDLE - 1 + 6_000) % 3 + 1)


def count_up(status: Any, times: int) -> None:
    for _ in range(times):
        update(status, lambda member: WorkerStatusEnum(member % 3 + 1))


def test_threads_exclude_each_other(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    threads = [threading.Thread(target=count_up, args=(status, 1_000)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert last_change(status).number == 4_000


def test_it_can_be_pickled_at_any_time(path: str, ctx: BaseContext) -> None:
    status = WorkerStatus(IDLE, at=path)
    again = pickle.loads(pickle.dumps(status))
    assert type(again) is WorkerStatus
    assert again.get_lock() is status.get_lock()
    queue = ctx.SimpleQueue()
    queue.put(status)
    run(ctx, set_what_comes, queue)
    assert status == CALCULATING


def set_what_comes(queue: Any) -> None:
    queue.get().set("CALCULATING")


def test_a_stranger_can_unpickle_it_and_its_lock(path: str, stranger: Stranger) -> None:
    status = WorkerStatus(IDLE, at=path)
    stranger.ask("import pickle")
    assert stranger.ask(f"status = pickle.loads({pickle.dumps(status)!r})") == "None"
    assert stranger.ask("status.set('CALCULATING')") == "None"
    assert status == CALCULATING
    with status.get_lock():
        assert stranger.ask(f"pickle.loads({pickle.dumps(status.get_lock())!r}).acquire(False)") == "False"
    assert stranger.ask(f"pickle.loads({pickle.dumps(status.get_lock())!r}) is status.get_lock()") == "True"


@pytest.mark.parametrize(
    ("make", "before", "after"),
    [
        (PriorityValue, "Priority.LOW", "Priority.URGENT"),
        (EnumValue, "Tool.LOCK", "Tool.CALL"),  # values that can not be sent
        (EnumValue, "Paint.BLUE | Paint.RED", "Paint.RED | Paint.LIME"),
    ],
)
def test_a_stranger_can_open_and_unpickle_a_value_of_any_enum(
    path: str, stranger: Stranger, make: Any, before: str, after: str
) -> None:
    status = make(eval(before, vars(enums)), at=path)
    stranger.ask("import pickle")
    assert stranger.ask(f"status = pickle.loads({pickle.dumps(status)!r})") == "None"
    assert stranger.ask(f"other = EnumValue[{status.EnumType.__name__}](at={path!r})") == "None"
    assert stranger.ask(f"snapshot(status) is snapshot(other) is {before}") == "True"
    assert stranger.ask(f"status.set({after})") == "None"
    assert stranger.ask(f"snapshot(other) is {after}") == "True"
    assert snapshot(status) is eval(after, vars(enums))


def test_an_attribute_can_hold_it_and_copies_share_it(path: str) -> None:
    class State:
        status = IntEnumAttribute(WorkerStatus)

        def __init__(self) -> None:
            self.status = WorkerStatus(IDLE, at=path)

    state = State()
    twin = copy.deepcopy(state)
    twin.status = CALCULATING
    assert state.status is CALCULATING


def test_waiting_and_following_work_as_in_memory(path: str, stranger: Stranger) -> None:
    status = WorkerStatus(IDLE, at=path)
    feed = changes(status, timeout=DEADLINE)
    stranger.ask(opens(path))
    stranger.tell("status.set('CALCULATING')")
    assert wait_for(status, CALCULATING, DEADLINE) is CALCULATING
    change = next(feed)
    assert (change.before, change.after, change.pid, change.number) == (IDLE, CALCULATING, stranger.process.pid, 1)


# Life


def test_the_first_one_after_the_last_user_begins_anew(path: str, stranger: Stranger) -> None:
    stranger.ask(opens(path))
    stranger.ask("status.set('CALCULATING')")
    assert stranger.end() == 0
    inode = os.stat(path).st_ino
    watcher = WorkerStatus(at=SharedFile(path, readonly=True))  # does not count
    assert watcher == CALCULATING
    feed = changes(watcher, timeout=0)
    status = WorkerStatus("UNAVAILABLE", at=path)
    assert status == watcher == UNAVAILABLE
    assert [(each.before, each.after, each.number) for each in history(status)] == [(None, UNAVAILABLE, 0)]
    status.set(IDLE)
    assert [(each.before, each.after, each.number) for each in feed] == [(None, UNAVAILABLE, 0), (UNAVAILABLE, IDLE, 1)]
    assert os.stat(path).st_ino == inode
    assert os.listdir(os.path.dirname(path)) == ["status"]


def test_a_killed_user_does_not_count(path: str, stranger: Stranger) -> None:
    stranger.ask(opens(path))
    stranger.ask("status.set('CALCULATING')")
    stranger.kill()
    assert WorkerStatus(IDLE, at=path) == IDLE


def test_a_forked_child_is_a_user(path: str, stranger: Stranger) -> None:
    stranger.ask(opens(path))
    stranger.ask("status.set('CALCULATING')")
    child = int(stranger.ask("pid = os.fork() or (signal.pause(), os._exit(0))") and stranger.ask("pid"))
    try:
        stranger.kill()
        assert WorkerStatus(IDLE, at=path) == CALCULATING
    finally:
        os.kill(child, signal.SIGKILL)


def test_what_this_process_drops_it_does_not_use(path: str) -> None:
    for _ in range(3):
        status = WorkerStatus(IDLE, at=path)
        assert status == IDLE
        status.set(CALCULATING)
        del status


def test_its_lock_alone_uses_the_file(path: str) -> None:
    lock = WorkerStatus(CALCULATING, at=path).get_lock()
    assert WorkerStatus(IDLE, at=path) == CALCULATING
    assert not lock.acquire.__self__._is_mine()


def test_a_kept_file_goes_on(path: str, stranger: Stranger) -> None:
    stranger.ask(opens(path))
    stranger.ask("status.set('CALCULATING')")
    stranger.end()
    assert WorkerStatus(IDLE, at=SharedFile(path, keep=True)) == CALCULATING
    assert WorkerStatus(at=SharedFile(path, keep=True)) == CALCULATING
    assert WorkerStatus(IDLE, at=path) == IDLE


def test_attaching_needs_a_value_that_lives(path: str) -> None:
    with pytest.raises(FileNotFoundError, match="no shared value here yet: start the process"):
        WorkerStatus(at=path)
    WorkerStatus(IDLE, at=path)
    with pytest.raises(FileNotFoundError, match="so it is over: start the process"):
        WorkerStatus(at=path)


def test_who_was_killed_while_beginning_anew_leaves_nothing_that_counts(path: str) -> None:
    WorkerStatus(CALCULATING, at=path)
    with open(path, "r+b") as file:
        file.seek(BEGINNING_AT)
        file.write(b"\1")
    with pytest.raises(FileNotFoundError):
        WorkerStatus(at=SharedFile(path, keep=True))
    assert WorkerStatus(IDLE, at=SharedFile(path, keep=True)) == IDLE


# Other enums


class Older(enum.IntEnum):
    UNAVAILABLE = 1
    IDLE = 3
    STOPPED = 4


class Renamed(enum.IntEnum):
    CALCULATING = 3
    IDLE = 2
    UNAVAILABLE = 1


class AsFlags(enum.IntFlag):
    UNAVAILABLE = 1
    IDLE = 2
    CALCULATING = 3


def test_another_enum_is_refused_while_the_file_is_in_use(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    with pytest.raises(ValueError, match="Older") as caught:
        IntEnumValue(Older.IDLE, at=path)
    for difference in (
        "IDLE = 2 in the file, 3 here",
        "CALCULATING = 3 only in the file",
        "STOPPED = 4 not in the file",
    ):
        assert difference in str(caught.value)
    assert "UNAVAILABLE" not in str(caught.value)
    with pytest.raises(ValueError, match="ints in the file, flags here"):
        IntEnumValue(AsFlags.IDLE, at=path)
    with pytest.raises(ValueError, match="Older"):
        IntEnumValue[Older](at=SharedFile(path, readonly=True))
    assert IntEnumValue(Renamed.IDLE, at=path) == 2  # its own name, and the order, do not matter
    assert status == IDLE


def test_after_the_last_user_another_enum_begins_anew_but_not_in_a_kept_file(path: str) -> None:
    WorkerStatus(IDLE, at=path)
    with pytest.raises(ValueError, match="it is kept"):
        IntEnumValue(Older.IDLE, at=SharedFile(path, keep=True))
    assert IntEnumValue(Older.STOPPED, at=path) == 4
    assert WorkerStatus(IDLE, at=path) == IDLE
    assert os.listdir(os.path.dirname(path)) == ["status"]


def test_flags_work_by_path(path: str) -> None:
    perm: Any = IntEnumValue(Perm.R, at=path)
    perm |= Perm.W
    assert IntEnumValue[Perm](at=path) == Perm.R | Perm.W


def test_an_enum_larger_than_a_page_has_a_larger_file(path: str) -> None:
    large: Any = enum.IntEnum("Large", [f"MEMBER_{number}" for number in range(1_000)])
    status = IntEnumValue(large.MEMBER_999, at=path)
    assert snapshot(status) is large.MEMBER_999
    assert os.stat(path).st_size % mmap.PAGESIZE == 0


# Arguments


def test_what_does_not_go_together_is_an_error(path: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="it may be left out only with at="):
        WorkerStatus()
    with pytest.raises(TypeError, match="exclude each other"):
        WorkerStatus(IDLE, at=path, ctx=multiprocessing.get_context())
    for lock in (multiprocessing.RLock(), RobustRLock(), threading.RLock()):
        with pytest.raises(TypeError, match="the lock of another value by path"):
            WorkerStatus(IDLE, lock=lock, at=path)
    with pytest.raises(TypeError, match="bound to no enum"):
        IntEnumValue(at=path)
    for wrong in (5, b"bytes", object()):
        with pytest.raises(TypeError):
            WorkerStatus(IDLE, at=wrong)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_values_can_share_a_lock(path: str, stranger: Stranger) -> None:
    status = WorkerStatus(IDLE, at=path)
    other = WorkerStatus(IDLE, at=path + "2", lock=status.get_lock())
    assert other.get_lock() is status.get_lock()
    assert pickle.loads(pickle.dumps(other)).get_lock() is status.get_lock()
    stranger.ask(opens(path))
    with other.get_lock():
        assert stranger.ask("exchange(status, 'IDLE', timeout=0)").startswith("TimeoutError")


# Read-only


def test_readonly_never_writes(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    reader = WorkerStatus("CALCULATING", at=SharedFile(path, readonly=True))
    for write in WRITERS.values():
        with pytest.raises(PermissionError, match="readonly=True"):
            write(reader, CALCULATING)
    assert reader == status == IDLE
    assert pickle.loads(pickle.dumps(reader)).get_lock() is reader.get_lock()
    threading.Timer(SHORT, status.set, [CALCULATING]).start()
    assert wait_for(reader, CALCULATING, DEADLINE) is CALCULATING
    with pytest.raises(FileNotFoundError):
        WorkerStatus(IDLE, at=SharedFile(path + "2", readonly=True))
    with pytest.raises(ValueError, match="takes its lock for each read"):
        value_at(SharedFile(path, readonly=True), "q", 0)


# The lock


def test_its_lock_is_re_entrant_and_excludes_everybody_else(path: str, stranger: Stranger) -> None:
    lock: Any = WorkerStatus(IDLE, at=path).get_lock()
    stranger.ask(opens(path))
    assert repr(lock) == f"<FileLock of {path!r} not held by this thread>"
    with lock, lock:
        assert repr(lock) == f"<FileLock of {path!r} held by this thread>"
        assert in_a_thread(lambda: lock.acquire(False)) is False
        assert in_a_thread(lambda: lock.acquire(timeout=SHORT)) is False
        assert stranger.ask("status.get_lock().acquire(timeout=0.01)") == "False"
    assert is_free(lock)
    assert stranger.ask("status.get_lock().acquire(timeout=0.01)") == "True"
    assert lock.acquire(False) is False
    assert lock.acquire(timeout=SHORT) is False
    with pytest.raises(RuntimeError, match=r"cannot release .* not held by this thread"):
        lock.release()
    with pytest.raises(ValueError, match="not a number"):
        lock.acquire(timeout=float("nan"))


def test_a_holder_that_is_killed_gives_the_lock_back(path: str, stranger: Stranger) -> None:
    status = WorkerStatus(IDLE, at=path)
    stranger.ask(opens(path))
    stranger.ask("status.get_lock().acquire()")
    waiter = threading.Thread(target=status.set, args=[CALCULATING])
    waiter.start()
    waiter.join(SHORT)
    assert waiter.is_alive()
    stranger.kill()
    waiter.join(DEADLINE)
    assert status == CALCULATING


def test_a_forked_child_does_not_keep_what_its_parent_held(path: str, stranger: Stranger) -> None:
    status = WorkerStatus(IDLE, at=path)
    stranger.ask(opens(path))
    stranger.ask("status.get_lock().acquire()")
    assert stranger.ask("r, w = os.pipe()") == "None"
    stranger.ask("pid = os.fork() or (os.write(w, bytes([status.get_lock()._is_mine()])), signal.pause(), os._exit(0))")
    child = int(stranger.ask("pid"))
    try:
        assert stranger.ask("os.read(r, 1)") == repr(b"\0")
        stranger.kill()
        status.set(CALCULATING)
        assert status == CALCULATING
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_forked_child_takes_the_lock_for_itself(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    lock: Any = status.get_lock()
    with lock:
        run(multiprocessing.get_context("fork"), does_not_hold_it, lock)
        assert lock._is_mine()
    run(multiprocessing.get_context("fork"), holds_it, lock)
    assert is_free(lock)


def test_what_a_forked_child_has_closed_is_opened_again(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    status.set(CALCULATING)
    file_lock._begin_in_child()
    status.set(IDLE)
    assert status == IDLE


def does_not_hold_it(lock: Any) -> None:
    assert not lock._is_mine()
    assert lock.acquire(False) is False
    with pytest.raises(RuntimeError):
        lock.release()


def holds_it(lock: Any) -> None:
    with lock:
        assert lock._is_mine()


def test_a_thread_that_ends_gives_the_lock_back(path: str) -> None:
    lock: Any = WorkerStatus(IDLE, at=path).get_lock()
    thread = threading.Thread(target=lock.acquire)
    thread.start()
    thread.join(DEADLINE)
    assert lock.acquire(timeout=DEADLINE)
    assert not in_a_thread(lock._is_mine)
    lock.release()


def test_threads_that_have_written_leave_no_descriptor_behind(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        in_a_thread(lambda: status.set(CALCULATING))
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_a_signal_handler_does_not_write_while_another_process_holds_the_lock(path: str, stranger: Stranger) -> None:
    status = WorkerStatus(IDLE, at=path)
    stranger.ask(opens(path))
    stranger.ask("status.get_lock().acquire()")
    tries: list[object] = []

    def handle(*_: object) -> None:
        try:
            tries.append(compare_and_set(status, IDLE, CALCULATING, timeout=0))
        except TimeoutError as error:
            tries.append(error)

    with alarms(handle) as alarm_in:
        alarm_in(0.02)
        assert not status.get_lock().acquire(timeout=0.2)
    assert [type(each) for each in tries] == [TimeoutError]
    assert stranger.ask("status.get_lock().release(), status.name") == "(None, 'IDLE')"
    assert is_free(status.get_lock())


def interruptible(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Raise KeyboardInterrupt in the call of the kernel of this number, after it is done."""
    call = open_file._call
    calls = iter(range(1, 100))

    def interrupted(*args: Any) -> Any:
        answer = call(*args)
        if next(calls) == at:
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(open_file, "_call", interrupted)


@pytest.mark.parametrize("at", [1, 2])
def test_an_interrupt_in_acquire_or_release_leaves_the_lock_free(
    path: str, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    lock: Any = WorkerStatus(IDLE, at=path).get_lock()
    interruptible(monkeypatch, at)
    with pytest.raises(KeyboardInterrupt):
        take_and_give(lock)
    monkeypatch.undo()
    assert not lock._is_mine()
    assert is_free(lock)


def take_and_give(lock: Any) -> None:
    lock.acquire()
    lock.release()


def test_an_error_of_the_kernel_comes_out_of_acquire(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lock: Any = WorkerStatus(IDLE, at=path).get_lock()
    call = open_file._call

    def refuse(fd: int, command: int, what: bytes) -> bytes:
        if what == open_file._LOCKS[open_file.WRITING, True]:
            raise OSError(errno.EIO, "the disk is gone")
        return call(fd, command, what)

    monkeypatch.setattr(open_file, "_call", refuse)
    with pytest.raises(OSError, match="the disk is gone"):
        lock.acquire()
    monkeypatch.undo()
    assert is_free(lock)


def test_where_greenlets_share_a_thread_it_waits_without_blocking_it(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock: Any = WorkerStatus(IDLE, at=path).get_lock()
    monkeypatch.setattr(open_file, "greenlets_share_a_thread", lambda: True)
    with held_elsewhere(lock) as done:
        threading.Timer(SHORT, done.set).start()
        assert lock.acquire()
        lock.release()


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_an_interrupt_at_any_moment_leaves_the_lock_free(path: str, write: Any) -> None:
    status = WorkerStatus(IDLE, at=path)

    def write_twice() -> None:
        write(status, CALCULATING)
        write(status, IDLE)

    def look() -> None:
        assert is_free(status.get_lock())
        assert type(snapshot(status)) is WorkerStatusEnum

    interrupt_at_random(write_twice, look)


@pytest.mark.usefixtures("untraced")
def test_a_signal_handler_can_write_at_any_moment(path: str, stranger: Stranger) -> None:
    status = WorkerStatus(IDLE, at=path)
    lock: Any = status.get_lock()
    # The handler may run in the middle of an addition, so that it has a number of its own.
    ours, handlers = (value_at(path + name, "q", 0, lock=lock).get_obj() for name in ("ours", "handlers"))
    handled = added = 0

    def handle(*_: object) -> None:
        nonlocal handled
        with lock:
            handlers.value += 1
        status.set(UNAVAILABLE)
        handled += 1
        alarm_in(random.uniform(2e-5, 2e-4), every=0.05)

    stranger.ask(opens(path))
    stranger.ask("lock = status.get_lock()")
    for name in ("ours", "handlers"):
        stranger.ask(f"{name} = value_at({path + name!r}, 'q', 0, lock=lock).get_obj()")
    stranger.ask("def add(): lock.acquire(); ours.value += 1; handlers.value += 1; status.set('IDLE'); lock.release()")
    stranger.tell("[add() for _ in range(5000)] and None")
    with alarms(handle) as alarm_in:
        alarm_in(2e-5, every=0.05)
        deadline = time.monotonic() + DEADLINE
        while handled < 500 and time.monotonic() < deadline:
            with lock:
                ours.value += 1
                added += 1
            status.set(CALCULATING)
    assert stranger.answer() == "None"
    assert handled >= 500
    assert (ours.value, handlers.value) == (5_000 + added, 5_000 + handled)
    assert is_free(lock)


# value_at


class Point(ctypes.Structure):
    _fields_ = (("x", ctypes.c_int), ("y", ctypes.c_double))


def test_a_value_of_multiprocessing_by_path(path: str, stranger: Stranger) -> None:
    job = value_at(path, "q", 7)
    assert isinstance(job, sharedctypes.Synchronized)
    stranger.ask(f"job = value_at({path!r}, 'q', 0)")
    assert stranger.ask("job.value") == "7"
    with job.get_lock():
        job.value += 1
        assert stranger.ask("job.get_lock().acquire(timeout=0.01)") == "False"
    assert stranger.ask("job.value") == "8"
    assert pickle.loads(pickle.dumps(job)).value == 8
    assert repr(job) == "<Synchronized wrapper for c_long(8)>"


def test_a_state_and_a_job_id_under_one_lock(path: str, stranger: Stranger) -> None:
    status = WorkerStatus(IDLE, at=path)
    job = value_at(path + ".job", "q", 0, lock=status.get_lock())
    assert job.get_lock() is status.get_lock()
    assert pickle.loads(pickle.dumps(job)).get_lock() is status.get_lock()
    stranger.ask(opens(path))
    stranger.ask(f"job = value_at({path + '.job'!r}, 'q', 0, lock=status.get_lock())")
    with status.get_lock():
        job.value = 5
        assert compare_and_set(status, IDLE, CALCULATING)
        assert stranger.ask("exchange(status, 'IDLE', timeout=0)").startswith("TimeoutError")
    assert stranger.ask("job.value, status.name") == "(5, 'CALCULATING')"


class Based(Point):
    _fields_ = (("z", ctypes.c_short),)


class Bits(ctypes.Structure):
    _fields_ = (("x", ctypes.c_int, 3), ("y", ctypes.c_int, 5))


class OtherBits(ctypes.Structure):
    _fields_ = (("x", ctypes.c_int, 4), ("y", ctypes.c_int, 4))


class Big(ctypes.BigEndianStructure):
    _fields_ = (("x", ctypes.c_int),)


class Union(ctypes.Union):
    _fields_ = (("x", ctypes.c_int), ("y", ctypes.c_double))


class OtherUnion(ctypes.Union):
    _fields_ = (("x", ctypes.c_long), ("y", ctypes.c_double))


KINDS: list[Any] = [
    ctypes.c_double, ctypes.c_int * 5, ctypes.c_int * 6, ctypes.c_uint * 5, (ctypes.c_int * 2) * 3, ctypes.c_char * 20,
    Point, Point * 3, Based, Bits, OtherBits, Big, Union, OtherUnion,
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_any_ctypes_object_without_pointers(path: str, kind: Any) -> None:
    value: Any = value_at(path, kind)
    with value.get_lock():
        memoryview(value.get_obj()).cast("B")[0] = 65
    again: Any = value_at(path, kind)
    assert bytes(again.get_obj())[0] == 65
    assert bytes(pickle.loads(pickle.dumps(value)).get_obj())[0] == 65
    for other in KINDS:
        if other is not kind:
            with pytest.raises(ValueError, match="holds another value: it holds a ctypes object"):
                value_at(path, other)
    with pytest.raises(ValueError, match="holds another value: it holds a ctypes object"):
        WorkerStatus(IDLE, at=path)
    del value, again
    assert value_at(path, ctypes.c_int16, 3).value == 3


def test_its_memory_alone_uses_the_file(path: str) -> None:
    numbers: Any = value_at(path, ctypes.c_int * 5).get_obj()
    numbers[0] = 99
    assert value_at(path, ctypes.c_int * 5)[0] == 99


def test_a_value_of_any_size(path: str) -> None:
    value: Any = value_at(path, ctypes.c_char * 2**24)
    assert value_at(path, ctypes.c_char * 2**24).get_lock() is value.get_lock()


def test_a_state_is_no_ctypes_object(path: str) -> None:
    status = WorkerStatus(IDLE, at=path)
    with pytest.raises(ValueError, match="it holds the enum WorkerStatusEnum"):
        value_at(path, "q")
    assert status == IDLE


class Pointing(ctypes.Structure):
    _fields_ = (("names", ctypes.c_char_p * 2),)


class BasedOnIt(Pointing):
    _fields_ = (("x", ctypes.c_int),)


@pytest.mark.parametrize(
    "kind", [ctypes.c_char_p, ctypes.py_object, ctypes.POINTER(ctypes.c_int), Pointing, BasedOnIt], ids=str
)
def test_an_address_cannot_be_shared(path: str, kind: Any) -> None:
    with pytest.raises(TypeError, match="an address means nothing to another process"):
        value_at(path, kind)
    assert not os.path.exists(path)


@pytest.mark.parametrize("kind", ["qq", 5, int, None, "Q "], ids=str)
def test_value_at_refuses_what_is_no_ctypes_type(path: str, kind: Any) -> None:
    with pytest.raises(TypeError, match="expected a ctypes type or one of the codes"):
        value_at(path, kind)


def test_the_lock_of_value_at_is_one_of_a_value_by_path(path: str) -> None:
    with pytest.raises(TypeError, match="the lock of another value by path"):
        value_at(path, "q", 0, lock=multiprocessing.RLock())


def test_nothing_of_this_is_loaded_without_need() -> None:
    names = {
        f"multiprocessing_intenum.{name}" for name in ("by_path.cell", "by_path.life", "by_path.file_lock", "__main__")
    }
    code = f"import sys, multiprocessing_intenum; print({names} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout == b"set()\n"
