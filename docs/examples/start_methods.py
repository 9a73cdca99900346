"""A value shared with a Process, a Pool and a ProcessPoolExecutor, all spawned."""

import enum
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from multiprocessing_intenum import IntEnumValue


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = enum.auto()
    IDLE = enum.auto()
    CALCULATING = enum.auto()


class WorkerStatus(IntEnumValue[WorkerStatusEnum]):
    """The state of a worker."""


def inherit(value: WorkerStatus) -> None:
    """Keep the value that the pool passes to each of its processes at their start."""
    global status
    status = value


def write(name: str) -> None:
    status.set(name)


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    status = WorkerStatus(WorkerStatusEnum.IDLE)

    process = context.Process(target=status.set, args=("CALCULATING",))
    process.start()
    process.join()
    print("Process:", status.name)

    with context.Pool(1, initializer=inherit, initargs=(status,)) as pool:
        pool.apply(write, ("UNAVAILABLE",))
    print("Pool:", status.name)

    with ProcessPoolExecutor(
        1, mp_context=context, initializer=inherit, initargs=(status,)
    ) as executor:
        executor.submit(write, "IDLE").result()
    print("ProcessPoolExecutor:", status.name)
