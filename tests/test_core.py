"""core: the C core does what Python does, and leaves to Python what is not the plain case."""

from __future__ import annotations

import enum
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from enums import Perm, WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, in_a_thread

from multiprocessing_intenum import (
    EnumAttribute,
    EnumValue,
    IntEnumValue,
    RobustRLock,
    SharedFile,
    history,
    snapshot,
    wait_for,
)
from multiprocessing_intenum.core import core

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum


def run(code: str, **environment: str) -> str:
    """Run a program, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_environment_chooses_python() -> None:
    code = "from multiprocessing_intenum.core import kind; print(kind)"
    assert run(code, MULTIPROCESSING_INTENUM_PURE="1") == "pure Python"


def test_a_program_without_the_compiled_module_runs_in_python() -> None:
    code = (
        "import sys; sys.modules['multiprocessing_intenum._core'] = None\n"
        "from multiprocessing_intenum.core import kind; print(kind)"
    )
    assert run(code) == "pure Python"


def test_pure_python_wrapt_runs_in_python() -> None:
    code = "from multiprocessing_intenum.core import kind; print(kind)"
    assert run(code, WRAPT_DISABLE_EXTENSIONS="1") == "pure Python"


class State:
    """Its value has the default lock: with another one Python writes."""

    status = EnumAttribute(WorkerStatus)

    def __init__(self) -> None:
        self.status = IDLE


@pytest.mark.parametrize("way", ["set", "attribute"])
def test_a_write_in_c_stores_what_a_write_in_python_stores(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    state = State()
    status: Any = State.status.proxy_of(state)
    by_python: list[Any] = []
    monkeypatch.setattr(status._self_cell, "write", by_python.append)
    before = time.time()
    for _ in range(2):  # the second time it is no change
        if way == "set":
            status.set(CALCULATING)
        else:
            state.status = CALCULATING
    assert by_python == []
    first, last = history(status)
    assert (first.after, last.before, last.after, last.pid) == (IDLE, IDLE, CALCULATING, os.getpid())
    assert before <= last.at.timestamp() <= time.time()
    words = status._self_cell.words
    assert (words.state[()], words.settled[()], words.count[()]) == (int(CALCULATING), int(CALCULATING), 1)


def test_a_write_in_c_does_not_pass_a_change_that_is_not_counted(status: WorkerStatus) -> None:
    words: Any = status._self_cell.words
    words.state[()] = int(CALCULATING)  # a writer was killed after this
    status.set(UNAVAILABLE)
    assert [change.after for change in history(status)] == [IDLE, CALCULATING, UNAVAILABLE]


def test_a_write_in_c_leaves_a_claimed_state_to_python(status: WorkerStatus) -> None:
    words: Any = status._self_cell.words
    words.claimed[()] = 2  # a claim with nobody in it
    status.set(CALCULATING)
    assert words.claimed[()] == 0


def test_a_write_in_c_under_the_own_lock_and_in_a_forked_child_is_a_write(status: WorkerStatus) -> None:
    with status.get_lock():
        status.set(CALCULATING)
        assert status == CALCULATING
    pid = os.fork()
    if pid == 0:
        status.set(UNAVAILABLE)
        os._exit(0)
    assert os.waitpid(pid, 0) == (pid, 0)
    assert (history(status)[-1].after, history(status)[-1].pid) == (UNAVAILABLE, pid)


def test_a_wait_in_c_is_woken_by_a_write_in_c(status: WorkerStatus) -> None:
    words: Any = status._self_cell.words
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(wait_for(status, {CALCULATING, "UNAVAILABLE"}, DEADLINE)))
    thread.start()
    end = time.monotonic() + DEADLINE
    while not any(words.sleepers.flags) and time.monotonic() < end:
        time.sleep(0.001)
    status.set(CALCULATING)
    thread.join(DEADLINE)
    assert found == [CALCULATING]


def test_a_wait_in_c_ends_with_its_time_and_meets_what_held_in_passing(status: WorkerStatus) -> None:
    with pytest.raises(TimeoutError, match=r"waited 0\.01 s for CALCULATING"):
        wait_for(status, CALCULATING, 0.01)
    count = status._self_cell.words.count[()]
    wait: Any = status._self_cell.waiter([int(UNAVAILABLE)])
    assert wait(count, 0.001) is None
    assert wait(count + 1, DEADLINE) is None  # Python has to look
    for seconds in (0.0, -1e300, float("nan")):
        assert wait(count, seconds) is None
    status.set(UNAVAILABLE)
    assert wait(count, DEADLINE) is UNAVAILABLE


def test_a_kernel_that_refuses_to_let_it_sleep_makes_it_look_by_itself(status: WorkerStatus) -> None:
    cell: Any = status._self_cell
    calls: list[int] = []

    def refuse(numbers: bytes, once: bool, count: int, left: float) -> None:
        calls.append(count)
        cell.begin_to_write()(CALCULATING)
        raise OSError

    cell.core  # noqa: B018 # it is made now
    cell._core = type("Core", (), {"wait": staticmethod(refuse)})()
    assert wait_for(status, CALCULATING, DEADLINE) is CALCULATING
    assert len(calls) == 1


@pytest.mark.parametrize("by", ["a thread", "a child"])
def test_a_write_in_c_goes_on_after_the_death_of_a_holder(by: str) -> None:
    status = WorkerStatus(IDLE)
    lock: Any = status.get_lock()
    if by == "a thread":
        in_a_thread(lock.acquire)
    elif (pid := os.fork()) == 0:
        lock.acquire()
        os._exit(0)
    else:
        os.waitpid(pid, 0)
    for member in (CALCULATING, IDLE):
        status.set(member)
        assert lock._owner is None
    assert [change.after for change in history(status)] == [IDLE, CALCULATING, IDLE]
    assert in_a_thread(lambda: lock.acquire(timeout=DEADLINE) and lock.release()) is None


def test_a_lock_with_something_to_do_after_a_death_is_left_to_python() -> None:
    deaths: list[Any] = []
    lock = RobustRLock(deaths.append)
    status = WorkerStatus(IDLE, lock=lock)
    in_a_thread(lock.acquire)
    status.set(CALCULATING)
    assert deaths == [lock]


def test_members_that_are_made_later_and_values_that_are_not_made_yet_are_left_to_python() -> None:
    flags: Any = IntEnumValue(Perm.R)
    flags |= Perm.W
    both = Perm.R | Perm.W
    assert (flags == both, flags.name, flags.value, hash(flags), snapshot(flags)) == (
        True, both.name, both.value, hash(both), both,
    )  # fmt: skip
    bare = WorkerStatus.__new__(WorkerStatus)
    for read in (lambda: bare == 1, lambda: hash(bare), lambda: bare.name, lambda: snapshot(bare), lambda: bare.set(1)):
        with pytest.raises(AttributeError, match="has not been called"):
            read()


def test_a_member_that_is_not_equal_to_itself_is_not_equal_to_its_value() -> None:
    class Level(float, enum.Enum):
        NOTHING = float("nan")

    value = EnumValue(Level.NOTHING)
    assert (value == Level.NOTHING, value != Level.NOTHING) == (False, True)


def test_a_value_and_its_lock_in_a_cycle_are_collected() -> None:
    class Callback:
        status: Any = None

        def __call__(self, lock: RobustRLock) -> None: ...

    callback = Callback()
    callback.status = WorkerStatus(IDLE, lock=RobustRLock(callback))
    assert callback.status == IDLE
    ended = weakref.ref(callback)
    del callback
    gc.collect()
    assert ended() is None


def test_no_other_class_can_have_the_reads_of_c() -> None:
    reads: Any = core.Reads
    with pytest.raises(TypeError, match="only the library itself"):
        type("Other", (reads, int), {})
    with pytest.raises(TypeError, match="cannot create"):
        reads()
    with pytest.raises(TypeError, match="requires a"):
        reads.__eq__(5, 5)


def test_an_attribute_writes_with_a_set_that_a_class_gets_later(monkeypatch: pytest.MonkeyPatch) -> None:
    class Status(IntEnumValue[WorkerStatusEnum]):
        pass

    class Other:
        status = EnumAttribute(Status)

        def __init__(self) -> None:
            self.status = IDLE

    state = Other()
    state.status = CALCULATING
    seen: list[Any] = []
    monkeypatch.setattr(Status, "set", lambda self, value: seen.append(value))
    state.status = IDLE
    assert (seen, state.status) == ([IDLE], CALCULATING)


def test_by_path_reads_are_those_of_the_member(tmp_path: Path) -> None:
    status = WorkerStatus(IDLE, at=tmp_path / "status")
    reader = WorkerStatus(at=SharedFile(tmp_path / "status", readonly=True))
    status.set(CALCULATING)
    for value in (status, reader):
        assert (value == CALCULATING, value.name, value.value, snapshot(value)) == (
            True, "CALCULATING", 3, CALCULATING,
        )  # fmt: skip


def call(function: Any, *args: Any) -> None:
    with suppress(Exception):
        function(*args)


@pytest.mark.parametrize("name", ["in memory", "by path", "with transitions"])
def test_no_call_leaks_a_reference(name: str, tmp_path: Path) -> None:
    class Guarded(WorkerStatus, transitions={"IDLE": ["CALCULATING"], "CALCULATING": ["IDLE"]}):
        pass

    status: Any = {
        "in memory": lambda: WorkerStatus(IDLE),
        "by path": lambda: WorkerStatus(IDLE, at=str(tmp_path / "status")),
        "with transitions": lambda: Guarded(IDLE),
    }[name]()
    state: Any = State()
    wait = status._self_cell.waiter([int(IDLE)])
    calls: list[Callable[[], Any]] = [
        lambda: status == IDLE,
        lambda: status != "IDLE",
        lambda: status < IDLE,
        lambda: status < "IDLE",
        lambda: status == state,
        lambda: hash(status),
        lambda: status.name,
        lambda: status.value,
        lambda: snapshot(status),
        lambda: snapshot(5),  # type: ignore[arg-type]
        lambda: status.set(IDLE),
        lambda: status.set(CALCULATING),
        lambda: status.set(UNAVAILABLE),
        lambda: status.set(value="IDLE"),
        lambda: status.set("ILDE"),
        lambda: status.set(5),
        lambda: status.set(),
        lambda: status.set(IDLE, IDLE),
        lambda: setattr(status, "value", IDLE),
        lambda: delattr(status, "value"),
        lambda: state.status,
        lambda: setattr(state, "status", CALCULATING),
        lambda: setattr(state, "status", "IDLE"),
        lambda: setattr(state, "status", 5),
        lambda: delattr(state, "status"),
        lambda: wait(0, 0.0),
        lambda: wait(0, "soon"),
        lambda: WorkerStatus(IDLE),
    ]
    objects = [*WorkerStatusEnum, status, state, status._self_core, type(status._self_core), core.Table]

    def counts() -> list[int]:
        gc.collect()
        return [sys.getrefcount(each) for each in objects] + [len(gc.get_objects())]

    for each in calls:
        call(each)
    before = counts()
    for each in calls:
        for _ in range(3600):  # 100,000 calls in all
            call(each)
    grown = [after - was for was, after in zip(before, counts(), strict=True)]
    assert max(grown) < 1000


def test_snapshot_has_its_documentation_unless_python_has_none(tmp_path: Path) -> None:
    code = "from multiprocessing_intenum import snapshot; print(bool(snapshot.__doc__), snapshot.__text_signature__)"
    for option, documented in (("-O", "True"), ("-OO", "False")):
        command = [sys.executable, option, "-c", code]  # elsewhere, so that it finds the package that is tested
        done = subprocess.run(command, capture_output=True, cwd=tmp_path, text=True, check=True)
        assert done.stdout.split() == [documented, "(status)"]
