"""A status and its job id, by path, under one lock.

Programs that have no common parent claim the worker at once.
"""

import enum
import subprocess
import sys
import tempfile

from multiprocessing_intenum import EnumAttribute, IntEnumValue, value_at


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = enum.auto()
    IDLE = enum.auto()
    CALCULATING = enum.auto()


class WorkerStatus(IntEnumValue[WorkerStatusEnum]):
    """The state of the worker."""


class WorkerState:
    """All programs open it with the same directory. One file holds one value."""

    status = EnumAttribute(WorkerStatus)

    def __init__(self, directory: str) -> None:
        self.status = WorkerStatus("IDLE", at=f"{directory}/status")
        self.lock = WorkerState.status.proxy_of(self).get_lock()
        self.job_id = value_at(f"{directory}/job", "q", 0, lock=self.lock)

    def claim(self, job_id: int) -> bool:
        with self.lock:  # both change together
            if self.status is not WorkerStatusEnum.IDLE:
                return False
            # First, so that a kill before the next line leaves the worker idle.
            self.job_id.value = job_id
            self.status = WorkerStatusEnum.CALCULATING
            return True

    def describe(self) -> str:
        with self.lock:  # and are read together
            return f"{self.status.name}, job {self.job_id.value}"


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        state = WorkerState(directory)
        print(state.describe())
        programs = [
            subprocess.Popen([sys.executable, __file__, directory, str(job)])
            for job in range(100, 104)
        ]
        claims = [program.wait() for program in programs]
        print(f"{claims.count(0)} of {len(claims)} claimed it: {state.describe()}")


if __name__ == "__main__":
    if len(sys.argv) == 3:  # one of the other programs
        sys.exit(0 if WorkerState(sys.argv[1]).claim(int(sys.argv[2])) else 1)
    main()
