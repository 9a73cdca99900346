"""The status of the worker, by path.

Each process that imports this module opens the same value.
"""

import enum
import os

from multiprocessing_intenum import IntEnumValue


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = enum.auto()
    IDLE = enum.auto()
    CALCULATING = enum.auto()


class WorkerStatus(IntEnumValue[WorkerStatusEnum]):
    pass


status = WorkerStatus("IDLE", at=os.environ.get("WORKER_STATUS", "/run/worker/status"))
