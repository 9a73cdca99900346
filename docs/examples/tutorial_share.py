"""Step 2: one process sets the state, and another one sees it."""

import enum
from multiprocessing import Process

from multiprocessing_intenum import IntEnumValue, wait_for


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = enum.auto()
    IDLE = enum.auto()
    CALCULATING = enum.auto()


class WorkerStatus(IntEnumValue[WorkerStatusEnum]):
    """The state of a worker, shared by its processes."""


def calculate(status: WorkerStatus) -> None:
    status.set(WorkerStatusEnum.CALCULATING)
    while status == WorkerStatusEnum.CALCULATING:  # each comparison reads the shared memory
        sum(number * number for number in range(10_000))


if __name__ == "__main__":
    status = WorkerStatus(WorkerStatusEnum.IDLE)
    print("before:", status.name)

    process = Process(target=calculate, args=(status,))
    process.start()
    wait_for(status, WorkerStatusEnum.CALCULATING, timeout=60.0)
    print("the child says:", status.name)

    status.set(WorkerStatusEnum.UNAVAILABLE)
    process.join()
    print("the child has stopped, exit code", process.exitcode)
