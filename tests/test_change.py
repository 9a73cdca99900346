"""last_change, history and changes: what they tell, in which order, and what a consumer that falls behind sees."""

from __future__ import annotations

import os
import threading
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from enums import Perm, Permissions, WorkerState, WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, SHORT, WRITERS, running
from process_targets import follow, write_alternately

from multiprocessing_intenum import Change, IntEnumValue, changes, futex, history, last_change, waiting
from multiprocessing_intenum.words import READABLE

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum


@pytest.fixture(params=["woken by the kernel", "looking again and again"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "looking again and again":
        monkeypatch.setattr(futex, "is_available", lambda: False)


def test_the_first_change_is_that_the_value_was_made() -> None:
    earliest = datetime.now(timezone.utc)
    status = WorkerStatus(IDLE)
    change = last_change(status)
    assert change[:2] == (None, IDLE)
    assert earliest - timedelta(seconds=1) <= change.at <= datetime.now(timezone.utc)
    assert change.at.utcoffset() == timedelta(0)
    assert (change.pid, change.number) == (os.getpid(), 0)
    assert history(status) == [change]


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_each_way_to_write_is_a_change(status: WorkerStatus, write: Any) -> None:
    write(status, CALCULATING)
    change = last_change(status)
    assert isinstance(change, Change)
    assert (change.before, change.after, change.number) == (IDLE, CALCULATING, 1)


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_write_of_the_same_member_is_no_change(status: WorkerStatus, write: Any) -> None:
    write(status, IDLE)
    assert last_change(status).number == 0


def test_the_members_are_real_ones_of_any_enum() -> None:
    permissions = Permissions(Perm.R)
    permissions |= Perm.W
    change = last_change(permissions)
    assert change.after is Perm.R | Perm.W
    assert type(change.before) is Perm


def test_it_tells_who_wrote(ctx: Any) -> None:
    status = WorkerStatus(IDLE)
    with running(ctx, write_alternately, status, 1) as process:
        process.join(DEADLINE)
        assert last_change(status).pid == process.pid
    assert [change.pid for change in history(status)] == [os.getpid(), process_id(status)]


def process_id(status: WorkerStatus) -> int:
    return last_change(status).pid


def test_at_least_16_changes_are_kept_oldest_first(status: WorkerStatus) -> None:
    for _ in range(50):
        status.set(CALCULATING)
        status.set(IDLE)
    kept = history(status)
    assert len(kept) >= 16
    assert [change.number for change in kept] == list(range(101 - len(kept), 101))
    assert all(one.after is two.before for one, two in pairwise(kept))
    assert all(one.at <= two.at for one, two in pairwise(kept))
    assert kept[-1] == last_change(status)


def test_all_three_work_for_an_attribute() -> None:
    state = WorkerState()
    proxy = WorkerState.status.proxy_of(state)
    feed = changes(proxy, timeout=0)
    state.status = CALCULATING
    assert last_change(proxy).after is history(proxy)[-1].after is CALCULATING
    assert [change.after for change in feed] == [CALCULATING]


@pytest.mark.usefixtures("way")
def test_an_iterator_has_every_change_since_the_call(status: WorkerStatus) -> None:
    status.set(CALCULATING)
    feed = changes(status, timeout=SHORT)
    for name in ("UNAVAILABLE", "IDLE", "CALCULATING"):
        status.set(name)
    assert [change.after.name for change in feed] == ["UNAVAILABLE", "IDLE", "CALCULATING"]
    status.set(IDLE)
    assert list(feed) == []  # it has ended


@pytest.mark.usefixtures("way")
def test_it_waits_for_the_next_change(status: WorkerStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep = threading.Event()
    real_sleep = waiting.Sleeper.sleep

    def sleep(sleeper: waiting.Sleeper, count: int, limit: float) -> None:
        asleep.set()
        real_sleep(sleeper, count, limit)

    monkeypatch.setattr(waiting.Sleeper, "sleep", sleep)
    seen: list[Any] = []
    feed = changes(status)
    thread = threading.Thread(target=lambda: seen.append(next(feed)))
    thread.start()
    assert asleep.wait(DEADLINE)
    status.set(CALCULATING)
    thread.join(DEADLINE)
    assert [change.after for change in seen] == [CALCULATING]


def test_who_falls_behind_sees_the_gap_in_the_numbers(status: WorkerStatus) -> None:
    feed = changes(status, timeout=0)
    for _ in range(50):
        status.set(CALCULATING)
        status.set(IDLE)
    numbers = [change.number for change in feed]
    assert len(numbers) >= 16
    assert numbers == list(range(101 - len(numbers), 101))


def test_consumers_in_other_processes_get_every_change_in_order(ctx: Any) -> None:
    status = WorkerStatus(IDLE)
    ready, finished = ctx.Semaphore(0), ctx.SimpleQueue()
    step = ctx.Semaphore(0)
    with (
        running(ctx, follow, status, ready, step, finished) as one,
        running(ctx, follow, status, ready, step, finished),
    ):
        for _ in range(2):
            assert ready.acquire(timeout=DEADLINE)
        for index in range(300):
            status.set([CALCULATING, UNAVAILABLE, IDLE][index % 3])
            if index % 10 == 9:  # they may be 10 behind, not more
                for _ in range(20):
                    assert step.acquire(timeout=DEADLINE)
        for _ in range(2):
            assert finished.get() == list(range(1, 301))
        one.join(DEADLINE)


def test_after_a_kill_in_the_middle_of_a_write_history_and_state_agree_with_the_next_write(
    status: WorkerStatus,
) -> None:
    status.set(CALCULATING)
    words = status._self_cell.words
    # Killed after the new entry: it is not read, and the next change takes its place.
    words._write_entry(int(UNAVAILABLE), 2, 4711)
    assert last_change(status).after is CALCULATING
    status.set(IDLE)
    assert [change.after for change in history(status)] == [IDLE, CALCULATING, IDLE]
    # Killed after the state: it holds, and the next write counts it first.
    words._write_entry(int(UNAVAILABLE), 3, 4711)
    words.state[()] = int(UNAVAILABLE)
    assert status == UNAVAILABLE
    status.set(CALCULATING)
    last, latest = history(status)[-2:]
    assert (last.before, last.after, last.pid, last.number) == (IDLE, UNAVAILABLE, 4711, 3)
    assert (latest.before, latest.after, latest.number) == (UNAVAILABLE, CALCULATING, 4)


def test_a_change_that_was_counted_before_the_kill_is_not_counted_again(status: WorkerStatus) -> None:
    status.set(CALCULATING)
    status._self_cell.words.settled[()] = int(IDLE)  # killed after the count
    status.set(UNAVAILABLE)
    assert [change.after for change in history(status)] == [IDLE, CALCULATING, UNAVAILABLE]


def test_a_state_that_another_program_has_written_is_counted_as_nobodys(status: WorkerStatus) -> None:
    status._self_view[()] = int(CALCULATING)
    status.set(UNAVAILABLE)
    foreign, own = history(status)[-2:]
    assert (foreign.before, foreign.after, foreign.pid) == (IDLE, CALCULATING, 0)
    assert (own.before, own.after, own.pid) == (CALCULATING, UNAVAILABLE, os.getpid())


def test_what_is_overwritten_while_it_is_read_is_left_out(
    status: WorkerStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = type(status._self_cell.words)
    read = words._read
    left = [5]

    def overwrite(self: Any, number: int) -> Any:
        if left[0]:
            left[0] -= 1
            for _ in range(3):
                status.set(CALCULATING)
                status.set(IDLE)
        return read(self, number)

    for _ in range(READABLE):
        status.set(CALCULATING)
        status.set(IDLE)
    monkeypatch.setattr(words, "_read", overwrite)
    kept = history(status)
    assert all(one.after is two.before and one.number + 1 == two.number for one, two in pairwise(kept))


@pytest.mark.parametrize("function", [last_change, history, changes])
@pytest.mark.parametrize("other", [IDLE, "IDLE", None])
def test_they_take_shared_values_only(function: Any, other: Any) -> None:
    with pytest.raises(TypeError, match="expected an IntEnumValue"):
        function(other)


@pytest.mark.parametrize(("timeout", "error"), [(-1, ValueError), (float("nan"), ValueError), ("1", TypeError)])
def test_a_bad_timeout_is_an_error_at_once(status: WorkerStatus, timeout: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="timeout must"):
        changes(status, timeout=timeout)


def test_a_deep_copy_has_its_own_history() -> None:
    state = WorkerState()
    state.status = CALCULATING
    copied = WorkerState.status.proxy_of(state)._self_cell.copy()
    assert copied.load() is CALCULATING
    assert copied.words.changes_since(-1)[1][0].before is None


def test_it_is_generic_in_the_enum() -> None:
    change: Change[WorkerStatusEnum] = last_change(IntEnumValue(IDLE))
    assert change.after is IDLE
