"""execution: who runs, and the pauses between two looks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from helpers import in_a_thread

from multiprocessing_intenum.locks import execution
from multiprocessing_intenum.locks.execution import Pauses

if TYPE_CHECKING:
    from collections.abc import Callable


def test_each_thread_is_one_execution_as_long_as_it_runs() -> None:
    mine = execution.execution()
    assert execution.execution() is mine
    another = in_a_thread(execution.execution)
    assert another is not mine
    assert mine() is not None
    assert another() is None  # it has ended


def test_a_process_that_is_patched_late_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    before = execution.execution()
    monkeypatch.setattr(execution, "_local", execution._local)
    monkeypatch.setattr(execution, "_local_class", execution._local_class)
    monkeypatch.setattr(threading, "local", type("local", (threading.local,), {}))
    assert execution.execution() is execution.execution() is not before
    assert execution.greenlets_share_a_thread()


@pytest.mark.parametrize(
    ("pauses", "expected"),
    [
        (Pauses, [50e-6, 100e-6, 200e-6, 400e-6, 800e-6, 1.6e-3, 3.2e-3, 5e-3, 5e-3]),
        (lambda: Pauses(300e-6), [50e-6, 100e-6, 200e-6, 300e-6, 300e-6]),
        (lambda: Pauses(20e-6), [20e-6, 20e-6]),
    ],
)
def test_each_pause_is_twice_as_long_as_the_one_before(
    monkeypatch: pytest.MonkeyPatch, pauses: Callable[[], Pauses], expected: list[float]
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(execution.time, "sleep", slept.append)
    them = pauses()
    for _ in expected:
        them.sleep(60)
    assert slept == pytest.approx(expected)
    them.sleep(1e-6)  # the time that is left
    assert slept[-1] == 1e-6
