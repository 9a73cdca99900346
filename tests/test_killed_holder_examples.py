"""docs/examples/killed_holder.py and file_lock.py, with real kills under every start method."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from enums import WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, SHORT, in_a_thread, running

from multiprocessing_intenum import exchange, snapshot, update

IDLE, CALCULATING = WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING


@pytest.fixture(autouse=True)
def examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the examples importable, also for spawned children."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "docs" / "examples"))


@pytest.fixture
def shared_lock(tmp_path: Path) -> Any:
    from file_lock import SharedFileLock

    return SharedFileLock(str(tmp_path / "lock"))


def hold(status: WorkerStatus, held: Any) -> None:
    with status.get_lock():  # type: ignore[attr-defined]
        status.set(CALCULATING)
        held.set()
        threading.Event().wait()


def count_up(status: WorkerStatus, total: Any, times: int) -> None:
    for _ in range(times):
        with status.get_lock():  # type: ignore[attr-defined]
            total.value += 1
            status.set("IDLE")


def test_the_one_who_comes_after_a_killed_holder_puts_both_parts_right(ctx: Any) -> None:
    from killed_holder import NO_JOB, Worker
    from killed_holder import WorkerStatusEnum as Status

    worker = Worker()
    with running(ctx, worker.claim, 13) as process:
        process.join(DEADLINE)
        assert process.exitcode == -9
    assert (worker.status, worker.job_id.get_obj().value) == (Status.CALCULATING, NO_JOB)
    with worker.lock:
        assert worker.status is Status.IDLE
    assert worker.claim(14)
    assert (worker.status, worker.job_id.value) == (Status.CALCULATING, 14)
    assert not worker.claim(15)


def test_a_file_lock_is_free_when_its_holder_is_killed(ctx: Any, shared_lock: Any) -> None:
    status = WorkerStatus(IDLE, lock=shared_lock)
    held = ctx.Event()
    with running(ctx, hold, status, held) as process:
        assert held.wait(DEADLINE)
        with pytest.raises(TimeoutError, match="the holder of the lock is busy, or dead"):
            exchange(status, IDLE, timeout=SHORT)
        process.kill()
        assert exchange(status, IDLE, timeout=DEADLINE) is CALCULATING


def test_no_change_under_a_file_lock_is_lost(ctx: Any, shared_lock: Any) -> None:
    status, total = WorkerStatus(CALCULATING, lock=shared_lock), ctx.Value("q", 0, lock=False)
    threads = [threading.Thread(target=count_up, args=(status, total, 50)) for _ in range(2)]
    with running(ctx, count_up, status, total, 50) as process:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        process.join(DEADLINE)
        assert process.exitcode == 0
    assert (total.value, snapshot(status)) == (150, IDLE)


def test_a_file_lock_is_reentrant_and_keeps_other_threads_out(shared_lock: Any) -> None:
    status = WorkerStatus(IDLE, lock=shared_lock)

    def refused() -> bool:
        with pytest.raises(TimeoutError):
            exchange(status, CALCULATING, timeout=SHORT)
        return True

    with shared_lock, shared_lock:
        status.set(CALCULATING)
        assert in_a_thread(refused)
        assert update(status, lambda _: IDLE, timeout=SHORT) is IDLE
    assert in_a_thread(lambda: exchange(status, CALCULATING, timeout=SHORT)) is IDLE
