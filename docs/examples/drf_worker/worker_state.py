"""The state that all processes of the service share: what it does now, the job it does it for, how jobs ended."""

from __future__ import annotations

import enum
import multiprocessing
import sys

from multiprocessing_intenum import (
    IntEnumAttribute,
    IntEnumValue,
    RobustRLock,
    compare_and_exchange,
    compare_and_set,
    snapshot,
)

# Processes inherit the state by fork, as gunicorn's workers do. Python 3.14 starts them in another way if not told.
FORK = multiprocessing.get_context("fork")

REMEMBERED_JOBS = 1000


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = enum.auto()
    IDLE = enum.auto()
    CALCULATING = enum.auto()


class JobStatusEnum(enum.IntEnum):
    RUNNING = enum.auto()
    DONE = enum.auto()
    FAILED = enum.auto()


class WorkerStatus(IntEnumValue[WorkerStatusEnum]):
    pass


class JobStatus(IntEnumValue[JobStatusEnum]):
    pass


class WorkerState:
    """Everything shared, under one lock.

    What holds whenever the lock is free: while the status is CALCULATING, the job `job_id` is RUNNING.
    """

    status = IntEnumAttribute(WorkerStatus)

    def __init__(self) -> None:
        # Any process here may be killed while it holds the lock: gunicorn itself kills a worker that hangs. With an
        # RLock nobody could write from then on. A robust one goes to the next who asks, who mends the state first.
        self.lock = RobustRLock(lambda lock: self._mend()) if sys.platform == "linux" else FORK.RLock()
        self.status = WorkerStatus(WorkerStatusEnum.IDLE, lock=self.lock)
        self.job_id = FORK.Value("q", 0, lock=self.lock)  # the latest job; 0: none yet
        self.job_seconds = FORK.Value("d", 0, lock=self.lock)  # what it was asked to do
        # A ring, with a place more for a job half accepted by a process that is killed just then.
        self._jobs = [JobStatus(JobStatusEnum.DONE, lock=self.lock) for _ in range(REMEMBERED_JOBS + 1)]

    def accept(self, seconds: float) -> tuple[WorkerStatusEnum, int]:
        """Begin a job if the service is idle: that is so if the status returned, the one found, is IDLE."""
        with self.lock:
            found = compare_and_exchange(self.shared_status, WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING)
            if found is WorkerStatusEnum.IDLE:
                self.job_seconds.value = seconds
                self._job(self.job_id.value + 1).set(JobStatusEnum.RUNNING)
                self.job_id.value += 1
            return found, self.job_id.value

    def running_job(self) -> tuple[int, float] | None:
        """The number of the job to do and what to do, or None."""
        with self.lock:
            if self._job(self.job_id.value) == JobStatusEnum.RUNNING:
                return self.job_id.value, self.job_seconds.value
            return None

    def finish(self, result: JobStatusEnum) -> int | None:
        """End the running job, if there is one, and return its number."""
        with self.lock:
            if self.running_job() is None:
                return None
            self._job(self.job_id.value).set(result)
            self._mend()
            return self.job_id.value

    def drain(self) -> None:
        """Take no more jobs. The one that runs will end."""
        self.status = WorkerStatusEnum.UNAVAILABLE

    def job(self, job_id: int) -> JobStatusEnum | None:
        """How a job stands, or None for one that never was, or was too long ago."""
        with self.lock:
            latest = self.job_id.value
            return snapshot(self._job(job_id)) if 0 < job_id <= latest < job_id + REMEMBERED_JOBS else None

    @property
    def shared_status(self) -> WorkerStatus:
        return WorkerState.status.proxy_of(self)

    def _job(self, job_id: int) -> JobStatus:
        return self._jobs[job_id % len(self._jobs)]

    def _mend(self) -> None:
        if self.running_job() is None:
            compare_and_set(self.shared_status, WorkerStatusEnum.CALCULATING, WorkerStatusEnum.IDLE)


shared: WorkerState | None = None
"""The one state, made by gunicorn.conf.py in gunicorn's master process.

A plain `shared = WorkerState()` would be made by whichever process imports this module: where that is each of the web
processes (gunicorn without `--preload`), there are four states, four locks, and no error.
"""
