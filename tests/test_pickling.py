"""Pickles and copies: a process that is being started gets the cell, everybody else gets the member."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from multiprocessing import context
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any

import pytest
from enums import (
    LoggingStatus,
    Order,
    Paint,
    Perm,
    Permissions,
    Priority,
    PriorityValue,
    Tool,
    WorkerState,
    WorkerStatus,
    WorkerStatusEnum,
)
from helpers import StartingChild

from multiprocessing_intenum import EnumValue, IntEnumValue, snapshot
from multiprocessing_intenum.memory import keepalive

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE, CALCULATING = WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING
SPAWN = multiprocessing.get_context("spawn")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("make", [WorkerStatus, IntEnumValue, LoggingStatus])
def test_a_shared_value_can_not_be_pickled_outside_of_a_spawn(make: Any, protocol: int) -> None:
    status = make(IDLE)
    with pytest.raises(RuntimeError) as caught:
        pickle.dumps(status, protocol)
    kind = "IntEnumValue[WorkerStatusEnum]" if make is IntEnumValue else make.__name__
    assert str(caught.value).startswith(f"{kind} can only be sent to a process that is being started")
    assert "send snapshot(status)" in str(caught.value)
    assert str(caught.value).endswith("or give the value a path with at=..., which any process can open")
    assert snapshot(status) is IDLE


def test_nor_can_what_holds_one() -> None:
    for holder in ([WorkerStatus(IDLE)], {"status": WorkerStatus(IDLE)}):
        with pytest.raises(RuntimeError, match="can only be sent to a process that is being started"):
            pickle.dumps(holder)
    with pytest.raises(RuntimeError):
        pickle.dumps(WorkerState())


def test_its_snapshot_can() -> None:
    assert pickle.loads(pickle.dumps(snapshot(WorkerStatus(IDLE)))) is IDLE


def test_a_value_of_any_enum_can_not_be_pickled_either() -> None:
    order = Order()
    order.lock = None
    for status in (PriorityValue("LOW"), EnumValue(Tool.LOCK), EnumValue(Paint.BLUE | Paint.RED), order):
        with pytest.raises(RuntimeError, match="can only be sent to a process that is being started"):
            pickle.dumps(status)
    for member in (Priority.LOW, Tool.LIST, Paint.BLUE | Paint.RED):
        assert pickle.loads(pickle.dumps(snapshot(EnumValue(member)))) is member


@pytest.fixture
def spawning(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], bytes]:
    """A function that pickles as multiprocessing does for a child that is being spawned."""

    def dumps(thing: object) -> bytes:
        monkeypatch.setattr(context._tls, "spawning_popen", StartingChild(), raising=False)  # type: ignore[attr-defined]
        data = bytes(ForkingPickler.dumps(thing))
        monkeypatch.delattr(context._tls, "spawning_popen")  # type: ignore[attr-defined]
        return data

    monkeypatch.setattr(keepalive, "_pinned", {})
    return dumps


def test_what_was_pickled_for_a_child_is_loaded_by_a_child_that_starts_only(
    spawning: Callable[[object], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    status = LoggingStatus(IDLE, ctx=SPAWN)
    status.label = "mine"
    data = spawning(status)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="can only be loaded by the process that it was pickled for, while that"):
            pickle.loads(data)
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    copied = pickle.loads(data)
    assert type(copied) is LoggingStatus
    assert copied.label == "mine"
    assert type(copied.get_lock()) is type(status.get_lock())
    copied._self_view[()] = int(CALCULATING)  # the same memory
    assert snapshot(status) is CALCULATING


def test_what_is_pickled_for_a_child_has_nothing_of_a_members_value(
    spawning: Callable[[object], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = EnumValue(Tool.LOCK, ctx=SPAWN)  # a lock of threads can not be pickled
    data = spawning(tool)
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    copied = pickle.loads(data)
    assert type(copied) is EnumValue[Tool]
    copied.set("LIST")
    assert snapshot(tool) is Tool.LIST


def test_a_value_and_its_lock_are_kept_alive_once_they_were_pickled(spawning: Callable[[object], bytes]) -> None:
    status = WorkerStatus(IDLE, ctx=SPAWN)
    spawning(status)
    pinned = list(keepalive._pinned.values())
    assert any(one is status._self_cell._block for one in pinned)
    assert any(one is status.get_lock() for one in pinned)


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy])
def test_a_copy_is_the_member(make: Any) -> None:
    status, permissions = WorkerStatus(IDLE), Permissions(Perm.R | Perm.W)
    assert make(status) is IDLE
    assert make(permissions) is Perm.R | Perm.W
    copied = make([status])
    assert (type(copied[0]) is WorkerStatus) == (make is copy.copy)
    for member in (Priority.HIGH, Tool.LIST, Paint.RED | Paint.LIME):
        assert make(EnumValue(member)) is member


def test_a_deep_copy_of_an_object_has_states_of_its_own() -> None:
    order = Order()
    order.lock = None
    copied = copy.deepcopy(order)
    copied.tool, copied.paint = Tool.THING, Paint.LIME | Paint.RED  # type: ignore[assignment]
    assert (order.tool, order.paint) == (Tool.LOCK, Paint.BLUE | Paint.RED)
    assert (copied.priority, copied.tool, copied.paint) == (Priority.LOW, Tool.THING, Paint.LIME | Paint.RED)
