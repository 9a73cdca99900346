"""A log process prints each change of a shared value, whichever process makes it."""

import enum
from multiprocessing import Event, Process

from multiprocessing_intenum import IntEnumValue, changes


class Status(enum.IntEnum):
    UNAVAILABLE = 1
    IDLE = 2
    CALCULATING = 3


def log(status, ready):
    feed = changes(status)  # it begins with this call
    ready.set()
    for change in feed:
        step = f"{change.before.name} -> {change.after.name}"
        print(f"{change.at:%H:%M:%S.%f} process {change.pid}: {step}", flush=True)
        if change.after is Status.UNAVAILABLE:
            return


def work(status):
    status.set(Status.CALCULATING)
    status.set(Status.IDLE)


if __name__ == "__main__":
    status = IntEnumValue(Status.IDLE)
    ready = Event()
    logger = Process(target=log, args=(status, ready))
    logger.start()
    ready.wait()
    worker = Process(target=work, args=(status,))
    worker.start()
    worker.join()
    status.set(Status.UNAVAILABLE)
    logger.join()
