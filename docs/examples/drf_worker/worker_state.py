"""The state that all processes of the service share: its status, its latest job, and the results of its jobs."""

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
    """Everything that is shared, under one lock.

    The invariant, whenever the lock is free: if the status is CALCULATING, the job `job_id` is RUNNING.
    """

    status = IntEnumAttribute(WorkerStatus)

    def __init__(self) -> None:
        # Any process here may be killed while it holds the lock: gunicorn itself kills a worker that hangs. The lock
        # then goes to the next process that asks for it, as the default lock does. This one also calls _mend() first,
        # because the dead process may have written the status and not the job, or the job and not the status.
        self.lock = RobustRLock(lambda lock: self._mend()) if sys.platform == "linux" else multiprocessing.RLock()
        self.status = WorkerStatus(WorkerStatusEnum.IDLE, lock=self.lock)
        self.job_id = multiprocessing.Value("q", 0, lock=self.lock)  # the latest job, or 0 before the first one
        self.job_seconds = multiprocessing.Value("d", 0, lock=self.lock)  # the input of the latest job
        # A ring. The extra place is for a job that is only half accepted when the process is killed.
        self._jobs = [JobStatus(JobStatusEnum.DONE, lock=self.lock) for _ in range(REMEMBERED_JOBS + 1)]

    def accept(self, seconds: float) -> tuple[WorkerStatusEnum, int]:
        """Accept a job if the service is idle. Return the status found, IDLE if accepted, and the latest job number."""
        with self.lock:
            found = compare_and_exchange(self.shared_status, WorkerStatusEnum.IDLE, WorkerStatusEnum.CALCULATING)
            if found is WorkerStatusEnum.IDLE:
                self.job_seconds.value = seconds
                self._job(self.job_id.value + 1).set(JobStatusEnum.RUNNING)
                self.job_id.value += 1
            return found, self.job_id.value

    def running_job(self) -> tuple[int, float] | None:
        """Return the number and the input of the running job, or None if no job is running."""
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
        """Accept no more jobs. A running job still runs to its end."""
        self.status = WorkerStatusEnum.UNAVAILABLE

    def job(self, job_id: int) -> JobStatusEnum | None:
        """Return the status of a job, or None if there is no such job or it is no longer remembered."""
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

With `shared = WorkerState()`, every process that imports this module would make a state. Without `--preload`, gunicorn
imports it in each web process. There would be four states, four locks, and no error.
"""
