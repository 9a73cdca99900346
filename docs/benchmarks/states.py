"""The enum that all benchmarks share, and the same states as enums of other kinds."""

from enum import Enum, IntEnum, StrEnum

__all__ = ["PlainStatus", "TextStatus", "WorkerStatusEnum"]


class WorkerStatusEnum(IntEnum):
    """The state of a worker, as in the README."""

    UNAVAILABLE = 1
    IDLE = 2
    CALCULATING = 3


class PlainStatus(Enum):
    """The same states, and values that have no hash."""

    UNAVAILABLE = [1]  # noqa: RUF012
    IDLE = [2]  # noqa: RUF012
    CALCULATING = [3]  # noqa: RUF012


class TextStatus(StrEnum):
    """The same states as texts."""

    UNAVAILABLE = "unavailable"
    IDLE = "idle"
    CALCULATING = "calculating"
