"""The enum that all benchmarks share."""

from enum import IntEnum

__all__ = ["WorkerStatusEnum"]


class WorkerStatusEnum(IntEnum):
    """The state of a worker, as in the README."""

    UNAVAILABLE = 1
    IDLE = 2
    CALCULATING = 3
