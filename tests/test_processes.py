"""Shared values that are sent to other processes and used there: the same tests for fork, spawn and forkserver."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import process_targets as targets
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
from helpers import DEADLINE, METHODS, is_free, run, running

from multiprocessing_intenum import EnumValue, IntEnumValue, exchange, snapshot, wait_for

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum


def test_as_an_argument_of_a_process(ctx: Any) -> None:
    status = WorkerStatus(IDLE, ctx=ctx)
    with running(ctx, targets.use, status) as process:
        assert wait_for(status, CALCULATING, DEADLINE) is CALCULATING
        status.set("UNAVAILABLE")
        process.join(DEADLINE)
        assert process.exitcode == 0
    assert snapshot(status) is IDLE
    assert is_free(status.get_lock())


def test_without_a_subclass_and_with_flags(ctx: Any) -> None:
    status, permissions = IntEnumValue(IDLE, ctx=ctx), Permissions(Perm.R, ctx=ctx)
    run(ctx, targets.use_unbound, status)
    assert snapshot(status) is CALCULATING
    with running(ctx, targets.use_flags, permissions) as process:
        for _ in range(101):
            permissions ^= Perm.R
        process.join(DEADLINE)
        assert process.exitcode == 0
    assert snapshot(permissions) is Perm.W


def test_as_initargs_of_a_pool(ctx: Any) -> None:
    status = WorkerStatus(IDLE, ctx=ctx)
    with ctx.Pool(2, targets.keep, (status,)) as pool:
        assert sum(pool.map(targets.claim, range(20), chunksize=1)) == 1
        assert exchange(status, IDLE) is CALCULATING
        assert pool.apply(targets.claim, (0,)) == 1
        pool.close()
        pool.join()
    assert snapshot(status) is CALCULATING


def test_as_initargs_of_a_process_pool_executor(ctx: Any) -> None:
    status = WorkerStatus(IDLE, ctx=ctx)
    with ProcessPoolExecutor(2, mp_context=ctx, initializer=targets.keep, initargs=(status,)) as executor:
        assert sum(executor.map(targets.claim, range(20))) == 1
        assert snapshot(status) is CALCULATING


def test_a_snapshot_can_be_sent_as_a_task(ctx: Any) -> None:
    status = WorkerStatus(IDLE, ctx=ctx)
    with ctx.Pool(1) as pool:
        assert pool.apply(targets.name_of, (snapshot(status),)) == (WorkerStatusEnum, "IDLE")
        with pytest.raises(RuntimeError, match=r"send snapshot\(status\), its member, to any other process"):
            pool.apply(targets.name_of, (status,))
        pool.close()
        pool.join()


def test_as_an_attribute_of_an_object_that_is_sent(ctx: Any) -> None:
    state = WorkerState(ctx)
    run(ctx, targets.use_state, state)
    assert (state.status, state.job_id.value) == (CALCULATING, 7)
    assert is_free(state.lock)


def test_a_subclass_takes_its_own_attributes_along(ctx: Any) -> None:
    status = LoggingStatus(IDLE, ctx=ctx)
    status.log, status.label = [], "mine"
    status._self_note = 7  # type: ignore[attr-defined]
    status.set(CALCULATING)
    run(ctx, targets.use_own_attributes, status)
    assert snapshot(status) is IDLE
    assert (status.label, status.log) == ("mine", ["CALCULATING"])  # only the state is shared


def test_values_that_refer_to_each_other(ctx: Any) -> None:
    one, two = targets.Node(IDLE, ctx=ctx), targets.Node(CALCULATING, ctx=ctx)
    one.peer, two.peer = two, one
    run(ctx, targets.follow_peers, one)
    assert (snapshot(one), snapshot(two)) == (UNAVAILABLE, IDLE)


def test_of_a_class_that_was_indexed_twice(ctx: Any) -> None:
    status = targets.AnyJob(targets.Job.WAITING, ctx=ctx)
    run(ctx, targets.start_job, status)
    assert snapshot(status) is targets.Job.RUNNING


def test_to_a_child_of_a_child(ctx: Any) -> None:
    status = WorkerStatus(IDLE, ctx=ctx)
    run(ctx, targets.hand_on, ctx, status)
    assert snapshot(status) is UNAVAILABLE


def test_a_value_of_a_spawn_context_goes_by_every_start_method() -> None:
    status = WorkerStatus(IDLE, ctx=multiprocessing.get_context("spawn"))
    for method in METHODS:
        run(multiprocessing.get_context(method), targets.set_to_unavailable, status)
        assert exchange(status, IDLE) is UNAVAILABLE
    run(multiprocessing.get_context(METHODS[0]), targets.hand_on, multiprocessing.get_context("spawn"), status)
    assert snapshot(status) is UNAVAILABLE


# Enums that are no ints


def test_a_value_of_texts(ctx: Any) -> None:
    priority = PriorityValue(Priority.LOW, ctx=ctx)
    with running(ctx, targets.use_text, priority) as process:
        assert wait_for(priority, Priority.HIGH, DEADLINE) is Priority.HIGH
        priority.set("URGENT")
        process.join(DEADLINE)
        assert process.exitcode == 0
    assert snapshot(priority) is Priority.LOW


def test_a_value_of_members_that_could_not_be_sent_themselves(ctx: Any) -> None:
    tool = EnumValue(Tool.LIST, ctx=ctx)
    run(ctx, targets.use_tools, tool)
    assert snapshot(tool) is Tool.CALL


def test_a_combination_of_flags(ctx: Any) -> None:
    paint: Any = EnumValue(Paint.BLUE | Paint.RED, ctx=ctx)
    with running(ctx, targets.use_paint, paint) as process:
        assert wait_for(paint, lambda member: Paint.LIME in member, DEADLINE)
        for _ in range(101):
            paint ^= Paint.RED
        process.join(DEADLINE)
        assert process.exitcode == 0
    assert snapshot(paint) is Paint.BLUE | Paint.LIME


def test_an_object_with_attributes_of_each_kind(ctx: Any) -> None:
    order = Order(ctx)
    run(ctx, targets.use_order, order)
    assert (order.priority, order.tool, order.paint) == (Priority.URGENT, Tool.CALL, Paint.RED | Paint.LIME)
    assert is_free(order.lock)


def test_a_value_of_texts_as_initargs(ctx: Any) -> None:
    priority = PriorityValue(Priority.LOW, ctx=ctx)
    with ctx.Pool(2, targets.keep, (priority,)) as pool:
        assert sum(pool.map(targets.claim_text, range(20), chunksize=1)) == 1
        assert exchange(priority, "LOW") is Priority.HIGH
        assert pool.apply(targets.claim_text, (0,)) == 1
        pool.close()
        pool.join()
    assert snapshot(priority) is Priority.HIGH
