"""aio: wait_for and changes in asyncio, which block no loop, cost nothing while idle and keep nobody from exiting."""

from __future__ import annotations

import asyncio
import enum
import errno
import logging
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from enums import FrutEnum, WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, SHORT, is_free, running
from process_targets import write_alternately

from multiprocessing_intenum import aio, changes, snapshot, wait_for, waiting
from multiprocessing_intenum.memory import futex

if TYPE_CHECKING:
    from collections.abc import Iterator

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum


@pytest.fixture(params=["woken by the kernel", "looking again and again"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param == "looking again and again":
        monkeypatch.setattr(futex, "is_available", lambda: False)
    yield
    deadline = time.monotonic() + DEADLINE
    while watchers():  # they end when nobody waits any more
        assert time.monotonic() < deadline
        time.sleep(0.001)


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == aio._THREAD_NAME]


async def until(condition: Any) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


def test_it_returns_at_once_what_is_met_already(status: WorkerStatus) -> None:
    assert asyncio.run(aio.wait_for(status, "IDLE")) is IDLE
    assert asyncio.run(aio.wait_for(status, {IDLE, CALCULATING}, 0)) is IDLE
    assert not watchers()


def test_it_waits_for_a_write_of_another_process(ctx: Any) -> None:
    status = WorkerStatus(IDLE)

    async def wait() -> Any:
        waiter = asyncio.create_task(aio.wait_for(status, CALCULATING, DEADLINE))
        await until(watchers)
        with running(ctx, write_alternately, status, 1):
            return await waiter

    assert asyncio.run(wait()) is CALCULATING


def test_a_thousand_waiters_of_one_value_take_one_thread_and_the_loop_goes_on(status: WorkerStatus) -> None:
    async def wait() -> None:
        waiters = [asyncio.create_task(aio.wait_for(status, CALCULATING, DEADLINE)) for _ in range(1000)]
        await until(watchers)
        await asyncio.sleep(0)
        assert len(watchers()) == 1
        assert not any(waiter.done() for waiter in waiters)
        status.set(CALCULATING)
        assert set(await asyncio.gather(*waiters)) == {CALCULATING}
        await until(lambda: not watchers())

    asyncio.run(wait())


def test_a_state_that_held_only_in_passing_counts_as_met(status: WorkerStatus) -> None:
    async def wait() -> Any:
        waiter = asyncio.create_task(aio.wait_for(status, UNAVAILABLE, DEADLINE))
        await until(watchers)
        for name in ("CALCULATING", "UNAVAILABLE", "IDLE"):
            status.set(name)
        return await waiter

    assert asyncio.run(wait()) is UNAVAILABLE
    assert snapshot(status) is IDLE


def test_a_change_between_the_look_and_the_sleep_is_not_missed(
    status: WorkerStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_since = aio._change_since

    async def write_first(*args: Any) -> None:
        status.set(CALCULATING)
        await change_since(*args)

    monkeypatch.setattr(aio, "_change_since", write_first)
    assert asyncio.run(aio.wait_for(status, CALCULATING, DEADLINE)) is CALCULATING


def test_an_uncounted_change_of_a_killed_writer_is_seen_as_well(status: WorkerStatus) -> None:
    async def wait() -> Any:
        waiter = asyncio.create_task(aio.wait_for(status, CALCULATING, DEADLINE))
        await until(watchers)
        status._self_view[()] = int(CALCULATING)
        return await waiter

    assert asyncio.run(wait()) is CALCULATING


def test_the_time_is_over_as_timeout_error_of_both_kinds(status: WorkerStatus) -> None:
    for kind in (TimeoutError, asyncio.TimeoutError):
        with pytest.raises(kind, match=f"waited {SHORT} s for CALCULATING, the state is "):
            asyncio.run(aio.wait_for(status, CALCULATING, SHORT))
    with pytest.raises(TimeoutError):
        asyncio.run(aio.wait_for(status, CALCULATING, 0))


def test_cancelling_ends_it_at_once_and_its_thread_soon(status: WorkerStatus) -> None:
    async def wait() -> None:
        waiter = asyncio.create_task(aio.wait_for(status, CALCULATING))
        await until(watchers)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        await until(lambda: not watchers())

    asyncio.run(wait())


def test_cancelling_one_waiter_leaves_the_others(status: WorkerStatus) -> None:
    async def wait() -> Any:
        cancelled, waiter = (asyncio.create_task(aio.wait_for(status, CALCULATING, DEADLINE)) for _ in range(2))
        await until(lambda: aio._watchers and len(next(iter(aio._watchers.values())).futures) == 2)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        status.set(CALCULATING)
        return await waiter

    assert asyncio.run(wait()) is CALCULATING


def test_a_wake_up_that_comes_after_the_end_of_a_wait_does_nothing() -> None:
    async def end_first() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        aio._set_results([future])

    asyncio.run(end_first())


def test_what_the_function_raises_comes_out(status: WorkerStatus) -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(aio.wait_for(status, lambda member: 1 / 0))  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("condition", [FrutEnum.APPLE, 2, "IDEL", []])
def test_a_condition_that_can_not_be_met_is_an_error_at_once(status: WorkerStatus, condition: Any) -> None:
    with pytest.raises((TypeError, KeyError, ValueError)):
        asyncio.run(aio.wait_for(status, condition))


@pytest.mark.parametrize("function", [lambda: asyncio.run(aio.wait_for(IDLE, IDLE)), lambda: aio.changes(IDLE)])  # type: ignore[arg-type]
def test_they_take_shared_values_only(function: Any) -> None:
    with pytest.raises(TypeError, match="expected an IntEnumValue"):
        function()


def test_changes_come_in_order_from_the_call_on(status: WorkerStatus) -> None:
    async def follow() -> list[str]:
        status.set(CALCULATING)
        feed = aio.changes(status, timeout=SHORT)
        status.set(UNAVAILABLE)
        writer = asyncio.get_running_loop().run_in_executor(None, write_alternately, status, 10)
        names = [change.after.name async for change in feed]
        await writer
        return names

    assert asyncio.run(follow()) == ["UNAVAILABLE", *["CALCULATING", "IDLE"] * 5]


def test_after_its_timeout_a_feed_goes_on_as_one_without_asyncio_does(status: WorkerStatus) -> None:
    async def after_each_end() -> list[list[list[str]]]:
        here, plain = aio.changes(status, timeout=0), changes(status, timeout=0)
        found = []
        for names in ([], ["CALCULATING"], ["UNAVAILABLE", "IDLE"], []):
            for name in names:
                status.set(name)
            found.append([[change.after.name async for change in here], [change.after.name for change in plain]])
        return found

    assert asyncio.run(after_each_end()) == [
        [[], []],
        [["CALCULATING"], ["CALCULATING"]],
        [["UNAVAILABLE", "IDLE"], ["UNAVAILABLE", "IDLE"]],
        [[], []],
    ]


def test_a_bad_timeout_of_changes_is_an_error_at_once(status: WorkerStatus) -> None:
    with pytest.raises(ValueError, match="timeout must"):
        aio.changes(status, timeout=-1)


def test_leaving_the_iteration_leaves_nothing_behind(status: WorkerStatus) -> None:
    async def follow() -> None:
        status_feed = aio.changes(status)
        status.set(CALCULATING)
        async for change in status_feed:
            assert change.after is CALCULATING
            break
        assert not watchers()

    asyncio.run(follow())


def test_several_loops_in_several_threads(status: WorkerStatus) -> None:
    answers: list[Any] = []

    def wait() -> None:
        answers.append(asyncio.run(aio.wait_for(status, CALCULATING, DEADLINE)))

    threads = [threading.Thread(target=wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + DEADLINE
    while sum(map(len, (watcher.futures for watcher in aio._watchers.values()))) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert len(watchers()) == 1
    status.set(CALCULATING)
    for thread in threads:
        thread.join(DEADLINE)
    assert answers == [CALCULATING] * 4


def test_a_loop_that_was_closed_with_a_waiter_hinders_nobody(status: WorkerStatus) -> None:
    loop = asyncio.new_event_loop()
    abandoned = loop.create_task(aio.wait_for(status, CALCULATING))
    loop.run_until_complete(until(watchers))
    loop.close()
    assert asyncio.run(wait_and_write(status)) is CALCULATING
    abandoned._log_destroy_pending = False  # type: ignore[attr-defined]


async def wait_and_write(status: WorkerStatus) -> Any:
    waiter = asyncio.create_task(aio.wait_for(status, CALCULATING, DEADLINE))
    await asyncio.sleep(0)
    status.set(CALCULATING)
    return await waiter


CODE = """
import asyncio, enum, sys
from multiprocessing_intenum import IntEnumValue, aio

class Status(enum.IntEnum):
    IDLE = 1
    BUSY = 2

async def main():
    waiter = asyncio.create_task(aio.wait_for(IntEnumValue(Status.IDLE), Status.BUSY))
    await asyncio.sleep(0.05)
    if sys.argv[1] == "cancelled":
        waiter.cancel()

asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["cancelled", "abandoned"])
def test_nothing_keeps_the_interpreter_from_exiting(how: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", CODE, how],
        timeout=DEADLINE,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_who_does_not_use_it_does_not_import_it() -> None:
    code = "import multiprocessing_intenum, sys; sys.exit('multiprocessing_intenum.aio' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], timeout=DEADLINE, env=environment, check=False).returncode == 0


def test_the_enum_itself_means_any_of_its_members(status: WorkerStatus) -> None:
    assert isinstance(WorkerStatusEnum, enum.EnumMeta)
    assert asyncio.run(aio.wait_for(status, WorkerStatusEnum, 0)) is IDLE


# The thread goes on while somebody waits, whatever fails


class SomeError(BaseException):
    """Of no kind that anybody expects."""


ERRORS = [OSError(errno.EPERM, "futex"), MemoryError(), SomeError(), ValueError("the memory is damaged")]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize(
    "place",
    [(waiting.Sleeper, "__init__"), (waiting.Sleeper, "sleep"), (aio._Watcher, "_look"), (logging.Logger, "warning")],
    ids=lambda place: place[1],
)
def test_waiters_get_the_change_whatever_fails_in_the_thread(
    status: WorkerStatus, monkeypatch: pytest.MonkeyPatch, place: Any, always: bool, error: BaseException
) -> None:
    owner, name = place
    real = getattr(owner, name)
    failed = threading.Event()

    def fail(self: Any, *args: Any, **options: Any) -> Any:
        if (always and name != "_look") or not failed.is_set():
            failed.set()
            raise error
        return real(self, *args, **options)

    async def wait() -> Any:
        waiters = [asyncio.create_task(aio.wait_for(status, CALCULATING)) for _ in range(3)]
        await until(failed.is_set)
        assert not any(waiter.done() for waiter in waiters)
        status.set(CALCULATING)
        return await asyncio.wait_for(asyncio.gather(*waiters), DEADLINE)

    monkeypatch.setattr(owner, name, fail)
    if name == "warning":  # what it tells of
        monkeypatch.setattr(waiting.Sleeper, "sleep", fail)
    assert asyncio.run(wait()) == [CALCULATING] * 3
    monkeypatch.undo()  # the thread can end now


if futex.is_available():  # else the kernel cannot wake a sleeper

    def test_an_error_of_the_kernel_that_nobody_knows_makes_everybody_look_again_and_again(
        status: WorkerStatus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.undo()  # the way of waiting
        slept: list[int] = []

        def refuse(address: Any, expected: int, seconds: float, bits: int) -> None:
            slept.append(expected)
            raise OSError(errno.ENOSYS, "futex")

        monkeypatch.setattr(futex, "wait", refuse)
        assert asyncio.run(wait_and_write(status)) is CALCULATING
        assert len(slept) == 1
        assert not caplog.records
        writer = threading.Thread(target=status.set, args=(IDLE,))
        feed = changes(status, timeout=DEADLINE)
        writer.start()
        assert next(feed).after is IDLE
        writer.join(DEADLINE)
        with pytest.raises(TimeoutError):
            wait_for(status, UNAVAILABLE, SHORT)


def test_a_failure_is_logged_once(
    status: WorkerStatus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rounds: list[int] = []

    def fail(sleeper: Any, *how: Any) -> None:
        rounds.append(1)
        raise MemoryError

    async def wait() -> Any:
        waiter = asyncio.create_task(aio.wait_for(status, CALCULATING, DEADLINE))
        await until(lambda: len(rounds) > 3)
        status.set(CALCULATING)
        return await waiter

    monkeypatch.setattr(waiting.Sleeper, "sleep", fail)
    assert asyncio.run(wait()) is CALCULATING
    assert [(record.name, record.levelname) for record in caplog.records] == [
        ("multiprocessing_intenum.aio", "WARNING")
    ]
    assert caplog.records[0].exc_info[0] is MemoryError  # type: ignore[index]


# Loops of which one is closed, or fails, when the futures of all are completed


class Loop:
    """An event loop, as far as a watcher needs one."""

    def __init__(self, errors: list[Any], *, closed: bool = False) -> None:
        self.errors, self.closed, self.called = errors, closed, 0

    def call_soon_threadsafe(self, function: Any, futures: Any) -> None:
        self.called += 1
        if self.errors:
            error = self.errors.pop()
            if callable(error):
                error()
            else:
                raise error
        for future in futures:
            future.completed += 1

    def is_closed(self) -> bool:
        return self.closed


class Future:
    """A future of such a loop."""

    def __init__(self, loop: Loop) -> None:
        self.loop, self.completed = loop, 0

    def get_loop(self) -> Loop:
        return self.loop


def watcher_of(status: WorkerStatus, *loops: Loop) -> tuple[Any, list[Future]]:
    """Return a watcher, whose thread does not run, and the future of each loop."""
    watcher: Any = object.__new__(aio._Watcher)
    watcher._cell, watcher._count, watcher.has_thread = status._self_cell, 0, True
    watcher._words = status._self_cell.words
    futures = [Future(loop) for loop in loops]
    watcher.futures = set(futures)
    return watcher, futures


@pytest.mark.parametrize("position", range(3))
def test_a_closed_loop_loses_only_its_own_futures(status: WorkerStatus, position: int) -> None:
    loops = [Loop([]), Loop([]), Loop([])]
    loops[position] = Loop([RuntimeError("Event loop is closed")], closed=True)
    watcher, futures = watcher_of(status, *loops)
    status.set(CALCULATING)
    assert watcher._look() is False
    assert [future.completed for future in futures] == [int(index != position) for index in range(3)]
    assert watcher._look() is True  # nobody waits any more


@pytest.mark.parametrize("error", [RuntimeError("deleted"), MemoryError(), SomeError()], ids=repr)
@pytest.mark.parametrize("position", range(3))
def test_a_loop_that_fails_is_asked_again_and_hinders_no_other_one(
    status: WorkerStatus, position: int, error: BaseException
) -> None:
    loops = [Loop([]), Loop([]), Loop([])]
    loops[position] = Loop([error, error])
    watcher, futures = watcher_of(status, *loops)
    status.set(CALCULATING)
    for _ in range(2):
        with pytest.raises(type(error)):
            watcher._look()
        assert [future.completed for future in futures] == [int(index != position) for index in range(3)]
    assert watcher._look() is False
    assert [future.completed for future in futures] == [1, 1, 1]
    assert [loop.called for loop in loops] == [3 if index == position else 1 for index in range(3)]


def test_the_garbage_collector_may_end_other_waits_while_the_futures_are_completed(status: WorkerStatus) -> None:
    loops = [Loop([]), Loop([]), Loop([])]
    watcher, futures = watcher_of(status, *loops)
    for loop in loops:
        loop.errors.append(lambda: watcher.futures.discard(futures[1]))
    status.set(CALCULATING)
    assert watcher._look() is False
    assert not watcher.futures
    assert futures[0].completed == futures[2].completed == 1


def test_a_watcher_that_is_not_known_any_more_ends_all_the_same(status: WorkerStatus) -> None:
    watcher, _ = watcher_of(status)
    aio._watchers[status._self_cell] = other = object()  # type: ignore[assignment]
    try:
        assert watcher._look() is True
        assert aio._watchers[status._self_cell] is other
    finally:
        del aio._watchers[status._self_cell]


def test_who_can_not_have_a_thread_gets_an_error_and_leaves_nothing_behind(
    status: WorkerStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start
    others: list[Any] = []

    def refuse(thread: threading.Thread) -> None:
        if thread.name != aio._THREAD_NAME:
            start(thread)
            return
        (watcher,) = aio._watchers.values()
        others.append(asyncio.get_running_loop().create_future())  # somebody waits as well meanwhile
        watcher.add(others[0], waiting.Look(status._self_cell, CALCULATING))
        message = "can't start new thread"
        raise RuntimeError(message)

    async def wait() -> None:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await aio.wait_for(status, CALCULATING)
        await asyncio.wait_for(others[0], DEADLINE)  # to look again, and to get an error of its own

    monkeypatch.setattr(threading.Thread, "start", refuse)
    asyncio.run(wait())
    assert not aio._watchers


def test_the_new_thread_may_end_an_abandoned_wait_before_it_is_started(
    status: WorkerStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The garbage collector may run there: with the lock held, both threads would wait for each other."""
    start = threading.Thread.start
    free: list[bool] = []

    def collect_first(thread: threading.Thread) -> None:
        if thread.name == aio._THREAD_NAME:
            free.append(is_free(aio._watching))
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", collect_first)
    assert asyncio.run(wait_and_write(status)) is CALCULATING
    assert free == [True]


def test_a_wait_that_was_interrupted_before_it_had_its_thread_leaves_the_next_one_to_start_it(
    status: WorkerStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def be_interrupted(watcher: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(aio._Watcher, "start", be_interrupted)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(aio.wait_for(status, CALCULATING))
    monkeypatch.undo()
    assert asyncio.run(wait_and_write(status)) is CALCULATING
