"""The next version of tutorial_status.py: an operator can pause the worker."""

import enum
import os
import tempfile

from multiprocessing_intenum import IntEnumValue


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = 1  # no worker is there, or it is about to end
    IDLE = 2
    CALCULATING = 3
    PAUSED = 4  # new


TRANSITIONS = {
    "UNAVAILABLE": ["IDLE"],
    "IDLE": ["CALCULATING", "UNAVAILABLE", "PAUSED"],
    "CALCULATING": ["IDLE", "UNAVAILABLE"],
    "PAUSED": ["IDLE", "UNAVAILABLE"],
}


class WorkerStatus(
    IntEnumValue[WorkerStatusEnum],
    transitions=TRANSITIONS,  # a write that is not listed is an error
    unknown="UNAVAILABLE",  # what a state of a later version reads as
):
    """The state of the worker, shared by all programs of this machine."""


# For the tutorial. A service has a directory of its own, such as /run/worker.
PATH = f"{tempfile.gettempdir()}/tutorial-{os.getuid()}"
status = WorkerStatus("UNAVAILABLE", at=PATH)
