"""A process is killed when half of a change is written.

The next process to take the lock repairs the state.
"""

import enum
import multiprocessing
import os
import signal

from multiprocessing_intenum import EnumAttribute, IntEnumValue, RobustRLock

NO_JOB = 0


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = enum.auto()
    IDLE = enum.auto()
    CALCULATING = enum.auto()


class Worker:
    """A status and the job that belongs to it. CALCULATING has a job, IDLE has none."""

    status = EnumAttribute(IntEnumValue[WorkerStatusEnum])

    def __init__(self) -> None:
        self.lock = RobustRLock(on_holder_death=self.repair)
        self.status = IntEnumValue(WorkerStatusEnum.IDLE, lock=self.lock)
        self.job_id = multiprocessing.Value("q", NO_JOB, lock=self.lock)

    def claim(self, job_id: int) -> bool:
        with self.lock:
            if self.status is not WorkerStatusEnum.IDLE:
                return False
            self.status = WorkerStatusEnum.CALCULATING
            if job_id == 13:
                # As if the kernel were out of memory.
                os.kill(os.getpid(), signal.SIGKILL)
            self.job_id.value = job_id
            return True

    def repair(self, lock: RobustRLock) -> None:
        """Undo an unfinished change.

        The next process to take the lock runs this, with the lock held.
        """
        if self.status is WorkerStatusEnum.CALCULATING and self.job_id.value == NO_JOB:
            self.status = WorkerStatusEnum.IDLE


if __name__ == "__main__":
    worker = Worker()
    process = multiprocessing.Process(target=worker.claim, args=(13,))
    process.start()
    process.join()
    # A read takes no lock, so nothing is repaired yet.
    print("left behind:", worker.status.name)
    print("claimed:", worker.claim(14))
    print("now:", worker.status.name, worker.job_id.value)
