"""last_change, history and changes: what they tell, in which order, and what a consumer that falls behind sees."""

from __future__ import annotations

import asyncio
import os
import random
import re
import threading
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from enums import Perm, Permissions, WorkerState, WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, HAVE_PATHS, SHORT, WRITERS, in_a_thread, is_free, running
from process_targets import follow, write_alternately

from multiprocessing_intenum import Change, IntEnumValue, aio, changes, history, last_change, wait_for, waiting
from multiprocessing_intenum.memory import futex, words
from multiprocessing_intenum.memory.words import READABLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
    assert [change.after.name for change in feed] == ["IDLE"]  # it can be iterated again, and goes on
    assert list(feed) == []


@pytest.mark.usefixtures("way")
def test_it_waits_for_the_next_change(status: WorkerStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep = threading.Event()
    real_sleep = waiting.Sleeper.sleep

    def sleep(sleeper: waiting.Sleeper, *how: Any) -> None:
        asleep.set()
        real_sleep(sleeper, *how)

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


# A writer that was killed after it had stored the state, before it counted the change


def kill_after_the_state(status: WorkerStatus, after: WorkerStatusEnum, *, left_out: int = 0) -> None:
    """Store what such a writer has stored: the entry and the state. A mirror may have left out a number."""
    words = status._self_cell.words
    words._write_entry(int(after), words.count[()] + 1 + left_out, 4711, 1000.0)
    words.state[()] = int(after)


@pytest.mark.parametrize("fences", [False, True])
@pytest.mark.parametrize("left_out", [0, 1])
def test_after_a_kill_before_the_count_the_last_change_is_that_which_led_to_the_state(
    status: WorkerStatus, monkeypatch: pytest.MonkeyPatch, left_out: int, fences: bool
) -> None:
    monkeypatch.setattr(words, "_NEEDS_FENCE", fences)
    status.set(UNAVAILABLE)
    kill_after_the_state(status, CALCULATING, left_out=left_out)
    memory = bytes(status._self_cell.words._bytes)
    change = last_change(status)
    assert history(status)[-1] == change
    assert (change.after, change.pid, change.number) == (status, 4711, 2 + left_out)
    assert change.before is (None if left_out else UNAVAILABLE)
    assert change.at == datetime.fromtimestamp(1000, timezone.utc)
    assert bytes(status._self_cell.words._bytes) == memory  # nothing is written to find it
    status.set(IDLE)
    assert history(status)[-2] == change
    assert history(status)[-1].number == change.number + 1


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("left_out", [0, 1])
def test_a_feed_has_the_change_of_a_killed_writer_at_once_and_once_only(status: WorkerStatus, left_out: int) -> None:
    feed = changes(status, timeout=2 * waiting.SLICE)
    kill_after_the_state(status, CALCULATING, left_out=left_out)
    first = next(feed)
    assert (first.after, first.pid, first.number) == (CALCULATING, 4711, 1 + left_out)
    for name in ("UNAVAILABLE", "IDLE"):
        status.set(name)
    assert [(change.after, change.number - left_out) for change in feed] == [(UNAVAILABLE, 2), (IDLE, 3)]


def test_a_feed_lacks_the_change_of_a_writer_that_was_killed_before_the_call(status: WorkerStatus) -> None:
    kill_after_the_state(status, CALCULATING)
    feed = changes(status, timeout=0)
    status.set(UNAVAILABLE)
    assert [(change.before, change.after) for change in feed] == [(CALCULATING, UNAVAILABLE)]


def test_a_state_that_another_program_has_written_is_the_last_change_until_it_is_another_one(
    status: WorkerStatus,
) -> None:
    feed = changes(status, timeout=0)
    earliest = datetime.now(timezone.utc)
    status._self_view[()] = int(CALCULATING)
    change = last_change(status)
    assert (change.before, change.after, change.pid, change.number) == (IDLE, CALCULATING, 0, 1)
    assert earliest <= change.at <= datetime.now(timezone.utc)
    status._self_view[()] = int(IDLE)  # taken back behind our back
    assert last_change(status).number == 0
    status.set(UNAVAILABLE)
    assert [each.after for each in feed] == [UNAVAILABLE]  # nobody has counted the other one


def test_a_change_that_is_just_being_counted_is_not_read_from_two_moments(
    status: WorkerStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = type(status._self_cell.words)
    uncounted = words._uncounted

    def write_first(self: Any, count: int) -> Any:
        monkeypatch.undo()
        status.set(CALCULATING)
        kill_after_the_state(status, UNAVAILABLE)
        return uncounted(self, count)  # its entry is the second one after this count: it looks like one behind a gap

    monkeypatch.setattr(words, "_uncounted", write_first)
    assert [change.after for change in history(status)] == [IDLE]
    assert [change.before for change in history(status)] == [None, IDLE, CALCULATING]


# Damage


DAMAGED = "another program may have written to the shared memory. The value is damaged: stop the processes that share"


def readers(status: Any) -> dict[str, Callable[[], object]]:
    return {
        "last_change": lambda: last_change(status),
        "history": lambda: history(status),
        "changes": lambda: list(changes(status, timeout=0)),
        "wait_for": lambda: wait_for(status, CALCULATING, 0),
        "aio.changes": lambda: asyncio.run(all_of(status)),
        "aio.wait_for": lambda: asyncio.run(aio.wait_for(status, CALCULATING, 0)),
    }


async def all_of(status: Any) -> list[Any]:
    return [change async for change in aio.changes(status, timeout=0)]


@pytest.mark.parametrize("reader", readers(None))
@pytest.mark.parametrize(
    ("word", "number"),
    [("count", 2**64 - 1), ("count", 4), ("count", 2**63), ("base", 2), ("base", 2**64 - 1)],
)
def test_words_that_make_no_sense_are_an_error_and_no_loop(
    status: WorkerStatus, reader: str, word: str, number: int
) -> None:
    getattr(status._self_cell.words, word)[()] = number
    with pytest.raises(ValueError, match=DAMAGED):
        in_a_thread(readers(status)[reader])


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -float("inf"), -1.0, 1e12, 1e300])
@pytest.mark.parametrize("function", [last_change, history])
def test_a_time_that_no_clock_has_is_an_error(status: WorkerStatus, function: Any, seconds: float) -> None:
    status._self_cell.words._write_entry(int(IDLE), 0, at=seconds, mark=words._BEGINNING)
    with pytest.raises(ValueError, match=re.escape(f"the time of the change number 0 is {seconds!r}: {DAMAGED}")):
        function(status)


