"""The state of the worker, which all processes of the service open by its path. Nothing here needs Django."""

from __future__ import annotations

import enum
import os
from pathlib import Path

from multiprocessing_intenum import EnumAttribute, IntEnumValue, value_at


class WorkerStatusEnum(enum.IntEnum):
    # Drained: no new jobs; one that was accepted before still runs to its end.
    UNAVAILABLE = enum.auto()
    IDLE = enum.auto()
    CALCULATING = enum.auto()


S = WorkerStatusEnum

TRANSITIONS = {
    S.IDLE: [S.CALCULATING, S.UNAVAILABLE],
    S.CALCULATING: [S.IDLE, S.UNAVAILABLE],
    # To undo a drain; no write can put a drained worker to work.
    S.UNAVAILABLE: [S.IDLE],
}


class WorkerStatus(IntEnumValue[WorkerStatusEnum], transitions=TRANSITIONS):
    pass


class Calculation(enum.IntEnum):
    NONE = enum.auto()
    RUNS = enum.auto()  # owned by the calculation process


class WorkerState:
    """The status and the job, under one lock, and whether there is a calculation. Each is a file in the directory.

    When nobody holds the lock, CALCULATING has a job. If a process was killed while it held the lock, this may not be
    so. The calculation repairs it: see `take` in work.py.
    """

    status = EnumAttribute(WorkerStatus)

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.status = WorkerStatus("IDLE", at=directory / "status")
        self.lock = self.shared_status.get_lock()
        # The job that is to be done, or 0.
        self.job_id = value_at(directory / "job", "q", 0, lock=self.lock)
        self.calculation = IntEnumValue(Calculation.NONE, at=directory / "calculation")

    @property
    def shared_status(self) -> WorkerStatus:
        """The shared value itself, for compare_and_exchange and the like."""
        return WorkerState.status.proxy_of(self)

    def drain(self) -> None:
        """Accept no more jobs."""
        self.status = WorkerStatusEnum.UNAVAILABLE

    def resume(self) -> None:
        """Accept jobs again after a drain. If a job still runs, the worker is busy with it first."""
        with self.lock:
            if self.status is WorkerStatusEnum.UNAVAILABLE:
                self.status = WorkerStatusEnum.IDLE
                # Nobody can claim the worker here, because that takes the lock. Killed here: a worker that is idle
                # while a job runs, as after `intenum-value set`. The next job waits for it.
                if self.job_id.value != 0:
                    self.status = WorkerStatusEnum.CALCULATING


def _directory() -> Path:
    """Return the directory of the environment, which must exist; otherwise `run` beside the programs."""
    if given := os.environ.get("WORKER_STATE"):
        return Path(given)
    default = Path(__file__).parents[1] / "run"
    default.mkdir(mode=0o700, exist_ok=True)
    return default


state = WorkerState(_directory())
