"""sleepers: who announces a sleep, whom a writer wakes, and who sleeps on."""

from __future__ import annotations

import ctypes
import threading
from typing import Any

import pytest
from enums import WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, SAFE_LOCKS, WRITERS, is_free, until

from multiprocessing_intenum import wait_for
from multiprocessing_intenum.memory import futex, sleepers
from multiprocessing_intenum.memory.sleepers import ALL, NO_FLAG, Sleepers, flag_of

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum

in_python = pytest.mark.usefixtures("in_python")


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bits of each wake-up. Nobody is woken in truth."""
    bits: list[int] = []
    monkeypatch.setattr(futex, "wake", lambda address, some: bits.append(some) or 0)
    return bits


def sleepers_of(status: Any) -> Sleepers:
    found: Sleepers = status._self_cell.words.sleepers
    return found


@in_python
@pytest.mark.parametrize("lock", [None, *SAFE_LOCKS])
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_writer_wakes_only_for_a_state_that_somebody_waits_for(lock: Any, write: Any, woken: list[int]) -> None:
    status = WorkerStatus(IDLE, lock=lock and lock())
    write(status, CALCULATING)
    sleepers_of(status).announce((flag_of(UNAVAILABLE),), 0)
    write(status, IDLE)
    assert woken == []
    write(status, UNAVAILABLE)
    assert woken == [1 << UNAVAILABLE]
    write(status, IDLE)
    write(status, UNAVAILABLE)
    assert len(woken) == 1  # the flag was cleared


@in_python
@pytest.mark.parametrize("lock", [None, *SAFE_LOCKS])
def test_who_is_woken_finds_the_lock_free(lock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    status = WorkerStatus(IDLE, lock=lock and lock())
    free: list[bool] = []
    monkeypatch.setattr(futex, "wake", lambda *_: free.append(is_free(status.get_lock())) or 1)  # type: ignore[func-returns-value]
    sleepers_of(status).announce(ALL, 0)
    status.set(CALCULATING)
    assert free == [True]


@in_python
def test_a_write_of_the_same_member_wakes_nobody(status: WorkerStatus, woken: list[int]) -> None:
    sleepers_of(status).announce(ALL, 0)
    status.set(IDLE)
    assert woken == []
    assert sleepers_of(status).flags[NO_FLAG] == 0


def test_a_wake_up_takes_back_the_ticket_of_all_who_are_not_asleep_yet(status: WorkerStatus) -> None:
    ticket = sleepers_of(status).announce(ALL, 0)
    status.set(CALCULATING)
    sleepers_of(status).sleep(ALL, ticket, DEADLINE)  # returns at once
    assert [bool(flag) for flag in sleepers_of(status).flags] == [
        flag != CALCULATING and flag != NO_FLAG for flag in range(NO_FLAG + 1)
    ]


def test_an_announcement_after_a_change_has_another_ticket(status: WorkerStatus) -> None:
    first = sleepers_of(status).announce((2,), 5)
    assert sleepers_of(status).announce((3,), 5) == first
    assert sleepers_of(status).announce((2,), 6) != first
    assert sleepers_of(status).announce((2,), 2**32 - 1) != 0


@in_python
def test_where_the_kernel_refuses_to_wake_the_flag_stays_for_another_writer(
    status: WorkerStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(futex, "wake", lambda *_: -1)
    sleepers_of(status).announce((flag_of(CALCULATING),), 0)
    status.set(CALCULATING)
    assert sleepers_of(status).flags[CALCULATING] == 1


def test_with_fences_it_is_the_same(status: WorkerStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sleepers, "IS_NEEDED", True)
    with pytest.raises(TimeoutError):
        wait_for(status, CALCULATING, 0.01)


def test_everybody_is_woken_where_a_value_begins_anew() -> None:
    block = (ctypes.c_char * 1216)()
    found = Sleepers(memoryview(block).cast("B"), ctypes.addressof(block))
    found.announce(ALL, 0)
    found.wake_all()
    assert not any(found.flags)


def test_in_memory_that_is_read_only_nobody_sleeps() -> None:
    found = Sleepers(memoryview(bytes(1216)), 0)
    assert not found.can_sleep
    found.wake_all()  # there is nobody


@pytest.mark.parametrize("fixture", ["status", "in_python"])
@pytest.mark.parametrize("wanted", [(IDLE,), (UNAVAILABLE, IDLE)])
def test_a_waiter_announces_the_states_that_it_waits_for(
    wanted: tuple[Any, ...], fixture: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(fixture)
    status = WorkerStatus(IDLE)
    status.set(CALCULATING)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(wait_for(status, wanted, DEADLINE)))
    thread.start()
    until(lambda: sleepers_of(status).flags[IDLE])
    assert [flag for flag in ALL if sleepers_of(status).flags[flag]] == sorted(map(int, wanted))
    status.set(IDLE)
    thread.join(DEADLINE)
    assert found == [IDLE]
