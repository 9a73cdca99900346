"""IntEnumValue: how a value is made, and that its name, value, text and class are its member's."""

from __future__ import annotations

import multiprocessing
import sys
from typing import Any

import pytest
from enums import WorkerStatus, WorkerStatusEnum

from multiprocessing_intenum import IntEnumValue, RobustRLock, snapshot

IDLE, CALCULATING = WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING


# Making


@pytest.mark.parametrize("first", [IDLE, "IDLE", WorkerStatus(IDLE), IntEnumValue(IDLE)], ids=repr)
def test_it_begins_with_a_member_or_a_name_or_another_shared_value(first: Any) -> None:
    status = WorkerStatus(first)
    assert snapshot(status) is IDLE
    status.set(CALCULATING)
    assert first in (IDLE, "IDLE")  # the first value is independent of the others


def test_it_can_be_given_all_arguments_by_keyword() -> None:
    lock = multiprocessing.Lock()
    status = WorkerStatus(value=IDLE, lock=lock)
    assert snapshot(status) is IDLE
    assert status.get_lock() is lock
    assert snapshot(IntEnumValue(value=IDLE)) is IDLE


@pytest.mark.parametrize("platform", ["darwin", "win32"] if sys.platform != "win32" else ["win32"])
def test_elsewhere_the_default_lock_is_an_rlock_of_the_context(
    ctx: Any, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert type(WorkerStatus(IDLE).get_lock()) is type(multiprocessing.RLock())
    assert type(WorkerStatus(IDLE, ctx=ctx).get_lock()) is type(ctx.RLock())


def test_where_the_kernel_refuses_robust_mutexes_the_default_lock_is_an_rlock(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(RobustRLock, "__init__", refuse)
    assert type(WorkerStatus(IDLE).get_lock()) is type(multiprocessing.RLock())


def test_lock_and_ctx_exclude_each_other() -> None:
    with pytest.raises(TypeError, match="lock= and ctx= exclude each other"):
        WorkerStatus(IDLE, lock=multiprocessing.RLock(), ctx=multiprocessing.get_context("spawn"))


def test_it_can_not_be_made_of_nothing() -> None:
    with pytest.raises(TypeError):
        IntEnumValue()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        WorkerStatus()  # type: ignore[call-arg]


def test_a_value_without_a_member_says_what_is_missing() -> None:
    for cls in IntEnumValue, WorkerStatus:
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'value'"):
            cls()  # type: ignore[call-arg]


# Reading


def test_name_and_value_are_the_members_own(status: WorkerStatus) -> None:
    for member in WorkerStatusEnum:
        status.set(member)
        assert (status.name, status.value) == (member.name, member.value)


def test_its_text_and_class_are_the_members_and_its_type_is_its_own(status: WorkerStatus) -> None:
    assert (repr(status), str(status), f"{status}") == (repr(IDLE), str(IDLE), f"{IDLE}")
    assert status.__class__ is WorkerStatusEnum
    assert status.__doc__ == IDLE.__doc__
    assert status.__module__ == IDLE.__module__
    assert type(status) is WorkerStatus