@pytest.mark.parametrize("seconds", [0.0, datetime(9999, 12, 30, tzinfo=timezone.utc).timestamp()])
def test_the_outermost_times_can_be_shown_in_every_zone(status: WorkerStatus, seconds: float) -> None:
    status._self_cell.words._write_entry(int(IDLE), 0, at=seconds, mark=words._BEGINNING)
    at = last_change(status).at
    assert at.timestamp() == seconds
    for hours in (-23, 23):
        assert at.astimezone(timezone(timedelta(hours=hours))) == at


def test_a_number_in_the_history_that_is_no_member_is_an_error_of_the_history_only(status: WorkerStatus) -> None:
    status.set(CALCULATING)
    status.set(UNAVAILABLE)
    status.set(IDLE)
    status._self_cell.words._write_entry(99, 1)
    assert last_change(status).after is IDLE
    with pytest.raises(ValueError, match=f"^99 is no member of '<enum 'WorkerStatusEnum'>': {DAMAGED}"):
        history(status)


@pytest.mark.usefixtures("in_python")
def test_a_number_that_is_no_member_and_came_in_passing_is_an_error_of_the_wait(
    status: WorkerStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def come_and_go(sleeper: waiting.Sleeper, *how: Any) -> None:
        for name in ("CALCULATING", "IDLE"):
            status.set(name)
        status._self_cell.words._write_entry(99, 1)

    monkeypatch.setattr(waiting.Sleeper, "sleep", come_and_go)
    with pytest.raises(ValueError, match=f"^99 is no member of '<enum 'WorkerStatusEnum'>': {DAMAGED}"):
        wait_for(status, UNAVAILABLE, DEADLINE)


if HAVE_PATHS:

    def test_by_path_the_error_names_the_file(tmp_path: Path) -> None:
        status = WorkerStatus(IDLE, at=tmp_path / "status")
        status._self_cell.words.count[()] = 7
        with pytest.raises(ValueError, match="status' is damaged: stop the processes that use it, and remove it"):
            history(status)


def test_a_write_that_can_not_be_counted_is_an_error_and_writes_nothing(status: WorkerStatus) -> None:
    words = status._self_cell.words
    words.count[()] = 2**64 - 1
    for settled in (IDLE, CALCULATING):  # a write that would count another one first, too
        words.settled[()] = int(settled)
        memory = bytes(words._bytes)
        with pytest.raises(ValueError, match=f"the number of the next change is {2**64}: {DAMAGED}"):
            status.set(UNAVAILABLE)
        assert bytes(words._bytes) == memory
        assert is_free(status.get_lock())


def test_any_bytes_in_the_memory_are_an_answer_or_a_value_error(status: WorkerStatus) -> None:
    chance = random.Random(11)
    memory = status._self_cell.words._bytes
    good = bytes(memory)
    for _ in range(300):
        start = chance.randrange(0, len(memory) - 8)
        end = chance.choice([start + 8, len(memory)])
        memory[start:end] = chance.choice([chance.randbytes(end - start), b"\xff" * (end - start), bytes(end - start)])
        for reader in readers(status).values():
            with suppress(ValueError, TimeoutError):
                reader()
        memory[:] = good


def test_a_program_that_scribbles_all_the_time_is_an_error_and_no_loop(
    status: WorkerStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = type(status._self_cell.words)
    read = words._read
    chance = random.Random(12)

    def scribble(self: Any, number: int) -> Any:
        self.count[()] = chance.randrange(2**64)
        return read(self, number)

    monkeypatch.setattr(words, "_read", scribble)
    for reader in (last_change, history):
        with pytest.raises(ValueError, match=f"are overwritten faster than they can be read: {DAMAGED}"):
            reader(status)


def test_a_busy_writer_is_waited_for_and_not_taken_for_damage(
    status: WorkerStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = type(status._self_cell.words)
    read = words._read
    left = [200 * READABLE]  # many more than the tries after which words that make no sense are an error

    def overwrite(self: Any, number: int) -> Any:
        if left[0]:
            left[0] -= 1
            for _ in range(16):
                status.set(CALCULATING)
                status.set(IDLE)
        return read(self, number)

    monkeypatch.setattr(words, "_read", overwrite)
    assert history(status)[-1].after is IDLE
    assert left == [0]


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
